//! A question to the owner of a partition.

use bytes::Bytes;
use minutehand_model::{NameError, Namespace, PartitionId, Place, ScheduleId, TaskKey, Timestamp};
use minutehand_record::DecodeError;
use prost::Message;

use crate::codec::{fault, key, key_bytes, partition, place, place_message, size};
use crate::message::{
    FindMessage, ListMessage, QuestionKind, QuestionMessage, RangeMessage, ScheduleNameMessage,
    SchedulesMessage,
};

const WHAT: &str = "question";

/// What an owner is asked; each is a method of [`minutehand_node::Ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// What is in memory of each task.
    Find {
        /// Their fingerprints.
        keys: Vec<TaskKey>,
    },
    /// Tasks in memory that are to run.
    List {
        /// Behind this place.
        after: Option<Place>,
        /// Due before this time.
        until: Timestamp,
        /// At most so many.
        count_max: usize,
    },
    /// Tasks in memory by the minute.
    Loads {
        /// From this minute on.
        from: Timestamp,
        /// Before this one.
        until: Timestamp,
    },
    /// One schedule.
    Schedule {
        /// The name space of its id.
        namespace: Namespace,
        /// Its id.
        id: ScheduleId,
    },
    /// Schedules of a namespace.
    Schedules {
        /// The name space.
        namespace: Namespace,
        /// Behind this id.
        after: Option<ScheduleId>,
        /// Whose ids begin with this.
        prefix: String,
        /// At most so many.
        count_max: usize,
    },
}

impl Question {
    /// The bytes of a question about one partition.
    pub fn encode(&self, partition: PartitionId) -> Bytes {
        let kind = match self {
            Question::Find { keys } => QuestionKind::Find(FindMessage {
                keys: keys.iter().copied().map(key_bytes).collect(),
            }),
            Question::List {
                after,
                until,
                count_max,
            } => QuestionKind::List(ListMessage {
                after: after.map(place_message),
                until_ms: until.as_millis(),
                count_max: *count_max as u64,
            }),
            Question::Loads { from, until } => QuestionKind::Loads(RangeMessage {
                from_ms: from.as_millis(),
                until_ms: until.as_millis(),
            }),
            Question::Schedule { namespace, id } => QuestionKind::Schedule(ScheduleNameMessage {
                namespace: namespace.to_string(),
                id: id.to_string(),
            }),
            Question::Schedules {
                namespace,
                after,
                prefix,
                count_max,
            } => QuestionKind::Schedules(SchedulesMessage {
                namespace: namespace.to_string(),
                after: after.as_ref().map(ToString::to_string),
                prefix: prefix.clone(),
                count_max: *count_max as u64,
            }),
        };
        QuestionMessage {
            partition: partition.bits(),
            kind: Some(kind),
        }
        .encode_to_vec()
        .into()
    }

    /// The question, and the partition it is about.
    ///
    /// # Errors
    /// Bytes that are no question, or one that this build does not know.
    pub fn decode(bytes: Bytes) -> Result<(PartitionId, Question), DecodeError> {
        let message =
            QuestionMessage::decode(bytes).map_err(|error| fault(WHAT, error.to_string()))?;
        let kind = message
            .kind
            .ok_or_else(|| fault(WHAT, "it asks nothing that is known here"))?;
        let question = match kind {
            QuestionKind::Find(find) => Question::Find {
                keys: find
                    .keys
                    .iter()
                    .map(|bytes| key(WHAT, bytes))
                    .collect::<Result<_, _>>()?,
            },
            QuestionKind::List(list) => Question::List {
                after: list.after.map(place).transpose()?,
                until: Timestamp::from_millis(list.until_ms),
                count_max: size(WHAT, "count_max", list.count_max)?,
            },
            QuestionKind::Loads(range) => Question::Loads {
                from: Timestamp::from_millis(range.from_ms),
                until: Timestamp::from_millis(range.until_ms),
            },
            QuestionKind::Schedule(name) => Question::Schedule {
                namespace: Namespace::parse(&name.namespace).map_err(refused)?,
                id: ScheduleId::parse(&name.id).map_err(refused)?,
            },
            QuestionKind::Schedules(schedules) => Question::Schedules {
                namespace: Namespace::parse(&schedules.namespace).map_err(refused)?,
                after: schedules
                    .after
                    .as_deref()
                    .map(ScheduleId::parse)
                    .transpose()
                    .map_err(refused)?,
                prefix: schedules.prefix,
                count_max: size(WHAT, "count_max", schedules.count_max)?,
            },
        };
        Ok((partition(message.partition)?, question))
    }
}

fn refused(error: NameError) -> DecodeError {
    fault(WHAT, error.to_string())
}
