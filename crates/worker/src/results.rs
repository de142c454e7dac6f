//! Results as records: what a run that succeeded says goes to its queue's topic of results, in one
//! step with the run's settlement.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use minutehand_model::{Execution, NameError, QueueName, TopicName};
use minutehand_ports::OutputRecord;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::naming;

/// Where the results of a queue go: `queue=topic`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct ResultTopic {
    /// The queue.
    pub queue: QueueName,
    /// The topic, which others have made.
    pub topic: TopicName,
}

/// What was given does not say where results of a queue go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultTopicError {
    /// There is no `=` in it.
    #[error("{given:?} names no topic; give queue=topic")]
    NoTopic {
        /// What was given, or its beginning.
        given: String,
    },
    /// One of the two is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A queue has two topics.
    #[error("the queue {queue} has two topics of results; name one")]
    Repeated {
        /// The queue.
        queue: QueueName,
    },
}

impl TryFrom<String> for ResultTopic {
    type Error = ResultTopicError;

    fn try_from(text: String) -> Result<ResultTopic, ResultTopicError> {
        let Some((queue, topic)) = text.split_once('=') else {
            let given = text.chars().take(60).collect();
            return Err(ResultTopicError::NoTopic { given });
        };
        Ok(ResultTopic {
            queue: QueueName::parse(queue)?,
            topic: TopicName::parse(topic)?,
        })
    }
}

impl From<ResultTopic> for String {
    fn from(result: ResultTopic) -> String {
        format!("{}={}", result.queue, result.topic)
    }
}

/// Which queues have a topic of results.
#[derive(Clone, Debug, Default)]
pub struct ResultTopics(Arc<BTreeMap<QueueName, TopicName>>);

impl ResultTopics {
    /// One topic a queue; queues may share one.
    ///
    /// # Errors
    /// [`ResultTopicError::Repeated`].
    pub fn new(topics: &[ResultTopic]) -> Result<ResultTopics, ResultTopicError> {
        let mut by_queue = BTreeMap::new();
        for ResultTopic { queue, topic } in topics {
            if by_queue.insert(queue.clone(), topic.clone()).is_some() {
                let queue = queue.clone();
                return Err(ResultTopicError::Repeated { queue });
            }
        }
        Ok(ResultTopics(Arc::new(by_queue)))
    }

    /// The record of a run that succeeded, where its queue has a topic: keyed by the task's id, and
    /// with the headers of a webhook. What runs at most once leaves none: its place is settled
    /// before it runs.
    pub(crate) fn record(
        &self,
        queue: &QueueName,
        execution: &Execution,
        result: &str,
    ) -> Option<OutputRecord> {
        let task = &execution.task;
        if task.guarantee.settles_first() {
            return None;
        }
        let topic = self.0.get(queue)?.clone();
        let headers = naming::headers(execution);
        Some(OutputRecord {
            topic,
            key: Some(Bytes::copy_from_slice(task.id.as_str().as_bytes())),
            value: Bytes::copy_from_slice(result.as_bytes()),
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<ResultTopic, String> {
        ResultTopic::try_from(text.to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_queue_and_its_topic_are_written_as_they_are_read() {
        let mail = parsed("mail=mail.results").unwrap();
        assert_eq!(String::from(mail), "mail=mail.results");
        assert!(parsed("mail").unwrap_err().contains("queue=topic"));
        assert!(parsed("mail=").unwrap_err().contains("topic is empty"));
        assert!(parsed("=results").unwrap_err().contains("queue is empty"));
    }

    #[test]
    fn a_queue_with_two_topics_is_refused() {
        let topics = ["mail=a", "mail=b"].map(|text| parsed(text).unwrap());
        let refused = ResultTopics::new(&topics).unwrap_err();
        assert!(refused.to_string().contains("mail"), "{refused}");
        let shared = ["mail=a", "sms=a"].map(|text| parsed(text).unwrap());
        assert!(ResultTopics::new(&shared).is_ok());
    }
}
