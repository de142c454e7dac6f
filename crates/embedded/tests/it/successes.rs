//! "Did my task run?": successes are remembered for a day, in brief, and not for ever.

use std::sync::Arc;

use minutehand_embedded::{Config, EmbeddedStore};
use minutehand_model::time::{DAY_MS, HOUR_MS};
use minutehand_model::*;
use minutehand_ports::{
    CommandLog, EndedQuery, ExecutionQueue, ExecutionSink, History, Settlement,
};

use crate::support::{TestClock, done, queue, rows, task, tick};

const P0: PartitionId = PartitionId::own(0);

fn success(number: u32, at: Timestamp) -> (TaskKey, Outcome) {
    let task = EndedTask {
        namespace: Namespace::parse("default").unwrap(),
        id: TaskId::parse(&format!("t{number}")).unwrap(),
        order_key: None,
        queue: queue("mail"),
    };
    let outcome = Outcome {
        execution: ExecutionId(u128::from(number)),
        attempt: 1,
        kind: OutcomeKind::Succeeded,
        detail: String::new(),
        due: at,
        started_at: at,
        ended_at: at.plus_millis(i64::from(number)),
        task: Some(Box::new(task)),
    };
    (TaskKey::of("default", &format!("t{number}")), outcome)
}

/// Runs tasks `numbers` and settles them as successes, all at once.
async fn run(
    store: &EmbeddedStore,
    tick_number: u64,
    numbers: std::ops::Range<u32>,
    at: Timestamp,
) {
    let tasks = numbers
        .clone()
        .map(|number| task(&format!("t{number}"), "mail", "x".into()))
        .collect();
    store
        .commit(tick(P0, Epoch(1), tick_number, tasks))
        .await
        .unwrap();
    let mut left = numbers;
    while !left.is_empty() {
        let deliveries = store.poll(&queue("mail"), "workers", 10_000).await.unwrap();
        let settle = |(delivery, number): (minutehand_ports::Delivery, u32)| Settlement {
            outcome: Some(success(number, at)),
            ..done(delivery.id)
        };
        let settlements = deliveries.into_iter().zip(&mut left).map(settle).collect();
        store
            .settle(&queue("mail"), "workers", settlements)
            .await
            .unwrap();
    }
}

async fn assert_known(store: &EmbeddedStore, numbers: impl Iterator<Item = u32>, at: Timestamp) {
    for number in numbers {
        let (key, outcome) = success(number, at);
        assert_eq!(store.outcomes(key).await.unwrap(), [outcome], "{number}");
    }
}

fn open(folder: &std::path::Path, clock: &TestClock) -> Arc<EmbeddedStore> {
    EmbeddedStore::open(Config {
        history_rows_max: 100_000,
        ..clock.config(folder)
    })
    .unwrap()
}

#[tokio::test]
async fn a_success_is_known_for_a_day_through_restarts() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::at(1_000));
    let at = Timestamp::from_millis(1_000);
    let mut store = open(folder.path(), &clock);
    store.open(P0, Epoch(1)).await.unwrap();
    // Enough for a run, and a tail behind it.
    for (number, range) in (1..).zip([0..1, 1..30_000, 30_000..50_000, 50_000..50_003]) {
        run(&store, number, range, at).await;
    }
    let asked = || {
        [0, 1, 2, 29_999, 30_000, 49_999, 50_000, 50_002]
            .into_iter()
            .chain((0..50_000).step_by(977))
    };
    assert_known(&store, asked(), at).await;
    drop(store);
    store = open(folder.path(), &clock);
    assert_known(&store, asked(), at).await;
    assert_eq!(
        store
            .outcomes(TaskKey::of("default", "unknown"))
            .await
            .unwrap(),
        []
    );
    store.open(P0, Epoch(1)).await.unwrap();
    run(&store, 5, 50_003..90_000, at).await;
    assert_known(&store, asked(), at).await;
    drop(store);
    assert!(
        rows(folder.path(), "success_runs") < 1_000,
        "some hundred entries in a row"
    );
    assert!(
        rows(folder.path(), "success_tail") < 10,
        "what became a run is removed"
    );
}

#[tokio::test]
async fn successes_are_forgotten_by_age_and_by_number() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::at(1_000));
    let few = Config {
        history_rows_max: 40_000,
        ..clock.config(folder.path())
    };
    let store = EmbeddedStore::open(few).unwrap();
    store.open(P0, Epoch(1)).await.unwrap();
    let at = Timestamp::from_millis(1_000);
    for (number, first) in (1..).zip((0..120_000).step_by(20_000)) {
        run(&store, number, first..first + 20_000, at).await;
    }
    let oldest = store.outcomes(success(0, at).0).await.unwrap();
    assert_eq!(oldest, [], "too many came after it");
    assert_known(&store, (90_000..120_000).step_by(1_001), at).await;
    clock.set(at.plus_millis(DAY_MS + HOUR_MS));
    for _ in 0..20 {
        store.append(P0, vec!["a commit".into()]).await.unwrap();
    }
    drop(store);
    assert_eq!(rows(folder.path(), "success_runs"), 0, "older than a day");
}

