//! Regions of their own in a keyspace of this run, a plain session beside the adapter, and things
//! to store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use minutehand_cassandra::{CassandraConfig, CassandraTimetable, Migrations, Replication};
use minutehand_model::*;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tokio::sync::OnceCell;

pub(crate) const P0: PartitionId = PartitionId::own(0);
/// A whole minute, 2100-01-01T00:00:00Z: beyond what Cassandra 4 can expire.
pub(crate) const MINUTE: i64 = 4_102_444_800_000;

static COUNTER: AtomicU32 = AtomicU32::new(0);
static KEYSPACE: OnceCell<String> = OnceCell::const_new();

/// A name that no other test and no other run has.
pub(crate) fn unique(prefix: &str) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let number = COUNTER.fetch_add(1, Ordering::SeqCst);
    format!(
        "{prefix}_{}_{number}_{}",
        std::process::id(),
        since.subsec_nanos()
    )
}

/// The servers that the environment names, or one started for this process.
pub(crate) async fn contact_points() -> Vec<String> {
    let named = tokio::task::spawn_blocking(minutehand_testkit::cassandra)
        .await
        .unwrap();
    named.split(',').map(str::to_owned).collect()
}

/// Settings for a keyspace that does not exist yet, and a region in it.
pub(crate) async fn fresh_keyspace() -> CassandraConfig {
    CassandraConfig::new(contact_points().await, &unique("test"), "north")
}

/// Creates the keyspace and everything in it.
pub(crate) async fn apply(config: &CassandraConfig) {
    let migrations = Migrations::connect(config).await.unwrap();
    let replication = Replication::of_nodes(&migrations.datacenters()).unwrap();
    migrations.apply(&replication).await.unwrap();
}

/// Settings for a region of its own in the keyspace that the tests of this run share.
pub(crate) async fn fresh_region() -> CassandraConfig {
    let keyspace = KEYSPACE
        .get_or_init(|| async {
            let config = fresh_keyspace().await;
            apply(&config).await;
            config.keyspace
        })
        .await;
    CassandraConfig::new(contact_points().await, keyspace, &unique("region"))
}

pub(crate) async fn connect(config: &CassandraConfig) -> Arc<CassandraTimetable> {
    CassandraTimetable::connect(config).await.unwrap()
}

/// A session that does what the adapter would not.
pub(crate) async fn plain(config: &CassandraConfig) -> Session {
    SessionBuilder::new()
        .known_nodes(&config.contact_points)
        .build()
        .await
        .unwrap()
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub(crate) fn key(id: &str) -> TaskKey {
    TaskKey::of("default", id)
}

pub(crate) fn entry(id: &str, due: Timestamp, position: u64) -> TimetableEntry {
    let task = minutehand_record::task::record(&Task {
        payload: Bytes::from(format!("payload of {id}")),
        ..Task::new(
            Namespace::parse("default").unwrap(),
            TaskId::parse(id).unwrap(),
            QueueName::parse("mail").unwrap(),
            due,
        )
    });
    TimetableEntry {
        key: task.key,
        due,
        offset: LogOffset::at(position),
        appended_at: at(5),
        fact: Fact::Runs(task),
    }
}

/// A block from entries in order of due time and offset.
pub(crate) fn block(entries: Vec<TimetableEntry>) -> Block {
    let offsets = || entries.iter().map(|entry| entry.offset);
    Block {
        partition: P0,
        bucket: entries[0].due.floor_to_minute(),
        first_offset: offsets().min().unwrap(),
        last_offset: offsets().max().unwrap(),
        entries,
    }
}

pub(crate) fn offsets(page: &TimetablePage) -> Vec<u64> {
    let mut offsets: Vec<u64> = page
        .entries
        .iter()
        .map(|entry| entry.offset.position())
        .collect();
    offsets.sort_unstable();
    offsets
}
