//! The adapter: a region's timetable and revisions in one keyspace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use minutehand_metrics::StoreDamage;
use minutehand_model::{
    Block, BucketLoad, LogOffset, Namespace, PartitionId, RevisionEntry, ScheduleId, TaskKey,
    TimeRange, Timestamp, TimetableEntry, TimetablePage,
};
use minutehand_ports::{ErrorClass, PortError, Timetable};
use scylla::client::session::Session;
use tokio::sync::Semaphore;

use crate::config::CassandraConfig;
use crate::connect;
use crate::expiry::Expiry;
use crate::index_tiers::IndexTiers;
use crate::keys::day_of;
use crate::schema::{self, SchemaError};
use crate::statements::Statements;
use crate::written::Written;

/// A region's timetable on Cassandra or ScyllaDB.
///
/// Rows are only ever added, at LOCAL_QUORUM, and expire some time after they were due
/// (`retention_ms`); only those of the index of tasks are taken away when they have been merged. A
/// row that is due so late that Cassandra cannot expire it (more than 20 years ahead, or after 2038
/// unless the servers run with `storage_compatibility_mode: NONE`) is written without an expiry and
/// stays.
pub struct CassandraTimetable {
    pub(crate) session: Session,
    pub(crate) statements: Statements,
    pub(crate) region: String,
    pub(crate) expiry: Expiry,
    pub(crate) task_index: bool,
    /// Requests that may write at once, over all partitions.
    pub(crate) writes: Arc<Semaphore>,
    pub(crate) writes_in_flight_max: usize,
    pub(crate) written: Written,
    pub(crate) tiers: IndexTiers,
    /// Held while rows of the index are merged: one after the other.
    pub(crate) merging: tokio::sync::Mutex<()>,
    pub(crate) pages_fetched: AtomicU64,
    pub(crate) rows_written: AtomicU64,
    pub(crate) index_rows_read: AtomicU64,
    pub(crate) damage: StoreDamage,
    pub(crate) damage_met: AtomicU64,
}

impl CassandraTimetable {
    /// Connects, and makes sure that the keyspace is as this build needs it.
    ///
    /// # Errors
    /// A setting that cannot be used, a cluster that cannot be reached or refuses, a schema that is
    /// not there, not complete or of a later release.
    pub async fn connect(config: &CassandraConfig) -> Result<Arc<CassandraTimetable>, SchemaError> {
        config.check()?;
        let session = connect::session(config).await?;
        schema::verify(&session, &config.keyspace).await?;
        let statements = Statements::prepare(&session, &config.keyspace).await?;
        let compatibility = compatibility(&session).await;
        Ok(Arc::new(CassandraTimetable {
            session,
            statements,
            region: config.region.clone(),
            expiry: Expiry::new(config.retention_ms, compatibility.as_deref()),
            task_index: config.task_index,
            writes: Arc::new(Semaphore::new(config.writes_in_flight_max)),
            writes_in_flight_max: config.writes_in_flight_max,
            written: Written::default(),
            tiers: IndexTiers::default(),
            merging: tokio::sync::Mutex::default(),
            pages_fetched: AtomicU64::new(0),
            rows_written: AtomicU64::new(0),
            index_rows_read: AtomicU64::new(0),
            damage: StoreDamage::new(),
            damage_met: AtomicU64::new(0),
        }))
    }

    /// How many pages of rows have been asked for since it was connected: what reading has cost.
    pub fn pages_fetched(&self) -> u64 {
        self.pages_fetched.load(Ordering::Relaxed)
    }

    /// How many rows that cannot be understood have been passed over since then.
    pub fn damage_met(&self) -> u64 {
        self.damage_met.load(Ordering::Relaxed)
    }

    /// How many rows of the index of tasks look-ups have read since then.
    pub fn index_rows_read(&self) -> u64 {
        self.index_rows_read.load(Ordering::Relaxed)
    }

    /// How many rows of blocks have been written since then, with those of the indexes on them:
    /// what writing has cost.
    pub fn rows_written(&self) -> u64 {
        self.rows_written.load(Ordering::Relaxed)
    }
}

/// The servers' `storage_compatibility_mode`; `None` where there is no such setting, or none that
/// can be read.
async fn compatibility(session: &Session) -> Option<String> {
    let select =
        "SELECT value FROM system_views.settings WHERE name = 'storage_compatibility_mode'";
    let rows = session
        .query_unpaged(select, ())
        .await
        .ok()?
        .into_rows_result()
        .ok()?;
    rows.maybe_first_row::<(Option<String>,)>().ok()??.0
}

/// A partition's number as the tables have it.
pub(crate) fn number(partition: PartitionId) -> i32 {
    partition.bits() as i32
}

/// A block without entries is no block.
pub(crate) fn empty_block(action: &str) -> PortError {
    PortError::new(ErrorClass::Fatal, action, "a block has no entries")
}

#[async_trait]
impl Timetable for CassandraTimetable {
    async fn write_blocks(&self, blocks: Vec<Block>) -> Result<(), PortError> {
        self.write(blocks).await
    }

    async fn read(&self, range: TimeRange, bytes_max: usize) -> Result<TimetablePage, PortError> {
        self.read_page(range, bytes_max).await
    }

    async fn find(
        &self,
        partition: PartitionId,
        key: TaskKey,
    ) -> Result<Vec<TimetableEntry>, PortError> {
        Ok(self
            .find_task(partition, key, None)
            .await?
            .unwrap_or_default())
    }

    async fn find_due(
        &self,
        partition: PartitionId,
        key: TaskKey,
        due: Timestamp,
    ) -> Result<Vec<TimetableEntry>, PortError> {
        match self.find_task(partition, key, Some(due)).await {
            Ok(Some(found)) => Ok(found),
            // A damaged row of the index costs time, not the owner that asks.
            Err(error) if error.class != ErrorClass::Fatal => Err(error),
            Ok(None) | Err(_) => self.find_in_minute(partition, key, due).await,
        }
    }

    async fn loads(&self, range: TimeRange) -> Result<Vec<BucketLoad>, PortError> {
        self.count_loads(range).await
    }

    /// Rows expire by themselves; this only forgets what was remembered about them.
    async fn expire(&self, _partition: PartitionId, before: Timestamp) -> Result<(), PortError> {
        self.written.forget_before(before);
        self.tiers.forget_before(day_of(before));
        Ok(())
    }

    async fn write_revisions(
        &self,
        partition: PartitionId,
        revisions: Vec<RevisionEntry>,
    ) -> Result<(), PortError> {
        self.append_revisions(partition, revisions).await
    }

    async fn forget_revisions(
        &self,
        partition: PartitionId,
        offsets: Vec<LogOffset>,
    ) -> Result<(), PortError> {
        self.delete_revisions(partition, &offsets).await
    }

    /// An owner begins with it: what others have filed meanwhile is asked for again.
    async fn read_revisions(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<RevisionEntry>, PortError> {
        self.written.forget(partition);
        self.tiers.forget(partition);
        self.revisions(partition, |_| true).await
    }

    async fn read_revisions_of(
        &self,
        partition: PartitionId,
        namespace: &Namespace,
        schedule: &ScheduleId,
    ) -> Result<Vec<RevisionEntry>, PortError> {
        self.revisions(partition, |revision| revision.is_of(namespace, schedule))
            .await
    }
}
