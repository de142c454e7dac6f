//! A task: something to run once at its due time.

use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::chain::Chain;
use crate::name::{GroupName, Namespace, OrderKey, QueueName, ScheduleId, TaskId};
use crate::partition_id::PartitionId;
use crate::policy::{Guarantee, Precision, Priority, RetryPolicy};
use crate::time::Timestamp;
use crate::verbatim::{Verbatim, header_bytes};

/// A 128-bit fingerprint of a task's name (namespace, id, and its key where it has one): what the engine compares instead of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey(pub u128);

/// Where in a fingerprint the bits of its place stand.
const PLACE_SHIFT: u32 = 64;

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

    /// The fingerprint of a namespace, an id and the key of a task that has one: tasks of other keys
    /// are other tasks, whatever their ids.
    ///
    /// Thirty-two bits in the middle are the same for all tasks of a key: see [`TaskKey::place`].
    pub fn of_keyed(namespace: &str, id: &str, key: Option<&str>) -> TaskKey {
        let Some(key) = key else {
            return TaskKey::of(namespace, id);
        };
        let parts = [
            namespace.as_bytes(),
            b"\0",
            id.as_bytes(),
            b"\0",
            key.as_bytes(),
        ];
        let of_all = xxh3_128(&parts.concat());
        let of_key = u128::from(TaskKey::of(namespace, key).place()) << PLACE_SHIFT;
        TaskKey(of_all & !(u128::from(u32::MAX) << PLACE_SHIFT) | of_key)
    }

    /// What decides among several places of one partition: the same for all tasks of one key.
    pub const fn place(self) -> u32 {
        (self.0 >> PLACE_SHIFT) as u32
    }

    /// The low half, for hash tables.
    pub const fn low(self) -> u64 {
        self.0 as u64
    }
}

impl PartitionId {
    /// The partition that a task or schedule id, or a task's key, belongs to, of `partitions` (at
    /// least 1).
    ///
    /// Stable over releases: XXH3 of namespace, a zero byte and id or key, modulo the count.
    pub fn of(namespace: &Namespace, id: &str, partitions: u32) -> PartitionId {
        let hash = xxh3_64(
            [namespace.as_str().as_bytes(), b"\0", id.as_bytes()]
                .concat()
                .as_slice(),
        );
        PartitionId::own((hash % u64::from(partitions.max(1))) as u32)
    }

    /// The partition of a task or schedule: that of its key, or of its id where it has none.
    pub fn of_keyed(
        namespace: &Namespace,
        id: &str,
        key: Option<&OrderKey>,
        partitions: u32,
    ) -> PartitionId {
        PartitionId::of(namespace, key.map_or(id, OrderKey::as_str), partitions)
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
    /// What it shares with the tasks that it keeps an order with: they live in one partition.
    pub order_key: Option<OrderKey>,
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
    /// How urgent it is among what waits in its queue.
    pub priority: Priority,
    /// Which attempt this is, from 1; a retry is a task of its own.
    pub attempt: u32,
    /// The due time of the first attempt.
    pub first_due: Timestamp,
    /// Of a dead letter that is run again: the due time that its message is named by.
    pub replay_of: Option<Timestamp>,
    /// The schedule it stems from.
    pub origin: Option<Origin>,
    /// Of what goes on with an execution: the worker group that had it. No other has to do with it.
    pub group: Option<GroupName>,
    /// What follows its end.
    pub chain: Chain,
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
            order_key: None,
            queue,
            due,
            payload: Bytes::new(),
            headers: Vec::new(),
            retry: RetryPolicy::default(),
            guarantee: Guarantee::default(),
            precision: Precision::default(),
            priority: Priority::default(),
            attempt: 1,
            first_due: due,
            replay_of: None,
            origin: None,
            group: None,
            chain: Chain::default(),
            verbatim: None,
        }
    }

    /// What goes on, later, with an execution that a worker group had of this task: the next attempt,
    /// or the same one where it has not begun. It is that group's alone; the others have had theirs.
    ///
    /// # Panics
    /// When it is not due later: a task is named by its id and due time, so it would be this one.
    pub fn continued(self, group: &GroupName, due: Timestamp, attempt: u32) -> Task {
        assert!(
            due > self.due,
            "what goes on with an execution is due after it: at the same time it would be taken for it"
        );
        Task {
            due,
            attempt,
            group: Some(group.clone()),
            ..self
        }
    }

    /// The fingerprint of its name.
    pub fn key(&self) -> TaskKey {
        let key = self.order_key.as_ref().map(OrderKey::as_str);
        TaskKey::of_keyed(self.namespace.as_str(), self.id.as_str(), key)
    }

    /// The partition that it belongs to, of `partitions`: that of its key, or of its id where it
    /// has none.
    pub fn home(&self, partitions: u32) -> PartitionId {
        let (id, key) = (self.id.as_str(), self.order_key.as_ref());
        PartitionId::of_keyed(&self.namespace, id, key, partitions)
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
    fn a_key_is_part_of_a_tasks_name() {
        let named = |id, key| TaskKey::of_keyed("ns", id, key);
        assert_eq!(named("id", None), TaskKey::of("ns", "id"));
        let whole = xxh3_128(b"ns\0id\0k");
        let keyed = named("id", Some("k"));
        assert_eq!((keyed.low(), keyed.0 >> 96), (whole as u64, whole >> 96));
        assert_eq!(keyed.place(), TaskKey::of("ns", "k").place());
        assert_ne!(named("id", Some("k")), named("id", Some("l")));
        assert_ne!(named("idk", None), named("id", Some("k")));
    }

    #[test]
    fn tasks_of_one_key_live_in_one_partition() {
        let task = |id: String, key: Option<&str>| Task {
            order_key: key.map(|key| OrderKey::parse(key).unwrap()),
            ..Task::new(
                Namespace::parse("default").unwrap(),
                TaskId::parse(&id).unwrap(),
                QueueName::parse("mail").unwrap(),
                Timestamp::from_millis(0),
            )
        };
        let homes: std::collections::BTreeSet<_> = (0..50)
            .map(|i| task(format!("task-{i}"), Some("customer-7")).home(16))
            .collect();
        assert_eq!(homes.len(), 1);
        let alone = task("task-1".to_owned(), None);
        assert_eq!(
            alone.home(16),
            PartitionId::of(&alone.namespace, "task-1", 16)
        );
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
