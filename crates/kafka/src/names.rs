//! The names of topics and of transactional ids.

use minutehand_model::limits::{NAME_BYTES_MAX, TOPIC_NAME_BYTES_MAX};
use minutehand_model::{PartitionId, QueueName};

/// The topics of one installation, by what they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicNames {
    prefix: String,
    /// What producers and the API ask for: P partitions.
    pub commands: String,
    /// The checkpoint of every partition: compacted, P partitions.
    pub checkpoints: String,
    /// What schedules remember: compacted, P partitions.
    pub schedule_state: String,
    /// How attempts ended.
    pub outcomes: String,
    /// What could not be understood, with the reason.
    pub rejected: String,
    /// Requests to stop runs: one partition, read by every process that has workers.
    pub stops: String,
    /// What workers and replays ask of the log: P partitions, copied to `commands` as it is
    /// committed.
    pub follow_ups: String,
    /// What operators want passed over in the log: one partition.
    pub skips: String,
    /// What operators have said of queues: compacted, one partition.
    pub queues: String,
    /// What schedulers send to be told the brokers' time: one partition, read by nobody.
    pub clock: String,
    /// What is known of at-most-once runs in progress: compacted, P partitions.
    pub claims: String,
}

impl TopicNames {
    /// The names behind a prefix.
    pub fn new(prefix: &str) -> TopicNames {
        let name = |what: &str| format!("{prefix}.{what}");
        TopicNames {
            prefix: prefix.to_owned(),
            commands: name("commands"),
            checkpoints: name("checkpoints"),
            schedule_state: name("schedule-state"),
            outcomes: name("outcomes"),
            rejected: name("rejected"),
            stops: name("stops"),
            follow_ups: name("follow-ups"),
            skips: name("skips"),
            queues: name("queues"),
            clock: name("clock"),
            claims: name("claims"),
        }
    }

    /// Where a queue's executions go.
    pub fn executions(&self, queue: &QueueName) -> String {
        self.of_queue("executions", queue)
    }

    /// Where tasks of a queue go that failed for the last time.
    pub fn dead_letters(&self, queue: &QueueName) -> String {
        self.of_queue("dead-letters", queue)
    }

    /// Kafka takes two names for one that differ in `.` and `_` only. So the queue's name says
    /// where it has underscores, in front, where no queue's name stands:
    /// `<prefix>.executions.mail.urgent`, `<prefix>.executions-1.mail_urgent`.
    fn of_queue(&self, what: &str, queue: &QueueName) -> String {
        debug_assert!(
            self.prefix.len() <= TOPIC_PREFIX_BYTES_MAX,
            "every queue's topic has a name that Kafka takes"
        );
        match underscores(queue.as_str()) {
            0 => format!("{}.{what}.{queue}", self.prefix),
            underscores => format!("{}.{what}-{underscores:x}.{queue}", self.prefix),
        }
    }

    /// The queue of a topic of executions.
    pub fn queue_of(&self, topic: &str) -> Option<QueueName> {
        let name = topic
            .strip_prefix(&self.prefix)?
            .strip_prefix(".executions")?;
        let (_, name) = name.split_once('.')?;
        let queue = QueueName::parse(name).ok()?;
        (self.executions(&queue) == topic).then_some(queue)
    }

    /// Whether a topic is one of a queue's.
    pub(crate) fn is_of_queue(&self, topic: &str) -> bool {
        let of = |name: &str, what: &str| {
            name.strip_prefix(what)
                .is_some_and(|rest| rest.starts_with(['.', '-']))
        };
        let name = topic
            .strip_prefix(&self.prefix)
            .and_then(|name| name.strip_prefix('.'));
        name.is_some_and(|name| of(name, "executions") || of(name, "dead-letters"))
    }

    /// Whether a topic is the installation's own, or Kafka's: nobody else writes there.
    pub(crate) fn is_reserved(&self, topic: &str) -> bool {
        let behind = topic.strip_prefix(&self.prefix);
        topic.starts_with("__") || behind.is_some_and(|name| name.starts_with(['.', '_']))
    }

