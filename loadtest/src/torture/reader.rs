//! The independent readers: every topic of the run is followed by a reader of committed records of
//! its own, which writes down what came and when, by its own clock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use minutehand_ingress::egress::{self, Incoming, Received};
use minutehand_kafka::Client;
use minutehand_kafka::raw::{RawIncoming, RawReader};
use minutehand_model::{
    Checkpoint, LogOffset, Namespace, QueueName, ScheduleId, TaskKey, Timestamp,
};
use minutehand_node::{Clock, SystemClock};
use minutehand_record::QueueNames;
use tokio::sync::mpsc::UnboundedSender;

use super::recorded::{
    Declared, ReadCheckpoint, ReadExecution, ReadRecord, Recorded, RecordedPartition, fingerprint,
};
use super::workload::QUEUES;

/// A topic is read to its end when nothing came for so long.
const QUIET: Duration = Duration::from_secs(3);
/// Pause before a topic that could not be read is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(5);

/// A run of a schedule that waits for its end to be reported.
#[derive(Clone, Debug)]
pub(crate) struct RunToComplete {
    pub(crate) partition: u32,
    pub(crate) key: TaskKey,
    pub(crate) due: Timestamp,
}

/// What the readers of a run share.
pub(crate) struct Shared {
    partitions: Vec<Mutex<RecordedPartition>>,
    latest: Mutex<Vec<Option<Checkpoint>>>,
    executions: AtomicU64,
    ending: AtomicBool,
    runs: UnboundedSender<RunToComplete>,
}

