//! Every file of a store is removed once, and some bytes of each are flipped: the store opens and
//! says what it has lost, or it refuses with the file and the remedy. It never waits for ever, and
//! never loses in silence.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minutehand_embedded::{EmbeddedStore, OpenError};
use minutehand_model::*;
use minutehand_ports::{
    CommandLog, DeadLetter, DeliveryId, ExecutionQueue, ExecutionSink, History, Settlement,
    Timetable,
};

use crate::support::{Random, config, done, id_of, open, queue, task, tick};

const P0: PartitionId = PartitionId::own(0);
const BLOCKS: u64 = 120;
const ROWS: usize = 60;
const TASKS: usize = 50;
const LETTERS: usize = 20;
/// Bytes that are flipped in each file, one at a time.
const FLIPS: u64 = 4;

fn block(number: u64) -> Block {
    let due = Timestamp::from_millis(1_800_000_000_000 + 1_000 * number as i64);
    let payload = Random(number).bytes(300);
    let record = minutehand_record::task::record(&Task {
        due,
        ..minutehand_record::task::decode(&task(&format!("t{number}"), "mail", payload).encoded)
            .unwrap()
    });
    let offset = LogOffset::at(number);
    let entry = TimetableEntry {
        key: record.key,
        due,
        offset,
        appended_at: due,
        fact: Fact::Runs(record),
    };
    Block {
        partition: P0,
        bucket: due.floor_to_minute(),
        first_offset: offset,
        last_offset: offset,
        entries: vec![entry],
    }
}

/// Puts something into every kind of table.
async fn fill(folder: &Path, first: bool) {
    let store = open(folder);
    ExecutionSink::open(&*store, P0, Epoch(1)).await.unwrap();
    for row in 0..ROWS / 2 {
        store
            .append(P0, vec![Random(row as u64).bytes(400)])
            .await
            .unwrap();
    }
    let half = if first {
        0..BLOCKS / 2
    } else {
        BLOCKS / 2..BLOCKS
    };
    store.write_blocks(half.map(block).collect()).await.unwrap();
    let number = if first { 1 } else { 2 };
    let tasks = (0..TASKS / 2)
        .map(|index| task(&format!("q{number}-{index}"), "mail", Random(7).bytes(300)));
    store
        .commit(tick(P0, Epoch(1), number, tasks.collect()))
        .await
        .unwrap();
    let letter = |index: usize| DeadLetter {
        queue: queue("failing"),
        partition: P0,
        key: TaskKey(index as u128),
        at: Timestamp::from_millis(5),
        attempts: 1,
        reason: "it failed".to_owned(),
        encoded: task("failed", "failing", Random(index as u64).bytes(300)).encoded,
    };
    let reports = (0..LETTERS / 2).map(|index| minutehand_ports::Report {
        id: DeliveryId {
            partition: P0,
            sequence: 0,
        },
        commands: Vec::new(),
        dead_letter: Some(letter(index)),
        outcome: Some((TaskKey(9), outcome(index))),
    });
    let _taken = store.poll(&queue("mail"), "workers", 1).await.unwrap();
    store
        .report(&queue("mail"), "workers", reports.collect())
        .await
        .unwrap();
}

fn outcome(index: usize) -> Outcome {
    let at = Timestamp::from_millis(index as i64);
    let (due, started_at, ended_at) = (at, at, at);
    let detail = "HTTP 503, tried again later".to_owned();
    let execution = ExecutionId(index as u128);
    Outcome {
        execution,
        attempt: 1,
        kind: OutcomeKind::Retried,
        detail,
        due,
        started_at,
        ended_at,
        task: None,
    }
}

/// Writes what is in memory to tables, beside the store.
fn flush(folder: &Path) {
    let database = fjall::Database::builder(folder.join("database"))
        .open()
        .unwrap();
    for name in database.list_keyspace_names() {
        let table = database
            .keyspace(&name, fjall::KeyspaceCreateOptions::default)
            .unwrap();
        table.rotate_memtable_and_wait().unwrap();
    }
}

/// Everything that a whole store holds, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    records: usize,
    entries: usize,
    found: usize,
    executions: usize,
    letters: usize,
    outcomes: usize,
    is_set_aside: bool,
}

