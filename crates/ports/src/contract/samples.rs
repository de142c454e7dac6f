//! Things to store.

use bytes::Bytes;
use minutehand_model::{
    Block, Checkpoint, Command, Epoch, Fact, Frontier, GroupName, LogOffset, Minutes, Namespace,
    Outcome, OutcomeKind, PartitionId, Place, Publication, QueueName, Revision, RevisionEntry,
    ScheduleId, Sum, Tally, Task, TaskId, TaskKey, TaskRecord, Tick, Timestamp, TimetableEntry,
};
use minutehand_record::task;

use super::Stores;
use crate::{DeadLetter, Delivery, DeliveryId, LogRecord, Settlement};

pub(super) const P0: PartitionId = PartitionId::own(0);
pub(super) const P1: PartitionId = PartitionId::own(1);
/// A whole minute.
pub(super) const MINUTE: i64 = 1_800_000_000_000;

pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub(super) fn queue(name: &str) -> QueueName {
    QueueName::parse(name).expect("a good name")
}

pub(super) fn namespace() -> Namespace {
    Namespace::parse("default").expect("a good name")
}

pub(super) fn schedule(name: &str) -> ScheduleId {
    ScheduleId::parse(name).expect("a good name")
}

pub(super) fn task_record(id: &str, to: &str, due: Timestamp) -> TaskRecord {
    task::record(&Task {
        payload: Bytes::from(format!("payload of {id}")),
        ..Task::new(
            namespace(),
            TaskId::parse(id).expect("a good name"),
            queue(to),
            due,
        )
    })
}

/// What a worker group goes on with.
pub(super) fn continued(id: &str, group: &str) -> TaskRecord {
    let group = GroupName::parse(group).expect("a good name");
    let id = TaskId::parse(id).expect("a good name");
    let first = Task::new(namespace(), id, queue("mail"), at(MINUTE - 1));
    task::record(&first.continued(&group, at(MINUTE), 2))
}

pub(super) fn key(id: &str) -> TaskKey {
    TaskKey::of(namespace().as_str(), id)
}

/// A count of a minute that tells one number from others.
pub(super) fn tally(minute: Timestamp, number: u64) -> Tally {
    Tally {
        stored: Sum {
            count: number,
            digest: u64::MAX - number,
        },
        due: number,
        withdrawn: number + 1,
        published: Sum {
            count: number + 2,
            digest: number,
        },
        late: number + 3,
        recurring: number + 4,
        early: number + 5,
        left_out: number + 6,
        ..Tally::begin(minute, LogOffset::at(number))
    }
}

pub(super) fn records(count: usize) -> Vec<Bytes> {
    (0..count)
        .map(|index| Bytes::from(format!("record {index}")))
        .collect()
}

/// Everything in a log from an offset on, read in small bites.
pub(super) async fn read_log(
    stores: &Stores,
    partition: PartitionId,
    from: LogOffset,
) -> Vec<LogRecord> {
    read_to_end(stores, partition, from).await.0
}

/// The same, with the offset where reading arrives. Behind the last record there may be holes.
pub(super) async fn read_to_end(
    stores: &Stores,
    partition: PartitionId,
    from: LogOffset,
) -> (Vec<LogRecord>, LogOffset) {
    let (mut records, mut next) = (Vec::new(), from);
    loop {
        let batch = stores
            .log
            .read(partition, next, 100)
            .await
            .expect("the log can be read");
        let has_moved = batch.next > next;
        assert!(
            has_moved || batch.next >= batch.end,
            "a read moves on, or has reached the end"
        );
        records.extend(batch.records);
        next = batch.next;
        // A store that fetches ahead knows the end for sure when a read finds nothing.
        if next >= batch.end && !has_moved {
            return (records, next);
        }
    }
}

/// Gives both partitions an owner: what follows from settlements and replays may reach a log by way
/// of its owner.
pub(super) async fn owned(stores: &Stores) {
    for partition in [P0, P1] {
        stores
            .sink
            .open(partition, Epoch(1))
            .await
            .expect("it can be opened");
    }
}

/// Everything in a log once there are so many records: what was written in one step with others may
/// be seen a moment after the step was answered.
pub(super) async fn await_log(
    stores: &Stores,
    partition: PartitionId,
    count: usize,
) -> Vec<LogRecord> {
    loop {
        let records = read_log(stores, partition, LogOffset::START).await;
        if records.len() >= count {
            return records;
        }
        pause().await;
    }
}

/// Waits until the watched end is where reading arrives, and answers it.
pub(super) async fn watched_end(stores: &Stores, partition: PartitionId) -> LogOffset {
    let (_, arrived) = read_to_end(stores, partition, LogOffset::START).await;
    let mut end = stores.log.watch_end(partition);
    let watched = *end
        .wait_for(|end| *end >= arrived)
        .await
        .expect("the log is open");
    assert_eq!(watched, arrived, "nothing is announced that cannot be read");
    arrived
}

pub(super) fn payloads(records: &[LogRecord]) -> Vec<Bytes> {
    records
        .iter()
        .map(|record| record.payload.clone())
        .collect()
}

