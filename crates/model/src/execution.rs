//! An execution: one attempt of one occurrence, as a worker receives it.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use crate::partition::{Epoch, LogOffset, PartitionId};
use crate::task::Task;
use crate::time::Timestamp;

/// The idempotency key of an execution: the same however often the attempt is delivered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionId(pub u128);

impl ExecutionId {
    /// The id of an attempt: a fingerprint of namespace, id, due time and attempt.
    pub fn of(task: &Task) -> ExecutionId {
        let mut text = Vec::with_capacity(96);
        text.extend_from_slice(task.namespace.as_str().as_bytes());
        text.push(0);
        text.extend_from_slice(task.id.as_str().as_bytes());
        text.push(0);
        text.extend_from_slice(&task.due.as_millis().to_be_bytes());
        text.extend_from_slice(&task.attempt.to_be_bytes());
        ExecutionId(xxh3_128(&text))
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x-{:032x}", self.0)
    }
}

impl fmt::Debug for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A published attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// The idempotency key.
    pub id: ExecutionId,
    /// What runs.
    pub task: Task,
    /// When the tick that published it was built.
    pub published_at: Timestamp,
    /// The partition it came from.
    pub partition: PartitionId,
    /// The owner that published it.
    pub epoch: Epoch,
    /// The log offset of the command that created it (or its schedule).
    pub offset: LogOffset,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutcomeKind {
    /// The handler succeeded.
    Succeeded,
    /// It failed and will be tried again.
    Retried,
    /// It failed for the last time and lies among the dead letters.
    Dead,
    /// It was stopped on request of its schedule's overlap policy.
    Cancelled,
}

impl OutcomeKind {
    /// The word used in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            OutcomeKind::Succeeded => "succeeded",
            OutcomeKind::Retried => "retried",
            OutcomeKind::Dead => "dead",
            OutcomeKind::Cancelled => "cancelled",
        }
    }
}

/// The end of one attempt, as history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which attempt.
    pub execution: ExecutionId,
    /// Counted from 1.
    pub attempt: u32,
    /// How it ended.
    pub kind: OutcomeKind,
    /// Why it failed, or what the executor says of it; at most a few kilobytes.
    pub detail: String,
    /// When it was due.
    pub due: Timestamp,
    /// When the handler started.
    pub started_at: Timestamp,
    /// When the handler ended.
    pub ended_at: Timestamp,
}
