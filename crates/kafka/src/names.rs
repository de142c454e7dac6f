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
    /// Requests to stop runs: one partition, read by every process that has workers.
    pub stops: String,
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

    /// The consumer group of a worker group on a queue.
    pub fn consumer_group(&self, queue: &QueueName, group: &str) -> String {
        format!("{}.{queue}.{group}", self.prefix)
    }

    /// The transactional id under which dead letters of a queue are taken away: the last to begin wins.
    pub(crate) fn removal_id(&self, region: &str, queue: &QueueName) -> String {
        format!("{}.{region}.dead-letters-{queue}", self.prefix)
    }

    /// The transactional id of one process's settlements.
    pub(crate) fn settlement_id(&self, region: &str, queue: &QueueName, group: &str, unique: &str) -> String {
        format!("{}.{region}.worker-{queue}-{group}-{unique}", self.prefix)
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
