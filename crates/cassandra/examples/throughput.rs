//! How fast the timetable takes and gives on Cassandra, beside what the driver alone does with the
//! same bytes: `MINUTEHAND_CASSANDRA=host:port cargo run --release -p minutehand-cassandra
//! --example throughput [TASKS] [CQL]`.
//!
//! Prints one JSON object for each figure. TASKS is how many one minute holds (1,000,000). CQL is a
//! statement to run on the new keyspace first, with `{keyspace}` in it: to try other settings of a
//! table. The keyspace is dropped at the end.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use minutehand_cassandra::raw::RawBlocks;
use minutehand_cassandra::{CassandraConfig, CassandraTimetable, Migrations, Replication};
use minutehand_model::*;
use minutehand_ports::Timetable;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::value::CqlTimestamp;

/// Partitions of the scheduler.
const PARTITIONS: u32 = 2;
/// What an owner packs into a block, and gives to one write, and how many writes it has under way.
const BLOCK_BYTES: usize = 16 * 1024;
const WRITE_TASKS: usize = 8_192;
const WRITES_AT_ONCE: usize = 8;
/// What an owner reads at a time.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Requests of the bare driver at once.
const RAW_IN_FLIGHT: usize = 32;
const PAYLOAD_BYTES: usize = 300;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn say(figure: &str, value: f64, unit: &str) {
    println!(
        "{{\"bench\":\"cassandra\",\"figure\":\"{figure}\",\"value\":{value:.3},\"unit\":\"{unit}\"}}"
    );
}

/// The next whole minute an hour from now.
fn prepared_minute() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is after 1970");
    Timestamp::from_millis(since.as_millis() as i64 + 3_600_000).floor_to_minute()
}

fn key(index: u64) -> TaskKey {
    TaskKey::of("default", &format!("task-{index:012}"))
}

fn entry(index: u64, due: Timestamp) -> TimetableEntry {
    // Hexadecimal digits of a generator: half of it is noise, as in the payloads of real callers.
    let mut payload = format!("{{\"order\":{index},\"token\":\"");
    let mut state = index;
    while payload.len() < PAYLOAD_BYTES - 2 {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        payload.push_str(&format!("{:016x}", state ^ (state >> 31)));
    }
    payload.truncate(PAYLOAD_BYTES - 2);
    payload.push_str("\"}");
    let task = Task {
        payload: Bytes::from(payload),
        ..Task::new(
            Namespace::parse("default").expect("a good name"),
            TaskId::parse(&format!("task-{index:012}")).expect("a good name"),
            QueueName::parse("mail").expect("a good name"),
            due,
        )
    };
    let task = minutehand_record::task::record(&task);
    TimetableEntry {
        key: task.key,
        due,
        offset: LogOffset::at(index),
        appended_at: due,
        fact: Fact::Runs(task),
    }
}

/// Packs entries as an owner does: by due time, one minute to a block, of about the usual size.
fn pack(partition: PartitionId, mut entries: Vec<TimetableEntry>) -> Vec<Block> {
    entries.sort_by_key(|entry| (entry.due, entry.offset));
    let mut blocks: Vec<Block> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let bucket = entry.due.floor_to_minute();
        if bytes >= BLOCK_BYTES || blocks.last().is_none_or(|block| block.bucket != bucket) {
            bytes = 0;
            let (first_offset, last_offset) = (entry.offset, entry.offset);
            blocks.push(Block {
                partition,
                bucket,
                first_offset,
                last_offset,
                entries: Vec::new(),
            });
        }
        if let (Some(block), Fact::Runs(task)) = (blocks.last_mut(), &entry.fact) {
            bytes += task.encoded.len();
            block.first_offset = block.first_offset.min(entry.offset);
            block.last_offset = block.last_offset.max(entry.offset);
            block.entries.push(entry);
        }
    }
    blocks
}

/// Writes of a minute in which `tasks` are due, spread evenly, in the order in which they become
/// ripe.
fn minute(tasks: u64, minute: Timestamp) -> impl Iterator<Item = Vec<Block>> {
    let one = move |index: u64| {
        let partition = (index % u64::from(PARTITIONS)) as u32;
        (
            partition,
            entry(index, minute.plus_millis((index * 60_000 / tasks) as i64)),
        )
    };
    let writes = tasks.div_ceil(WRITE_TASKS as u64);
    (0..writes).map(move |write| {
        let mut entries: Vec<Vec<TimetableEntry>> = vec![Vec::new(); PARTITIONS as usize];
        let first = write * WRITE_TASKS as u64;
        for index in first..(first + WRITE_TASKS as u64).min(tasks) {
            let (partition, entry) = one(index);
            entries[partition as usize].push(entry);
        }
        (0..)
            .zip(entries)
            .flat_map(|(partition, entries)| pack(PartitionId::own(partition), entries))
            .collect()
    })
}

