//! An execution: one attempt of one occurrence, as a worker receives it.

use std::fmt;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use crate::choice;
use crate::limits::{ID_BYTES_MAX, NAME_BYTES_MAX, ORDER_KEY_BYTES_MAX};
use crate::name::{Namespace, OrderKey, QueueName, TaskId};
use crate::offset::LogOffset;
use crate::partition::Epoch;
use crate::partition_id::PartitionId;
use crate::task::{Task, TaskKey};
use crate::time::Timestamp;

/// The id of a message: the same over all its attempts, deliveries and replays, so that a receiver
/// can tell that it has seen it. What webhooks bear as `webhook-id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u128);

/// The id of an attempt: the same however often the attempt is delivered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionId(pub u128);

/// What the ids of a task are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdParts<'a> {
    /// The name space of the id.
    pub namespace: &'a str,
    /// The task's id.
    pub id: &'a str,
    /// The task's key, where it has one.
    pub order_key: Option<&'a str>,
    /// Whether a schedule made it: its ids are never those of a task that somebody created under
    /// the same name.
    pub is_occurrence: bool,
    /// The due time of this attempt.
    pub due: Timestamp,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// The due time that the message is named by: see [`Task::message_due`].
    pub message_due: Timestamp,
}

impl<'a> IdParts<'a> {
    /// The parts of a task.
    pub fn of(task: &'a Task) -> IdParts<'a> {
        IdParts {
            namespace: task.namespace.as_str(),
            id: task.id.as_str(),
            order_key: task.order_key.as_ref().map(OrderKey::as_str),
            is_occurrence: task.origin.is_some(),
            due: task.due,
            attempt: task.attempt,
            message_due: task.message_due(),
        }
    }

    /// The id of the message: a fingerprint of namespace, id, key, the message's due time, and who
    /// made it.
    pub fn message(&self) -> MessageId {
        MessageId(self.fingerprint(b'm', self.message_due, 0))
    }

    /// The id of the attempt: a fingerprint of namespace, id, key, due time, attempt, and who made
    /// it.
    pub fn execution(&self) -> ExecutionId {
        ExecutionId(self.fingerprint(b'x', self.due, self.attempt))
    }

    fn fingerprint(&self, kind: u8, due: Timestamp, attempt: u32) -> u128 {
        let (due, attempt) = (due.as_millis().to_be_bytes(), attempt.to_be_bytes());
        let marks = [kind, u8::from(self.is_occurrence)];
        let (namespace, id) = (self.namespace.as_bytes(), self.id.as_bytes());
        // Who has no key is named as before there were any.
        let (key, key_end): (&[u8], &[u8]) = match self.order_key {
            Some(key) => (key.as_bytes(), b"\0"),
            None => (b"", b""),
        };
        let parts: [&[u8]; 9] = [
            &marks, namespace, b"\0", id, b"\0", key, key_end, &due, &attempt,
        ];
        let mut text = [0_u8; NAME_BYTES_MAX + ID_BYTES_MAX + ORDER_KEY_BYTES_MAX + 2 + 3 + 8 + 4];
        let length = parts.iter().map(|part| part.len()).sum();
        if length > text.len() {
            return xxh3_128(&parts.concat());
        }
        let mut rest = &mut text[..];
        for part in parts {
            let (front, behind) = rest.split_at_mut(part.len());
            front.copy_from_slice(part);
            rest = behind;
        }
        xxh3_128(&text[..length])
    }
}

impl MessageId {
    /// The id of the message that a task is an attempt of.
    pub fn of(task: &Task) -> MessageId {
        IdParts::of(task).message()
    }
}

impl ExecutionId {
    /// The id of the attempt that a task is.
    pub fn of(task: &Task) -> ExecutionId {
        IdParts::of(task).execution()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m-{:032x}", self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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

/// The fencing token of a delivery: whoever is handed an execution later holds a greater one, so
/// that a receiver can refuse what comes from a holder that has been replaced.
///
/// The owner that published counts first, then the generation of whoever hands out (a store that
/// was opened anew, a consumer group that was divided anew), then a count within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryToken {
    /// The owner that published the execution.
    pub epoch: Epoch,
    /// The generation of whoever hands it out; never falls.
    pub generation: u32,
    /// Counts what was handed out within the generation.
    pub count: u64,
}

impl fmt::Display for DeliveryToken {
    /// Of one length, so that tokens can be compared as text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:016x}-{:08x}-{:016x}",
            self.epoch.0, self.generation, self.count
        )
    }
}

/// A published attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// The id of the attempt.
    pub id: ExecutionId,
    /// The id of its message: the idempotency key of the effect.
    pub message: MessageId,
    /// What runs.
    pub task: Task,
    /// When the tick that published it was built.
    pub published_at: Timestamp,
    /// The partition it came from.
    pub partition: PartitionId,
    /// The owner that published it.
    pub epoch: Epoch,
    /// The fencing token of this delivery.
    pub token: DeliveryToken,
    /// The log offset of the command that created it (or its schedule).
    pub offset: LogOffset,
}

