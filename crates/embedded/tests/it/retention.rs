//! What is forgotten, and what is not.

use minutehand_embedded::{Config, EmbeddedStore};
use minutehand_model::*;
use minutehand_ports::{CommandLog, ExecutionQueue, ExecutionSink, History, Settlement, Timetable};

use crate::support::{config, done, open, queue, rows, task, tick};

fn outcome(attempt: u32) -> Outcome {
    let at = Timestamp::from_millis(i64::from(attempt));
    Outcome {
        execution: ExecutionId(u128::from(attempt)),
        attempt,
        kind: OutcomeKind::Retried,
        detail: String::new(),
        due: at,
        started_at: at,
        ended_at: at,
        task: None,
    }
}

#[tokio::test]
async fn the_history_forgets_its_oldest_outcomes() {
    let folder = tempfile::tempdir().unwrap();
    let limited = || {
        EmbeddedStore::open(Config {
            history_rows_max: 10,
            ..config(folder.path())
        })
        .unwrap()
    };
    let mut store = limited();
    store.open(PartitionId::own(0), Epoch(1)).await.unwrap();
    let tasks = (0..40)
        .map(|index| task(&format!("t-{index}"), "mail", "x".into()))
        .collect();
    store
        .commit(tick(PartitionId::own(0), Epoch(1), 1, tasks))
        .await
        .unwrap();
    let key = TaskKey::of("default", "t");
    for attempt in 1..=40 {
        let delivery = store
            .poll(&queue("mail"), "workers", 1)
            .await
            .unwrap()
            .remove(0);
        let settlement = Settlement {
            outcome: Some((key, outcome(attempt))),
            ..done(delivery.id)
        };
        store
            .settle(&queue("mail"), "workers", vec![settlement])
            .await
            .unwrap();
        if attempt % 7 == 0 {
            drop(store);
            store = limited();
        }
    }
    let kept: Vec<u32> = store
        .outcomes(key)
        .await
        .unwrap()
        .into_iter()
        .map(|outcome| outcome.attempt)
        .collect();
    assert!((10..=11).contains(&kept.len()), "{kept:?}");
    assert_eq!(kept, (41 - kept.len() as u32..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_every_group_has_settled_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.open(PartitionId::own(0), Epoch(1)).await.unwrap();
    for number in 1..=10 {
        let tasks = (0..5)
            .map(|index| task(&format!("t-{number}-{index}"), "mail", "x".into()))
            .collect();
        store
            .commit(tick(PartitionId::own(0), Epoch(1), number, tasks))
            .await
            .unwrap();
    }
    let name = queue("mail");
    let slow = store.poll(&name, "slow", 1).await.unwrap();
    let deliveries = store.poll(&name, "quick", 100).await.unwrap();
    assert_eq!(deliveries.len(), 50);
    let all = deliveries
        .iter()
        .map(|delivery| done(delivery.id))
        .collect();
    store.settle(&name, "quick", all).await.unwrap();
    drop(store);
    assert_eq!(
        rows(folder.path(), "batches"),
        10,
        "the slow group needs them"
    );

    let store = open(folder.path());
    let first = store.poll(&name, "slow", 23).await.unwrap();
    assert_eq!(
        (first[0].id, &first[0].encoded),
        (slow[0].id, &slow[0].encoded)
    );
    store
        .settle(
            &name,
            "slow",
            first.iter().map(|delivery| done(delivery.id)).collect(),
        )
        .await
        .unwrap();
    drop(store);
    assert_eq!(
        rows(folder.path(), "batches"),
        6,
        "four batches of five lie below 23"
    );

    let store = open(folder.path());
    let rest = store.poll(&name, "slow", 100).await.unwrap();
    assert_eq!(rest.len(), 27);
    store
        .settle(
            &name,
            "slow",
            rest.iter().map(|delivery| done(delivery.id)).collect(),
        )
        .await
        .unwrap();
    drop(store);
    assert_eq!(rows(folder.path(), "batches"), 0);

    let store = open(folder.path());
    store
        .commit(tick(
            PartitionId::own(0),
            Epoch(1),
            11,
            vec![task("next", "mail", "x".into())],
        ))
        .await
        .unwrap();
    let next = store.poll(&name, "slow", 100).await.unwrap();
    assert_eq!(
        (next.len(), next[0].id.sequence),
        (1, 50),
        "sequences go on"
    );
}

#[tokio::test]
async fn truncated_and_expired_rows_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for _ in 0..20 {
        store
            .append(PartitionId::own(0), vec!["record".into(); 10])
            .await
            .unwrap();
    }
    store
        .truncate(PartitionId::own(0), LogOffset::at(95))
        .await
        .unwrap();
    assert_eq!(
        store.bounds(PartitionId::own(0)).await.unwrap().start,
        LogOffset::at(90)
    );
    let block = |minute: i64| {
        let due = Timestamp::from_millis(1_800_000_000_000 + 60_000 * minute);
        let record = minutehand_record::task::record(&Task {
            due,
            ..minutehand_record::task::decode(&task("t", "mail", "x".into()).encoded).unwrap()
        });
        let fact = Fact::Runs(record.clone());
        let offset = minute as u64;
        let entry = TimetableEntry {
            key: record.key,
            due,
            offset: LogOffset::at(offset),
            appended_at: due,
            fact,
        };
        let (first_offset, last_offset) = (offset, offset);
        Block {
            partition: PartitionId::own(0),
            bucket: due,
            first_offset: LogOffset::at(first_offset),
            last_offset: LogOffset::at(last_offset),
            entries: vec![entry],
        }
    };
    store
        .write_blocks((0..1_000).map(block).collect())
        .await
        .unwrap();
    let before = Timestamp::from_millis(1_800_000_000_000 + 60_000 * 990 + 59_999);
    store.expire(PartitionId::own(0), before).await.unwrap();
    drop(store);
    assert_eq!(rows(folder.path(), "log"), 11);
    for table in ["blocks", "block_loads", "task_index"] {
        assert_eq!(rows(folder.path(), table), 10, "{table}");
    }
}
