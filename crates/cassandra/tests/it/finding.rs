//! Finding tasks, and reading ranges that are mostly empty.

use minutehand_cassandra::{CassandraConfig, CassandraTimetable};
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
            let found = store
                .find(P0, key(&format!("t-{write}-{index}")))
                .await
                .unwrap();
            let dues: Vec<i64> = found.iter().map(|entry| entry.due.as_millis()).collect();
            let first = MINUTE + write as i64;
            assert_eq!(dues, [first, first + 60_000], "task {index} of {count}");
        }
    }
    assert_eq!(store.find(P0, key("t-3-5000")).await.unwrap(), []);
}

/// The id of a task in a write, and when it is due.
fn small(write: usize, index: usize) -> (String, Timestamp) {
    (
        format!("t-{write}-{index}"),
        at(MINUTE + 60_000 * (write % 7) as i64 + index as i64),
    )
}

async fn write_small(store: &CassandraTimetable, write: usize) {
    let facts = (0..3).map(|index| {
        let (id, due) = small(write, index);
        entry(&id, due, (3 * write + index) as u64)
    });
    store
        .write_blocks(vec![block(facts.collect())])
        .await
        .unwrap();
}

async fn assert_all_are_found(store: &CassandraTimetable, writes: std::ops::Range<usize>) {
    for write in writes {
        for index in 0..3 {
            let (id, due) = small(write, index);
            let found = store.find_due(P0, key(&id), due).await.unwrap();
            assert_eq!(found.len(), 1, "{id}");
        }
    }
}

#[tokio::test]
async fn what_a_look_up_reads_does_not_grow_with_the_day() {
    let store = connect(&fresh_region().await).await;
    for write in 0..600 {
        write_small(&store, write).await;
    }
    assert_all_are_found(&store, 0..600).await;
    let (id, due) = small(450, 1);
    let before = store.index_rows_read();
    assert_eq!(store.find_due(P0, key(&id), due).await.unwrap().len(), 1);
    let read = store.index_rows_read() - before;
    assert!(
        read <= 2 * 64 + 64,
        "{read} rows of the index for one task among 1,800 in 600 writes"
    );
    assert_eq!(store.find(P0, key("t-600-0")).await.unwrap(), []);
}

#[tokio::test]
async fn owners_in_turn_merge_what_the_others_filed() {
    let config = fresh_region().await;
    let (one, other) = (connect(&config).await, connect(&config).await);
    for turn in 0..12 {
        let owner = if turn % 2 == 0 { &one } else { &other };
        owner.read_revisions(P0).await.unwrap();
        for write in turn * 15..(turn + 1) * 15 {
            write_small(owner, write).await;
        }
    }
    assert_all_are_found(&one, 0..180).await;
    assert_all_are_found(&other, 0..180).await;
    let before = one.index_rows_read();
    let (id, due) = small(3, 0);
    one.find_due(P0, key(&id), due).await.unwrap();
    let read = one.index_rows_read() - before;
    assert!(read <= 2 * 64 + 8 * 15, "{read} rows of the index");
}

/// An owner that was superseded goes on merging, beside its successor, for as long as it likes.
#[tokio::test]
async fn two_owners_that_merge_at_once_lose_nothing() {
    let config = fresh_region().await;
    let (stale, owner) = (connect(&config).await, connect(&config).await);
    for write in 0..120 {
        write_small(&stale, write).await;
    }
    owner.read_revisions(P0).await.unwrap();
    let stale_writes = async {
        for write in 1_000..1_200 {
            write_small(&stale, write).await;
        }
    };
    let owned_writes = async {
        for write in 120..420 {
            write_small(&owner, write).await;
        }
    };
    futures::join!(stale_writes, owned_writes);
    assert_all_are_found(&owner, 0..420).await;
    assert_all_are_found(&owner, 1_000..1_200).await;
}

/// Writes one task that is due then, and looks it up through another store.
async fn assert_is_found(writer: &CassandraTimetable, reader: &CassandraTimetable, due: Timestamp) {
    let id = format!("late-{}", due.as_millis());
    let fact = entry(&id, due, due.as_millis() as u64);
    writer.write_blocks(vec![block(vec![fact])]).await.unwrap();
    let found = reader.find_due(P0, key(&id), due).await.unwrap();
    assert_eq!(found.len(), 1, "{id}");
}

/// The generation that a superseded owner writes to is merged away by its successor, and it writes
/// on: on a day to come, and on one that is past, whose generations are listed anew by every write.
#[tokio::test]
async fn what_is_filed_in_a_generation_that_is_gone_is_found() {
    let past = Timestamp::from_millis(1_700_000_000_000);
    for first in [at(MINUTE), past] {
        let config = fresh_region().await;
        let (stale, owner) = (connect(&config).await, connect(&config).await);
        assert_is_found(&stale, &owner, first).await;
        // Every owner leaves a generation; the eighth finds enough of them to merge.
        for turn in 1..=12 {
            owner.read_revisions(P0).await.unwrap();
            assert_is_found(&owner, &stale, first.plus_millis(turn)).await;
        }
        for turn in 100..103 {
            assert_is_found(&stale, &owner, first.plus_millis(turn)).await;
        }
        // The stale one merges what the owner writes to, and the other way round.
        for turn in 200..400 {
            assert_is_found(&stale, &owner, first.plus_millis(turn)).await;
            assert_is_found(&owner, &stale, first.plus_millis(1_000 + turn)).await;
        }
    }
}

