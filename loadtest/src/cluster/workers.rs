//! A worker on Kafka: how many executions a second it runs with a handler that does nothing, beside
//! a bare loop that reads the same committed records; and how many whose results go to a topic,
//! exactly once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use minutehand_kafka::raw::{RawReader, create_topic};
use minutehand_kafka::{Client, KafkaQueue, KafkaSink, TopicDefinition};
use minutehand_model::{
    Checkpoint, Epoch, Guarantee, LogOffset, PartitionId, Publication, QueueName, Task, TaskId,
    Tick, TopicName,
};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::{ExecutionQueue, ExecutionSink};
use minutehand_worker::{
    FnHandler, HistoryPolicy, ResultTopic, ResultTopics, Verdict, Worker, WorkerObserver,
};
use tokio::sync::{Notify, oneshot};

use super::Failure;
use super::generator::template;
use super::payload::Payloads;
use super::rig::{Endpoints, Ground};
use super::terms::{PAYLOAD_BYTES, joined, on_a_thread};
use crate::Figure;

const NAME: &str = "workers";
const PARTITIONS: u32 = 4;
/// Executions of one tick, as many as one of the engine holds at this payload.
const TICK: u64 = 2_000;
/// Runs in progress at once.
const CONCURRENCY: usize = 256;
/// Longest wait for everything to be settled, or read.
const PATIENCE: Duration = Duration::from_secs(300);
/// A reader that was brought nothing for so long has seen all there is.
const SILENCE: Duration = Duration::from_secs(2);

/// Settlements as they become durable.
#[derive(Default)]
struct Progress {
    settled: AtomicU64,
    changed: Notify,
}

impl WorkerObserver for Progress {
    fn settled(&self, _queue: &QueueName, count: usize) {
        self.settled.fetch_add(count as u64, Ordering::Relaxed);
        self.changed.notify_one();
    }
}

/// Publishes `tasks` executions twice, and has each set read and run.
///
/// # Errors
/// When a server or a worker fails.
pub async fn run(
    endpoints: &Endpoints,
    tasks: u64,
    mut show: impl FnMut(Figure),
) -> Result<(), Failure> {
    let ground = Ground::prepare(endpoints, PARTITIONS).await?;
    let with = |figure: Figure| figure.with("tasks", tasks).with("partitions", PARTITIONS);
    let (plain, with_results) = (queue("plain"), queue("results"));
    publish(&ground, &plain, Guarantee::AtLeastOnce, tasks).await?;
    publish(&ground, &with_results, Guarantee::ExactlyOnce, tasks).await?;

    let topic = ground.client.names().executions(&plain);
    let ceiling = committed(&ground.client, &topic, tasks).await?.rate;
    let read = Figure::new(
        NAME,
        "ceiling: committed records read",
        ceiling,
        "records/s",
    );
    show(with(read));

    let nowhere = ResultTopics::default();
    let rate = work(&ground.client, &plain, nowhere, tasks).await?;
    let ran = Figure::new(NAME, "run at least once by a no-op handler", rate, "runs/s");
    show(with(ran).with("share_of_ceiling", format!("{:.2}", rate / ceiling)));

    let results = topic_of_results(&ground.client).await?;
    let topics = [ResultTopic {
        queue: with_results.clone(),
        topic: results.clone(),
    }];
    let topics = ResultTopics::new(&topics).map_err(|error| Failure::new(error.to_string()))?;
    let rate = work(&ground.client, &with_results, topics, tasks).await?;
    let ran = Figure::new(NAME, "run exactly once, results to a topic", rate, "runs/s");
    show(with(ran));
    let read = committed(&ground.client, results.as_str(), tasks).await?;
    let difference = read.count as f64 - tasks as f64;
    let beyond = Figure::new(NAME, "results beyond one a run", difference, "records");
    show(with(beyond));
    minutehand_kafka::raw::delete_topic(&ground.client, results.as_str()).await?;
    ground.clear().await
}

fn queue(name: &str) -> QueueName {
    QueueName::parse(name).expect("a good name")
}

