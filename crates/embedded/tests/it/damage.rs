//! Rows that cannot be understood: they are told of and passed over, and everything else goes on.

use std::path::Path;

use minutehand_model::*;
use minutehand_ports::{CommandLog, ExecutionQueue, ExecutionSink, Timetable};

use crate::support::{done, id_of, open, queue, task, tick};

/// Flips a bit in the middle of the row with this number, beside the store.
fn damage(folder: &Path, table: &str, number: usize) {
    let database = fjall::Database::builder(folder.join("database"))
        .open()
        .unwrap();
    let table = database
        .keyspace(table, fjall::KeyspaceCreateOptions::default)
        .unwrap();
    let (key, value) = table.iter().nth(number).unwrap().into_inner().unwrap();
    let mut damaged = value.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    table.insert(key, damaged).unwrap();
    database.persist(fjall::PersistMode::SyncAll).unwrap();
}

const P0: PartitionId = PartitionId::own(0);

#[tokio::test]
async fn a_damaged_row_of_the_log_is_passed_over_with_its_offsets() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for row in 0..5 {
        store
            .append(
                P0,
                (0..10)
                    .map(|index| format!("{row}/{index}").into())
                    .collect(),
            )
            .await
            .unwrap();
    }
    drop(store);
    damage(folder.path(), "log", 1);
    damage(folder.path(), "log", 4);
    let store = open(folder.path());
    assert_eq!(
        store.bounds(P0).await.unwrap().end,
        LogOffset::at(50),
        "the last row's offsets are known though it is damaged"
    );
    for bytes_max in [1, 30, 100_000] {
        let (mut next, mut offsets) = (LogOffset::START, Vec::new());
        while next < LogOffset::at(50) {
            let batch = CommandLog::read(&*store, P0, next, bytes_max)
                .await
                .unwrap();
            offsets.extend(batch.records.iter().map(|record| record.offset.position()));
            assert!(batch.next > next);
            next = batch.next;
        }
        assert_eq!(offsets, (0..10).chain(20..40).collect::<Vec<_>>());
    }
    let positions: Vec<String> = store
        .corruptions()
        .into_iter()
        .map(|corruption| corruption.position)
        .collect();
    let expected = [
        "log of partition 0, row at offset 10",
        "log of partition 0, row at offset 40",
    ]
    .map(str::to_owned);
    assert_eq!(positions, expected);
    assert_eq!(
        store.append(P0, vec!["on".into()]).await.unwrap().offsets,
        [LogOffset::at(50)]
    );
}

#[tokio::test]
async fn a_damaged_batch_is_passed_over_and_the_queue_drains() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.open(P0, Epoch(1)).await.unwrap();
    for number in 1..=5 {
        let tasks = (0..4)
            .map(|index| task(&format!("t-{number}-{index}"), "mail", "x".into()))
            .collect();
        store
            .commit(tick(P0, Epoch(1), number, tasks))
            .await
            .unwrap();
    }
    drop(store);
    damage(folder.path(), "batches", 2);
    let store = open(folder.path());
    let name = queue("mail");
    let mut deliveries = Vec::new();
    while deliveries.len() < 16 {
        deliveries.extend(store.poll(&name, "workers", 100).await.unwrap());
    }
    let ids: Vec<String> = deliveries
        .iter()
        .map(|delivery| id_of(&delivery.encoded))
        .collect();
    let expected: Vec<String> = [1, 2, 4, 5]
        .iter()
        .flat_map(|tick| (0..4).map(move |index| format!("t-{tick}-{index}")))
        .collect();
    assert_eq!(ids, expected);
    store
        .settle(
            &name,
            "workers",
            deliveries
                .iter()
                .map(|delivery| done(delivery.id))
                .collect(),
        )
        .await
        .unwrap();
    assert_eq!(store.depth(&name, "workers").await.unwrap().waiting, 0);
    let corruptions = store.corruptions();
    assert_eq!(corruptions.len(), 1);
    assert_eq!(
        corruptions[0].position,
        "queue mail, partition 0, publications 8 to 11"
    );
}

#[tokio::test]
async fn a_damaged_block_is_set_aside_with_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = task("t", "mail", "x".into());
    let block = |offset: u64| Block {
        partition: P0,
        bucket: record.due.floor_to_minute(),
        first_offset: LogOffset::at(offset),
        last_offset: LogOffset::at(offset),
        entries: vec![TimetableEntry {
            key: record.key,
            due: record.due,
            offset: LogOffset::at(offset),
            appended_at: record.due,
            fact: Fact::Runs(record.clone()),
        }],
    };
    store
        .write_blocks((0..3).map(block).collect())
        .await
        .unwrap();
    drop(store);
    damage(folder.path(), "blocks", 1);
    let store = open(folder.path());
    let page = Timetable::read(
        &*store,
        P0.range(Timestamp::MIN, Timestamp::MAX),
        usize::MAX,
    )
    .await
    .unwrap();
    assert_eq!(
        page.entries
            .iter()
            .map(|entry| entry.offset.position())
            .collect::<Vec<_>>(),
        [0, 2]
    );
    assert_eq!(page.complete_until, Timestamp::MAX);
    assert_eq!(page.set_aside.len(), 1);
    assert!(
        page.set_aside[0].reason.contains("damaged"),
        "{}",
        page.set_aside[0].reason
    );
    assert!(
        page.set_aside[0].position.contains("offsets 1 to 1"),
        "{}",
        page.set_aside[0].position
    );
    assert_eq!(
        page.set_aside[0].bytes.len(),
        minutehand_record::block::encode(&block(1)).len()
    );
    let found = store.find(P0, record.key).await.unwrap();
    assert_eq!(
        found
            .iter()
            .map(|entry| entry.offset.position())
            .collect::<Vec<_>>(),
        [0, 2]
    );
}
