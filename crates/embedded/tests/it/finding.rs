//! A task is found by its due time whether the index knows it or not: owners decide by the answer.

use minutehand_embedded::{Config, EmbeddedStore};
use minutehand_model::*;
use minutehand_ports::Timetable;

use crate::support::{config, open, task};

const P0: PartitionId = PartitionId::own(0);

fn block(task: &TaskRecord, offset: u64, fact: Fact) -> Block {
    let entry = TimetableEntry {
        key: task.key,
        due: task.due,
        offset: LogOffset::at(offset),
        appended_at: Timestamp::from_millis(1),
        fact,
    };
    Block {
        partition: P0,
        bucket: task.due.floor_to_minute(),
        first_offset: LogOffset::at(offset),
        last_offset: LogOffset::at(offset),
        entries: vec![entry],
    }
}

#[tokio::test]
async fn tasks_written_without_the_index_are_found_by_due_time() {
    let folder = tempfile::tempdir().unwrap();
    let task = task("task", "mail", "run".into());
    let found = async |store: &EmbeddedStore| {
        let entries = store.find_due(P0, task.key, task.due).await.unwrap();
        entries
            .iter()
            .map(|entry| entry.offset.position())
            .collect::<Vec<_>>()
    };
    let store = open(folder.path());
    store
        .write_blocks(vec![block(&task, 3, Fact::Runs(task.clone()))])
        .await
        .unwrap();
    assert_eq!(found(&store).await, [3]);
    drop(store);
    let without = Config {
        task_index: false,
        ..config(folder.path())
    };
    let store = EmbeddedStore::open(without).unwrap();
    store
        .write_blocks(vec![block(&task, 5, Fact::Void)])
        .await
        .unwrap();
    assert_eq!(found(&store).await, [3, 5]);
    drop(store);
    assert_eq!(
        found(&open(folder.path())).await,
        [3, 5],
        "the index is on again, and lacks the void"
    );
}