/// A tick with these publications and nothing else.
pub(super) fn tick(
    partition: PartitionId,
    epoch: Epoch,
    number: u64,
    tasks: Vec<TaskRecord>,
) -> Tick {
    let publications = LogOffset::at(100)
        .following(tasks.len())
        .zip(tasks)
        .map(|(offset, task)| Publication { offset, task })
        .collect();
    Tick {
        partition,
        checkpoint: Checkpoint {
            epoch,
            tick: number,
            applied: LogOffset::at(40 + number),
            frontier: Frontier {
                head: Place {
                    due: at(MINUTE),
                    offset: LogOffset::at(number),
                },
                ..Frontier::START
            },
            replay_from: LogOffset::at(7),
            remembered_from: at(MINUTE),
            minutes: Minutes {
                closed_before: Some(at(MINUTE)),
                tallies: vec![tally(at(MINUTE), number)],
                supplements: vec![Tally::supplement(at(MINUTE))],
            },
        },
        published_at: at(MINUTE + 3),
        publications,
        stops: Vec::new(),
        derived: Vec::new(),
        schedule_states: Vec::new(),
        set_aside: Vec::new(),
    }
}

/// Publishes tasks named `<prefix>-0`, `<prefix>-1`, … to a queue in one tick.
pub(super) async fn publish(
    stores: &Stores,
    partition: PartitionId,
    to: &str,
    prefix: &str,
    count: usize,
) {
    let epoch = Epoch(1);
    let opened = stores
        .sink
        .open(partition, epoch)
        .await
        .expect("it can be opened");
    let number = opened.checkpoint.map_or(0, |checkpoint| checkpoint.tick) + 1;
    let tasks = (0..count)
        .map(|index| task_record(&format!("{prefix}-{index}"), to, at(MINUTE)))
        .collect();
    stores
        .sink
        .commit(tick(partition, epoch, number, tasks))
        .await
        .expect("it can be committed");
}

/// Polls until `count` deliveries are there.
pub(super) async fn drain(stores: &Stores, name: &str, group: &str, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        deliveries.extend(
            stores
                .queue
                .poll(&queue(name), group, 100)
                .await
                .expect("it can be polled"),
        );
    }
    assert_eq!(deliveries.len(), count, "no more than was published");
    deliveries
}

pub(super) fn keys_of(deliveries: &[Delivery]) -> Vec<TaskKey> {
    deliveries.iter().map(|delivery| delivery.key).collect()
}

pub(super) fn named(prefix: &str, indices: std::ops::Range<usize>) -> Vec<TaskKey> {
    indices
        .map(|index| key(&format!("{prefix}-{index}")))
        .collect()
}

/// A settlement without anything beside it.
pub(super) fn done(id: DeliveryId) -> Settlement {
    Settlement::bare(id)
}

/// Whether a poll has nothing to give now.
pub(super) async fn finds_nothing(stores: &Stores, name: &str, group: &str) -> bool {
    let name = queue(name);
    let mut poll = stores.queue.poll(&name, group, 100);
    // A poll that has something answers after some turns; one that waits never does.
    for _ in 0..200 {
        tokio::select! {
            biased;
            answer = &mut poll => {
                return answer.expect("it can be polled").is_empty();
            }
            () = pause() => {}
        }
    }
    true
}

/// Lets whatever works in the background go on for a moment.
pub(super) async fn pause() {
    tokio::task::yield_now().await;
    tokio::task::spawn_blocking(std::thread::yield_now)
        .await
        .expect("a blocking thread");
}

pub(super) fn dead_letter(id: &str, to: &str) -> DeadLetter {
    let task = task_record(id, to, at(MINUTE));
    DeadLetter {
        queue: task.queue,
        partition: P0,
        key: task.key,
        at: at(MINUTE + 9),
        attempts: 3,
        reason: format!("{id} failed"),
        encoded: task.encoded,
    }
}

pub(super) fn outcome(task: TaskKey, attempt: u32) -> Outcome {
    Outcome {
        execution: minutehand_model::ExecutionId(task.0 ^ u128::from(attempt)),
        attempt,
        kind: OutcomeKind::Retried,
        detail: format!("attempt {attempt}"),
        due: at(MINUTE),
        started_at: at(MINUTE + 1),
        ended_at: at(MINUTE + 2),
        task: None,
    }
}

pub(super) fn command(id: &str) -> Bytes {
    minutehand_record::command::encode(&Command::Create(task_record(id, "mail", at(MINUTE))))
}

pub(super) fn entry(id: &str, due: Timestamp, position: u64) -> TimetableEntry {
    let task = task_record(id, "mail", due);
    TimetableEntry {
        key: task.key,
        due,
        offset: LogOffset::at(position),
        appended_at: at(5),
        fact: Fact::Runs(task),
    }
}

/// A block of a partition, from entries in order of due time and offset.
pub(super) fn block(partition: PartitionId, entries: Vec<TimetableEntry>) -> Block {
    let offsets = || entries.iter().map(|entry| entry.offset);
    Block {
        partition,
        bucket: entries[0].due.floor_to_minute(),
        first_offset: offsets().min().expect("entries"),
        last_offset: offsets().max().expect("entries"),
        entries,
    }
}

pub(super) fn revision(name: &str, number: u64, position: u64) -> RevisionEntry {
    RevisionEntry {
        offset: LogOffset::at(position),
        appended_at: at(position as i64),
        revision: Revision {
            namespace: namespace(),
            schedule: schedule(name),
            number,
            definition: None,
            paused: number.is_multiple_of(2),
            note: format!("revision {number}"),
            author: "somebody".to_owned(),
        },
    }
}
