//! The timetable.

use minutehand_model::{
    Block, BucketLoad, Fact, Namespace, Timestamp, TimetableEntry, TimetablePage,
};

use super::samples::{MINUTE, P0, P1, at, block, entry, key, revision};
use super::{Harness, Stores};

const EVERYTHING: (Timestamp, Timestamp) = (at_const(0), Timestamp::END_OF_YEAR_9999);

const fn at_const(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn sorted(mut entries: Vec<TimetableEntry>) -> Vec<TimetableEntry> {
    entries.sort_by_key(|entry| (entry.due, entry.offset));
    entries
}

fn offsets(page: &TimetablePage) -> Vec<u64> {
    let mut offsets: Vec<u64> = page
        .entries
        .iter()
        .map(|entry| entry.offset.position())
        .collect();
    offsets.sort_unstable();
    offsets
}

async fn read_all(stores: &Stores) -> Vec<TimetableEntry> {
    let page = stores
        .timetable
        .read(P0.range(EVERYTHING.0, EVERYTHING.1), usize::MAX)
        .await
        .unwrap();
    assert_eq!(page.complete_until, EVERYTHING.1);
    assert_eq!(page.set_aside, []);
    sorted(page.entries)
}

/// Ten blocks of one entry, one for each of the first ten seconds of a minute, offsets 0 to 9.
async fn write_seconds(stores: &Stores) {
    let one = |index: i64| {
        block(
            P0,
            vec![entry(
                &format!("t-{index}"),
                at(MINUTE + 1_000 * index),
                index as u64,
            )],
        )
    };
    stores
        .timetable
        .write_blocks((0..10).map(one).collect())
        .await
        .unwrap();
}

/// Entries keep what they say: tasks and voids.
pub async fn a_block_comes_back_as_it_was_written(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    assert_eq!(read_all(&stores).await, []);
    let void = TimetableEntry {
        fact: Fact::Void,
        ..entry("gone", at(MINUTE + 5), 12)
    };
    let entries = vec![
        entry("a", at(MINUTE), 10),
        void,
        entry("b", at(MINUTE + 59_999), 11),
    ];
    stores
        .timetable
        .write_blocks(vec![block(P0, entries.clone())])
        .await
        .unwrap();
    assert_eq!(read_all(&stores).await, entries);
}

/// A repeated write is the same block.
pub async fn writing_a_block_again_changes_nothing(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let block = block(
        P0,
        vec![entry("a", at(MINUTE), 1), entry("b", at(MINUTE), 2)],
    );
    stores
        .timetable
        .write_blocks(vec![block.clone(), block.clone()])
        .await
        .unwrap();
    stores
        .timetable
        .write_blocks(vec![block.clone()])
        .await
        .unwrap();
    assert_eq!(read_all(&stores).await, block.entries);
    let loads = stores
        .timetable
        .loads(P0.range(EVERYTHING.0, EVERYTHING.1))
        .await
        .unwrap();
    assert_eq!(loads.iter().map(|load| load.tasks).sum::<u64>(), 2);
    assert_eq!(stores.timetable.find(P0, key("a")).await.unwrap().len(), 1);
}

/// A block replaces no other, though it may begin and end with the same records: it may hold others
/// between them.
pub async fn blocks_of_the_same_ends_stand_side_by_side(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let whole = vec![
        entry("a", at(MINUTE), 1),
        entry("b", at(MINUTE + 5), 2),
        entry("c", at(MINUTE + 9), 3),
    ];
    let ends = vec![whole[0].clone(), whole[2].clone()];
    stores
        .timetable
        .write_blocks(vec![block(P0, whole.clone())])
        .await
        .unwrap();
    stores
        .timetable
        .write_blocks(vec![block(P0, ends)])
        .await
        .unwrap();
    let mut found = read_all(&stores).await;
    found.dedup();
    assert_eq!(found, whole);
    assert_eq!(
        stores.timetable.find(P0, key("b")).await.unwrap(),
        [whole[1].clone()]
    );
}

/// `from` belongs to the range, `until` does not.
pub async fn a_range_is_inclusive_at_its_start_and_exclusive_at_its_end(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    write_seconds(&stores).await;
    let page = stores
        .timetable
        .read(P0.range(at(MINUTE + 2_000), at(MINUTE + 5_000)), usize::MAX)
        .await
        .unwrap();
    assert_eq!(offsets(&page), [2, 3, 4]);
    assert_eq!(page.complete_until, at(MINUTE + 5_000));
    let empty = stores
        .timetable
        .read(P0.range(at(MINUTE + 2_000), at(MINUTE + 2_000)), usize::MAX)
        .await
        .unwrap();
    assert!(offsets(&empty).is_empty());
    let all = stores
        .timetable
        .read(P0.range(Timestamp::MIN, Timestamp::MAX), usize::MAX)
        .await
        .unwrap();
    assert_eq!(offsets(&all), (0..10).collect::<Vec<_>>());
    assert_eq!(all.complete_until, Timestamp::MAX);
}

/// Reading on from `complete_until` gives every block once.
pub async fn pages_join_without_loss_or_repetition(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    write_seconds(&stores).await;
    for bytes_max in [0, 1, 150, 400, 100_000] {
        let (mut from, until, mut seen, mut pages) = (at(0), at(MINUTE + 9_000), Vec::new(), 0);
        while from < until {
            let page = stores
                .timetable
                .read(P0.range(from, until), bytes_max)
                .await
                .unwrap();
            assert!(page.complete_until > from, "a page moves on");
            seen.extend(offsets(&page));
            from = page.complete_until;
            pages += 1;
        }
        assert_eq!(seen, (0..9).collect::<Vec<_>>(), "{bytes_max}");
        assert!(
            bytes_max > 1 || pages > 1,
            "a small limit gives several pages"
        );
    }
}

/// Blocks that begin at the same time come in the same page, however small it is.
pub async fn blocks_with_the_same_first_due_are_not_split(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let one = |offset: u64| block(P0, vec![entry(&format!("t-{offset}"), at(MINUTE), offset)]);
    let mut blocks: Vec<Block> = (0..20).map(one).collect();
    blocks.push(block(P0, vec![entry("later", at(MINUTE + 1), 99)]));
    stores.timetable.write_blocks(blocks).await.unwrap();
    let page = stores
        .timetable
        .read(P0.range(at(0), EVERYTHING.1), 1)
        .await
        .unwrap();
    assert_eq!(offsets(&page), (0..20).collect::<Vec<_>>());
    assert_eq!(page.complete_until, at(MINUTE + 1));
}

/// `complete_until` is the first due time of the first block left out.
pub async fn the_page_says_how_far_it_is_complete(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    write_seconds(&stores).await;
    let page = stores
        .timetable
        .read(P0.range(at(0), EVERYTHING.1), 1)
        .await
        .unwrap();
    let read = page.entries.len() as i64;
    assert!((1..10).contains(&read));
    assert_eq!(
        offsets(&page),
        (0..read as u64).collect::<Vec<_>>(),
        "in order of time"
    );
    assert_eq!(page.complete_until, at(MINUTE + 1_000 * read));
}

/// What lies in one partition's timetable does not lie in another's.
pub async fn partitions_are_apart(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    write_seconds(&stores).await;
    let page = stores
        .timetable
        .read(P1.range(EVERYTHING.0, EVERYTHING.1), usize::MAX)
        .await
        .unwrap();
    assert_eq!(page.entries, []);
    assert_eq!(stores.timetable.find(P1, key("t-1")).await.unwrap(), []);
    assert_eq!(
        stores
            .timetable
            .loads(P1.range(EVERYTHING.0, EVERYTHING.1))
            .await
            .unwrap(),
        []
    );
}

/// By its key: every fact about a task, in order of offsets, wherever it is filed.
pub async fn a_task_is_found_with_all_its_facts(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let created = entry("moved", at(MINUTE + 60_000), 3);
    let void = TimetableEntry {
        fact: Fact::Void,
        ..entry("moved", at(MINUTE + 60_000), 9)
    };
    let again = entry("moved", at(MINUTE), 9);
    let blocks = vec![
        block(P0, vec![again.clone(), entry("x", at(MINUTE), 10)]),
        block(
            P0,
            vec![entry("y", at(MINUTE + 60_000), 2), created.clone()],
        ),
    ];
    stores.timetable.write_blocks(blocks).await.unwrap();
    assert_eq!(
        stores.timetable.find(P0, key("moved")).await.unwrap(),
        [created.clone(), again.clone()]
    );
    stores
        .timetable
        .write_blocks(vec![block(P0, vec![void.clone()])])
        .await
        .unwrap();
    let found = stores.timetable.find(P0, key("moved")).await.unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[0], created);
    assert!(
        found[1..].contains(&void) && found[1..].contains(&again),
        "two facts of one record"
    );
    assert_eq!(stores.timetable.find(P0, key("nobody")).await.unwrap(), []);
    let due = at(MINUTE + 60_000);
    let both = [created, void];
    assert_eq!(
        stores
            .timetable
            .find_due(P0, key("moved"), due)
            .await
            .unwrap(),
        both
    );
    assert_eq!(
        stores
            .timetable
            .find_in_minute(P0, key("moved"), due)
            .await
            .unwrap(),
        both,
        "without an index"
    );
    assert_eq!(
        stores
            .timetable
            .find_due(P0, key("moved"), due.plus_millis(1))
            .await
            .unwrap(),
        []
    );
}

