//! Who may open a folder, and what is said otherwise.

use std::sync::Arc;

use minutehand_embedded::{Config, EmbeddedStore, Health, OpenError};
use minutehand_model::{LogOffset, PartitionId, Timestamp};
use minutehand_ports::{CommandLog, ErrorClass, ExecutionQueue};

use crate::support::{config, open, queue};

#[test]
fn a_folder_belongs_to_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let error = EmbeddedStore::open(config(folder.path())).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    let expected = format!(
        "the data folder {} is in use by another process; stop that one, or give this one its own folder",
        folder.path().display()
    );
    assert_eq!(error.to_string(), expected);
    drop(first);
    open(folder.path());
}

#[test]
fn the_count_of_partitions_is_fixed() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let error = EmbeddedStore::open(Config {
        partitions: 8,
        ..config(folder.path())
    })
    .unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::PartitionsChanged {
                stored: 3,
                given: 8,
                ..
            }
        ),
        "{error}"
    );
    for partitions in [0, 1_000_000] {
        let error = EmbeddedStore::open(Config {
            partitions,
            ..config(folder.path())
        })
        .unwrap_err();
        let expected = format!("partitions is {partitions}; it must be between 1 and 4096");
        assert_eq!(error.to_string(), expected);
    }
    open(folder.path());
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "not a folder").unwrap();
    let error = EmbeddedStore::open(config(&file)).unwrap_err();
    assert!(
        error.to_string().contains(&file.display().to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn a_closed_store_says_so_and_goes_on_reading() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let waiting = Arc::clone(&store);
    let poll = tokio::spawn(async move { waiting.poll(&queue("mail"), "workers", 1).await });
    store
        .append(PartitionId::own(0), vec!["kept".into()])
        .await
        .unwrap();
    assert_eq!(store.health(), Health::Open);
    store.close();
    assert_eq!(
        poll.await.unwrap().unwrap_err().class,
        ErrorClass::Fatal,
        "a waiting poll ends"
    );
    let error = store
        .append(PartitionId::own(0), vec!["refused".into()])
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Fatal);
    assert!(
        error
            .to_string()
            .contains(&folder.path().display().to_string()),
        "{error}"
    );
    assert!(matches!(store.health(), Health::ReadOnly { .. }));
    let batch = CommandLog::read(&*store, PartitionId::own(0), LogOffset::START, 1_000)
        .await
        .unwrap();
    assert_eq!(batch.records.len(), 1);
}

#[tokio::test]
async fn a_partition_that_does_not_exist_is_refused_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let error = store
        .append(PartitionId::own(3), vec!["x".into()])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not append 1 records to the log of partition 3: there is no partition 3; the store has 3"
    );
    let error = minutehand_ports::Timetable::expire(&*store, PartitionId::own(9), Timestamp::MAX)
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Fatal);
}
