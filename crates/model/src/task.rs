//! A task: something to run once at its due time.

use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::name::{Namespace, QueueName, ScheduleId, TaskId};
use crate::partition_id::PartitionId;
use crate::policy::{Guarantee, Precision, RetryPolicy};
use crate::time::Timestamp;
use crate::verbatim::{Verbatim, header_bytes};

/// A 128-bit fingerprint of (namespace, id): what the engine compares instead of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey(pub u128);

impl TaskKey {
    /// The fingerprint (XXH3, 128 bits) of a namespace and an id.
    ///
    /// The lengths of both are bounded, so a zero byte between them keeps the pairs apart.
    pub fn of(namespace: &str, id: &str) -> TaskKey {
        let mut text = [0_u8; crate::limits::NAME_BYTES_MAX + 1 + crate::limits::ID_BYTES_MAX];
        let length = namespace.len() + 1 + id.len();
        if length > text.len() {
            return TaskKey(xxh3_128(
                [namespace.as_bytes(), b"\0", id.as_bytes()]
                    .concat()
                    .as_slice(),
            ));
        }
        text[..namespace.len()].copy_from_slice(namespace.as_bytes());
        text[namespace.len() + 1..length].copy_from_slice(id.as_bytes());
        TaskKey(xxh3_128(&text[..length]))
    }

    /// The low half, for hash tables.
    pub const fn low(self) -> u64 {
        self.0 as u64
    }
}

impl PartitionId {
    /// The partition that a task or schedule id belongs to, of `partitions` (at least 1).
    ///
    /// Stable over releases: XXH3 of namespace, a zero byte and id, modulo the count.
    pub fn of(namespace: &Namespace, id: &str, partitions: u32) -> PartitionId {
        let hash = xxh3_64(
            [namespace.as_str().as_bytes(), b"\0", id.as_bytes()]
                .concat()
                .as_slice(),
        );
        PartitionId::own((hash % u64::from(partitions.max(1))) as u32)
    }
}

/// The schedule and nominal time that a task stems from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The time its calendar names, before jitter.
    pub nominal: Timestamp,
    /// Whether the scheduler waits for the end of the run (overlap policies, pause on failure).
    pub completion_wanted: bool,
}

/// A task as its caller means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The name space of the id.
    pub namespace: Namespace,
    /// The id, unique together with `due` within the namespace.
    pub id: TaskId,
    /// The stream its execution is published to.
    pub queue: QueueName,
    /// When it runs.
    pub due: Timestamp,
    /// Opaque bytes for the worker.
    pub payload: Bytes,
    /// Names and values for the worker, in the order given.
    pub headers: Vec<(String, String)>,
    /// What happens when it fails.
    pub retry: RetryPolicy,
    /// What is promised about its effect.
    pub guarantee: Guarantee,
    /// How close to its due time it is published.
    pub precision: Precision,
    /// Which attempt this is, from 1; a retry is a task of its own.
    pub attempt: u32,
    /// The due time of the first attempt.
    pub first_due: Timestamp,
    /// Of a dead letter that is run again: the due time that its message is named by.
    pub replay_of: Option<Timestamp>,
    /// The schedule it stems from.
    pub origin: Option<Origin>,
    /// What the Kafka record it came as had that the other fields cannot say.
    pub verbatim: Option<Box<Verbatim>>,
}

impl Task {
    /// A first attempt with nothing but what every task has; the rest is as where nothing else is
    /// asked for.
    pub fn new(namespace: Namespace, id: TaskId, queue: QueueName, due: Timestamp) -> Task {
        Task {
            namespace,
            id,
            queue,
            due,
            payload: Bytes::new(),
            headers: Vec::new(),
            retry: RetryPolicy::default(),
            guarantee: Guarantee::default(),
            precision: Precision::default(),
            attempt: 1,
            first_due: due,
            replay_of: None,
            origin: None,
            verbatim: None,
        }
    }

    /// The fingerprint of its namespace and id.
    pub fn key(&self) -> TaskKey {
        TaskKey::of(self.namespace.as_str(), self.id.as_str())
    }

    /// The due time that its message is named by: that of its first attempt, kept when a dead
    /// letter is run again.
    pub fn message_due(&self) -> Timestamp {
        self.replay_of.unwrap_or(self.first_due)
    }

    /// Names and values of its headers as bytes, in order; `None`: null.
    pub fn header_bytes(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        header_bytes(&self.headers, self.verbatim.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_the_boundary_between_namespace_and_id() {
        assert_ne!(TaskKey::of("a", "bc"), TaskKey::of("ab", "c"));
        assert_eq!(TaskKey::of("ns", "id"), TaskKey(xxh3_128(b"ns\0id")));
    }

    #[test]
    fn partitions_are_stable_over_releases() {
        let namespace = Namespace::parse("default").unwrap();
        let spread: Vec<u32> = (0..8)
            .map(|i| PartitionId::of(&namespace, &format!("task-{i}"), 4).number())
            .collect();
        assert_eq!(
            spread,
            [1, 1, 0, 0, 0, 2, 2, 3],
            "changing this moves every stored task"
        );
    }
}
