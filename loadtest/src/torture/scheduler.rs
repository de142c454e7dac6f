//! A scheduler's process for rigs that have no other: a node on the three adapters, set up by the
//! environment variables that `minutehand scheduler` reads too.

use std::sync::Arc;

use minutehand_cassandra::{CassandraConfig, CassandraTimetable};
use minutehand_engine::Config;
use minutehand_etcd::{EtcdConfig, EtcdCoordinator, MemberConfig};
use minutehand_kafka::{Client, KafkaConfig, KafkaLog, KafkaSink, MemoryShares};
use minutehand_node::{Node, OwnerStores, Owners, SystemClock};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn variable(name: &str) -> Result<String, Failure> {
    std::env::var(name).map_err(|_| format!("{name} is not set").into())
}

fn number<T: std::str::FromStr>(name: &str) -> Result<T, Failure> {
    let text = variable(name)?;
    text.parse()
        .map_err(|_| format!("{name} is {text:?}, which is not a number").into())
}

fn list(name: &str) -> Result<Vec<String>, Failure> {
    Ok(variable(name)?.split(',').map(str::to_owned).collect())
}

fn kafka() -> Result<KafkaConfig, Failure> {
    Ok(KafkaConfig {
        brokers: list("MINUTEHAND_KAFKA")?,
        topic_prefix: variable("MINUTEHAND_KAFKA_TOPIC_PREFIX")?,
        partitions: number("MINUTEHAND_CLUSTER_PARTITIONS")?,
        queue_partitions: number("MINUTEHAND_KAFKA_QUEUE_PARTITIONS")?,
        ..KafkaConfig::default()
    })
}

/// Runs until SIGTERM, then hands every partition over.
///
/// # Errors
/// When it cannot start, or a partition stopped for good.
pub async fn run() -> Result<(), Failure> {
    let kafka = kafka()?;
    let partitions = kafka.partitions;
    let engine = Config {
        look_ahead_ms: number("MINUTEHAND_ENGINE_LOOK_AHEAD_MS")?,
        dedupe_window_ms: number("MINUTEHAND_ENGINE_DEDUPE_WINDOW_MS")?,
        flush_interval_ms: number("MINUTEHAND_ENGINE_FLUSH_INTERVAL_MS")?,
        catch_up_rate_per_s: number("MINUTEHAND_ENGINE_CATCH_UP_RATE_PER_S")?,
        normal_tick_delay_ms: 25,
        ..Config::default()
    };
    let shares = MemoryShares::of(engine.memory_bytes_max);
    let engine = engine.within(shares.tasks, shares.tick_max(partitions));
    let mut cassandra = CassandraConfig::new(
        list("MINUTEHAND_CASSANDRA")?,
        &variable("MINUTEHAND_CASSANDRA_KEYSPACE")?,
        &kafka.region,
    );
    cassandra.dedupe_window_ms = engine.dedupe_window_ms;
    let etcd = EtcdConfig::new(list("MINUTEHAND_ETCD")?, kafka.region.clone());
    let member = MemberConfig {
        lease_ttl_ms: number("MINUTEHAND_ETCD_LEASE_TTL_MS")?,
        ..MemberConfig::new(
            variable("MINUTEHAND_SCHEDULER_NODE_ID")?,
            variable("MINUTEHAND_SCHEDULER_LISTEN")?,
        )
    };
    let client = Client::new(kafka)?;
    client.check_topics().await?;
    let timetable = CassandraTimetable::connect(&cassandra).await?;
    let coordinator = Arc::new(EtcdCoordinator::start(&etcd, &member, partitions).await?);
    let log = Arc::new(KafkaLog::new(Arc::clone(&client)));
    let stores = OwnerStores {
        log,
        sink: Arc::new(KafkaSink::new(client)),
        timetable: timetable.clone(),
        ledger: timetable,
    };
    let node = Node::new(
        engine,
        coordinator.clone(),
        stores,
        Arc::new(SystemClock),
        Owners::new(partitions),
    )
    .isolating_partitions();
    let (stop, stopping) = watch::channel(false);
    let mut running = tokio::spawn(node.run(stopping));
    let mut terminated = signal(SignalKind::terminate())?;
    let by_itself = tokio::select! {
        _ = terminated.recv() => None,
        ended = &mut running => Some(ended),
    };
    coordinator.withdraw();
    stop.send_replace(true);
    let ended = match by_itself {
        Some(ended) => ended,
        None => running.await,
    };
    coordinator.shutdown().await;
    ended?.map_err(|reason| format!("a partition stopped: {reason}").into())
}
