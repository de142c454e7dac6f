//! Start with many stored tasks: from opening the folder until every partition fires.

use std::path::Path;
use std::time::Instant;

use minutehand_model::{Block, Fact, LogOffset, PartitionId, Timestamp, TimetableEntry};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::Timetable;

use crate::Figure;
use crate::end_to_end::{Failure, Rig};
use crate::engine::sample_task;

/// Entries in a block, as the engine packs tasks of this size.
const ENTRIES_PER_BLOCK: u64 = 48;
/// Blocks in one write.
const BLOCKS_PER_WRITE: usize = 256;
/// The stored tasks are due over one day, from an hour from now on.
const FROM_MS: i64 = 3_600_000;
const SPREAD_MS: i64 = 86_400_000;

/// Stores `tasks` tasks, closes the folder, and measures how long it takes until the scheduler is
/// ready again.
pub async fn run(folder: &Path, tasks: u64, payload_bytes: usize) -> Result<Vec<Figure>, Failure> {
    let rig = Rig::start(folder).await?;
    let began = Instant::now();
    store(&rig, tasks, payload_bytes).await?;
    let stored_in = began.elapsed().as_secs_f64();
    rig.stop().await?;
    let mut ready_in = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        let rig = Rig::start(folder).await?;
        ready_in.push(began.elapsed().as_secs_f64());
        rig.stop().await?;
    }
    ready_in.sort_by(f64::total_cmp);
    let ready = "from opening to ready, median of 3";
    let ready = Figure::new("startup", ready, ready_in[1], "s").with("stored_tasks", tasks);
    let rate = tasks as f64 / stored_in;
    Ok(vec![
        ready.with("payload_bytes", payload_bytes),
        Figure::new("startup", "blocks written", rate, "tasks/s"),
    ])
}

async fn store(rig: &Rig, tasks: u64, payload_bytes: usize) -> Result<(), Failure> {
    let now = SystemClock.now();
    let timetable = rig.scheduler.store();
    let mut blocks = Vec::new();
    for first in (0..tasks).step_by(ENTRIES_PER_BLOCK as usize) {
        let last = tasks.min(first + ENTRIES_PER_BLOCK);
        let bucket_ms = FROM_MS + (first as f64 / tasks as f64 * SPREAD_MS as f64) as i64;
        let bucket = now.plus_millis(bucket_ms).floor_to_minute();
        let entries = (first..last)
            .map(|number| entry(number, bucket, first, now, payload_bytes))
            .collect();
        blocks.push(Block {
            partition: PartitionId::own((first / ENTRIES_PER_BLOCK % 2) as u32),
            bucket,
            first_offset: LogOffset::at(first),
            last_offset: LogOffset::at(last - 1),
            entries,
        });
        if blocks.len() >= BLOCKS_PER_WRITE {
            timetable.write_blocks(std::mem::take(&mut blocks)).await?;
        }
    }
    timetable.write_blocks(blocks).await?;
    Ok(())
}

fn entry(
    number: u64,
    bucket: Timestamp,
    first: u64,
    now: Timestamp,
    payload_bytes: usize,
) -> TimetableEntry {
    let due = bucket.plus_millis((number - first) as i64 * 1_000);
    let task = minutehand_record::task::record(&sample_task(number, due, payload_bytes));
    TimetableEntry {
        key: task.key,
        due,
        offset: LogOffset::at(number),
        appended_at: now,
        fact: Fact::Runs(task),
    }
}