/// Tasks are counted by the minute they are due in; empty minutes are left out.
pub async fn loads_count_tasks_per_minute(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let void = TimetableEntry {
        fact: Fact::Void,
        ..entry("v", at(MINUTE + 7), 3)
    };
    let blocks = vec![
        block(
            P0,
            vec![
                entry("a", at(MINUTE), 1),
                entry("b", at(MINUTE + 7), 2),
                void,
            ],
        ),
        block(P0, vec![entry("c", at(MINUTE + 59_999), 4)]),
        block(P0, vec![entry("d", at(MINUTE + 180_000), 5)]),
    ];
    stores.timetable.write_blocks(blocks).await.unwrap();
    let count = |loads: Vec<BucketLoad>| -> Vec<(Timestamp, u64)> {
        assert!(loads.iter().all(|load| load.bytes > 0));
        loads.iter().map(|load| (load.bucket, load.tasks)).collect()
    };
    let all = count(
        stores
            .timetable
            .loads(P0.range(EVERYTHING.0, EVERYTHING.1))
            .await
            .unwrap(),
    );
    assert_eq!(all, [(at(MINUTE), 3), (at(MINUTE + 180_000), 1)]);
    let later = count(
        stores
            .timetable
            .loads(P0.range(at(MINUTE + 1), EVERYTHING.1))
            .await
            .unwrap(),
    );
    assert_eq!(
        later,
        [(at(MINUTE + 180_000), 1)],
        "a minute that starts before `from` is not asked for"
    );
    let earlier = count(
        stores
            .timetable
            .loads(P0.range(at(0), at(MINUTE + 180_000)))
            .await
            .unwrap(),
    );
    assert_eq!(earlier, [(at(MINUTE), 3)]);
}

