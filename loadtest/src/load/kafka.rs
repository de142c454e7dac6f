//! Generators and consumers on the topics: commands in, executions out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use minutehand_ingress::egress::{self, Incoming};
use minutehand_kafka::raw::{RawIncoming, RawOutgoing, RawProducer, RawReader};
use minutehand_kafka::{Client, KafkaConfig};
use minutehand_model::{Command, RetryPolicy, Task, TaskId, TaskKey, Timestamp};
use minutehand_node::{Clock, SystemClock};
use minutehand_record::QueueNames;
use minutehand_testkit::with_causes;
use tokio::runtime::Runtime;

use super::plan::{Ask, Change, Origin};
use super::shared::{AskedSchedules, Part, Share, Shared};
use super::verifier::Start;
use super::{LoadError, LoadOptions};

/// Tasks are handed over in steps of this length.
const STEP: Duration = Duration::from_millis(5);
/// Tasks that are sent between two looks at the clock.
const STEP_TASKS_MAX: u64 = 2_000;
/// Records of one read.
const READ_MAX: usize = 4_096;
/// A topic that is not there yet is looked for again after this.
const LOOK: Duration = Duration::from_millis(200);
/// Executions from so long before the beginning are read, in milliseconds: clocks differ.
const BEFORE_MS: i64 = 60_000;
/// Longest that a topic may take to appear once something is due.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client of the cluster's topics.
pub(super) struct ViaKafka {
    client: Arc<Client>,
}

impl ViaKafka {
    pub(super) fn open(config: &KafkaConfig, runtime: &Runtime) -> Result<ViaKafka, LoadError> {
        let checked = config.clone().checked();
        let config = checked.map_err(|error| LoadError::Options(error.to_string()))?;
        let _within = runtime.enter();
        Ok(ViaKafka {
            client: Client::new(config)?,
        })
    }

    pub(super) fn partitions(&self) -> u32 {
        self.client.config().partitions
    }

    pub(super) fn produce(&self, options: &LoadOptions, shared: &Arc<Shared>) -> Vec<Part> {
        let generators = options.generators;
        let start = |generator| {
            let (client, shared) = (Arc::clone(&self.client), Arc::clone(shared));
            let share = Share::of(options.share, generator, generators);
            std::thread::spawn(move || {
                if let Err(error) = produce(&client, &shared, share) {
                    shared.fail(with_causes(&error));
                }
            })
        };
        (0..generators).map(start).collect()
    }

    pub(super) fn consume(&self, shared: &Arc<Shared>) -> Vec<Part> {
        let start = |queue| {
            let topic = self.client.names().executions(&queue);
            let (client, shared) = (Arc::clone(&self.client), Arc::clone(shared));
            std::thread::spawn(move || {
                if let Err(error) = consume(&client, &shared, &topic) {
                    shared.fail(with_causes(&error));
                }
            })
        };
        let queues = shared.plan.scenario().queues();
        queues.into_iter().map(start).collect()
    }

    /// Creates the schedules, all of them durable before this returns.
    pub(super) fn create_schedules(&self, asked: &AskedSchedules<'_>) -> Result<(), LoadError> {
        const HEADERS: [(&str, Option<&[u8]>); 1] = [("content-type", Some(b"application/json"))];
        let producer = RawProducer::open(&self.client, None)?;
        let namespace = &asked.schedules.namespace;
        for number in 0..asked.schedules.count {
            let mut body = asked.body(number);
            let id = body["id"].as_str().unwrap_or_default().to_owned();
            body["namespace"] = namespace.as_str().into();
            let value = serde_json::json!({ "schedule": body }).to_string();
            let partitions = self.partitions();
            let partition = minutehand_model::PartitionId::of(namespace, &id, partitions);
            let outgoing = RawOutgoing {
                partition: Some(partition.number()),
                key: Some(id.as_bytes()),
                value: Some(value.as_bytes()),
                headers: &HEADERS,
            };
            producer.send(&self.client.names().commands, outgoing)?;
        }
        Ok(producer.flush()?)
    }
}