impl Shared {
    fn partition(&self, partition: u32) -> Option<MutexGuard<'_, RecordedPartition>> {
        let partition = self.partitions.get(partition as usize)?;
        Some(partition.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Executions read so far.
    pub(crate) fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    /// The newest checkpoint of every partition, and the end of its log as far as it was read.
    pub(crate) fn standings(&self) -> Vec<(Option<Checkpoint>, LogOffset)> {
        let latest = self
            .latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let log_end = |partition| Some(self.partition(partition)?.log.last()?.logged.offset.next());
        (0..)
            .zip(latest)
            .map(|(partition, latest)| (latest, log_end(partition).unwrap_or(LogOffset::START)))
            .collect()
    }

    /// For every partition: when the first execution of an epoch above the given one was received.
    pub(crate) fn first_above(&self, epochs: &[u64]) -> Vec<Option<i64>> {
        let first = |(partition, epoch): (u32, &u64)| {
            let recorded = self.partition(partition)?;
            // The newest come last: few are looked at.
            let newer = recorded
                .executions
                .iter()
                .rev()
                .take_while(|one| one.epoch > *epoch);
            newer.map(|one| one.received_at_ms).min()
        };
        (0..).zip(epochs).map(first).collect()
    }

    /// The epoch of the newest execution of every partition.
    pub(crate) fn epochs(&self) -> Vec<u64> {
        let partitions = 0..self.partitions.len() as u32;
        let newest = |partition| Some(self.partition(partition)?.executions.last()?.epoch);
        partitions
            .map(|partition| newest(partition).unwrap_or(0))
            .collect()
    }

    /// The lateness at the reader of executions that were due in a time, in milliseconds, sorted.
    pub(crate) fn lateness_ms(&self, from: Timestamp, until: Timestamp) -> Vec<i64> {
        let mut lateness = Vec::new();
        for partition in 0..self.partitions.len() as u32 {
            let Some(recorded) = self.partition(partition) else {
                continue;
            };
            let due = recorded
                .executions
                .iter()
                .filter(|one| (from..until).contains(&one.due));
            lateness.extend(due.map(|one| one.received_at_ms - one.due.as_millis()));
        }
        lateness.sort_unstable();
        lateness
    }
}

/// The readers of a run.
pub(crate) struct Readers {
    pub(crate) shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

type Each = fn(&Shared, &RawIncoming<'_>, i64);

impl Readers {
    /// Begins to read all topics of a run, from their beginnings.
    pub(crate) fn start(client: &Arc<Client>, runs: UnboundedSender<RunToComplete>) -> Readers {
        let partitions = client.config().partitions as usize;
        let shared = Arc::new(Shared {
            partitions: (0..partitions).map(|_| Mutex::default()).collect(),
            latest: Mutex::new(vec![None; partitions]),
            executions: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            runs,
        });
        let names = client.names();
        let mut topics: Vec<(String, Each)> = vec![
            (names.commands.clone(), command),
            (names.checkpoints.clone(), checkpoint),
            (names.rejected.clone(), rejected),
            (names.schedule_state.clone(), schedule_state),
        ];
        let queues = QUEUES
            .iter()
            .filter_map(|queue| QueueName::parse(queue).ok());
        topics.extend(queues.map(|queue| (names.executions(&queue), execution as Each)));
        let threads = topics.into_iter().map(|(topic, each)| {
            let (client, shared) = (Arc::clone(client), Arc::clone(&shared));
            std::thread::spawn(move || follow(&client, &topic, &shared, each))
        });
        Readers {
            threads: threads.collect(),
            shared,
        }
    }

    /// Reads on until nothing comes any more; answers everything.
    pub(crate) fn finish(self) -> Recorded {
        self.shared.ending.store(true, Ordering::Relaxed);
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        let partitions = self.shared.partitions.iter();
        let take = |one: &Mutex<RecordedPartition>| {
            std::mem::take(&mut *one.lock().unwrap_or_else(PoisonError::into_inner))
        };
        Recorded {
            partitions: partitions.map(take).collect(),
            intents: Vec::new(),
        }
    }
}

/// Follows a topic until the end; a reader that fails is replaced, and goes on where the last one
/// stopped.
fn follow(client: &Client, topic: &str, shared: &Shared, each: Each) {
    let mut next: HashMap<u32, u64> = HashMap::new();
    let mut quiet_since = Instant::now();
    let has_ended = |quiet_since: Instant| {
        shared.ending.load(Ordering::Relaxed) && quiet_since.elapsed() > QUIET
    };
    while !has_ended(quiet_since) {
        let reader = match RawReader::open(client, topic) {
            Ok(reader) => reader,
            Err(error) => {
                tracing::debug!(topic, %error, "a topic cannot be read yet");
                std::thread::sleep(AGAIN);
                continue;
            }
        };
        quiet_since = Instant::now();
        while !has_ended(quiet_since) {
            let polled = reader.poll(POLL, 4_096, |incoming| {
                let next = next.entry(incoming.partition).or_insert(0);
                if incoming.offset >= *next {
                    *next = incoming.offset + 1;
                    each(shared, &incoming, SystemClock.now().as_millis());
                }
            });
            match polled {
                Ok(0) => {}
                Ok(_) => quiet_since = Instant::now(),
                Err(error) => {
                    tracing::warn!(topic, %error, "a reader is replaced");
                    break;
                }
            }
        }
    }
}

fn text<'a>(incoming: &'a RawIncoming<'_>, header: &str) -> Option<&'a str> {
    std::str::from_utf8(incoming.header(header)?).ok()
}

fn number(incoming: &RawIncoming<'_>, header: &str) -> Option<u64> {
    text(incoming, header)?.parse().ok()
}

fn unreadable(shared: &Shared, partition: u32, incoming: &RawIncoming<'_>, what: &str) {
    let place = format!(
        "{what} in partition {} at offset {}",
        incoming.partition, incoming.offset
    );
    let partition = partition.min(shared.partitions.len() as u32 - 1);
    if let Some(mut recorded) = shared.partition(partition) {
        recorded
            .unreadable
            .push(format!("the reader cannot understand the {place}"));
    }
}

fn command(shared: &Shared, incoming: &RawIncoming<'_>, _: i64) {
    let record = ReadRecord::of(
        LogOffset::at(incoming.offset),
        incoming.timestamp_ms,
        incoming.value.unwrap_or_default(),
    );
    if let Some(mut recorded) = shared.partition(incoming.partition) {
        recorded.log.push(record);
    }
}

fn checkpoint(shared: &Shared, incoming: &RawIncoming<'_>, received_at_ms: i64) {
    // The other keys are claims: an epoch has been opened.
    if incoming.key != Some(incoming.partition.to_string().as_bytes()) {
        return;
    }
    let decoded = minutehand_record::checkpoint::decode(&Bytes::copy_from_slice(
        incoming.value.unwrap_or_default(),
    ));
    let count = |header| number(incoming, header).map(|count| count as usize);
    let declared = || {
        Some(Declared {
            executions: count("minutehand-executions")?,
            derived: count("minutehand-derived")?,
            rejected: count("minutehand-rejected")?,
        })
    };
    let (Ok(checkpoint), Some(declared)) = (decoded, declared()) else {
        return unreadable(shared, incoming.partition, incoming, "checkpoint");
    };
    if let Some(latest) = shared
        .latest
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_mut(incoming.partition as usize)
    {
        *latest = Some(checkpoint.clone());
    }
    if let Some(mut recorded) = shared.partition(incoming.partition) {
        recorded.checkpoints.push(ReadCheckpoint {
            checkpoint,
            declared,
            received_at_ms,
        });
    }
}

fn rejected(shared: &Shared, incoming: &RawIncoming<'_>, _: i64) {
    let place = text(incoming, "minutehand-position").and_then(|position| {
        let (partition, position) = position.strip_prefix("partition ")?.split_once(", ")?;
        Some((partition.parse::<u32>().ok()?, position.to_owned()))
    });
    match place {
        Some((partition, position)) => {
            if let Some(mut recorded) = shared.partition(partition) {
                recorded.rejected.push(position);
            }
        }
        None => unreadable(shared, 0, incoming, "rejected record"),
    }
}

fn schedule_state(shared: &Shared, incoming: &RawIncoming<'_>, _: i64) {
    let name = || {
        let (namespace, schedule) = std::str::from_utf8(incoming.key?).ok()?.split_once('/')?;
        Some((
            Namespace::parse(namespace).ok()?,
            ScheduleId::parse(schedule).ok()?,
        ))
    };
    let state = match incoming.value {
        Some(value) => minutehand_record::schedule_state::decode(&Bytes::copy_from_slice(value))
            .map(Some)
            .map_err(drop),
        None => Ok(None),
    };
    let (Some(name), Ok(state)) = (name(), state) else {
        return unreadable(shared, incoming.partition, incoming, "state of a schedule");
    };
    if let Some(mut recorded) = shared.partition(incoming.partition) {
        match state {
            Some(state) => recorded.schedule_states.insert(name, state),
            None => recorded.schedule_states.remove(&name),
        };
    }
}

/// `<partition>.<epoch>.<number>`
fn tick_name(name: &str) -> Option<(u32, u64, u64)> {
    let mut parts = name.split('.');
    let tick = (
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    parts.next().is_none().then_some(tick)
}

fn execution(shared: &Shared, incoming: &RawIncoming<'_>, received_at_ms: i64) {
    let named = text(incoming, "minutehand-tick").and_then(tick_name);
    let read = egress::read(incoming.value, incoming.headers(), &mut QueueNames::new());
    let (Some((partition, epoch, tick)), Ok(Incoming::Execution(received))) = (named, read) else {
        return unreadable(shared, 0, incoming, "execution");
    };
    let Received {
        offset,
        published_at,
        task: record,
        ..
    } = received;
    let Ok(task) = minutehand_record::task::decode(&record.encoded) else {
        return unreadable(shared, partition, incoming, "task of an execution");
    };
    shared.executions.fetch_add(1, Ordering::Relaxed);
    if task
        .origin
        .as_ref()
        .is_some_and(|origin| origin.completion_wanted)
    {
        // At the end nobody completes runs any more.
        shared
            .runs
            .send(RunToComplete {
                partition,
                key: record.key,
                due: task.first_due,
            })
            .ok();
    }
    let Some(mut recorded) = shared.partition(partition) else {
        return unreadable(shared, 0, incoming, "partition of an execution");
    };
    // What stems from a schedule is looked into by the checkers.
    let encoded = if task.origin.is_some() {
        record.encoded
    } else {
        fingerprint(&record.encoded)
    };
    recorded.executions.push(ReadExecution {
        epoch,
        tick,
        published_at_ms: published_at.as_millis(),
        key: record.key,
        due: record.due,
        offset,
        guarantee: record.guarantee,
        encoded,
        received_at_ms,
    });
}

#[cfg(test)]
mod tests {
    use super::tick_name;

    #[test]
    fn the_name_of_a_tick_is_three_numbers() {
        assert_eq!(tick_name("3.17.210"), Some((3, 17, 210)));
        for wrong in ["", "3.17", "3.17.x", "3.17.210.4"] {
            assert_eq!(tick_name(wrong), None, "{wrong:?}");
        }
    }
}