    /// The consumer group of a worker group on a queue. No name of a queue holds a slash.
    pub fn consumer_group(&self, queue: &QueueName, group: &str) -> String {
        format!("{}.{queue}/{group}", self.prefix)
    }

    /// The transactional id under which dead letters of a queue are taken away: the last to begin
    /// wins.
    pub(crate) fn removal_id(&self, region: &str, queue: &QueueName) -> String {
        format!("{}.{region}.dead-letters-{queue}", self.prefix)
    }

    /// The transactional id of one process's settlements.
    pub(crate) fn settlement_id(
        &self,
        region: &str,
        queue: &QueueName,
        group: &str,
        unique: &str,
    ) -> String {
        format!("{}.{region}.worker-{queue}-{group}-{unique}", self.prefix)
    }

    /// The transactional id under which a partition ticks: one owner at a time can hold it.
    pub(crate) fn transactional_id(&self, region: &str, partition: PartitionId) -> String {
        format!("{}.{region}.partition-{partition}", self.prefix)
    }
}

/// Which of a name's separators (`.` and `_`) are underscores: a bit each, the first one lowest.
fn underscores(name: &str) -> u64 {
    let separators = name.bytes().filter(|byte| matches!(byte, b'.' | b'_'));
    separators.enumerate().fold(0, |bits, (index, byte)| {
        bits | u64::from(byte == b'_') << index
    })
}

/// What a topic's name holds beside prefix and queue: `.dead-letters-`, sixteen digits and a dot.
const TOPIC_NAME_FRAME_BYTES: usize = 31;
/// Longest prefix of topics, in bytes.
pub const TOPIC_PREFIX_BYTES_MAX: usize =
    TOPIC_NAME_BYTES_MAX - TOPIC_NAME_FRAME_BYTES - NAME_BYTES_MAX;

const _: () = assert!(
    NAME_BYTES_MAX <= u64::BITS as usize,
    "a bit for each separator of a queue's name"
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// All names over a few characters, as Kafka compares them.
    #[test]
    fn no_two_queues_have_topics_that_kafka_takes_for_one() {
        let names = TopicNames::new("minutehand");
        let alphabet = [".", "_", "-", "a", "1"];
        let mut queues = vec![String::new()];
        let mut seen = BTreeMap::new();
        for _ in 0..5 {
            queues = queues
                .iter()
                .flat_map(|name| alphabet.map(|end| format!("{name}{end}")))
                .collect();
            for queue in &queues {
                // Dots alone are no name.
                let Ok(queue) = QueueName::parse(queue) else {
                    continue;
                };
                for topic in [names.executions(&queue), names.dead_letters(&queue)] {
                    let before = seen.insert(topic.replace('.', "_"), queue.clone());
                    assert_eq!(before, None, "{queue} has the topic {topic}");
                }
                assert_eq!(names.queue_of(&names.executions(&queue)), Some(queue));
            }
        }
    }

    #[test]
    fn a_name_of_the_greatest_length_is_one_that_kafka_takes() {
        let names = TopicNames::new(&"p".repeat(TOPIC_PREFIX_BYTES_MAX));
        let queue = QueueName::parse(&"_".repeat(NAME_BYTES_MAX)).unwrap();
        assert_eq!(names.dead_letters(&queue).len(), TOPIC_NAME_BYTES_MAX);
    }

    #[test]
    fn a_queue_is_found_again_from_its_topic() {
        let names = TopicNames::new("minutehand");
        let queue = QueueName::parse("mail.urgent").unwrap();
        assert_eq!(
            names.executions(&queue),
            "minutehand.executions.mail.urgent"
        );
        assert_eq!(names.queue_of(&names.executions(&queue)), Some(queue));
        assert_eq!(names.queue_of("minutehand.commands"), None);
        assert_eq!(names.queue_of("other.executions.mail"), None);
    }
}
