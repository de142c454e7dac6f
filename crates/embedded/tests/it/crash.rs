//! Killed at random moments while it appends, ticks and settles: everything acknowledged is there,
//! and every tick and every settlement is there as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use minutehand_embedded::{Config, EmbeddedStore};
use minutehand_model::*;
use minutehand_ports::contract::PARTITIONS;
use minutehand_ports::{CommandLog, Coordinator, ExecutionQueue, ExecutionSink, Settlement};

use crate::support::{Random, config, done, id_of, queue, task, tick};

const FOLDER: &str = "MINUTEHAND_TEST_CRASH_FOLDER";
const SEED: &str = "MINUTEHAND_TEST_CRASH_SEED";
const ROUNDS: u64 = 20;
/// Tasks of a tick for each of the two queues.
const TASKS: usize = 7;

/// A store that goes to disk often, and is read from there.
fn small(folder: &Path) -> Arc<EmbeddedStore> {
    let small = Config {
        memtable_bytes: 256 << 10,
        log_tail_bytes: 64 << 10,
        queue_resident_bytes: 64 << 10,
        ..config(folder)
    };
    EmbeddedStore::open(small).unwrap()
}

/// Tells the parent, who outlives this process, what was acknowledged.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

async fn keep_appending(store: Arc<EmbeddedStore>, mut random: Random) {
    for number in 0_u64.. {
        let partition = PartitionId::own(random.below(u64::from(PARTITIONS)) as u32);
        let count = 1 + random.below(20) as usize;
        let tag = random.next();
        let length = random.below(3_000) as usize;
        let records = (0..count)
            .map(|index| append_record(tag, index, length))
            .collect();
        let first = store.append(partition, records).await.unwrap().offsets[0];
        tell(&format!(
            "append {partition} {first} {count} {tag} {length} {number}"
        ));
    }
}

fn append_record(tag: u64, index: usize, length: usize) -> Bytes {
    format!("append {tag} {index} {}", "x".repeat(length)).into()
}

async fn keep_ticking(store: Arc<EmbeddedStore>, partition: PartitionId, mut random: Random) {
    let epoch = store.acquire(partition).await.unwrap();
    let opened = store.open(partition, epoch).await.unwrap();
    for number in opened.checkpoint.map_or(0, |checkpoint| checkpoint.tick) + 1.. {
        let length = random.below(2_000) as usize;
        let of = |to: &str| {
            let name = |index| format!("{partition}-{number}-{to}-{index}");
            (0..TASKS)
                .map(|index| task(&name(index), to, random.bytes(length)))
                .collect::<Vec<_>>()
        };
        let tasks = ["mail", "reports"].map(of).concat();
        let derived = Command::Cancel {
            key: TaskKey(u128::from(number)),
            due: Timestamp::from_millis(0),
        };
        let state = ScheduleState {
            runs_started: number,
            ..ScheduleState::default()
        };
        let change = ScheduleStateChange {
            namespace: Namespace::parse("default").unwrap(),
            schedule: ScheduleId::parse("ticks").unwrap(),
            state: Some(state),
        };
        let tick = Tick {
            derived: vec![derived],
            schedule_states: vec![change],
            ..tick(partition, epoch, number, tasks)
        };
        store.commit(tick).await.unwrap();
        tell(&format!("tick {partition} {number}"));
    }
}

async fn keep_settling(store: Arc<EmbeddedStore>, mut random: Random) {
    loop {
        let deliveries = store.poll(&queue("mail"), "workers", 40).await.unwrap();
        // Some are left for the next process.
        let chosen: Vec<_> = deliveries
            .into_iter()
            .filter(|_| random.below(8) > 0)
            .collect();
        let settlements: Vec<Settlement> = chosen
            .iter()
            .map(|delivery| {
                let command = format!("settled {}", id_of(&delivery.encoded));
                Settlement {
                    commands: vec![(PartitionId::own(0), command.into())],
                    ..done(delivery.id)
                }
            })
            .collect();
        let ids: Vec<String> = chosen
            .iter()
            .map(|delivery| id_of(&delivery.encoded))
            .collect();
        store
            .settle(&queue("mail"), "workers", settlements)
            .await
            .unwrap();
        tell(&format!("settle {}", ids.join(" ")));
    }
}

