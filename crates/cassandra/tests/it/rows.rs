//! What is in the tables: names that contain the content, times to live, regions apart, copies of
//! checkpoints.

use minutehand_cassandra::CassandraConfig;
use minutehand_model::*;
use minutehand_ports::Timetable;

use crate::support::{MINUTE, P0, at, block, connect, entry, fresh_region, offsets, plain, unique};

#[tokio::test]
async fn a_packing_of_some_facts_never_replaces_another() {
    let config = fresh_region().await;
    let (stale, successor) = (connect(&config).await, connect(&config).await);
    let facts: Vec<TimetableEntry> = (0..4)
        .map(|offset| entry(&format!("t-{offset}"), at(MINUTE), offset))
        .collect();
    // The same minute, first due time, first and last offset; the stale owner has seen less.
    let (all, some) = (facts.clone(), vec![facts[0].clone(), facts[3].clone()]);
    successor.write_blocks(vec![block(all)]).await.unwrap();
    stale.write_blocks(vec![block(some)]).await.unwrap();
    let page = successor
        .read(P0.range(at(MINUTE), at(MINUTE + 1)), usize::MAX)
        .await
        .unwrap();
    assert_eq!(offsets(&page), [0, 0, 1, 2, 3, 3]);
    let found = successor.find(P0, facts[1].key).await.unwrap();
    assert_eq!(found, facts[1..2]);
    assert_eq!(
        successor.find(P0, facts[0].key).await.unwrap().len(),
        1,
        "in two blocks, but one fact"
    );
}

#[tokio::test]
async fn regions_are_apart() {
    let config = fresh_region().await;
    let other = CassandraConfig {
        region: unique("region"),
        ..config.clone()
    };
    let (north, south) = (connect(&config).await, connect(&other).await);
    north
        .write_blocks(vec![block(vec![entry("t", at(MINUTE), 1)])])
        .await
        .unwrap();
    let everything = (Timestamp::MIN, Timestamp::MAX);
    assert_eq!(
        south
            .read(P0.range(everything.0, everything.1), 1)
            .await
            .unwrap()
            .entries,
        []
    );
    assert_eq!(
        north
            .read(P0.range(everything.0, everything.1), 1)
            .await
            .unwrap()
            .entries
            .len(),
        1
    );
}

/// The times to live of all columns `column` of a table's rows of this region's partition.
async fn ttls(
    config: &CassandraConfig,
    table: &str,
    column: &str,
    due: Timestamp,
) -> Vec<Option<i32>> {
    let slice = due.millis_since(due.floor_to_minute()) / 4_000;
    let bucket = due.floor_to_minute().as_millis();
    let day = bucket - bucket.rem_euclid(time::DAY_MS);
    let rest = match table {
        "timetable" => format!("AND bucket = {bucket} AND slice = {slice}"),
        _ => format!("AND day = {day} AND level = 0 AND shard = 0"),
    };
    let select = format!(
        "SELECT TTL({column}) FROM {}.{table} WHERE region = ? AND partition = 0 {rest}",
        config.keyspace
    );
    let answer = plain(config)
        .await
        .query_unpaged(select, (&config.region,))
        .await
        .unwrap();
    let answer = answer.into_rows_result().unwrap();
    answer
        .rows::<(Option<i32>,)>()
        .unwrap()
        .map(|row| row.unwrap().0)
        .collect()
}

#[tokio::test]
async fn rows_expire_after_their_due_time_if_cassandra_can() {
    let config = fresh_region().await;
    let store = connect(&config).await;
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = at(since.as_millis() as i64);
    let dues = [
        now.plus_millis(-900_000),
        now.plus_millis(3_600_000),
        Timestamp::END_OF_YEAR_9999,
    ];
    let blocks = (1..)
        .zip(dues)
        .map(|(offset, due)| block(vec![entry("t", due, offset)]));
    store.write_blocks(blocks.collect()).await.unwrap();
    let retention = (config.retention_ms / 1_000) as i32;
    let expected = [retention - 60..=retention, retention..=retention + 3_720];
    for (due, expected) in dues.into_iter().zip(expected) {
        let [Some(ttl)] = ttls(&config, "timetable", "content", due).await[..] else {
            panic!("no TTL at {due}")
        };
        assert!(expected.contains(&ttl), "{ttl} for {due}");
        let index = ttls(&config, "task_index", "pointers", due).await;
        assert!(
            !index.is_empty() && index.iter().all(|one| one.is_some_and(|one| one >= ttl)),
            "{index:?}"
        );
    }
    assert_eq!(ttls(&config, "timetable", "content", dues[2]).await, [None]);
    assert_eq!(
        ttls(&config, "task_index", "pointers", dues[2]).await,
        [None]
    );
}

#[tokio::test]
async fn the_newest_copy_of_a_checkpoint_is_of_the_highest_epoch() {
    let config = fresh_region().await;
    let store = connect(&config).await;
    assert_eq!(
        store.checkpoint_copy(&config.region, P0).await.unwrap(),
        None
    );
    let checkpoint = |epoch, tick| Checkpoint {
        epoch: Epoch(epoch),
        tick,
        applied: LogOffset::at(9),
        replay_from: LogOffset::at(7),
        ..Checkpoint::START
    };
    // The stale owner of epoch 1 comes last.
    for (epoch, tick) in [(1, 5), (2, 6), (2, 7), (1, 8)] {
        store
            .copy_checkpoint(P0, &checkpoint(epoch, tick))
            .await
            .unwrap();
    }
    let copy = store
        .checkpoint_copy(&config.region, P0)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(copy.checkpoint, checkpoint(2, 7));
    assert_eq!(store.checkpoint_copy("elsewhere", P0).await.unwrap(), None);
}

#[tokio::test]
async fn thin_minutes_and_the_index_cost_a_tenth_of_a_row_a_task() {
    let config = fresh_region().await;
    let store = connect(&config).await;
    // What an owner of 10,000 tasks a second gathers for 10 minutes of the next day in a flush
    // interval of 30 seconds.
    let mut blocks = Vec::new();
    for minute in 0..10 {
        let due = |index: i64| at(MINUTE + minute * 60_000 + index * 280);
        let facts: Vec<TimetableEntry> = (0..208)
            .map(|index| entry(&format!("t-{minute}-{index}"), due(index), index as u64))
            .collect();
        blocks.extend(facts.chunks(64).map(|facts| block(facts.to_vec())));
    }
    let tasks: usize = blocks.iter().map(|block| block.entries.len()).sum();
    store.write_blocks(blocks).await.unwrap();
    let mut rows = 0;
    for table in [
        "timetable",
        "timetable_days",
        "timetable_buckets",
        "task_index",
    ] {
        let select = format!(
            "SELECT region FROM {}.{table} WHERE region = ? ALLOW FILTERING",
            config.keyspace
        );
        let answer = plain(&config)
            .await
            .query_unpaged(select, (&config.region,))
            .await
            .unwrap();
        rows += answer.into_rows_result().unwrap().rows_num();
    }
    assert!(rows * 10 <= tasks, "{rows} rows for {tasks} tasks");
}