/// Writes of a minute through the port; answers seconds and blocks.
async fn write(store: &Arc<CassandraTimetable>, writes: Vec<Vec<Block>>) -> Result<(f64, usize)> {
    let blocks = writes.iter().map(Vec::len).sum();
    let begin = Instant::now();
    stream::iter(writes)
        .map(Ok)
        .try_for_each_concurrent(WRITES_AT_ONCE, |blocks| {
            let store = Arc::clone(store);
            async move {
                tokio::spawn(async move { store.write_blocks(blocks).await })
                    .await
                    .expect("it ran")
            }
        })
        .await?;
    Ok((begin.elapsed().as_secs_f64(), blocks))
}

/// The same bytes by the bare driver, each block a row in a table of the same shape.
async fn write_raw(
    config: &CassandraConfig,
    rows: Vec<(Timestamp, LogOffset, Bytes)>,
) -> Result<f64> {
    let raw = &RawBlocks::connect(config).await?;
    let begin = Instant::now();
    stream::iter(rows)
        .map(Ok::<_, minutehand_ports::PortError>)
        .try_for_each_concurrent(RAW_IN_FLIGHT, |(due, offset, content)| async move {
            let partition = PartitionId::own((offset.position() % u64::from(PARTITIONS)) as u32);
            raw.write(partition, due, offset.bits(), &content).await
        })
        .await?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Reads a minute through the port as the owners do, page after page; answers seconds and tasks.
async fn read(store: &Arc<CassandraTimetable>, minute: Timestamp) -> Result<(f64, usize)> {
    let begin = Instant::now();
    let one = |partition: u32| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let (mut from, until, mut tasks) = (minute, minute.plus_millis(60_000), 0);
            while from < until {
                let page = store
                    .read(PartitionId::own(partition).range(from, until), PAGE_BYTES)
                    .await?;
                tasks += page.entries.len();
                from = page.complete_until;
            }
            Ok::<_, minutehand_ports::PortError>(tasks)
        })
    };
    let mut tasks = 0;
    for owner in (0..PARTITIONS).map(one).collect::<Vec<_>>() {
        tasks += owner.await??;
    }
    Ok((begin.elapsed().as_secs_f64(), tasks))
}