/// An expiry takes nothing of the buckets that start at or after its time, and may be repeated.
pub async fn expiry_keeps_what_is_not_past(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let one = |index: i64| {
        block(
            P0,
            vec![entry(
                &format!("t-{index}"),
                at(MINUTE + 60_000 * index),
                index as u64,
            )],
        )
    };
    stores
        .timetable
        .write_blocks((0..600).map(one).collect())
        .await
        .unwrap();
    for minute in [3, 590, 100] {
        stores
            .timetable
            .expire(P0, at(MINUTE + 60_000 * minute))
            .await
            .unwrap();
        let kept = read_all(&stores).await;
        assert!(
            kept.ends_with(
                &(minute.max(590)..600)
                    .map(|index| one(index).entries[0].clone())
                    .collect::<Vec<_>>()
            )
        );
    }
    assert_eq!(
        stores.timetable.find(P0, key("t-590")).await.unwrap().len(),
        1
    );
    let late = block(P0, vec![entry("late", at(MINUTE + 1), 777)]);
    stores.timetable.write_blocks(vec![late]).await.unwrap();
    stores
        .timetable
        .expire(P0, at(MINUTE + 60_000 * 595))
        .await
        .unwrap();
    assert!(read_all(&stores).await.len() >= 5);
}

/// Revisions of all schedules, by offset, whatever the order of writing.
pub async fn revisions_come_in_order_of_their_offsets(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    assert_eq!(stores.timetable.read_revisions(P0).await.unwrap(), []);
    let (first, second, third) = (
        revision("nightly", 1, 5),
        revision("hourly", 1, 260),
        revision("nightly", 2, 70_000),
    );
    stores
        .timetable
        .write_revisions(P0, vec![third.clone(), first.clone()])
        .await
        .unwrap();
    stores
        .timetable
        .write_revisions(P0, vec![second.clone()])
        .await
        .unwrap();
    assert_eq!(
        stores.timetable.read_revisions(P0).await.unwrap(),
        [first, second, third]
    );
    assert_eq!(stores.timetable.read_revisions(P1).await.unwrap(), []);
}

