//! After writing has ended without a reason that is known, the start looks for a damaged table, and
//! keeps what can be read.

use std::path::{Path, PathBuf};

use minutehand_embedded::{Config, EmbeddedStore};
use minutehand_model::*;
use minutehand_ports::CommandLog;

use crate::support::{Random, config};

const P0: PartitionId = PartitionId::own(0);
const ROUNDS: usize = 3;
const ROWS_PER_ROUND: usize = 60;
const RECORD_BYTES: usize = 1_000;

/// Tables are written out, and so merged, after a few records.
fn small(folder: &Path) -> Config {
    Config {
        memtable_bytes: 64 << 10,
        ..config(folder)
    }
}

fn largest_table(folder: &Path) -> PathBuf {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect()
    };
    let tables = entries(&folder.join("database/keyspaces"))
        .into_iter()
        .flat_map(|table| entries(&table.join("tables")));
    tables
        .max_by_key(|file| std::fs::metadata(file).unwrap().len())
        .expect("there are tables")
}

async fn records(store: &EmbeddedStore) -> usize {
    let end = store.bounds(P0).await.unwrap().end;
    let (mut next, mut count) = (LogOffset::START, 0);
    while next < end {
        let batch = CommandLog::read(store, P0, next, 1 << 20).await.unwrap();
        count += batch.records.len();
        next = batch.next;
    }
    count
}

#[tokio::test]
async fn a_table_that_cannot_be_merged_is_set_aside_with_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let store = EmbeddedStore::open(small(folder)).unwrap();
        for row in 0..ROWS_PER_ROUND {
            store
                .append(
                    P0,
                    vec![Random((round * 1_000 + row) as u64).bytes(RECORD_BYTES)],
                )
                .await
                .unwrap();
            acknowledged += 1;
        }
        drop(store);
        let database = fjall::Database::builder(folder.join("database"))
            .open()
            .unwrap();
        let log = database
            .keyspace("log", fjall::KeyspaceCreateOptions::default)
            .unwrap();
        log.rotate_memtable_and_wait().unwrap();
    }
    let table = largest_table(folder);
    let mut bytes = std::fs::read(&table).unwrap();
    let place = bytes.len() / 4;
    bytes[place] ^= 1;
    std::fs::write(&table, bytes).unwrap();

    // As a store does that closes because writing has failed in the background, and nothing says
    // why.
    std::fs::write(folder.join("in-doubt"), "").unwrap();

    let store = EmbeddedStore::open(small(folder)).unwrap();
    let told: Vec<String> = store
        .corruptions()
        .iter()
        .map(|one| format!("{}: {}", one.position, one.reason))
        .collect();
    let told = told.join("\n");
    assert!(told.contains("table log: rows from key"), "{told}");
    assert!(
        told.contains("the damaged database is in set-aside/database-0"),
        "{told}"
    );
    assert!(folder.join("set-aside/database-0/keyspaces").is_dir());
    let kept = records(&store).await;
    assert!(
        kept < acknowledged && acknowledged - kept < ROWS_PER_ROUND,
        "{kept} of {acknowledged}: a block's rows"
    );
    let end = store.bounds(P0).await.unwrap().end;
    assert_eq!(
        store
            .append(P0, vec!["goes on".into()])
            .await
            .unwrap()
            .offsets,
        [end]
    );
    drop(store);

    let store = EmbeddedStore::open(small(folder)).unwrap();
    assert_eq!(store.corruptions(), [], "the damage is gone");
    assert_eq!(records(&store).await, kept + 1);
}