/// Publishes executions in ticks, as owners do, evenly over the partitions.
async fn publish(
    ground: &Ground,
    queue: &QueueName,
    guarantee: Guarantee,
    tasks: u64,
) -> Result<(), Failure> {
    ground.client.ensure_queue(queue).await?;
    let sink = KafkaSink::new(Arc::clone(&ground.client));
    let mut payloads = Payloads::new(PAYLOAD_BYTES);
    let mut published = 0;
    for partition in (0..PARTITIONS).map(PartitionId::own) {
        let opened = sink.open(partition, Epoch(1)).await?;
        let mut number = opened.checkpoint.map_or(0, |checkpoint| checkpoint.tick);
        let until = tasks * u64::from(partition.number() + 1) / u64::from(PARTITIONS);
        while published < until {
            let count = TICK.min(until - published);
            let due = SystemClock.now();
            let publication = |index: u64| {
                let id = TaskId::parse(&format!("t-{}", published + index)).expect("a good id");
                let task = Task {
                    id,
                    due,
                    first_due: due,
                    guarantee,
                    payload: payloads.payload(),
                    ..template(queue)
                };
                Publication {
                    offset: LogOffset::at(index),
                    task: minutehand_record::task::record(&task),
                }
            };
            number += 1;
            let tick = Tick {
                partition,
                checkpoint: Checkpoint {
                    epoch: Epoch(1),
                    tick: number,
                    ..Checkpoint::START
                },
                published_at: SystemClock.now(),
                publications: (0..count).map(publication).collect(),
                stops: Vec::new(),
                derived: Vec::new(),
                schedule_states: Vec::new(),
                set_aside: Vec::new(),
            };
            sink.commit(tick).await?;
            published += count;
        }
    }
    Ok(())
}

/// What a loop of nothing but reading found.
struct Read {
    count: u64,
    rate: f64,
}

/// Reads a topic until so many records came, and then until no more come.
async fn committed(client: &Arc<Client>, topic: &str, records: u64) -> Result<Read, Failure> {
    let topic = topic.to_owned();
    let reading = move |client: &Client| -> Result<Read, Failure> {
        // From the beginning: what is fetched ahead is work as well.
        let began = Instant::now();
        let reader = RawReader::open(client, &topic)?;
        let (mut count, mut ended, mut last) = (0_u64, began, began);
        while last.elapsed() < SILENCE {
            let brought = reader.poll(Duration::from_millis(100), 10_000, |_| ())? as u64;
            if brought > 0 {
                last = Instant::now();
            }
            count += brought;
            if count <= records {
                ended = last;
            }
        }
        let took = ended - began;
        Ok(Read {
            count,
            rate: records as f64 / took.as_secs_f64(),
        })
    };
    joined(on_a_thread(client, reading)).await
}

async fn topic_of_results(client: &Client) -> Result<TopicName, Failure> {
    let name = format!("results-of-{}", client.config().topic_prefix);
    let definition = TopicDefinition {
        name: name.clone(),
        partitions: PARTITIONS,
        settings: Vec::new(),
    };
    create_topic(client, &definition).await?;
    TopicName::parse(&name).map_err(|error| Failure::new(error.to_string()))
}

/// Has a worker of its own run everything in a queue; answers how many a second were settled, from
/// the first batch on.
async fn work(
    client: &Arc<Client>,
    queue: &QueueName,
    results: ResultTopics,
    tasks: u64,
) -> Result<f64, Failure> {
    let kafka = Arc::new(KafkaQueue::new(Arc::clone(client)));
    let port: Arc<dyn ExecutionQueue> = kafka.clone();
    let progress = Arc::new(Progress::default());
    let does_nothing = FnHandler(|_: &minutehand_worker::Run| Verdict::Success {
        detail: "done".to_owned(),
    });
    let worker = Worker::builder(port)
        .observer(progress.clone())
        .history(HistoryPolicy::None)
        .result_topics(results)
        .handle(queue.clone(), does_nothing, CONCURRENCY)
        .build()
        .map_err(|error| Failure::new(error.to_string()))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.run(async {
        stopped.await.ok();
    }));
    let settling = async {
        let mut first = None;
        loop {
            progress.changed.notified().await;
            let settled = progress.settled.load(Ordering::Relaxed);
            let (since, before) = *first.get_or_insert((Instant::now(), settled));
            if settled >= tasks {
                let took: Duration = since.elapsed();
                break (settled - before) as f64 / took.as_secs_f64();
            }
        }
    };
    let rate = tokio::time::timeout(PATIENCE, settling)
        .await
        .map_err(|_| Failure::new(format!("{queue} was not settled within {PATIENCE:?}")))?;
    stop.send(()).ok();
    let ended = running
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    kafka.close().await;
    ended.map_err(|error| Failure::new(minutehand_testkit::with_causes(&error)))?;
    Ok(rate)
}