choice!(
    /// How a run ended.
    OutcomeKind, "outcome" {
        /// The handler succeeded.
        Succeeded = "succeeded",
        /// It failed and will be tried again.
        Retried = "retried",
        /// It failed for the last time and lies among the dead letters.
        Dead = "dead",
        /// It was stopped on request, asked or killed.
        Cancelled = "cancelled",
        /// It ended with the worker that had taken it; nobody can tell how far it had come.
        Lost = "lost",
        /// Its execution was gone, or could not be read, before a worker had run it.
        Expired = "expired",
    }
);

/// The end of one attempt, as history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which attempt.
    pub execution: ExecutionId,
    /// Counted from 1.
    pub attempt: u32,
    /// How it ended.
    pub kind: OutcomeKind,
    /// Why it failed, at most a few kilobytes; or the result of a success, at most
    /// [`RESULT_BYTES_MAX`](crate::limits::RESULT_BYTES_MAX).
    pub detail: String,
    /// When it was due.
    pub due: Timestamp,
    /// When the handler started.
    pub started_at: Timestamp,
    /// When the handler ended.
    pub ended_at: Timestamp,
    /// Whose attempt it was; `None` where that is kept as a fingerprint only.
    pub task: Option<Box<EndedTask>>,
}

/// What a task was called, and where it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedTask {
    /// The name space of the id.
    pub namespace: Namespace,
    /// The id.
    pub id: TaskId,
    /// The key that it was created with.
    pub order_key: Option<OrderKey>,
    /// The queue that the attempt was published to.
    pub queue: QueueName,
}

impl EndedTask {
    /// The names of a task.
    pub fn of(task: &Task) -> EndedTask {
        EndedTask {
            namespace: task.namespace.clone(),
            id: task.id.clone(),
            order_key: task.order_key.clone(),
            queue: task.queue.clone(),
        }
    }
}

/// What is told of a claimed run when nobody is left who could tell how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastWord {
    /// Encoded commands, and the partitions whose logs they go to.
    pub commands: Vec<(PartitionId, Bytes)>,
    /// A line for the history.
    pub outcome: Option<(TaskKey, Outcome)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(id: &'a str, due: i64, attempt: u32) -> IdParts<'a> {
        let due = Timestamp::from_millis(due);
        IdParts {
            namespace: "default",
            id,
            order_key: None,
            is_occurrence: false,
            due,
            attempt,
            message_due: due,
        }
    }

    #[test]
    fn ids_are_stable_over_releases() {
        let text = [
            b"x\0default\0order-1\0".as_slice(),
            &5_i64.to_be_bytes(),
            &2_u32.to_be_bytes(),
        ]
        .concat();
        assert_eq!(
            parts("order-1", 5, 2).execution(),
            ExecutionId(xxh3_128(&text))
        );
        let text = [
            b"m\0default\0order-1\0".as_slice(),
            &5_i64.to_be_bytes(),
            &0_u32.to_be_bytes(),
        ]
        .concat();
        assert_eq!(parts("order-1", 5, 2).message(), MessageId(xxh3_128(&text)));
        let long = "x".repeat(1_000);
        let text = [
            b"x\0default\0",
            long.as_bytes(),
            b"\0",
            &5_i64.to_be_bytes(),
            &2_u32.to_be_bytes(),
        ];
        assert_eq!(parts(&long, 5, 2).execution().0, xxh3_128(&text.concat()));
    }

    #[test]
    fn a_message_keeps_its_id_over_attempts_and_replays() {
        let first = parts("a", 5, 1);
        let retry = IdParts {
            due: Timestamp::from_millis(9),
            attempt: 2,
            ..first
        };
        assert_eq!(retry.message(), first.message());
        assert_ne!(retry.execution(), first.execution());
        assert_ne!(parts("a", 9, 1).message(), first.message());
    }

    #[test]
    fn tasks_of_one_id_and_other_keys_are_other_messages() {
        let alone = parts("a", 5, 1);
        let keyed = |key| IdParts {
            order_key: Some(key),
            ..alone
        };
        assert_ne!(keyed("k").message(), alone.message());
        assert_ne!(keyed("k").message(), keyed("l").message());
        assert_ne!(keyed("k").execution(), keyed("l").execution());
    }

    #[test]
    fn what_a_schedule_made_shares_no_id_with_what_a_caller_named() {
        let named = parts("s@2026-11-29T14:01:30Z", 5, 1);
        let made = IdParts {
            is_occurrence: true,
            ..named
        };
        assert_ne!(made.message(), named.message());
        assert_ne!(made.execution(), named.execution());
    }

    #[test]
    fn tokens_have_one_order_as_numbers_and_as_text() {
        let token = |epoch, generation, count| DeliveryToken {
            epoch: Epoch(epoch),
            generation,
            count,
        };
        let rising = [
            token(0, 0, 0),
            token(0, 0, 9),
            token(0, 0, 10),
            token(0, 1, 0),
            token(0, u32::MAX, u64::MAX),
            token(1, 0, 0),
            token(u64::MAX, 0, 0),
        ];
        assert!(rising.is_sorted());
        assert!(rising.map(|token| token.to_string()).is_sorted());
    }
}
