//! A minute that was prepared in Cassandra beforehand, published from there; beside how fast the
//! same blocks are written and read without a scheduler.

use std::time::{Duration, Instant};

use bytes::Bytes;
use minutehand_engine::Config;
use minutehand_model::{
    Block, Fact, LogOffset, PartitionId, Precision, Task, TaskId, Timestamp, TimetableEntry,
};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::Timetable;

use super::Failure;
use super::generator::{Due, Load, template};
use super::payload::Payloads;
use super::reader::{self, Seen};
use super::rig::{Endpoints, Ground};
use super::terms::{PAYLOAD_BYTES, joined, on_a_thread, queue, send};
use crate::Figure;

/// What is prepared.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Tasks in the minute.
    pub tasks: u64,
    /// Partitions.
    pub partitions: u32,
    /// How the engine is set up.
    pub engine: Config,
}

const NAME: &str = "prepared";
/// Tasks a second that are sent while the minute is prepared.
const LOAD_RATE: f64 = 50_000.0;
/// Longest wait for the minute to come out.
const PUBLISHING_MAX: Duration = Duration::from_secs(600);
/// Tasks in a block: what a block of the engine holds at this payload.
pub(super) const BLOCK_TASKS: u64 = 40;
/// Blocks handed to the timetable at once.
const BLOCKS_AT_ONCE: usize = 64;

/// Sends a minute's tasks through the log into Cassandra, stops, and publishes them from there when
/// they are due; beside it, the same blocks written and read without a scheduler.
///
/// # Errors
/// When a server or the scheduler fails.
pub async fn run(
    endpoints: &Endpoints,
    prepared: &Prepared,
    mut show: impl FnMut(Figure),
) -> Result<(), Failure> {
    let with = |figure: Figure| {
        figure
            .with("tasks", prepared.tasks)
            .with("partitions", prepared.partitions)
    };
    ceilings(endpoints, prepared, |figure| show(with(figure))).await?;
    let ground = Ground::prepare(endpoints, prepared.partitions).await?;
    ground.client.ensure_queue(&queue()).await?;
    let minute = SystemClock
        .now()
        .plus_millis(loading_ms(prepared))
        .floor_to_minute()
        .plus_millis(60_000);
    let end = minute.plus_millis(60_000);
    let ground = load(ground, prepared, (minute, end)).await?;
    let (_, stored) = ground.timetable.written();
    show(with(Figure::new(
        NAME,
        "tasks that lie in Cassandra",
        stored as f64,
        "tasks",
    )));
    // All of it is due when the scheduler begins: nothing but its own speed counts.
    let wait = end.millis_since(SystemClock.now()).max(0) as u64;
    tokio::time::sleep(Duration::from_millis(wait)).await;
    publish(ground, prepared, (minute, end), |figure| show(with(figure))).await
}

/// How long it takes to send them, with room to spare before the look-ahead reaches the minute.
fn loading_ms(prepared: &Prepared) -> i64 {
    (prepared.tasks as f64 / LOAD_RATE * 1_000.0) as i64 + prepared.engine.look_ahead_ms + 15_000
}

/// Sends the minute's tasks and waits until all of them lie in Cassandra.
async fn load(
    ground: Ground,
    prepared: &Prepared,
    minute: (Timestamp, Timestamp),
) -> Result<Ground, Failure> {
    let rig = ground.start(prepared.engine.clone()).await?;
    let load = Load {
        rate: LOAD_RATE,
        due: Due::Between(minute.0, minute.1),
        payload_bytes: PAYLOAD_BYTES,
        queue: queue(),
        lasts: Duration::from_secs_f64(prepared.tasks as f64 / LOAD_RATE),
        waiting_max: None,
    };
    let sent = send(&rig.client, load).await?;
    while rig.timetable.written().1 < sent && SystemClock.now() < minute.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.stop().await
}