#[tokio::test]
async fn a_look_up_beside_merges_misses_nothing() {
    let store = connect(&fresh_region().await).await;
    for write in 0..40 {
        write_small(&store, write).await;
    }
    let writing = async {
        for write in 40..240 {
            write_small(&store, write).await;
        }
    };
    let finding = async {
        for _ in 0..20 {
            assert_all_are_found(&store, 0..10).await;
        }
    };
    futures::join!(writing, finding);
    assert_all_are_found(&store, 0..240).await;
}

#[tokio::test]
async fn tasks_are_found_in_every_year() {
    let store = connect(&fresh_region().await).await;
    let dues = [
        at(-62_167_219_200_000),
        at(0),
        at(MINUTE),
        Timestamp::END_OF_YEAR_9999,
    ];
    let facts: Vec<TimetableEntry> = (1..)
        .zip(dues)
        .map(|(offset, due)| entry("t", due, offset))
        .collect();
    store
        .write_blocks(facts.iter().map(|fact| block(vec![fact.clone()])).collect())
        .await
        .unwrap();
    assert_eq!(store.find(P0, key("t")).await.unwrap(), facts);
    let before = store.pages_fetched();
    for fact in &facts {
        assert_eq!(
            store.find_due(P0, key("t"), fact.due).await.unwrap(),
            std::slice::from_ref(fact)
        );
    }
    assert_eq!(
        store.pages_fetched() - before,
        4 * 4,
        "the day before and after its index, and the block"
    );
    let page = store
        .read(P0.range(Timestamp::MIN, Timestamp::MAX), usize::MAX)
        .await
        .unwrap();
    assert_eq!(
        (offsets(&page), page.complete_until),
        (vec![1, 2, 3, 4], Timestamp::MAX)
    );
}

#[tokio::test]
async fn without_an_index_nothing_is_searched() {
    let config = CassandraConfig {
        task_index: false,
        ..fresh_region().await
    };
    let store = connect(&config).await;
    store
        .write_blocks(vec![block(vec![entry("t", at(MINUTE), 1)])])
        .await
        .unwrap();
    let error = store.find(P0, key("t")).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Fatal);
    assert!(
        error.reason.contains("cassandra.task_index"),
        "{}",
        error.reason
    );
    let page = store
        .read(P0.range(Timestamp::MIN, Timestamp::MAX), usize::MAX)
        .await
        .unwrap();
    assert_eq!(offsets(&page), [1], "everything else is as it was");
}

#[tokio::test]
async fn a_read_of_all_time_asks_only_for_minutes_that_exist() {
    let config = fresh_region().await;
    let store = connect(&config).await;
    let dues = [0, 1, 40, 400].map(|days| at(MINUTE + days * time::DAY_MS));
    store
        .write_blocks(
            (1..)
                .zip(dues)
                .map(|(offset, due)| block(vec![entry("t", due, offset)]))
                .collect(),
        )
        .await
        .unwrap();
    let store = connect(&config).await;
    let page = store
        .read(P0.range(Timestamp::MIN, Timestamp::MAX), usize::MAX)
        .await
        .unwrap();
    assert_eq!(offsets(&page), [1, 2, 3, 4]);
    // The days; then, for each of four, its slices and the one slice that has blocks.
    assert_eq!(store.pages_fetched(), 1 + 4 + 4);
    let nothing = store
        .read(P0.range(Timestamp::MIN, at(MINUTE)), usize::MAX)
        .await
        .unwrap();
    assert_eq!(nothing.entries, []);
    assert_eq!(
        store.pages_fetched(),
        9 + 2,
        "the days, and the slices of the one that the range ends in"
    );
}

#[tokio::test]
async fn a_minute_is_read_second_by_second() {
    let config = fresh_region().await;
    let store = connect(&config).await;
    let one = |index: i64| {
        block(vec![entry(
            &format!("t-{index}"),
            at(MINUTE + 100 * index),
            index as u64,
        )])
    };
    store
        .write_blocks((0..600).map(one).collect())
        .await
        .unwrap();
    let before = store.pages_fetched();
    let page = store
        .read(
            P0.range(at(MINUTE + 30_000), at(MINUTE + 31_000)),
            usize::MAX,
        )
        .await
        .unwrap();
    assert_eq!(offsets(&page), (300..310).collect::<Vec<_>>());
    assert_eq!(
        store.pages_fetched() - before,
        2,
        "the minute's slices, and one of them"
    );
    let (mut from, mut seen) = (at(MINUTE), Vec::new());
    while from < at(MINUTE + 60_000) {
        let page = store
            .read(P0.range(from, at(MINUTE + 60_000)), 4_000)
            .await
            .unwrap();
        assert!(page.complete_until > from);
        seen.extend(page.entries.iter().map(|entry| entry.offset.position()));
        from = page.complete_until;
    }
    assert_eq!(seen, (0..600).collect::<Vec<_>>(), "in order, each once");
}
