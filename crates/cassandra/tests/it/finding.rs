//! Finding tasks, and reading ranges that are mostly empty.

use minutehand_cassandra::CassandraConfig;
use minutehand_model::*;
use minutehand_ports::{ErrorClass, Timetable};

use crate::support::{MINUTE, P0, at, block, connect, entry, fresh_region, key, offsets};

#[tokio::test]
async fn tasks_are_found_whatever_the_size_of_their_write() {
    let store = connect(&fresh_region().await).await;
    let mut offset = 0;
    for (write, count) in [1_usize, 60, 600, 5_000].into_iter().enumerate() {
        let entries = |minute: i64| {
            let due = at(MINUTE + minute * 60_000 + write as i64);
            (0..count).map(move |index| (format!("t-{write}-{index}"), due))
        };
        let mut blocks = Vec::new();
        for minute in 0..2 {
            for some in entries(minute).collect::<Vec<_>>().chunks(500) {
                let mut filed = Vec::new();
                for (id, due) in some {
                    filed.push(entry(id, *due, offset));
                    offset += 1;
                }
                blocks.push(block(filed));
            }
        }
        store.write_blocks(blocks).await.unwrap();
    }
    for (write, count) in [1, 60, 600, 5_000].into_iter().enumerate() {
        for index in [0, count / 2, count - 1] {
            let found = store.find(P0, key(&format!("t-{write}-{index}"))).await.unwrap();
            let dues: Vec<i64> = found.iter().map(|entry| entry.due.as_millis()).collect();
            let first = MINUTE + write as i64;
            assert_eq!(dues, [first, first + 60_000], "task {index} of {count}");
        }
    }
    assert_eq!(store.find(P0, key("t-3-5000")).await.unwrap(), []);
}

#[tokio::test]
async fn tasks_are_found_in_every_year() {
    let store = connect(&fresh_region().await).await;
    let dues = [at(-62_167_219_200_000), at(0), at(MINUTE), Timestamp::END_OF_YEAR_9999];
    let facts: Vec<TimetableEntry> = (1..).zip(dues).map(|(offset, due)| entry("t", due, offset)).collect();
    store.write_blocks(facts.iter().map(|fact| block(vec![fact.clone()])).collect()).await.unwrap();
    assert_eq!(store.find(P0, key("t")).await.unwrap(), facts);
    let before = store.pages_fetched();
    for fact in &facts {
        assert_eq!(store.find_due(P0, key("t"), fact.due).await.unwrap(), std::slice::from_ref(fact));
    }
    assert_eq!(store.pages_fetched() - before, 4 * 3, "the day, its index and the block");
    let page = store.read(P0, Timestamp::MIN, Timestamp::MAX, usize::MAX).await.unwrap();
    assert_eq!((offsets(&page), page.complete_until), (vec![1, 2, 3, 4], Timestamp::MAX));
}

#[tokio::test]
async fn without_an_index_nothing_is_searched() {
    let config = CassandraConfig { task_index: false, ..fresh_region().await };
    let store = connect(&config).await;
    store.write_blocks(vec![block(vec![entry("t", at(MINUTE), 1)])]).await.unwrap();
    let error = store.find(P0, key("t")).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Fatal);
    assert!(error.reason.contains("cassandra.task_index"), "{}", error.reason);
    let page = store.read(P0, Timestamp::MIN, Timestamp::MAX, usize::MAX).await.unwrap();
    assert_eq!(offsets(&page), [1], "everything else is as it was");
}

#[tokio::test]
async fn a_read_of_all_time_asks_only_for_minutes_that_exist() {
    let config = fresh_region().await;
    let store = connect(&config).await;
    let dues = [0, 1, 40, 400].map(|days| at(MINUTE + days * time::DAY_MS));
    store
        .write_blocks((1..).zip(dues).map(|(offset, due)| block(vec![entry("t", due, offset)])).collect())
        .await
        .unwrap();
    let store = connect(&config).await;
    let page = store.read(P0, Timestamp::MIN, Timestamp::MAX, usize::MAX).await.unwrap();
    assert_eq!(offsets(&page), [1, 2, 3, 4]);
    // The days; then, for each of four, its slices and the one slice that has blocks.
    assert_eq!(store.pages_fetched(), 1 + 4 + 4);
    let nothing = store.read(P0, Timestamp::MIN, at(MINUTE), usize::MAX).await.unwrap();
    assert_eq!(nothing.entries, []);
    assert_eq!(store.pages_fetched(), 9 + 2, "the days, and the slices of the one that the range ends in");
}

#[tokio::test]
async fn a_minute_is_read_second_by_second() {
    let config = fresh_region().await;
    let store = connect(&config).await;
    let one = |index: i64| block(vec![entry(&format!("t-{index}"), at(MINUTE + 100 * index), index as u64)]);
    store.write_blocks((0..600).map(one).collect()).await.unwrap();
    let before = store.pages_fetched();
    let page = store.read(P0, at(MINUTE + 30_000), at(MINUTE + 31_000), usize::MAX).await.unwrap();
    assert_eq!(offsets(&page), (300..310).collect::<Vec<_>>());
    assert_eq!(store.pages_fetched() - before, 2, "the minute's slices, and one of them");
    let (mut from, mut seen) = (at(MINUTE), Vec::new());
    while from < at(MINUTE + 60_000) {
        let page = store.read(P0, from, at(MINUTE + 60_000), 4_000).await.unwrap();
        assert!(page.complete_until > from);
        seen.extend(page.entries.iter().map(|entry| entry.offset.position()));
        from = page.complete_until;
    }
    assert_eq!(seen, (0..600).collect::<Vec<_>>(), "in order, each once");
}