/// The rows of a minute by the bare driver, nothing decoded; answers seconds and rows.
async fn read_raw(session: &Session, keyspace: &str, minute: Timestamp) -> Result<(f64, usize)> {
    let select = format!(
        "SELECT first_due, block, content FROM {keyspace}.timetable \
         WHERE region = 'raw' AND partition = ? AND bucket = ? AND slice = ?"
    );
    let mut select = session.prepare(select).await?;
    select.set_page_size(128);
    let begin = Instant::now();
    let slices = (0..15_i16)
        .flat_map(|slice| (0..PARTITIONS as i32).map(move |partition| (slice, partition)));
    let select = &select;
    let counts: Vec<usize> = stream::iter(slices)
        .map(|(slice, partition)| async move {
            let values = (partition, CqlTimestamp(minute.as_millis()), slice);
            let rows = session.execute_iter(select.clone(), values).await?;
            let mut rows = rows.rows_stream::<(CqlTimestamp, Vec<u8>, Vec<u8>)>()?;
            let mut count = 0;
            while let Some(row) = rows.next().await {
                row?;
                count += 1;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(count)
        })
        .buffer_unordered(4)
        .try_collect()
        .await?;
    Ok((begin.elapsed().as_secs_f64(), counts.into_iter().sum()))
}

/// What half a minute of 20,000 tasks a second costs whose due times lie in the next 24 hours.
async fn steady_state(
    store: &Arc<CassandraTimetable>,
    config: &CassandraConfig,
    session: &Session,
) -> Result<()> {
    const TASKS: u64 = 600_000;
    let first = prepared_minute().plus_millis(5 * 60_000);
    let mut writes = Vec::new();
    for partition in 0..PARTITIONS {
        let mine = (0..TASKS).filter(|index| index % u64::from(PARTITIONS) == u64::from(partition));
        let due = |index: u64| {
            first.plus_millis((index.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 86_400_000) as i64)
        };
        let mut entries: Vec<TimetableEntry> = mine.map(|index| entry(index, due(index))).collect();
        entries.sort_by_key(|entry| (entry.due, entry.offset));
        writes.extend(
            entries
                .chunks(WRITE_TASKS)
                .map(|some| pack(PartitionId::own(partition), some.to_vec())),
        );
    }
    let (seconds, blocks) = write(store, writes).await?;
    say("steady_24h_tasks", TASKS as f64 / seconds, "tasks/s");
    say(
        "steady_24h_block_rows",
        blocks as f64 / TASKS as f64,
        "rows/task",
    );
    let mut rows = blocks as f64;
    for table in ["timetable_days", "timetable_buckets", "task_index"] {
        let select = format!(
            "SELECT region FROM {}.{table} WHERE region = ? ALLOW FILTERING",
            config.keyspace
        );
        let mut found = session
            .query_iter(select, (&config.region,))
            .await?
            .rows_stream::<(String,)>()?;
        let mut count = 0_u64;
        while found.next().await.transpose()?.is_some() {
            count += 1;
        }
        say(
            &format!("steady_24h_{table}_rows"),
            count as f64 / TASKS as f64,
            "rows/task",
        );
        rows += count as f64;
    }
    say("steady_24h_rows", rows / TASKS as f64, "rows/task");
    Ok(())
}

async fn find(store: &Arc<CassandraTimetable>, tasks: u64, figure: &str) -> Result<()> {
    let mut latencies = Vec::new();
    for index in (0..200).map(|index| index * (tasks / 200)) {
        let begin = Instant::now();
        let found = store
            .find(
                PartitionId::own((index % u64::from(PARTITIONS)) as u32),
                key(index),
            )
            .await?;
        assert!(!found.is_empty(), "task {index} is found");
        latencies.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    latencies.sort_by(f64::total_cmp);
    say(
        &format!("{figure}_p50"),
        latencies[latencies.len() / 2],
        "ms",
    );
    say(
        &format!("{figure}_p99"),
        latencies[latencies.len() * 99 / 100],
        "ms",
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let tasks: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let servers =
        std::env::var("MINUTEHAND_CASSANDRA").unwrap_or_else(|_| "127.0.0.1:9042".to_owned());
    let servers: Vec<String> = servers.split(',').map(str::to_owned).collect();
    let keyspace = format!("bench_{}", std::process::id());
    let config = CassandraConfig {
        task_index: false,
        ..CassandraConfig::new(servers, &keyspace, "bench")
    };
    let migrations = Migrations::connect(&config).await?;
    migrations
        .apply(&Replication::of_nodes(&migrations.datacenters())?)
        .await?;
    let session = SessionBuilder::new()
        .known_nodes(&config.contact_points)
        .build()
        .await?;
    if let Some(statement) = arguments.next() {
        session
            .query_unpaged(statement.replace("{keyspace}", &keyspace), ())
            .await?;
    }
    let answer = measure(&config, &session, tasks).await;
    session
        .query_unpaged(format!("DROP KEYSPACE {keyspace}"), ())
        .await?;
    answer
}

async fn measure(config: &CassandraConfig, session: &Session, tasks: u64) -> Result<()> {
    let minute_at = prepared_minute();
    let writes: Vec<Vec<Block>> = minute(tasks, minute_at).collect();
    let raw: Vec<(Timestamp, LogOffset, Bytes)> = writes
        .iter()
        .flatten()
        .map(|block| {
            (
                block.first_due(),
                block.first_offset,
                minutehand_record::block::encode(block),
            )
        })
        .collect();
    let (blocks, bytes) = (
        raw.len() as f64,
        raw.iter()
            .map(|(_, _, content)| content.len())
            .sum::<usize>(),
    );
    say("tasks", tasks as f64, "tasks");
    say("block_bytes", bytes as f64 / blocks, "bytes");
    say("block_tasks", tasks as f64 / blocks, "tasks");
    let seconds = write_raw(config, raw).await?;
    say("raw_write_blocks", blocks / seconds, "blocks/s");
    say("raw_write_tasks", tasks as f64 / seconds, "tasks/s");

    let store = CassandraTimetable::connect(config).await?;
    let (seconds, written) = write(&store, writes).await?;
    say("write_blocks", written as f64 / seconds, "blocks/s");
    say("write_tasks", tasks as f64 / seconds, "tasks/s");

    let (seconds, rows) = read_raw(session, &config.keyspace, minute_at).await?;
    say("raw_read_blocks", rows as f64 / seconds, "blocks/s");
    say(
        "raw_read_tasks",
        rows as f64 / blocks * tasks as f64 / seconds,
        "tasks/s",
    );
    let (seconds, read_tasks) = read(&store, minute_at).await?;
    assert_eq!(read_tasks as u64, tasks, "all are read");
    say("read_tasks", read_tasks as f64 / seconds, "tasks/s");

    let indexed = CassandraConfig {
        task_index: true,
        region: "indexed".to_owned(),
        ..config.clone()
    };
    let store = CassandraTimetable::connect(&indexed).await?;
    let (seconds, written) = write(&store, minute(tasks, minute_at).collect()).await?;
    say("indexed_write_blocks", written as f64 / seconds, "blocks/s");
    say("indexed_write_tasks", tasks as f64 / seconds, "tasks/s");
    find(&store, tasks, "find").await?;

    let steady = CassandraConfig {
        region: "steady".to_owned(),
        ..indexed
    };
    let store = CassandraTimetable::connect(&steady).await?;
    steady_state(&store, &steady, session).await?;
    find(&store, 600_000, "steady_24h_find").await
}
