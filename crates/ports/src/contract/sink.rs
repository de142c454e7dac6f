//! The execution sink.

use std::collections::VecDeque;

use minutehand_model::{
    Command, Epoch, LogOffset, ScheduleState, ScheduleStateChange, SetAside, StopRequest, Tick,
    WaitingRun,
};

use super::samples::{
    MINUTE, P0, P1, at, await_log, drain, finds_nothing, key, keys_of, named, namespace, payloads,
    queue, read_log, records, schedule, task_record, tick, watched_end,
};
use super::{Harness, Stores, refused};
use crate::ErrorClass;

fn state(runs_started: u64) -> ScheduleState {
    ScheduleState {
        runs_started,
        buffered: VecDeque::from([WaitingRun::of_calendar(at(MINUTE))]),
        ..ScheduleState::default()
    }
}

fn change(name: &str, state: Option<ScheduleState>) -> ScheduleStateChange {
    ScheduleStateChange {
        namespace: namespace(),
        schedule: schedule(name),
        state,
    }
}

/// A tick with something of everything.
fn full_tick(epoch: Epoch, number: u64) -> Tick {
    let tasks = vec![
        task_record("t-0", "mail", at(MINUTE)),
        task_record("other", "reports", at(MINUTE)),
        task_record("t-1", "mail", at(MINUTE + 1)),
    ];
    Tick {
        stops: vec![StopRequest {
            queue: queue("mail"),
            key: key("stopped"),
            due: at(MINUTE),
            kill: true,
        }],
        derived: vec![Command::Cancel {
            key: key("derived"),
            due: at(MINUTE),
        }],
        schedule_states: vec![change("nightly", Some(state(number)))],
        set_aside: vec![SetAside::new(
            "log offset 17".to_owned(),
            "unknown kind 99".to_owned(),
            "bytes".into(),
        )],
        ..tick(P0, epoch, number, tasks)
    }
}

/// Nothing of [`full_tick`] is to be seen.
async fn assert_nothing_happened(stores: &Stores) {
    assert!(finds_nothing(stores, "mail", "workers").await);
    assert!(finds_nothing(stores, "reports", "workers").await);
    assert!(read_log(stores, P0, LogOffset::START).await.is_empty());
    assert!(stores.queue.queues().await.unwrap().is_empty());
}

/// A new partition starts from nothing.
pub async fn a_partition_never_owned_has_no_checkpoint(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.log.append(P0, records(4)).await.unwrap();
    let opened = stores.sink.open(P0, Epoch(1)).await.unwrap();
    assert_eq!(opened.checkpoint, None);
    assert_eq!(opened.schedule_states, []);
    assert_eq!(opened.log_end, LogOffset::at(4));
}

/// Publications, stop requests, derived records and states appear with the tick.
pub async fn a_tick_is_visible_in_all_its_parts(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.sink.open(P0, Epoch(1)).await.unwrap();
    let mut stops = stores.queue.stops(&queue("mail"));
    let tick = full_tick(Epoch(1), 1);
    let committed = stores.sink.commit(tick.clone()).await.unwrap();
    assert_eq!((committed.refused, committed.postponed), (0, 0));
    assert_eq!(
        keys_of(&drain(&stores, "mail", "workers", 2).await),
        named("t", 0..2)
    );
    assert_eq!(
        keys_of(&drain(&stores, "reports", "workers", 1).await),
        [key("other")]
    );
    let stop = stops.recv().await.unwrap();
    assert_eq!(
        (stop.key, stop.due, stop.kill),
        (key("stopped"), at(MINUTE), true)
    );
    let derived = minutehand_record::command::encode(&tick.derived[0]);
    let log = await_log(&stores, P0, 1).await;
    assert_eq!(
        committed.derived_end,
        log.last().map(|record| record.offset.next())
    );
    assert_eq!(payloads(&log), [derived]);
    let log_end = watched_end(&stores, P0).await;
    assert!(log_end >= LogOffset::at(1));
    let opened = stores.sink.open(P0, Epoch(1)).await.unwrap();
    assert_eq!(opened.checkpoint, Some(tick.checkpoint));
    assert_eq!(
        opened.schedule_states,
        [(namespace(), schedule("nightly"), state(1))]
    );
    assert_eq!(opened.log_end, log_end);
}

/// A later owner goes on from the last commit of an earlier one.
pub async fn the_next_owner_finds_the_last_tick(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.sink.open(P0, Epoch(4)).await.unwrap();
    for number in 1..=3 {
        stores
            .sink
            .commit(tick(P0, Epoch(4), number, Vec::new()))
            .await
            .unwrap();
    }
    let opened = stores.sink.open(P0, Epoch(9)).await.unwrap();
    assert_eq!(
        opened.checkpoint,
        Some(tick(P0, Epoch(4), 3, Vec::new()).checkpoint)
    );
    stores
        .sink
        .commit(tick(P0, Epoch(9), 4, Vec::new()))
        .await
        .unwrap();
}

/// An owner that was overtaken commits nothing more.
pub async fn opening_fences_lower_epochs(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.sink.open(P0, Epoch(1)).await.unwrap();
    stores.sink.open(P0, Epoch(2)).await.unwrap();
    assert_eq!(
        refused(stores.sink.commit(full_tick(Epoch(1), 1)).await),
        ErrorClass::Fenced
    );
    assert_nothing_happened(&stores).await;
    stores.sink.commit(full_tick(Epoch(2), 1)).await.unwrap();
    stores.sink.open(P1, Epoch(1)).await.unwrap();
}

