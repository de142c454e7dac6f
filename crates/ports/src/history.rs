//! What has been: outcomes of attempts and dead letters.

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{Outcome, PartitionId, QueueName, TaskKey, Timestamp};

use crate::PortError;

/// A task that failed for the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The queue it was published to.
    pub queue: QueueName,
    /// The partition its task lives in.
    pub partition: PartitionId,
    /// The fingerprint of namespace and id.
    pub key: TaskKey,
    /// When it was given up.
    pub at: Timestamp,
    /// The attempts it had.
    pub attempts: u32,
    /// Why.
    pub reason: String,
    /// The task in the encoding of the `record` crate.
    pub encoded: Bytes,
}

/// Dead letters in the order in which they were given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterPage {
    /// Each with its number, by which it can be removed.
    pub letters: Vec<(u64, DeadLetter)>,
    /// List on from this number; `None` at the end.
    pub next: Option<u64>,
}

/// The end of an attempt, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Which task.
    pub key: TaskKey,
    /// How the attempt ended.
    pub outcome: Outcome,
}

/// What has been.
#[async_trait]
pub trait History: Send + Sync + 'static {
    /// The outcomes of a task's attempts, oldest first.
    async fn outcomes(&self, key: TaskKey) -> Result<Vec<Outcome>, PortError>;

    /// Lists the dead letters of a queue from a number on (0 for the start).
    async fn dead_letters(
        &self,
        queue: &QueueName,
        from: u64,
        count_max: usize,
    ) -> Result<DeadLetterPage, PortError>;

    /// Takes dead letters away and, in the same atomic step, sees to it that commands are appended
    /// to logs (their replay), each once: at once, or by the partition's owner. Numbers that do not
    /// exist are passed over; answers how many were removed.
    async fn remove_dead_letters(
        &self,
        queue: &QueueName,
        numbers: Vec<u64>,
        commands: Vec<(PartitionId, Bytes)>,
    ) -> Result<usize, PortError>;
}