/// Has a scheduler publish what lies in Cassandra.
async fn publish(
    ground: Ground,
    prepared: &Prepared,
    minute: (Timestamp, Timestamp),
    mut show: impl FnMut(Figure),
) -> Result<(), Failure> {
    let (_, stored) = ground.timetable.written();
    let seen = Seen::default();
    let reading = on_a_thread(&ground.client, {
        let (seen, topic) = (seen.clone(), ground.client.names().executions(&queue()));
        move |client| reader::run(client, &topic, minute, &seen)
    });
    let began = Instant::now();
    let rig = ground.start(prepared.engine.clone()).await?;
    let mut first = None;
    while seen.count() < stored && began.elapsed() < PUBLISHING_MAX {
        if first.is_none() && seen.count() > 0 {
            first = Some(Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = first.unwrap_or(began).elapsed().as_secs_f64();
    let count = seen.count();
    show(Figure::new(
        NAME,
        "published from Cassandra",
        count as f64 / took,
        "tasks/s",
    ));
    show(Figure::new(
        NAME,
        "missing",
        stored as f64 - count as f64,
        "tasks",
    ));
    seen.stop();
    joined(reading).await?;
    rig.stop().await?.clear().await
}

/// The same bytes without a scheduler: blocks written, and read as an owner reads them.
async fn ceilings(
    endpoints: &Endpoints,
    prepared: &Prepared,
    mut show: impl FnMut(Figure),
) -> Result<(), Failure> {
    let ground = Ground::prepare(endpoints, prepared.partitions).await?;
    let minute = SystemClock.now().floor_to_minute();
    let since = Instant::now();
    for partition in 0..prepared.partitions {
        write(&ground, prepared, PartitionId::own(partition), minute).await?;
    }
    let written = prepared.tasks as f64 / since.elapsed().as_secs_f64();
    show(Figure::new(
        NAME,
        "ceiling: blocks written",
        written,
        "tasks/s",
    ));
    let since = Instant::now();
    let mut read = 0;
    for partition in 0..prepared.partitions {
        read += read_back(&ground, prepared, PartitionId::own(partition), minute).await?;
    }
    show(Figure::new(
        NAME,
        "ceiling: blocks read",
        read as f64 / since.elapsed().as_secs_f64(),
        "tasks/s",
    ));
    match read == prepared.tasks {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{read} of {} tasks were read back",
            prepared.tasks
        ))),
    }
}

/// A block of the usual size, as it is stored.
pub(super) fn encoded_block() -> Bytes {
    let minute = SystemClock.now().floor_to_minute();
    let (mut task, mut payloads) = (template(&queue()), Payloads::new(PAYLOAD_BYTES));
    let block = block(
        (&mut task, &mut payloads),
        PartitionId::own(0),
        minute,
        0..BLOCK_TASKS,
        BLOCK_TASKS,
    );
    minutehand_record::block::encode(&block)
}

async fn write(
    ground: &Ground,
    prepared: &Prepared,
    partition: PartitionId,
    minute: Timestamp,
) -> Result<(), Failure> {
    let share = prepared.tasks / u64::from(prepared.partitions);
    let (mut task, mut payloads) = (template(&queue()), Payloads::new(PAYLOAD_BYTES));
    let mut blocks = Vec::new();
    let mut offset = 0;
    while offset < share {
        let until = (offset + BLOCK_TASKS).min(share);
        let made_of = (&mut task, &mut payloads);
        blocks.push(block(made_of, partition, minute, offset..until, share));
        offset = until;
        if blocks.len() == BLOCKS_AT_ONCE || offset == share {
            ground
                .timetable
                .write_blocks(std::mem::take(&mut blocks))
                .await?;
        }
    }
    Ok(())
}

fn block(
    (task, payloads): (&mut Task, &mut Payloads),
    partition: PartitionId,
    minute: Timestamp,
    positions: std::ops::Range<u64>,
    share: u64,
) -> Block {
    let entry = |position: u64| {
        let due = minute.plus_millis((position * 60_000 / share) as i64);
        let id = format!("prepared-{partition}-{position}");
        task.id = TaskId::parse(&id).expect("a good name");
        (task.due, task.first_due, task.precision) = (due, due, Precision::Normal);
        task.payload = payloads.payload();
        let record = minutehand_record::task::record(task);
        let offset = LogOffset::at(position);
        TimetableEntry {
            key: record.key,
            due,
            offset,
            appended_at: minute,
            fact: Fact::Runs(record),
        }
    };
    let (first_offset, last_offset) = (
        LogOffset::at(positions.start),
        LogOffset::at(positions.end - 1),
    );
    Block {
        partition,
        bucket: minute,
        first_offset,
        last_offset,
        entries: positions.map(entry).collect(),
    }
}

/// Reads a partition's share of the minute as an owner would.
async fn read_back(
    ground: &Ground,
    prepared: &Prepared,
    partition: PartitionId,
    minute: Timestamp,
) -> Result<u64, Failure> {
    let (mut from, until, mut count) = (minute, minute.plus_millis(60_000), 0);
    while from < until {
        let page = ground
            .timetable
            .read(partition.range(from, until), prepared.engine.page_bytes_max)
            .await?;
        count += page.entries.len() as u64;
        from = page.complete_until;
    }
    Ok(count)
}