/// Runs in the process that is killed, and is nothing otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_killed_process() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let store = small(Path::new(&folder));
    // This group settles nothing, so that every publication is kept for the audit.
    if seed == 0 {
        let epoch = store.acquire(PartitionId::own(0)).await.unwrap();
        store.open(PartitionId::own(0), epoch).await.unwrap();
        let first = ["mail", "reports"].map(|to| task("first", to, "x".into()));
        store
            .commit(tick(PartitionId::own(0), epoch, 1, first.to_vec()))
            .await
            .unwrap();
        for to in ["mail", "reports"] {
            store.poll(&queue(to), "audit", 1).await.unwrap();
        }
        store.release(PartitionId::own(0), epoch).await.unwrap();
    }
    tell("ready");
    let mut work = tokio::task::JoinSet::new();
    work.spawn(keep_appending(Arc::clone(&store), Random(seed * 10 + 1)));
    work.spawn(keep_appending(Arc::clone(&store), Random(seed * 10 + 2)));
    work.spawn(keep_ticking(
        Arc::clone(&store),
        PartitionId::own(0),
        Random(seed * 10 + 3),
    ));
    work.spawn(keep_ticking(
        Arc::clone(&store),
        PartitionId::own(1),
        Random(seed * 10 + 4),
    ));
    work.spawn(keep_settling(Arc::clone(&store), Random(seed * 10 + 5)));
    while let Some(ended) = work.join_next().await {
        ended.unwrap();
    }
}

/// What was acknowledged over all rounds.
#[derive(Default)]
struct Acknowledged {
    appends: Vec<(PartitionId, u64, usize, u64, usize)>,
    ticks: BTreeMap<PartitionId, u64>,
    settled: BTreeSet<String>,
}

impl Acknowledged {
    fn note(&mut self, line: &str) {
        let mut words = line.split(' ');
        let kind = words.next();
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        match kind {
            Some("append") => {
                let (partition, first, count) = (
                    PartitionId::own(number() as u32),
                    number(),
                    number() as usize,
                );
                self.appends
                    .push((partition, first, count, number(), number() as usize));
            }
            Some("tick") => {
                let (partition, tick) = (PartitionId::own(number() as u32), number());
                self.ticks.insert(partition, tick);
            }
            Some("settle") => self
                .settled
                .extend(words.filter(|id| !id.is_empty()).map(str::to_owned)),
            _ => {}
        }
    }
}

/// Runs the child until it has told a number of lines, and kills it.
fn run_and_kill(folder: &Path, seed: u64, lines_max: u64, acknowledged: &mut Acknowledged) {
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::in_the_killed_process", "--nocapture"])
        .env(FOLDER, folder)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .split(b'\n')
        .map(|line| String::from_utf8(line.unwrap()).unwrap());
    let ready = lines.by_ref().any(|line| line.ends_with("ready"));
    assert!(ready, "the process of round {seed} came up");
    lines
        .by_ref()
        .take(lines_max as usize)
        .for_each(|line| acknowledged.note(&line));
    child.kill().unwrap();
    // What it had told before it died counts as well; a torn last line does not.
    let rest: Vec<String> = lines.collect();
    let whole = rest.len().saturating_sub(1);
    rest[..whole]
        .iter()
        .for_each(|line| acknowledged.note(line));
    child.wait().unwrap();
}

async fn read_all(store: &EmbeddedStore, partition: PartitionId) -> BTreeMap<LogOffset, Bytes> {
    let (mut records, mut next) = (BTreeMap::new(), LogOffset::START);
    loop {
        let batch = CommandLog::read(store, partition, next, 1 << 20)
            .await
            .unwrap();
        records.extend(
            batch
                .records
                .into_iter()
                .map(|record| (record.offset, record.payload)),
        );
        next = batch.next;
        if next >= batch.end {
            assert_eq!(
                records.len() as u64,
                batch.end.position(),
                "offsets have no holes"
            );
            return records;
        }
    }
}