/// One generator of tasks.
struct Generator<'a> {
    client: &'a Client,
    shared: &'a Shared,
    producer: RawProducer,
    task: Task,
    id: String,
    payload: Vec<u8>,
}

fn produce(client: &Client, shared: &Shared, share: Share) -> Result<(), LoadError> {
    let mut generator = Generator {
        client,
        shared,
        producer: RawProducer::open(client, None)?,
        task: template(shared),
        id: String::new(),
        payload: Vec::new(),
    };
    let (mut creates, mut changes) = (share, share);
    let tasks = shared.plan.tasks();
    let after_ms = shared.plan.scenario().change_after_ms as f64;
    let changes_any = shared.plan.scenario().streams.iter();
    let changes_any = changes_any
        .map(|stream| stream.cancel_percent + stream.repeat_percent)
        .any(|percent| percent > 0);
    while !shared.has_failed() {
        let Some(elapsed_ms) = shared.elapsed_ms() else {
            std::thread::sleep(STEP);
            continue;
        };
        let (count, is_behind) = generator.create(&mut creates, elapsed_ms)?;
        if changes_any {
            let owed = shared.plan.owed(elapsed_ms - after_ms);
            generator.change(&mut changes, owed)?;
        }
        generator.producer.poll();
        if count > 0 {
            shared.asked.fetch_add(count, Ordering::Relaxed);
            shared.verifier().asked(SystemClock.now(), count);
        }
        if creates.is_done(tasks) && (!changes_any || changes.is_done(tasks)) {
            break;
        }
        if !is_behind {
            std::thread::sleep(STEP);
        }
    }
    // What was not delivered is told by number; everything else is durable.
    if let Err(error) = generator.producer.flush() {
        tracing::warn!(%error, "not everything was delivered");
    }
    let failed = generator.producer.take_failed();
    let mut verifier = shared.verifier();
    verifier.unknown(failed.len() as u64);
    let mut sent = share;
    while let Some(number) = sent.take(tasks) {
        if !failed.contains(&number) {
            verifier.acknowledged(number);
        }
    }
    Ok(())
}

/// A task of the load, but for what differs.
fn template(shared: &Shared) -> Task {
    let scenario = shared.plan.scenario();
    let (namespace, queue) = match (scenario.streams.first(), &scenario.schedules) {
        (Some(stream), _) => (stream.namespace.clone(), stream.queue.clone()),
        (None, Some(schedules)) => (schedules.namespace.clone(), schedules.queue.clone()),
        (None, None) => unreachable!("a scenario with a rate has a stream"),
    };
    let id = TaskId::parse("template").expect("a good name");
    Task {
        retry: RetryPolicy::default(),
        ..Task::new(namespace, id, queue, Timestamp::MIN)
    }
}