/// Those of one schedule, by offset, and none of another partition, namespace or name.
pub async fn revisions_of_a_schedule_are_read_alone(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let own = [revision("nightly", 1, 5), revision("nightly", 2, 70_000)];
    let mut elsewhere = revision("nightly", 1, 7);
    elsewhere.revision.namespace = Namespace::parse("elsewhere").unwrap();
    let others = [revision("nightly-2", 1, 6), elsewhere.clone()];
    let all = [&own[1..], &others[..], &own[..1]].concat();
    stores.timetable.write_revisions(P0, all).await.unwrap();
    let next = vec![revision("nightly", 3, 8)];
    stores.timetable.write_revisions(P1, next).await.unwrap();
    let (namespace, name) = (&own[0].revision.namespace, &own[0].revision.schedule);
    for (namespace, expected) in [
        (namespace, &own[..]),
        (&elsewhere.revision.namespace, &others[1..]),
    ] {
        let read = stores
            .timetable
            .read_revisions_of(P0, namespace, name)
            .await
            .unwrap();
        assert_eq!(read, expected);
    }
}

/// A repeated write is the same revision.
pub async fn writing_a_revision_again_changes_nothing(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let entry = revision("nightly", 1, 5);
    for _ in 0..2 {
        stores
            .timetable
            .write_revisions(P0, vec![entry.clone()])
            .await
            .unwrap();
    }
    assert_eq!(stores.timetable.read_revisions(P0).await.unwrap(), [entry]);
}

/// Those that are named, and no other.
pub async fn revisions_that_are_forgotten_are_gone(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let entries: Vec<_> = (1..=5)
        .map(|number| revision("nightly", number, number * 100))
        .collect();
    stores
        .timetable
        .write_revisions(P0, entries.clone())
        .await
        .unwrap();
    stores
        .timetable
        .write_revisions(P1, vec![entries[0].clone()])
        .await
        .unwrap();
    let gone = [0, 1, 3].map(|index: usize| entries[index].offset).to_vec();
    stores
        .timetable
        .forget_revisions(P0, gone.clone())
        .await
        .unwrap();
    stores.timetable.forget_revisions(P0, gone).await.unwrap();
    let stores = harness.reopen(stores).await;
    let left = stores.timetable.read_revisions(P0).await.unwrap();
    assert_eq!(left, [entries[2].clone(), entries[4].clone()]);
    assert_eq!(
        stores.timetable.read_revisions(P1).await.unwrap(),
        entries[..1]
    );
}

/// Acknowledged is durable.
pub async fn everything_is_there_after_a_restart(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    write_seconds(&stores).await;
    stores
        .timetable
        .write_revisions(P0, vec![revision("nightly", 1, 5)])
        .await
        .unwrap();
    let before = read_all(&stores).await;
    let stores = harness.reopen(stores).await;
    assert_eq!(read_all(&stores).await, before);
    assert_eq!(
        stores.timetable.find(P0, key("t-3")).await.unwrap(),
        before[3..4]
    );
    assert_eq!(
        stores.timetable.read_revisions(P0).await.unwrap(),
        [revision("nightly", 1, 5)]
    );
}