/// Every task that was published to a queue and is handed to a group.
async fn handed_out(store: &EmbeddedStore, to: &str, group: &str) -> Vec<String> {
    let waiting = store.depth(&queue(to), group).await.unwrap().waiting as usize;
    let mut ids = Vec::new();
    while ids.len() < waiting {
        let deliveries = store.poll(&queue(to), group, 1_000).await.unwrap();
        ids.extend(deliveries.iter().map(|delivery| id_of(&delivery.encoded)));
    }
    assert_eq!(ids.len(), waiting);
    ids
}

async fn audit(folder: &Path, acknowledged: &Acknowledged) {
    let store = small(folder);
    let mut logs = BTreeMap::new();
    for partition in (0..PARTITIONS).map(PartitionId::own) {
        logs.insert(partition, read_all(&store, partition).await);
    }
    for (partition, first, count, tag, length) in &acknowledged.appends {
        for index in 0..*count {
            let record = &logs[partition][&LogOffset::at(first + index as u64)];
            assert_eq!(record, &append_record(*tag, index, *length), "lost append");
        }
    }
    let mut published: BTreeMap<String, usize> = BTreeMap::new();
    for to in ["mail", "reports"] {
        for id in handed_out(&store, to, "audit").await {
            *published.entry(id).or_default() += 1;
        }
    }
    assert_eq!(published.remove("first"), Some(2));
    assert!(
        published.values().all(|count| *count == 1),
        "nothing is published twice"
    );
    for partition in [PartitionId::own(0), PartitionId::own(1)] {
        let epoch = store.acquire(partition).await.unwrap();
        let opened = store.open(partition, epoch).await.unwrap();
        let last = opened.checkpoint.map_or(0, |checkpoint| checkpoint.tick);
        assert!(
            last >= acknowledged.ticks.get(&partition).copied().unwrap_or(0),
            "lost tick"
        );
        let begin = if partition == PartitionId::own(0) {
            2
        } else {
            1
        };
        for number in begin..=last {
            for to in ["mail", "reports"] {
                for index in 0..TASKS {
                    let id = format!("{partition}-{number}-{to}-{index}");
                    assert!(
                        published.remove(&id).is_some(),
                        "tick {number} of {partition} lacks {id}"
                    );
                }
            }
            let cancel = Command::Cancel {
                key: TaskKey(u128::from(number)),
                due: Timestamp::from_millis(0),
            };
            let derived = minutehand_record::command::encode(&cancel);
            assert_eq!(
                logs[&partition]
                    .values()
                    .filter(|record| **record == derived)
                    .count(),
                1
            );
        }
        if last >= begin {
            assert_eq!(opened.schedule_states[0].2.runs_started, last);
        }
    }
    assert!(
        published.is_empty(),
        "published by a tick that was not committed: {published:?}"
    );
    let settled: Vec<String> = logs[&PartitionId::own(0)]
        .values()
        .filter_map(|record| {
            std::str::from_utf8(record)
                .ok()?
                .strip_prefix("settled ")
                .map(str::to_owned)
        })
        .collect();
    let settled_once: BTreeSet<String> = settled.iter().cloned().collect();
    assert_eq!(
        settled.len(),
        settled_once.len(),
        "no settlement took effect twice"
    );
    assert!(
        settled_once.is_superset(&acknowledged.settled),
        "lost settlement"
    );
    let again: BTreeSet<String> = handed_out(&store, "mail", "workers")
        .await
        .into_iter()
        .collect();
    assert!(
        again.is_disjoint(&settled_once),
        "what was settled is not handed out again"
    );
    let total = store
        .depth(&queue("mail"), "workers")
        .await
        .unwrap()
        .settled;
    assert_eq!(total as usize, settled_once.len());
    assert_eq!(store.corruptions(), []);
}

#[tokio::test]
async fn killed_twenty_times_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    let mut random = Random(20);
    for round in 0..ROUNDS {
        run_and_kill(folder.path(), round, random.below(400), &mut acknowledged);
        audit(folder.path(), &acknowledged).await;
    }
    assert!(acknowledged.appends.len() > 100 && acknowledged.settled.len() > 100);
}