/// An epoch that is behind does not even open, also after a restart.
pub async fn a_lower_epoch_cannot_open(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.sink.open(P0, Epoch(5)).await.unwrap();
    assert_eq!(
        refused(stores.sink.open(P0, Epoch(4)).await),
        ErrorClass::Fenced
    );
    let stores = harness.reopen(stores).await;
    assert_eq!(
        refused(stores.sink.open(P0, Epoch(4)).await),
        ErrorClass::Fenced
    );
    stores.sink.open(P0, Epoch(5)).await.unwrap();
}

/// A number that skips one is refused, and nothing of the tick is done.
pub async fn a_hole_in_the_numbers_is_fenced_without_effect(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.sink.open(P0, Epoch(1)).await.unwrap();
    for number in [0, 2, 7] {
        assert_eq!(
            refused(stores.sink.commit(full_tick(Epoch(1), number)).await),
            ErrorClass::Fenced
        );
    }
    assert_nothing_happened(&stores).await;
    stores.sink.commit(full_tick(Epoch(1), 1)).await.unwrap();
    assert_eq!(drain(&stores, "mail", "workers", 2).await.len(), 2);
}

/// The same number twice is one tick.
pub async fn a_repeated_tick_is_fenced_without_effect(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.sink.open(P0, Epoch(1)).await.unwrap();
    stores.sink.commit(full_tick(Epoch(1), 1)).await.unwrap();
    assert_eq!(
        refused(stores.sink.commit(full_tick(Epoch(1), 1)).await),
        ErrorClass::Fenced
    );
    assert_eq!(drain(&stores, "mail", "workers", 2).await.len(), 2);
    assert!(finds_nothing(&stores, "mail", "workers").await);
    assert_eq!(await_log(&stores, P0, 1).await.len(), 1);
}

/// A fenced tick leaves no trace, also not after a restart.
pub async fn a_fenced_tick_has_no_effect_at_all(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.sink.open(P0, Epoch(3)).await.unwrap();
    assert_eq!(
        refused(stores.sink.commit(full_tick(Epoch(2), 1)).await),
        ErrorClass::Fenced
    );
    let stores = harness.reopen(stores).await;
    assert_nothing_happened(&stores).await;
    let opened = stores.sink.open(P0, Epoch(3)).await.unwrap();
    assert_eq!(
        (opened.checkpoint, opened.schedule_states, opened.log_end),
        (None, vec![], LogOffset::START)
    );
}

/// The states of schedules are what the ticks left, in order of namespace and id.
pub async fn schedule_states_are_replaced_and_removed(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.sink.open(P0, Epoch(1)).await.unwrap();
    let changes = [
        vec![
            change("b", Some(state(1))),
            change("a", Some(state(2))),
            change("c", Some(state(3))),
        ],
        vec![change("b", Some(state(9))), change("c", None)],
    ];
    for (number, schedule_states) in (1..).zip(changes) {
        let tick = Tick {
            schedule_states,
            ..tick(P0, Epoch(1), number, Vec::new())
        };
        stores.sink.commit(tick).await.unwrap();
    }
    let expected = [
        (namespace(), schedule("a"), state(2)),
        (namespace(), schedule("b"), state(9)),
    ];
    let stores = harness.reopen(stores).await;
    assert_eq!(
        stores
            .sink
            .open(P0, Epoch(2))
            .await
            .unwrap()
            .schedule_states,
        expected
    );
    assert_eq!(
        stores
            .sink
            .open(P1, Epoch(2))
            .await
            .unwrap()
            .schedule_states,
        [],
        "partitions are apart"
    );
}

/// A committed tick is durable in all its parts.
pub async fn everything_is_there_after_a_restart(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.sink.open(P0, Epoch(1)).await.unwrap();
    stores.sink.commit(full_tick(Epoch(1), 1)).await.unwrap();
    let stores = harness.reopen(stores).await;
    let opened = stores.sink.open(P0, Epoch(2)).await.unwrap();
    assert_eq!(opened.checkpoint, Some(full_tick(Epoch(1), 1).checkpoint));
    assert_eq!(
        opened.schedule_states,
        [(namespace(), schedule("nightly"), state(1))]
    );
    assert_eq!(await_log(&stores, P0, 1).await.len(), 1);
    assert_eq!(opened.log_end, watched_end(&stores, P0).await);
    assert_eq!(
        keys_of(&drain(&stores, "mail", "workers", 2).await),
        named("t", 0..2)
    );
    stores.sink.commit(full_tick(Epoch(2), 2)).await.unwrap();
    assert_eq!(drain(&stores, "mail", "workers", 2).await.len(), 2);
}

/// A tick may carry nothing but its checkpoint.
pub async fn a_bare_tick_publishes_nothing(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.sink.open(P0, Epoch(1)).await.unwrap();
    stores
        .sink
        .commit(tick(P0, Epoch(1), 1, Vec::new()))
        .await
        .unwrap();
    assert_nothing_happened(&stores).await;
    assert_eq!(
        stores
            .sink
            .open(P0, Epoch(1))
            .await
            .unwrap()
            .checkpoint
            .unwrap()
            .tick,
        1
    );
}
