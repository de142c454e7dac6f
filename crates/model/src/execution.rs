//! An execution: one attempt of one occurrence, as a worker receives it.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use crate::limits::{ID_BYTES_MAX, NAME_BYTES_MAX};
use crate::offset::LogOffset;
use crate::partition::Epoch;
use crate::partition_id::PartitionId;
use crate::task::Task;
use crate::time::Timestamp;

/// The idempotency key of an execution: the same however often the attempt is delivered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionId(pub u128);

impl ExecutionId {
    /// The id of an attempt: a fingerprint of namespace, id, due time and attempt.
    pub fn of(task: &Task) -> ExecutionId {
        ExecutionId::of_parts(task.namespace.as_str(), task.id.as_str(), task.due, task.attempt)
    }

    /// The same from the parts of a task.
    pub fn of_parts(namespace: &str, id: &str, due: Timestamp, attempt: u32) -> ExecutionId {
        let (due, attempt) = (due.as_millis().to_be_bytes(), attempt.to_be_bytes());
        let parts: [&[u8]; 6] = [namespace.as_bytes(), b"\0", id.as_bytes(), b"\0", &due, &attempt];
        let mut text = [0_u8; NAME_BYTES_MAX + ID_BYTES_MAX + 2 + 8 + 4];
        let length = parts.iter().map(|part| part.len()).sum();
        if length > text.len() {
            return ExecutionId(xxh3_128(&parts.concat()));
        }
        let mut rest = &mut text[..];
        for part in parts {
            let (front, behind) = rest.split_at_mut(part.len());
            front.copy_from_slice(part);
            rest = behind;
        }
        ExecutionId(xxh3_128(&text[..length]))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_over_releases() {
        let text = [b"default\0order-1\0".as_slice(), &5_i64.to_be_bytes(), &2_u32.to_be_bytes()].concat();
        let id = ExecutionId::of_parts("default", "order-1", Timestamp::from_millis(5), 2);
        assert_eq!(id, ExecutionId(xxh3_128(&text)));
        let long = "x".repeat(1_000);
        let text = [long.as_bytes(), b"\0\0", &5_i64.to_be_bytes(), &2_u32.to_be_bytes()].concat();
        assert_eq!(ExecutionId::of_parts(&long, "", Timestamp::from_millis(5), 2).0, xxh3_128(&text));
    }
}
