//! The timetable: an append-only store of blocks by minute bucket, and of schedule revisions.

use async_trait::async_trait;
use minutehand_model::{
    Block, BucketLoad, Fact, LogOffset, Namespace, PartitionId, RevisionEntry, ScheduleId, TaskKey,
    TimeRange, Timestamp, TimetableEntry, TimetablePage,
};

use crate::PortError;

/// About how much of a minute is read at once when a task is looked for.
const MINUTE_PAGE_BYTES: usize = 1024 * 1024;

/// An append-only store of what is due beyond the look-ahead.
#[async_trait]
pub trait Timetable: Send + Sync + 'static {
    /// Writes blocks and answers when they are durable. Writing a block again changes nothing.
    async fn write_blocks(&self, blocks: Vec<Block>) -> Result<(), PortError>;

    /// Reads every block whose first due time lies in a range, in that order, until about
    /// `bytes_max` bytes have been read. Blocks with the same first due time are never split
    /// between pages. The page's `complete_until` is the end of the range or the first due time of
    /// the first block left out. A block that cannot be understood is set aside and does not fail
    /// the read.
    async fn read(&self, range: TimeRange, bytes_max: usize) -> Result<TimetablePage, PortError>;

    /// Every stored entry of a task that is not expired, in order of their offsets.
    async fn find(
        &self,
        partition: PartitionId,
        key: TaskKey,
    ) -> Result<Vec<TimetableEntry>, PortError>;

    /// Those of them that are due at a time, in order of their offsets: all of them, for owners
    /// decide by the answer. It needs no index: an adapter that has one overrides this, and falls
    /// back on [`Timetable::find_in_minute`] where the index is not complete.
    async fn find_due(
        &self,
        partition: PartitionId,
        key: TaskKey,
        due: Timestamp,
    ) -> Result<Vec<TimetableEntry>, PortError> {
        self.find_in_minute(partition, key, due).await
    }

    /// The same by reading the minute: a block holds tasks of one minute, and none that is due
    /// before its first.
    async fn find_in_minute(
        &self,
        partition: PartitionId,
        key: TaskKey,
        due: Timestamp,
    ) -> Result<Vec<TimetableEntry>, PortError> {
        let (mut from, until) = (due.floor_to_minute(), due.plus_millis(1));
        let mut found = Vec::new();
        while from < until {
            let page = self
                .read(partition.range(from, until), MINUTE_PAGE_BYTES)
                .await?;
            found.extend(
                page.entries
                    .into_iter()
                    .filter(|entry| (entry.key, entry.due) == (key, due)),
            );
            from = page.complete_until;
        }
        found.sort_by_key(|entry| (entry.offset, matches!(entry.fact, Fact::Runs(_))));
        found.dedup();
        Ok(found)
    }

    /// The load per bucket of the minutes that start in a range; empty ones left out.
    async fn loads(&self, range: TimeRange) -> Result<Vec<BucketLoad>, PortError>;

    /// Whether it answers: a question that costs little, by default the load of the present minute.
    async fn probe(&self, now: Timestamp) -> Result<(), PortError> {
        let minute = now.floor_to_minute();
        let loads = self.loads(PartitionId::own(0).range(minute, minute.plus_millis(1)));
        loads.await.map(drop)
    }

    /// Lets the store forget the buckets that start before a time. It may keep more.
    async fn expire(&self, partition: PartitionId, before: Timestamp) -> Result<(), PortError>;

    /// Appends revisions of schedules and answers when they are durable. Writing one again changes
    /// nothing.
    async fn write_revisions(
        &self,
        partition: PartitionId,
        revisions: Vec<RevisionEntry>,
    ) -> Result<(), PortError>;

    /// Lets the store forget revisions, by their offsets. It may keep some.
    async fn forget_revisions(
        &self,
        partition: PartitionId,
        offsets: Vec<LogOffset>,
    ) -> Result<(), PortError>;

    /// Every revision of every schedule of a partition, in order of their offsets.
    async fn read_revisions(&self, partition: PartitionId)
    -> Result<Vec<RevisionEntry>, PortError>;

    /// Every revision of one schedule, in order of their offsets. An adapter may override this so
    /// that those of other schedules are never in memory together.
    async fn read_revisions_of(
        &self,
        partition: PartitionId,
        namespace: &Namespace,
        schedule: &ScheduleId,
    ) -> Result<Vec<RevisionEntry>, PortError> {
        let mut revisions = self.read_revisions(partition).await?;
        revisions.retain(|entry| entry.revision.is_of(namespace, schedule));
        Ok(revisions)
    }
}
