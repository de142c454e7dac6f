//! The command log: one durable, ordered stream of records per partition.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{LogOffset, PartitionId, Timestamp};
use tokio::sync::watch;

use crate::{ErrorClass, PortError};

/// A record as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its position.
    pub offset: LogOffset,
    /// When the log took it; never goes back within a partition.
    pub appended_at: Timestamp,
    /// The encoded command, or what a producer wrote instead when it was refused.
    pub payload: Bytes,
    /// Why the record cannot be understood, where the adapter takes records that producers wrote in
    /// other forms.
    pub refusal: Option<String>,
}

impl LogRecord {
    /// A record that holds an encoded command.
    pub fn new(offset: LogOffset, appended_at: Timestamp, payload: Bytes) -> LogRecord {
        LogRecord {
            offset,
            appended_at,
            payload,
            refusal: None,
        }
    }

    /// What stands in the place of a record that an operator has had skipped.
    pub fn passed_over(offset: LogOffset, appended_at: Timestamp, reason: &str) -> LogRecord {
        let refusal = Some(format!("passed over as an operator asked: {reason}"));
        LogRecord {
            offset,
            appended_at,
            payload: Bytes::new(),
            refusal,
        }
    }
}

/// Records in order of their offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBatch {
    /// The records; offsets may have holes.
    pub records: Vec<LogRecord>,
    /// Read on from here.
    pub next: LogOffset,
    /// At least the offset that the next record would have got when this read began, where
    /// `records` is empty: whoever is told that there is no more may rely on it. With records it
    /// may be no more than `next`.
    pub end: LogOffset,
}

/// The answer to an append: the records are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of each record, rising. Records of others may lie between them.
    pub offsets: Vec<LogOffset>,
    /// The time the log gave the last of them.
    pub appended_at: Timestamp,
}

impl Appended {
    /// Records that follow each other without holes from an offset on.
    pub fn following(first: LogOffset, count: usize, appended_at: Timestamp) -> Appended {
        Appended {
            offsets: first.following(count).collect(),
            appended_at,
        }
    }

    /// The offset behind the last record; `None` when nothing was appended.
    pub fn end(&self) -> Option<LogOffset> {
        self.offsets.last().map(|last| last.next())
    }
}

/// Where a partition's log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// The lowest offset still kept.
    pub start: LogOffset,
    /// The offset that the next record will get.
    pub end: LogOffset,
}

/// One durable, ordered stream of commands per partition.
#[async_trait]
pub trait CommandLog: Send + Sync + 'static {
    /// Appends records in their order and answers when all of them are durable. After an error of
    /// class `Retry` any part of them may have been appended, or may be yet.
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
    ) -> Result<Appended, PortError>;

    /// Reads from an offset on, up to about `bytes_max` bytes but at least one record when there is
    /// one. An offset below the start of the log is an error of class `Fatal`.
    async fn read(
        &self,
        partition: PartitionId,
        from: LogOffset,
        bytes_max: usize,
    ) -> Result<LogBatch, PortError>;

    /// Where the log begins and ends.
    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, PortError>;

    /// The end of the log, kept up to date; a reader waits here for more.
    fn watch_end(&self, partition: PartitionId) -> watch::Receiver<LogOffset>;

    /// Lets the log forget what lies below an offset. It may keep more.
    async fn truncate(&self, partition: PartitionId, below: LogOffset) -> Result<(), PortError>;

    /// Has records passed over by every reader from now on, for good: in the place of each stands a
    /// refusal with the reason. For operators, and what nobody foresaw; it works while the
    /// partition is stopped. A reader that is at work learns of it when it begins anew, as it does
    /// when its partition is taken over.
    async fn skip(
        &self,
        partition: PartitionId,
        _offsets: RangeInclusive<LogOffset>,
        _reason: &str,
    ) -> Result<(), PortError> {
        let action = format!("pass over records of the log of partition {partition}");
        Err(PortError::new(
            ErrorClass::Fatal,
            action,
            "this log does not do that; its damage is passed over by itself",
        ))
    }

    /// Whether the record at an offset is to be passed over: somebody has had it skipped.
    async fn is_skipped(
        &self,
        _partition: PartitionId,
        _offset: LogOffset,
    ) -> Result<bool, PortError> {
        Ok(false)
    }
}
