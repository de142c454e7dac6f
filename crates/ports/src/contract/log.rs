//! The command log.

use minutehand_model::LogOffset;

use super::samples::{P0, P1, at, payloads, read_log, records, watched_end};
use super::{Harness, refused};
use crate::ErrorClass;

const fn nth(position: u64) -> LogOffset {
    LogOffset::at(position)
}

/// The records of an append get consecutive offsets, and so do those of the next.
pub async fn offsets_follow_each_other_without_holes(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let bounds = stores.log.bounds(P0).await.unwrap();
    assert_eq!(bounds.start, bounds.end, "a new log is empty");
    let first = stores.log.append(P0, records(3)).await.unwrap();
    let second = stores.log.append(P0, records(2)).await.unwrap();
    assert_eq!(first.offsets, bounds.end.following(3).collect::<Vec<_>>());
    assert_eq!(
        second.offsets,
        bounds.end.plus(3).following(2).collect::<Vec<_>>()
    );
    assert_eq!(second.end(), Some(stores.log.bounds(P0).await.unwrap().end));
    let read = read_log(&stores, P0, bounds.end).await;
    let offsets: Vec<LogOffset> = read.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [first.offsets, second.offsets].concat());
    assert_eq!(payloads(&read), [records(3), records(2)].concat());
    assert_eq!(read[2].appended_at, first.appended_at);
}

/// What callers append at the same time is told apart, and each keeps its order.
pub async fn appends_of_many_callers_are_told_apart(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let callers = (0..40_usize).map(|caller| {
        let log = std::sync::Arc::clone(&stores.log);
        tokio::spawn(async move {
            let records = (0..caller % 5 + 1)
                .map(|index| format!("{caller}/{index}").into())
                .collect();
            (caller, log.append(P0, records).await.unwrap().offsets)
        })
    });
    let mut all = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        all.push(caller.await.unwrap());
    }
    let read = read_log(&stores, P0, nth(0)).await;
    for (caller, offsets) in all {
        assert_eq!(offsets.len(), caller % 5 + 1);
        assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]));
        for (index, offset) in offsets.into_iter().enumerate() {
            let record = read.iter().find(|record| record.offset == offset).unwrap();
            assert_eq!(record.payload, format!("{caller}/{index}"));
        }
    }
    assert!(
        read.windows(2)
            .all(|pair| pair[0].appended_at <= pair[1].appended_at)
    );
}

/// No records, no change.
pub async fn an_append_of_nothing_changes_nothing(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.log.append(P0, records(2)).await.unwrap();
    let bounds = stores.log.bounds(P0).await.unwrap();
    assert_eq!(stores.log.append(P0, Vec::new()).await.unwrap().offsets, []);
    assert_eq!(stores.log.bounds(P0).await.unwrap(), bounds);
}

/// `appended_at` never goes back within a partition, though the clock does, and a restart lies
/// between.
pub async fn time_never_goes_back(harness: &dyn Harness) {
    let mut stores = harness.fresh().await;
    let mut last = None;
    for ms in [5_000, 4_000, 9_000, 1_000] {
        harness.set_clock(&stores, at(ms));
        let appended = stores.log.append(P0, records(1)).await.unwrap();
        assert!(last.is_none_or(|last| last <= appended.appended_at));
        last = Some(appended.appended_at);
        if ms == 9_000 {
            stores = harness.reopen(stores).await;
        }
    }
    if harness.set_clock(&stores, at(20_000)) {
        assert_eq!(last, Some(at(9_000)));
        assert_eq!(
            stores.log.append(P0, records(1)).await.unwrap().appended_at,
            at(20_000)
        );
    }
}

/// A read gives at least one record, about as many bytes as were asked for, and says where to go
/// on.
pub async fn a_read_takes_about_what_was_asked_for_and_goes_on(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    for _ in 0..5 {
        stores
            .log
            .append(P0, vec![vec![b'x'; 1_000].into(); 20])
            .await
            .unwrap();
    }
    let one = stores.log.read(P0, nth(0), 0).await.unwrap();
    assert!(!one.records.is_empty() && one.records.len() < 100);
    assert_eq!(one.end, nth(100));
    let some = stores.log.read(P0, nth(33), 10_000).await.unwrap();
    assert_eq!(some.records[0].offset, nth(33));
    assert!(
        (5..60).contains(&some.records.len()),
        "{} records",
        some.records.len()
    );
    assert_eq!(some.next, some.records.last().unwrap().offset.next());
    assert_eq!(read_log(&stores, P0, nth(33)).await.len(), 67);
    let all = stores.log.read(P0, nth(0), usize::MAX).await.unwrap();
    assert_eq!(
        (all.records.len(), all.next, all.end),
        (100, nth(100), nth(100))
    );
    let empties = stores
        .log
        .append(P0, vec![bytes::Bytes::new(); 1_000])
        .await
        .unwrap();
    assert_eq!(
        read_log(&stores, P0, empties.offsets[0]).await.len(),
        1_000,
        "records without a byte count too"
    );
}

