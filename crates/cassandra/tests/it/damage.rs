//! Rows that cannot be understood: they are set aside or told of, and everything else goes on.

use minutehand_cassandra::CassandraConfig;
use minutehand_model::*;
use minutehand_ports::{ErrorClass, Timetable};

use crate::support::{
    P0, apply, at, block, connect, entry, fresh_keyspace, fresh_region, key, offsets, plain,
};

const MINUTE: i64 = crate::support::MINUTE;

/// Changes the bytes of the block that begins with an offset, beside the adapter.
async fn damage(config: &CassandraConfig, offset: u64, change: impl Fn(&mut Vec<u8>)) {
    let CassandraConfig {
        keyspace, region, ..
    } = config;
    let session = plain(config).await;
    let select = format!(
        "SELECT slice, first_due, block, content FROM {keyspace}.timetable \
         WHERE region = ? AND partition = 0 AND bucket = {MINUTE} AND slice IN (0, 1, 2)"
    );
    let answer = session
        .query_unpaged(select, (region,))
        .await
        .unwrap()
        .into_rows_result()
        .unwrap();
    type Row = (i16, scylla::value::CqlTimestamp, Vec<u8>, Vec<u8>);
    let rows: Vec<Row> = answer.rows().unwrap().map(Result::unwrap).collect();
    let (slice, first_due, name, mut content) = rows
        .into_iter()
        .find(|(_, _, name, _)| name[..8] == offset.to_be_bytes())
        .unwrap();
    change(&mut content);
    let insert = format!(
        "INSERT INTO {keyspace}.timetable (region, partition, bucket, slice, first_due, block, content) \
         VALUES (?, 0, {MINUTE}, ?, ?, ?, ?)"
    );
    session
        .query_unpaged(insert, (region, slice, first_due, name, content))
        .await
        .unwrap();
}

#[tokio::test]
async fn unreadable_blocks_are_set_aside_with_their_bytes() {
    let config = fresh_region().await;
    let store = connect(&config).await;
    let one = |offset: u64| {
        block(vec![entry(
            &format!("t-{offset}"),
            at(MINUTE + 1_000 * offset as i64),
            offset,
        )])
    };
    store.write_blocks((0..5).map(one).collect()).await.unwrap();
    damage(&config, 1, |content| *content.last_mut().unwrap() ^= 4).await;
    damage(&config, 3, |content| content[3] = 9).await;
    for bytes_max in [1, usize::MAX] {
        let (mut from, mut read, mut set_aside) = (Timestamp::MIN, Vec::new(), Vec::new());
        while from < Timestamp::MAX {
            let page = store
                .read(P0.range(from, Timestamp::MAX), bytes_max)
                .await
                .unwrap();
            read.extend(offsets(&page));
            set_aside.extend(page.set_aside);
            assert!(page.complete_until > from);
            from = page.complete_until;
        }
        assert_eq!(read, [0, 2, 4]);
        let [damaged, later] = &set_aside[..] else {
            panic!("{set_aside:?}")
        };
        assert!(damaged.reason.contains("damaged"), "{}", damaged.reason);
        assert!(
            later.reason.contains("unknown version 9"),
            "{}",
            later.reason
        );
        for (set_aside, offset) in [(damaged, 1), (later, 3)] {
            let due = at(MINUTE + 1_000 * offset);
            let place = format!(
                "partition 0, bucket {}, slice 0, block at {due}",
                at(MINUTE)
            );
            assert!(
                set_aside.position.contains(&place),
                "{}",
                set_aside.position
            );
            assert!(
                set_aside
                    .position
                    .contains(&format!("offsets {offset} to {offset}"))
            );
            let length = minutehand_record::block::encode(&one(offset as u64)).len();
            assert_eq!(set_aside.bytes.len(), length);
        }
    }
    assert_eq!(store.find(P0, key("t-1")).await.unwrap(), []);
    assert_eq!(store.find(P0, key("t-2")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_damaged_revision_is_passed_over() {
    let config = fresh_region().await;
    let store = connect(&config).await;
    let revision = |offset: u64| RevisionEntry {
        offset: LogOffset::at(offset),
        appended_at: at(offset as i64),
        revision: Revision {
            namespace: Namespace::parse("default").unwrap(),
            schedule: ScheduleId::parse("nightly").unwrap(),
            number: offset,
            definition: None,
            paused: false,
            note: String::new(),
            author: "somebody".to_owned(),
        },
    };
    store
        .write_revisions(P0, (1..4).map(revision).collect())
        .await
        .unwrap();
    let update = format!(
        "UPDATE {}.schedules SET content = 0x09 WHERE region = ? AND partition = 0 AND log_offset = 2",
        config.keyspace
    );
    plain(&config)
        .await
        .query_unpaged(update, (&config.region,))
        .await
        .unwrap();
    let left = store.read_revisions(P0).await.unwrap();
    assert_eq!(
        left.iter()
            .map(|entry| entry.offset.position())
            .collect::<Vec<_>>(),
        [1, 3]
    );
    assert_eq!(store.damage_met(), 1);
}

#[tokio::test]
async fn an_index_row_of_a_later_version_is_an_error() {
    let config = fresh_region().await;
    let store = connect(&config).await;
    store
        .write_blocks(vec![block(vec![entry("t", at(MINUTE), 1)])])
        .await
        .unwrap();
    let session = plain(&config).await;
    let day = MINUTE - MINUTE.rem_euclid(time::DAY_MS);
    let insert = format!(
        "INSERT INTO {}.task_index (region, partition, day, level, shard, run, pointers) \
         VALUES (?, 0, {day}, 0, 0, 0x00, 0x09)",
        config.keyspace
    );
    session
        .query_unpaged(insert, (&config.region,))
        .await
        .unwrap();
    let error = store.find(P0, key("t")).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Fatal);
    assert!(
        error.reason.contains("task_index") && error.reason.contains("version 9"),
        "{}",
        error.reason
    );
}

#[tokio::test]
async fn a_column_dropped_at_run_time_is_fatal_and_named() {
    let config = fresh_keyspace().await;
    apply(&config).await;
    let store = connect(&config).await;
    let written = block(vec![entry("t", at(MINUTE), 1)]);
    store.write_blocks(vec![written.clone()]).await.unwrap();
    let drop = format!("ALTER TABLE {}.timetable DROP bytes", config.keyspace);
    plain(&config).await.query_unpaged(drop, ()).await.unwrap();
    let error = store.write_blocks(vec![written]).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Fatal, "{error}");
    assert!(
        error.reason.contains("bytes") && error.reason.contains("schema apply"),
        "{}",
        error.reason
    );
    assert_eq!(
        store
            .read(P0.range(Timestamp::MIN, Timestamp::MAX), 1)
            .await
            .unwrap()
            .entries
            .len(),
        1
    );
}
