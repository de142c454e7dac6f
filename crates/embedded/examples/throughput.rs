//! How fast the embedded store takes and gives: `cargo run --release -p minutehand-embedded
//! --example throughput`.
//!
//! Prints one JSON object for each figure. The first argument, when given, is the folder to work
//! in: put it on the disk that is to be measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use minutehand_embedded::{Config, EmbeddedStore};
use minutehand_model::*;
use minutehand_ports::{CommandLog, ExecutionQueue, ExecutionSink, Settlement, Timetable};

const P0: PartitionId = PartitionId::own(0);

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is after 1970");
    Timestamp::from_millis(since.as_millis() as i64)
}

fn open(folder: &Path) -> Arc<EmbeddedStore> {
    EmbeddedStore::open(Config::new(folder, 2, Arc::new(now))).expect("the folder can be used")
}

fn say(figure: &str, value: f64, unit: &str) {
    println!(
        "{{\"bench\":\"embedded\",\"figure\":\"{figure}\",\"value\":{value:.1},\"unit\":\"{unit}\"}}"
    );
}

fn record(index: u64, due: Timestamp) -> TaskRecord {
    let task = Task {
        payload: Bytes::from(format!(
            "{{\"order\":{index},\"customer\":{}}}",
            index.wrapping_mul(0x9e37_79b9)
        )),
        ..Task::new(
            Namespace::parse("default").expect("a good name"),
            TaskId::parse(&format!("task-{index:012}")).expect("a good name"),
            QueueName::parse("mail").expect("a good name"),
            due,
        )
    };
    minutehand_record::task::record(&task)
}

/// Appends of 64 KiB, one after the other, each with its fsync; the log is truncated behind.
async fn large_rows(folder: &Path) {
    const ROWS: u64 = 8_000;
    let begin = Instant::now();
    let store = open(folder);
    say("open_new_folder", begin.elapsed().as_secs_f64() * 1e3, "ms");
    let records: Vec<Bytes> = (0..640)
        .map(|index| minutehand_record::command::encode(&Command::Create(record(index, now()))))
        .collect();
    let bytes: usize = records.iter().map(Bytes::len).sum();
    let mut slowest_ms = 0_f64;
    let begin = Instant::now();
    for row in 0..ROWS {
        let one = Instant::now();
        store.append(P0, records.clone()).await.expect("appended");
        slowest_ms = slowest_ms.max(one.elapsed().as_secs_f64() * 1e3);
        if row % 50 == 49 {
            store
                .truncate(P0, LogOffset::at(row.saturating_sub(200) * 640))
                .await
                .expect("truncated");
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    say("log_rows_with_fsync", ROWS as f64 / seconds, "rows/s");
    say(
        "log_tasks_with_fsync",
        (ROWS * 640) as f64 / seconds,
        "tasks/s",
    );
    say(
        "log_bytes_with_fsync",
        (ROWS as usize * bytes) as f64 / seconds / 1e6,
        "MB/s",
    );
    say("log_row_bytes", bytes as f64, "bytes");
    say("log_row_slowest", slowest_ms, "ms");
}

/// Create, tick, poll and settle side by side, as `dev` does it.
async fn end_to_end(folder: &Path) {
    const BATCH: u64 = 1_000;
    const TICKS: u64 = 2_000;
    let store = open(folder);
    let begin = Instant::now();
    let creating = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for batch in 0..TICKS {
                let due = now();
                let create = |index| {
                    minutehand_record::command::encode(&Command::Create(record(index, due)))
                };
                store
                    .append(
                        P0,
                        (batch * BATCH..(batch + 1) * BATCH).map(create).collect(),
                    )
                    .await
                    .expect("appended");
            }
        })
    };
    let ticking = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut end = store.watch_end(P0);
            store.open(P0, Epoch(1)).await.expect("opened");
            let (mut next, mut number) = (LogOffset::START, 0);
            let mut names = minutehand_record::QueueNames::new();
            while next.position() < TICKS * BATCH {
                let batch = CommandLog::read(&*store, P0, next, 1 << 20)
                    .await
                    .expect("read");
                if batch.records.is_empty() {
                    end.changed().await.expect("the store lives");
                    continue;
                }
                next = batch.next;
                number += 1;
                let publication = |log: minutehand_ports::LogRecord| {
                    match minutehand_record::command::decode_sharing(log.payload, &mut names) {
                        Ok(Command::Create(task)) => Publication {
                            offset: log.offset,
                            task,
                        },
                        other => panic!("not a creation: {other:?}"),
                    }
                };
                let tick = Tick {
                    partition: P0,
                    checkpoint: Checkpoint {
                        epoch: Epoch(1),
                        tick: number,
                        ..Checkpoint::START
                    },
                    published_at: now(),
                    publications: batch.records.into_iter().map(publication).collect(),
                    stops: Vec::new(),
                    derived: Vec::new(),
                    schedule_states: Vec::new(),
                    set_aside: Vec::new(),
                };
                store.commit(tick).await.expect("committed");
                if number % 20 == 0 {
                    store
                        .truncate(P0, LogOffset::at(next.position().saturating_sub(100_000)))
                        .await
                        .expect("truncated");
                }
            }
        })
    };
    let queue = QueueName::parse("mail").expect("a good name");
    let mut settled = 0;
    while settled < TICKS * BATCH {
        let deliveries = store.poll(&queue, "workers", 4_096).await.expect("polled");
        settled += deliveries.len() as u64;
        let settlement = |delivery: minutehand_ports::Delivery| Settlement::bare(delivery.id);
        store
            .settle(
                &queue,
                "workers",
                deliveries.into_iter().map(settlement).collect(),
            )
            .await
            .expect("settled");
    }
    let seconds = begin.elapsed().as_secs_f64();
    creating.await.expect("created");
    ticking.await.expect("ticked");
    say(
        "create_tick_settle",
        (TICKS * BATCH) as f64 / seconds,
        "tasks/s",
    );
}

