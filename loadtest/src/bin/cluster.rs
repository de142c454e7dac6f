//! `cargo xtask bench cluster`: the benchmarks against real servers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use minutehand_engine::Config;
use minutehand_kafka::{Client, KafkaConfig, KafkaLog, KafkaSink, Native};
use minutehand_loadtest::cluster::{generator, reader};
use minutehand_model::*;
use minutehand_node::{Clock, Node, OwnerStores, Owners, SystemClock};
use minutehand_ports::{Coordinator, PortError, Timetable};
use tokio::sync::watch;

struct Nothing { partitions: u32, lease: watch::Sender<Timestamp>, assignment: watch::Sender<BTreeSet<PartitionId>> }

#[async_trait]
impl Timetable for Nothing {
    async fn write_blocks(&self, _: Vec<Block>) -> Result<(), PortError> { Ok(()) }
    async fn read(&self, _: PartitionId, _: Timestamp, until: Timestamp, _: usize) -> Result<TimetablePage, PortError> {
        Ok(TimetablePage { entries: vec![], set_aside: vec![], complete_until: until })
    }
    async fn find(&self, _: PartitionId, _: TaskKey) -> Result<Vec<TimetableEntry>, PortError> { Ok(vec![]) }
    async fn loads(&self, _: PartitionId, _: Timestamp, _: Timestamp) -> Result<Vec<BucketLoad>, PortError> { Ok(vec![]) }
    async fn expire(&self, _: PartitionId, _: Timestamp) -> Result<(), PortError> { Ok(()) }
    async fn write_revisions(&self, _: PartitionId, _: Vec<RevisionEntry>) -> Result<(), PortError> { Ok(()) }
    async fn read_revisions(&self, _: PartitionId) -> Result<Vec<RevisionEntry>, PortError> { Ok(vec![]) }
}

#[async_trait]
impl Coordinator for Nothing {
    fn assignment(&self) -> watch::Receiver<BTreeSet<PartitionId>> { self.assignment.subscribe() }
    fn confirmed_at(&self) -> watch::Receiver<Timestamp> { self.lease.subscribe() }
    fn lease_ttl_ms(&self) -> i64 { 5_000 }
    async fn acquire(&self, _: PartitionId) -> Result<Epoch, PortError> { let _ = self.partitions; Ok(Epoch(1)) }
    async fn release(&self, _: PartitionId, _: Epoch) -> Result<(), PortError> { Ok(()) }
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().init();
    let arg = |n: usize, d: f64| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(d);
    let (rate, seconds, partitions, delay) = (arg(1, 50_000.0), arg(2, 40.0), arg(3, 2.0) as u32, arg(4, 30.0) as i64);
    let ahead = (arg(5, 5_000.0) as i64, arg(6, 15_000.0) as i64);
    let prefix = format!("bench-{}", SystemClock.now().as_millis());
    let config = KafkaConfig { brokers: std::env::var("MINUTEHAND_KAFKA").unwrap(), topic_prefix: prefix, partitions, queue_partitions: partitions, ..KafkaConfig::default() };
    let client = Client::new(config).unwrap();
    println!("{:?}", client.apply_topics().await.unwrap().len());
    if std::env::args().nth(1).as_deref() == Some("ceiling") {
        let queue = QueueName::parse("bench").unwrap();
        client.ensure_queue(&queue).await.unwrap();
        let rate = tokio::task::spawn_blocking(move || minutehand_loadtest::cluster::ceiling::pipeline(&client, &queue, 300, Duration::from_secs(15))).await.unwrap().unwrap();
        println!("ceiling {rate}");
        return;
    }
    let log = Arc::new(KafkaLog::new(client.clone(), Arc::new(Native)));
    let sink = Arc::new(KafkaSink::new(client.clone()));
    let nothing = Arc::new(Nothing { partitions, lease: watch::Sender::new(SystemClock.now()), assignment: watch::Sender::new((0..partitions).map(PartitionId).collect()) });
    let lease = nothing.clone();
    tokio::spawn(async move { loop { lease.lease.send_replace(SystemClock.now()); tokio::time::sleep(Duration::from_millis(500)).await; } });
    let owners = Owners::new(partitions);
    let engine = Config { look_ahead_ms: 90_000, normal_tick_delay_ms: delay, tick_publications_max: 20_000, ..Config::default() };
    let node = Node::new(engine, nothing.clone(), OwnerStores { log, sink, timetable: nothing.clone() }, Arc::new(SystemClock), owners.clone());
    let (stop, stopping) = watch::channel(false);
    let node = tokio::spawn(node.run(stopping));
    let queue = QueueName::parse("bench").unwrap();
    let topic = client.names().executions(&queue);
    let c2 = client.clone();
    let load = generator::Load { rate, ahead_ms: ahead, payload_bytes: 300, queue: queue.clone(), lasts: Duration::from_secs_f64(seconds), waiting_max: None };
    let progress = generator::Progress::default();
    let p2 = progress.clone();
    let start = SystemClock.now();
    let gen_thread = std::thread::spawn(move || generator::run(&c2, &load, &p2));
    while !client.standings().await.map(|_| ()).is_ok() || reader_topic(&client, &topic).await.is_none() { tokio::time::sleep(Duration::from_millis(100)).await; }
    let seen = reader::Seen::default();
    let (c3, s3, t3) = (client.clone(), seen.clone(), topic.clone());
    let from = start.plus_millis(ahead.1 + 5_000);
    let reading = std::thread::spawn(move || reader::run(&c3, &t3, from, &s3));
    let mut last = 0;
    for _ in 0..((seconds + ahead.1 as f64 / 1000.0) as u64 + 5) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = seen.count();
        let st = owners.all();
        println!("sent {} seen {} (+{}) near {:?} applied/end {:?}", progress.sent(), now, now - last, st.iter().map(|s| s.1.near_tasks).collect::<Vec<_>>(), st.iter().map(|s| (s.1.log_end as i64 - s.1.applied as i64)).collect::<Vec<_>>());
        last = now;
    }
    gen_thread.join().unwrap().unwrap();
    seen.stop();
    let lateness = reading.join().unwrap().unwrap();
    println!("early {} p50 {} p99 {} p999 {}", seen.early(), lateness.quantile_ms(0.5), lateness.quantile_ms(0.99), lateness.quantile_ms(0.999));
    stop.send_replace(true);
    println!("{:?}", tokio::time::timeout(Duration::from_secs(10), node).await);
}
async fn reader_topic(client: &Arc<Client>, topic: &str) -> Option<()> {
    reader::has_topic(client, topic).await.then_some(())
}