/// As many successes in brief as outcomes, and neither pushes the other out.
#[tokio::test]
async fn few_are_remembered_where_few_are_wanted() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::at(1_000));
    let few = || Config {
        history_rows_max: 2_000,
        ..clock.config(folder.path())
    };
    let store = EmbeddedStore::open(few()).unwrap();
    store.open(P0, Epoch(1)).await.unwrap();
    let at = Timestamp::from_millis(1_000);
    let failing = vec![task("failing", "mail", "x".into())];
    store.commit(tick(P0, Epoch(1), 1, failing)).await.unwrap();
    let (_, success_of_it) = success(0, at);
    let failure = Outcome {
        kind: OutcomeKind::Dead,
        ..success_of_it
    };
    let failing = TaskKey::of("default", "failing");
    let delivery = store.poll(&queue("mail"), "workers", 1).await.unwrap();
    let settlement = Settlement {
        outcome: Some((failing, failure.clone())),
        ..done(delivery[0].id)
    };
    let mail = queue("mail");
    let settled = store.settle(&mail, "workers", vec![settlement]);
    settled.await.unwrap();
    for (number, first) in (2..).zip((0..10_000).step_by(500)) {
        run(&store, number, first..first + 500, at).await;
    }
    assert_eq!(
        store.outcomes(failing).await.unwrap(),
        std::slice::from_ref(&failure)
    );
    assert_known(&store, (8_000..10_000).step_by(101), at).await;
    let known = listed(&store, 1_000).await.len();
    assert!((2_000..=3_500).contains(&known), "{known}");
    drop(store);
    let store = EmbeddedStore::open(few()).unwrap();
    assert_eq!(listed(&store, 1_000).await.len(), known);
    assert_eq!(store.outcomes(failing).await.unwrap(), [failure]);
}

#[tokio::test]
async fn a_retried_task_tells_its_failures_and_its_success_in_order() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::at(1_000));
    let store = open(folder.path(), &clock);
    store.open(P0, Epoch(1)).await.unwrap();
    let tasks = (0..2)
        .map(|number| task(&format!("t{number}"), "mail", "x".into()))
        .collect();
    store.commit(tick(P0, Epoch(1), 1, tasks)).await.unwrap();
    let (key, second) = success(7, Timestamp::from_millis(5_000));
    let first = Outcome {
        kind: OutcomeKind::Retried,
        detail: "HTTP 503".to_owned(),
        ended_at: Timestamp::from_millis(2_000),
        ..second.clone()
    };
    for outcome in [&first, &second] {
        let delivery = store
            .poll(&queue("mail"), "workers", 1)
            .await
            .unwrap()
            .remove(0);
        let settlement = Settlement {
            outcome: Some((key, outcome.clone())),
            ..done(delivery.id)
        };
        store
            .settle(&queue("mail"), "workers", vec![settlement])
            .await
            .unwrap();
    }
    assert_eq!(store.outcomes(key).await.unwrap(), [first, second]);
}

/// In pages, across the tail and the runs behind it, each once and the newest first.
#[tokio::test]
async fn what_succeeded_is_listed_through_tail_and_runs() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::at(1_000));
    let at = Timestamp::from_millis(1_000);
    let mut store = open(folder.path(), &clock);
    store.open(P0, Epoch(1)).await.unwrap();
    for (number, range) in (1..).zip([0..20_000, 20_000..40_000, 40_000..75_000, 75_000..75_003]) {
        run(&store, number, range, at).await;
    }
    for _ in 0..2 {
        let newest_first: Vec<String> = (0..75_003).rev().map(|n| format!("t{n}")).collect();
        assert_eq!(listed(&store, 1_000).await, newest_first);
        drop(store);
        store = open(folder.path(), &clock);
    }
}

async fn listed(store: &EmbeddedStore, count_max: usize) -> Vec<String> {
    let (mut ids, mut before) = (Vec::new(), None);
    loop {
        let page = store
            .ended(&EndedQuery {
                namespace: Namespace::parse("default").unwrap(),
                kind: OutcomeKind::Succeeded,
                queue: None,
                before,
                count_max,
            })
            .await
            .unwrap();
        let id = |(_, outcome): &(_, Outcome)| outcome.task.as_ref().unwrap().id.to_string();
        ids.extend(page.ended.iter().map(id));
        before = page.next;
        if before.is_none() {
            return ids;
        }
    }
}