/// Ten million tasks in the timetable, and the time until the store is open again.
async fn many_stored(folder: &Path) {
    const TASKS: u64 = 10_000_000;
    const PER_BLOCK: u64 = 100;
    let store = open(folder);
    let start = now().floor_to_minute();
    let begin = Instant::now();
    for chunk in 0..TASKS / PER_BLOCK / 100 {
        let block = |index: u64| {
            let bucket = start.plus_millis(60_000 * (index % 10_000) as i64);
            let entry = |offset: u64| {
                let due = bucket.plus_millis((offset % PER_BLOCK) as i64 * 500);
                let task = record(offset, due);
                TimetableEntry {
                    key: task.key,
                    due,
                    offset: LogOffset::at(offset),
                    appended_at: start,
                    fact: Fact::Runs(task),
                }
            };
            let entries: Vec<TimetableEntry> = (index * PER_BLOCK..(index + 1) * PER_BLOCK)
                .map(entry)
                .collect();
            let (first_offset, last_offset) = (index * PER_BLOCK, (index + 1) * PER_BLOCK - 1);
            Block {
                partition: P0,
                bucket,
                first_offset: LogOffset::at(first_offset),
                last_offset: LogOffset::at(last_offset),
                entries,
            }
        };
        store
            .write_blocks((chunk * 100..(chunk + 1) * 100).map(block).collect())
            .await
            .expect("written");
    }
    say(
        "timetable_write_indexed",
        TASKS as f64 / begin.elapsed().as_secs_f64(),
        "tasks/s",
    );
    drop(store);
    let begin = Instant::now();
    let store = open(folder);
    say(
        "open_with_10_million",
        begin.elapsed().as_secs_f64() * 1e3,
        "ms",
    );
    let begin = Instant::now();
    let page = Timetable::read(
        &*store,
        P0.range(start, start.plus_millis(600 * 60_000)),
        usize::MAX,
    )
    .await
    .expect("read");
    say(
        "timetable_read",
        page.entries.len() as f64 / begin.elapsed().as_secs_f64(),
        "tasks/s",
    );
    let begin = Instant::now();
    for index in 0..1_000 {
        let key = TaskKey::of("default", &format!("task-{:012}", index * 9_973));
        assert_eq!(store.find(P0, key).await.expect("found").len(), 1);
    }
    say(
        "timetable_find",
        begin.elapsed().as_secs_f64() * 1e3,
        "us each",
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let base = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let only = std::env::args().nth(2);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let folder = |name: &str| {
        let folder = base.join(format!(
            "minutehand-throughput-{name}-{}",
            std::process::id()
        ));
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        folder
    };
    if wanted("log") {
        let folder = folder("log");
        large_rows(&folder).await;
        std::fs::remove_dir_all(folder).expect("removed");
    }
    if wanted("queue") {
        let folder = folder("queue");
        end_to_end(&folder).await;
        std::fs::remove_dir_all(folder).expect("removed");
    }
    if wanted("timetable") {
        let folder = folder("timetable");
        many_stored(&folder).await;
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
