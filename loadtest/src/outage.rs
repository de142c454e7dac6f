//! After an outage: many tasks were missed, and a process of its own catches up with them while
//! others fall due.
//!
//! The tasks are made in the store beforehand, by a scheduler whose clock shows the time before the
//! outage. What is measured is the memory of the process that catches up, and how late the work is
//! that falls due meanwhile.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use minutehand_embedded::{Config as StoreConfig, EmbeddedStore};
use minutehand_engine::Config;
use minutehand_model::{Block, Fact, LogOffset, PartitionId, Task, Timestamp, TimetableEntry};
use minutehand_node::{Clock, SystemClock, ValidTask};
use minutehand_ports::Timetable;
use minutehand_standalone::Scheduler;

use crate::Figure;
use crate::end_to_end::{Failure, Rig, missed_queue};
use crate::engine::sample_task;
use crate::lateness::Lateness;

/// How long the outage was.
const OUTAGE_MS: i64 = 3_600_000;
/// The scheduler that stopped has so long to store what will be missed, before any of it falls due
/// by its clock.
const PREPARATION_MS: i64 = 3_600_000;
/// Entries in a block, as the engine packs tasks of this size.
const ENTRIES_PER_BLOCK: u64 = 48;
/// Blocks in one write.
const BLOCKS_PER_WRITE: usize = 256;
const PARTITIONS: u32 = 2;
/// Work that falls due meanwhile is created so long ahead, in milliseconds, and in steps of this
/// length.
const AHEAD_MS: i64 = 3_000;
const STEP_MS: i64 = 10;
/// Its numbers begin here.
const ON_TIME_FROM: u64 = 1 << 40;

/// A clock that shows the time before the outage.
struct Behind;

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_millis(-OUTAGE_MS - PREPARATION_MS)
    }
}

/// What the process that catches up has to say.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Caught {
    peak_bytes: f64,
    p50_ms: f64,
    p99_ms: f64,
    seconds: f64,
}

impl Caught {
    fn line(self) -> String {
        let Caught {
            peak_bytes,
            p50_ms,
            p99_ms,
            seconds,
        } = self;
        format!("caught up: {peak_bytes} {p50_ms} {p99_ms} {seconds}")
    }

    fn parse(line: &str) -> Option<Caught> {
        let figures = line.strip_prefix("caught up: ")?.split(' ').map(str::parse);
        let figures: Vec<f64> = figures.collect::<Result<_, _>>().ok()?;
        let [peak_bytes, p50_ms, p99_ms, seconds] = figures.try_into().ok()?;
        Some(Caught {
            peak_bytes,
            p50_ms,
            p99_ms,
            seconds,
        })
    }
}

/// Makes `tasks` tasks that were missed, lets a child catch up with them beside `rate` tasks a
/// second, and measures.
pub async fn run(
    program: &Path,
    folder: &Path,
    tasks: u64,
    rate: u64,
    payload_bytes: usize,
) -> Result<Vec<Figure>, Failure> {
    miss(folder, tasks, payload_bytes).await?;
    let mut child = Command::new(program)
        .args(["child", "outage", "--data-dir"])
        .arg(folder)
        .args(["--tasks", &tasks.to_string(), "--rate", &rate.to_string()])
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()?;
    let output = child.stdout.take().ok_or("the child has no output")?;
    let lines = tokio::task::spawn_blocking(move || {
        BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| Caught::parse(&line))
            .last()
    });
    let caught = lines.await?;
    let ended = child.wait()?;
    let caught = caught.ok_or_else(|| format!("the child said nothing and ended with {ended}"))?;
    let of = |figure: &str, value: f64, unit| {
        Figure::new("outage", figure, value, unit)
            .with("missed", tasks)
            .with("rate", rate)
    };
    Ok(vec![
        of(
            "peak memory of the process",
            caught.peak_bytes / f64::from(1 << 20),
            "MiB",
        ),
        of(
            "start lateness of what is on time, p50",
            caught.p50_ms,
            "ms",
        ),
        of(
            "start lateness of what is on time, p99",
            caught.p99_ms,
            "ms",
        ),
        of("caught up with", tasks as f64 / caught.seconds, "tasks/s"),
    ])
}

