//! The timetable: everything due beyond the look-ahead, in blocks, in minute buckets.

use crate::command::TaskRecord;
use crate::offset::LogOffset;
use crate::partition_id::PartitionId;
use crate::schedule::Revision;
use crate::task::TaskKey;
use crate::tick::SetAside;
use crate::time::Timestamp;

/// What an entry says about a task at its due time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It runs.
    Runs(TaskRecord),
    /// It does not (cancelled or moved away).
    Void,
}

/// One fact of the log, filed under its due time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimetableEntry {
    /// The task.
    pub key: TaskKey,
    /// Its due time.
    pub due: Timestamp,
    /// The log offset of the record that says so.
    pub offset: LogOffset,
    /// When the log took the record.
    pub appended_at: Timestamp,
    /// What it says.
    pub fact: Fact,
}

/// 1..n entries of one minute bucket, sorted by due time and offset; written once, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whose timetable.
    pub partition: PartitionId,
    /// The start of the minute that all entries are due in.
    pub bucket: Timestamp,
    /// The lowest log offset in it; with the first due time and the highest offset it names the
    /// block, so that a repeated write replaces itself. Where a stale owner can still write, an
    /// adapter adds a hash of the content: a successor packs the same facts otherwise, and one of
    /// its blocks must not replace a larger one.
    pub first_offset: LogOffset,
    /// The highest log offset in it.
    pub last_offset: LogOffset,
    /// The entries; never empty.
    pub entries: Vec<TimetableEntry>,
}

impl Block {
    /// The due time of its first entry: where it stands in its bucket.
    pub fn first_due(&self) -> Timestamp {
        self.entries.first().map_or(self.bucket, |entry| entry.due)
    }
}

/// A part of the timetable, in order of the blocks' first due times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimetablePage {
    /// All entries of all blocks read, in no particular order.
    pub entries: Vec<TimetableEntry>,
    /// Every block whose first due time lies below this has been read (from where the read began).
    pub complete_until: Timestamp,
    /// Blocks that could not be understood.
    pub set_aside: Vec<SetAside>,
}

/// A revision as it stands in the log and in the store of revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionEntry {
    /// The offset of the record.
    pub offset: LogOffset,
    /// When the log took it: it governs the nominal times after this.
    pub appended_at: Timestamp,
    /// The revision.
    pub revision: Revision,
}

/// How much lies in one minute of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketLoad {
    /// The start of the minute.
    pub bucket: Timestamp,
    /// Entries that create a task, duplicates and cancelled ones included.
    pub tasks: u64,
    /// Stored bytes.
    pub bytes: u64,
}