async fn held(store: &EmbeddedStore) -> Held {
    let mut records = 0;
    let mut next = store.bounds(P0).await.unwrap().start;
    loop {
        let batch = CommandLog::read(store, P0, next, 10_000).await.unwrap();
        records += batch.records.len();
        if batch.next >= batch.end {
            break;
        }
        assert!(batch.next > next, "reading goes on");
        next = batch.next;
    }
    let page = Timetable::read(store, P0.range(Timestamp::MIN, Timestamp::MAX), usize::MAX)
        .await
        .unwrap();
    let mut found = 0;
    for number in 0..BLOCKS {
        let block = block(number);
        let entry = &block.entries[0];
        found += store
            .find_due(P0, entry.key, entry.due)
            .await
            .unwrap()
            .len();
    }
    let mut executions = BTreeSet::new();
    loop {
        let depth = store.depth(&queue("mail"), "audit").await.unwrap();
        if depth.waiting == depth.in_progress {
            break;
        }
        let deliveries = store.poll(&queue("mail"), "audit", 1_000).await.unwrap();
        executions.extend(deliveries.iter().map(|delivery| id_of(&delivery.encoded)));
        let settlements: Vec<Settlement> = deliveries
            .iter()
            .map(|delivery| done(delivery.id))
            .collect();
        store
            .settle(&queue("mail"), "audit", settlements)
            .await
            .unwrap();
    }
    let letters = store
        .dead_letters(&queue("failing"), 0, 1_000)
        .await
        .unwrap()
        .letters
        .len();
    let outcomes = store.outcomes(TaskKey(9)).await.unwrap().len();
    store.read_revisions(P0).await.unwrap();
    store
        .loads(P0.range(Timestamp::MIN, Timestamp::MAX))
        .await
        .unwrap();
    Held {
        records,
        entries: page.entries.len(),
        found,
        executions: executions.len(),
        letters,
        outcomes,
        is_set_aside: !page.set_aside.is_empty() || !store.corruptions().is_empty(),
    }
}

const WHOLE: Held = Held {
    records: ROWS,
    entries: BLOCKS as usize,
    found: BLOCKS as usize,
    executions: TASKS,
    letters: LETTERS,
    outcomes: LETTERS,
    is_set_aside: false,
};

/// Every file below, relative.
fn files(root: &Path, below: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            files(root, &path, found);
        } else {
            found.push(path);
        }
    }
}

/// The bytes of a file without the room that a journal keeps at its end.
fn content(path: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(path).unwrap();
    if path.extension().is_some_and(|ending| ending == "jnl") {
        let end = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        bytes.truncate(end + 4_096);
    }
    bytes
}

/// A copy of the store, with one file changed or gone.
fn copy(store: &[(PathBuf, Vec<u8>)], changed: &Path, bytes: Option<&[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in store {
        let to = folder.path().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        if path != changed {
            std::fs::write(to, content).unwrap();
        } else if let Some(bytes) = bytes {
            std::fs::write(to, bytes).unwrap();
        }
    }
    folder
}

/// Whether a store opens; what is wrong with how it does, or does not.
async fn examine(folder: &Path) -> Result<bool, String> {
    let store = match EmbeddedStore::open(config(folder)) {
        Ok(store) => store,
        Err(error) => {
            let words = error.to_string();
            let has_remedy = words.contains("restore") || words.contains("put it back");
            let is_told = !matches!(error, OpenError::Database { .. });
            let is_named = words.contains(&folder.display().to_string());
            return if is_named && is_told && has_remedy {
                Ok(false)
            } else {
                Err(words)
            };
        }
    };
    let found =
        tokio::spawn(
            async move { tokio::time::timeout(Duration::from_secs(60), held(&store)).await },
        );
    let found = found.await.map_err(|error| format!("it fails: {error}"))?;
    let found = found.map_err(|_| "it does not answer")?;
    let is_whole = Held {
        is_set_aside: false,
        ..found
    } == WHOLE;
    if is_whole || found.is_set_aside {
        Ok(true)
    } else {
        Err(format!("lost in silence: {found:?}"))
    }
}

#[tokio::test]
async fn no_damage_to_a_file_hangs_or_loses_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), true).await;
    flush(folder.path());
    fill(folder.path(), false).await;
    let mut paths = Vec::new();
    files(folder.path(), Path::new(""), &mut paths);
    let store: Vec<(PathBuf, Vec<u8>)> = paths
        .into_iter()
        .map(|path| (path.clone(), content(&folder.path().join(&path))))
        .collect();
    drop(folder);
    let whole = copy(&store, Path::new("no file"), None);
    let untouched = open(whole.path());
    assert_eq!(held(&untouched).await, WHOLE);
    drop((untouched, whole));
    let mut random = Random(5);
    let (mut opened, mut refused, mut wrong) = (0, 0, Vec::new());
    for (path, bytes) in &store {
        let name = path.display();
        let mut count = |what: String, examined: Result<bool, String>| match examined {
            Ok(true) => opened += 1,
            Ok(false) => refused += 1,
            Err(reason) => wrong.push(format!("{what}: {reason}")),
        };
        let without = copy(&store, path, None);
        count(format!("without {name}"), examine(without.path()).await);
        for _ in 0..FLIPS.min(bytes.len() as u64) {
            let position = random.below(bytes.len() as u64) as usize;
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << random.below(8);
            let damaged = copy(&store, path, Some(&flipped));
            let what = format!("a bit of byte {position} of {} of {name}", bytes.len());
            count(what, examine(damaged.path()).await);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        wrong.len() + opened + refused,
        wrong.join("\n")
    );
    assert!(
        opened > 20 && refused > 100,
        "{opened} opened, {refused} refused"
    );
}