impl Generator<'_> {
    /// Sends what is owed; how many that was, and whether there is more.
    fn create(&mut self, creates: &mut Share, elapsed_ms: f64) -> Result<(u64, bool), LoadError> {
        let owed = self.shared.plan.owed(elapsed_ms);
        let mut count = 0;
        while count < STEP_TASKS_MAX {
            let Some(number) = creates.take(owed) else {
                return Ok((count, false));
            };
            let ask = self.shared.plan.ask(number);
            if count == 0 {
                self.shared.behind(ask.at_ms, elapsed_ms);
            }
            self.send_create(&ask)?;
            count += 1;
        }
        Ok((count, true))
    }

    fn change(&mut self, changes: &mut Share, owed: u64) -> Result<(), LoadError> {
        while let Some(number) = changes.take(owed) {
            let ask = self.shared.plan.ask(number);
            match ask.change {
                None => {}
                Some(Change::Repeat) => self.send_create(&ask)?,
                Some(Change::Cancel) => self.send_cancel(&ask)?,
            }
        }
        Ok(())
    }

    fn send_create(&mut self, ask: &Ask) -> Result<(), LoadError> {
        let plan = &self.shared.plan;
        let stream = plan.stream(ask);
        plan.id(ask, &mut self.id);
        self.payload.clear();
        self.shared.payloads.write(ask, &mut self.payload);
        let task = &mut self.task;
        task.id = TaskId::parse(&self.id).expect("a run's ids are valid");
        (task.due, task.first_due) = (ask.due, ask.due);
        if task.queue != stream.queue || task.namespace != stream.namespace {
            task.queue = stream.queue.clone();
            task.namespace = stream.namespace.clone();
        }
        (task.guarantee, task.precision) = (stream.guarantee, stream.precision);
        task.payload = Bytes::copy_from_slice(&self.payload);
        let command = Command::Create(minutehand_record::task::record(task));
        self.send(ask, &minutehand_record::command::encode(&command))
    }

    fn send_cancel(&mut self, ask: &Ask) -> Result<(), LoadError> {
        let plan = &self.shared.plan;
        plan.id(ask, &mut self.id);
        let command = Command::Cancel {
            key: TaskKey::of(plan.stream(ask).namespace.as_str(), &self.id),
            due: ask.due,
        };
        // Nobody says whether it is in time.
        self.shared.verifier().may_be_cancelled(ask.number);
        self.send(ask, &minutehand_record::command::encode(&command))
    }

    fn send(&self, ask: &Ask, value: &[u8]) -> Result<(), LoadError> {
        let namespace = &self.shared.plan.stream(ask).namespace;
        let partition = self.shared.plan.partition(namespace, &self.id);
        let outgoing = RawOutgoing {
            partition: Some(partition.number()),
            key: Some(self.id.as_bytes()),
            value: Some(value),
            headers: &[],
        };
        let topic = &self.client.names().commands;
        Ok(self.producer.send_numbered(topic, outgoing, ask.number)?)
    }
}

/// Reads executions of a queue until the run is over.
fn consume(client: &Client, shared: &Shared, topic: &str) -> Result<(), LoadError> {
    let since = shared.plan.begin().plus_millis(-BEFORE_MS);
    let mut missed_since = None;
    let reader = loop {
        match RawReader::open_since(client, topic, since) {
            Ok(reader) => break reader,
            // The first execution makes the topic.
            Err(_) if !shared.is_over() => std::thread::sleep(LOOK),
            Err(error) => {
                let missed_since = missed_since.get_or_insert_with(Instant::now);
                if missed_since.elapsed() > PATIENCE {
                    tracing::warn!(%error, topic, "there was nothing to read");
                    return Ok(());
                }
                std::thread::sleep(LOOK);
            }
        }
    };
    let (mut starts, mut names) = (Vec::new(), QueueNames::new());
    while !shared.is_over() {
        starts.clear();
        reader.poll(STEP, READ_MAX, |message| {
            starts.extend(start_of(shared, &message, &mut names));
        })?;
        if starts.is_empty() {
            continue;
        }
        let at = SystemClock.now();
        let mut verifier = shared.verifier();
        for start in &starts {
            verifier.started(&Start { at, ..*start });
            if let Origin::Task(number) = start.origin {
                // What is committed is published: a second record is a second execution.
                verifier.settled(number);
            }
        }
    }
    Ok(())
}

/// The execution in a record, if it is of this run; when it was read is not told yet.
fn start_of(shared: &Shared, message: &RawIncoming<'_>, names: &mut QueueNames) -> Option<Start> {
    let id = std::str::from_utf8(message.key?).ok()?;
    let origin = shared.plan.origin(id)?;
    match egress::read(message.value, message.headers(), names) {
        Ok(Incoming::Execution(received)) => Some(Start {
            origin,
            due: received.task.due,
            published_at: Some(received.published_at),
            at: received.published_at,
        }),
        _ => None,
    }
}
