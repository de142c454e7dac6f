//! The names of topics and of transactional ids.

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
        }
    }

    /// Where a queue's executions go.
    pub fn executions(&self, queue: &QueueName) -> String {
        format!("{}.executions.{queue}", self.prefix)
    }

    /// Where tasks of a queue go that failed for the last time.
    pub fn dead_letters(&self, queue: &QueueName) -> String {
        format!("{}.dead-letters.{queue}", self.prefix)
    }

    /// The queue of a topic of executions.
    pub fn queue_of(&self, topic: &str) -> Option<QueueName> {
        let name = topic.strip_prefix(&self.prefix)?.strip_prefix(".executions.")?;
        QueueName::parse(name).ok()
    }

    /// The transactional id under which a partition ticks: one owner at a time can hold it.
    pub(crate) fn transactional_id(&self, region: &str, partition: PartitionId) -> String {
        format!("{}.{region}.partition-{partition}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_found_again_from_its_topic() {
        let names = TopicNames::new("minutehand");
        let queue = QueueName::parse("mail.urgent").unwrap();
        assert_eq!(names.executions(&queue), "minutehand.executions.mail.urgent");
        assert_eq!(names.queue_of(&names.executions(&queue)), Some(queue));
        assert_eq!(names.queue_of("minutehand.commands"), None);
        assert_eq!(names.queue_of("other.executions.mail"), None);
    }
}