/// At the end there is nothing, and it is not an error.
pub async fn a_read_at_the_end_is_empty(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let empty = stores.log.read(P0, nth(0), 1_000).await.unwrap();
    assert_eq!(
        (empty.records.len(), empty.next, empty.end),
        (0, nth(0), nth(0))
    );
    stores.log.append(P0, records(4)).await.unwrap();
    let end = stores.log.read(P0, nth(4), 1_000).await.unwrap();
    assert_eq!((end.records.len(), end.next, end.end), (0, nth(4), nth(4)));
}

/// What has been forgotten is not passed over in silence.
pub async fn a_read_below_the_start_is_fatal(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    for _ in 0..10 {
        stores.log.append(P0, records(10)).await.unwrap();
    }
    stores.log.truncate(P0, nth(55)).await.unwrap();
    let bounds = stores.log.bounds(P0).await.unwrap();
    assert!(bounds.start <= nth(55));
    if let Some(below) = bounds.start.preceding() {
        assert_eq!(
            refused(stores.log.read(P0, below, 100).await),
            ErrorClass::Fatal
        );
    }
    assert_eq!(
        read_log(&stores, P0, bounds.start).await[0].offset,
        bounds.start
    );
}

/// A truncation takes nothing at or above its offset, and may be repeated.
pub async fn what_lies_at_or_above_a_truncation_stays(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    for _ in 0..10 {
        stores.log.append(P0, records(10)).await.unwrap();
    }
    for below in [1, 10, 37, 37, 12, 60] {
        stores.log.truncate(P0, nth(below)).await.unwrap();
        let read = read_log(&stores, P0, nth(60)).await;
        assert_eq!((read[0].offset, read.len()), (nth(60), 40));
    }
    assert!(stores.log.bounds(P0).await.unwrap().start <= nth(60));
}

/// Offsets are never given twice, though everything was forgotten.
pub async fn a_truncated_log_goes_on_where_it_ended(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let last = stores.log.append(P0, records(10)).await.unwrap();
    stores.log.truncate(P0, nth(10)).await.unwrap();
    let stores = harness.reopen(stores).await;
    let bounds = stores.log.bounds(P0).await.unwrap();
    assert!(bounds.start <= nth(10));
    assert_eq!(bounds.end, nth(10));
    let next = stores.log.append(P0, records(1)).await.unwrap();
    assert_eq!(next.offsets, [nth(10)]);
    assert!(next.appended_at >= last.appended_at);
    assert_eq!(payloads(&read_log(&stores, P0, nth(10)).await), records(1));
}

/// The watched end moves with every append.
pub async fn the_end_can_be_awaited(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let mut end = stores.log.watch_end(P0);
    assert_eq!(*end.borrow_and_update(), nth(0));
    let log = std::sync::Arc::clone(&stores.log);
    let appended = tokio::spawn(async move { log.append(P0, records(3)).await.unwrap() });
    while *end.borrow_and_update() < nth(3) {
        end.changed().await.unwrap();
    }
    appended.await.unwrap();
    assert_eq!(
        stores
            .log
            .read(P0, nth(0), 1_000)
            .await
            .unwrap()
            .records
            .len(),
        3,
        "what is announced can be read"
    );
    assert_eq!(*stores.log.watch_end(P0).borrow(), nth(3));
}

/// What one partition's log holds, another's does not.
pub async fn partitions_are_apart(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    stores.log.append(P0, records(3)).await.unwrap();
    assert_eq!(
        stores.log.append(P1, records(1)).await.unwrap().offsets,
        [nth(0)]
    );
    assert_eq!(read_log(&stores, P1, nth(0)).await.len(), 1);
    stores.log.truncate(P0, nth(3)).await.unwrap();
    assert_eq!(read_log(&stores, P1, nth(0)).await.len(), 1);
}

/// Acknowledged is durable.
pub async fn everything_is_there_after_a_restart(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    for count in 1..20 {
        stores.log.append(P0, records(count)).await.unwrap();
    }
    let before = read_log(&stores, P0, nth(0)).await;
    let bounds = stores.log.bounds(P0).await.unwrap();
    let stores = harness.reopen(stores).await;
    assert_eq!(read_log(&stores, P0, nth(0)).await, before);
    assert_eq!(stores.log.bounds(P0).await.unwrap(), bounds);
    assert_eq!(watched_end(&stores, P0).await, bounds.end);
    assert_eq!(read_log(&stores, P0, nth(100)).await, before[100..]);
    assert_eq!(
        stores.log.append(P0, records(1)).await.unwrap().offsets,
        [bounds.end]
    );
}