/// A scheduler stops before the outage; what falls due in it is in the timetable.
async fn miss(folder: &Path, tasks: u64, payload_bytes: usize) -> Result<(), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(Behind);
    let config = StoreConfig::new(folder, PARTITIONS, Arc::new(|| Behind.now()));
    let store = EmbeddedStore::open(config)?;
    let scheduler = Scheduler::start_by(clock, store, Config::default());
    scheduler.ready().await?;
    // So that each partition has applied the first offset of its log, which all the others have as
    // well.
    let first = (0..64).map(|number| sample_task(ON_TIME_FROM - 1 - number, Behind.now(), 1));
    let first = first
        .map(|task| ValidTask::new(task, Behind.now()))
        .collect::<Result<_, _>>()?;
    for answer in scheduler.gateway().create(first).await {
        answer?;
    }
    let begin = Behind.now().plus_millis(PREPARATION_MS);
    let store = scheduler.store();
    let due =
        |number: u64| begin.plus_millis((number as f64 / tasks as f64 * OUTAGE_MS as f64) as i64);
    let mut blocks: Vec<Block> = Vec::new();
    let mut number = 0;
    while number < tasks {
        let bucket = due(number).floor_to_minute();
        let in_block = (number..tasks.min(number + ENTRIES_PER_BLOCK))
            .take_while(|number| due(*number).floor_to_minute() == bucket);
        let entries: Vec<TimetableEntry> = in_block
            .map(|number| entry(number, due(number), begin, payload_bytes))
            .collect();
        number += entries.len() as u64;
        blocks.push(Block {
            partition: PartitionId::own((blocks.len() % PARTITIONS as usize) as u32),
            bucket,
            first_offset: LogOffset::START,
            last_offset: LogOffset::START,
            entries,
        });
        if blocks.len() >= BLOCKS_PER_WRITE {
            store.write_blocks(std::mem::take(&mut blocks)).await?;
        }
    }
    store.write_blocks(blocks).await?;
    if Behind.now() >= begin {
        return Err(format!(
            "storing {tasks} tasks took longer than {PREPARATION_MS} ms; take fewer"
        )
        .into());
    }
    scheduler.stop().await?;
    Ok(())
}

fn entry(number: u64, due: Timestamp, begin: Timestamp, payload_bytes: usize) -> TimetableEntry {
    let task = Task {
        queue: missed_queue(),
        ..sample_task(number, due, payload_bytes)
    };
    let task = minutehand_record::task::record(&task);
    let fact = Fact::Runs(task.clone());
    TimetableEntry {
        key: task.key,
        due,
        offset: LogOffset::START,
        appended_at: begin,
        fact,
    }
}

/// The process that catches up: prints what it came to.
pub async fn child(
    folder: &Path,
    tasks: u64,
    rate: u64,
    payload_bytes: usize,
) -> Result<(), Failure> {
    let (began, begin) = (Instant::now(), SystemClock.now());
    let on_time = Arc::new(Lateness::default());
    let record = {
        let on_time = Arc::clone(&on_time);
        move |run: &minutehand_worker::Run| {
            let due = run.task().due;
            if due >= begin {
                on_time.record(run.started_at().millis_since(due));
            }
        }
    };
    let rig = Rig::start_with(folder, record).await?;
    let is_caught_up = AtomicBool::new(false);
    let work = async {
        let start = SystemClock.now();
        let due = |number: u64| {
            start.plus_millis(AHEAD_MS + (number as f64 * 1_000.0 / rate as f64) as i64)
        };
        let mut created = 0;
        while !is_caught_up.load(Ordering::Relaxed) {
            let until =
                (SystemClock.now().millis_since(start).max(0) as u64 * rate / 1_000).max(created);
            let numbers = ON_TIME_FROM + created..ON_TIME_FROM + until;
            rig.create(numbers, payload_bytes, |number| due(number - ON_TIME_FROM))
                .await?;
            created = until;
            tokio::time::sleep(Duration::from_millis(STEP_MS as u64)).await;
        }
        Ok::<(), Failure>(())
    };
    let caught_up = async {
        while rig.ran.load(Ordering::Relaxed) < tasks || has_backlog(&rig) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        is_caught_up.store(true, Ordering::Relaxed);
    };
    let (worked, ()) = tokio::join!(work, caught_up);
    worked?;
    let caught = Caught {
        peak_bytes: peak_bytes(),
        p50_ms: on_time.quantile_ms(0.5),
        p99_ms: on_time.quantile_ms(0.99),
        seconds: began.elapsed().as_secs_f64(),
    };
    println!("{}", caught.line());
    rig.stop().await
}

fn has_backlog(rig: &Rig) -> bool {
    let partitions = rig.scheduler.gateway().partitions();
    partitions
        .iter()
        .any(|partition| partition.status.backlog_oldest.is_some())
}

/// The most memory that this process has had, from /proc; 0 where the system does not say.
fn peak_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1_024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_child_says_is_understood() {
        let caught = Caught {
            peak_bytes: 1.5e9,
            p50_ms: 3.0,
            p99_ms: 80.0,
            seconds: 61.25,
        };
        assert_eq!(Caught::parse(&caught.line()), Some(caught));
        assert_eq!(Caught::parse("caught up: 1 2"), None);
    }
}
