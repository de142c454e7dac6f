//! Queries to owners and their replies, as they lie on the wire.

use bytes::Bytes;
use minutehand_model::{NameError, Namespace, PartitionId, ScheduleId, Timestamp};
use minutehand_node::{
    CountTasks, FindSchedule, FindTasks, ListSchedules, ListTasks, OwnerQuery, OwnerReply,
};
use minutehand_record::DecodeError;
use minutehand_record::frontier::PlaceMessage;
use prost::{Message, Oneof};

use crate::codec::{
    fault, key, key_bytes, partition, schedule, schedule_message, size, task_message, tasks,
};
use crate::message::{KnownScheduleMessage, KnownTaskMessage};

const QUESTION: &str = "question";
const ANSWER: &str = "answer";

#[derive(Clone, PartialEq, Eq, Message)]
struct QuestionMessage {
    #[prost(uint32, tag = "1")]
    partition: u32,
    #[prost(oneof = "QuestionKind", tags = "2, 3, 4, 5, 6")]
    kind: Option<QuestionKind>,
}

#[derive(Clone, PartialEq, Eq, Oneof)]
enum QuestionKind {
    #[prost(message, tag = "2")]
    Find(FindMessage),
    #[prost(message, tag = "3")]
    List(ListMessage),
    #[prost(message, tag = "4")]
    Loads(RangeMessage),
    #[prost(message, tag = "5")]
    Schedule(ScheduleNameMessage),
    #[prost(message, tag = "6")]
    Schedules(SchedulesMessage),
}

#[derive(Clone, PartialEq, Eq, Message)]
struct AnswerMessage {
    #[prost(oneof = "AnswerKind", tags = "1, 2, 3, 4, 5, 6")]
    kind: Option<AnswerKind>,
}

#[derive(Clone, PartialEq, Eq, Oneof)]
enum AnswerKind {
    /// The partition has no owner here, or it has just stopped.
    #[prost(message, tag = "1")]
    NotOwned(NothingMessage),
    #[prost(message, tag = "2")]
    Found(FoundMessage),
    #[prost(message, tag = "3")]
    Tasks(TasksMessage),
    #[prost(message, tag = "4")]
    Loads(LoadsMessage),
    /// Of one schedule: none or one of them.
    #[prost(message, tag = "5")]
    Schedule(SchedulesFoundMessage),
    #[prost(message, tag = "6")]
    Schedules(SchedulesFoundMessage),
}

#[derive(Clone, PartialEq, Eq, Message)]
struct FindMessage {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    keys: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct ListMessage {
    #[prost(message, optional, tag = "1")]
    after: Option<PlaceMessage>,
    #[prost(sint64, tag = "2")]
    until_ms: i64,
    #[prost(uint64, tag = "3")]
    count_max: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct RangeMessage {
    #[prost(sint64, tag = "1")]
    from_ms: i64,
    #[prost(sint64, tag = "2")]
    until_ms: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct ScheduleNameMessage {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    id: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct SchedulesMessage {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, optional, tag = "2")]
    after: Option<String>,
    #[prost(string, tag = "3")]
    prefix: String,
    #[prost(uint64, tag = "4")]
    count_max: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct NothingMessage {}

#[derive(Clone, PartialEq, Eq, Message)]
struct FoundMessage {
    #[prost(message, repeated, tag = "1")]
    found: Vec<TasksMessage>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct TasksMessage {
    #[prost(message, repeated, tag = "1")]
    tasks: Vec<KnownTaskMessage>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct LoadsMessage {
    #[prost(message, repeated, tag = "1")]
    minutes: Vec<LoadMessage>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct LoadMessage {
    #[prost(sint64, tag = "1")]
    minute_ms: i64,
    #[prost(uint64, tag = "2")]
    tasks: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct SchedulesFoundMessage {
    #[prost(message, repeated, tag = "1")]
    schedules: Vec<KnownScheduleMessage>,
}

/// The bytes of a query about one partition.
pub fn encode_query(partition: PartitionId, query: &OwnerQuery) -> Bytes {
    let kind = match query {
        OwnerQuery::FindTasks(FindTasks { keys }) => QuestionKind::Find(FindMessage {
            keys: keys.iter().copied().map(key_bytes).collect(),
        }),
        OwnerQuery::ListTasks(list) => QuestionKind::List(ListMessage {
            after: list.after.map(Into::into),
            until_ms: list.until.as_millis(),
            count_max: list.count_max as u64,
        }),
        OwnerQuery::CountTasks(CountTasks { from, until }) => QuestionKind::Loads(RangeMessage {
            from_ms: from.as_millis(),
            until_ms: until.as_millis(),
        }),
        OwnerQuery::FindSchedule(FindSchedule { namespace, id }) => {
            QuestionKind::Schedule(ScheduleNameMessage {
                namespace: namespace.to_string(),
                id: id.to_string(),
            })
        }
        OwnerQuery::ListSchedules(list) => QuestionKind::Schedules(SchedulesMessage {
            namespace: list.namespace.to_string(),
            after: list.after.as_ref().map(ToString::to_string),
            prefix: list.prefix.clone(),
            count_max: list.count_max as u64,
        }),
    };
    let partition = partition.bits();
    let message = QuestionMessage {
        partition,
        kind: Some(kind),
    };
    message.encode_to_vec().into()
}

/// The query in these bytes, and the partition it is about.
///
/// # Errors
/// Bytes that are no query, or one that this build does not know.
pub fn decode_query(bytes: Bytes) -> Result<(PartitionId, OwnerQuery), DecodeError> {
    let message =
        QuestionMessage::decode(bytes).map_err(|error| fault(QUESTION, error.to_string()))?;
    let kind = message
        .kind
        .ok_or_else(|| fault(QUESTION, "it asks nothing that is known here"))?;
    let query = match kind {
        QuestionKind::Find(find) => {
            let keys = find.keys.iter().map(|bytes| key(QUESTION, bytes));
            OwnerQuery::FindTasks(FindTasks {
                keys: keys.collect::<Result<_, _>>()?,
            })
        }
        QuestionKind::List(list) => OwnerQuery::ListTasks(ListTasks {
            after: list.after.map(TryInto::try_into).transpose()?,
            until: Timestamp::from_millis(list.until_ms),
            count_max: size(QUESTION, "count_max", list.count_max)?,
        }),
        QuestionKind::Loads(range) => OwnerQuery::CountTasks(CountTasks {
            from: Timestamp::from_millis(range.from_ms),
            until: Timestamp::from_millis(range.until_ms),
        }),
        QuestionKind::Schedule(name) => OwnerQuery::FindSchedule(FindSchedule {
            namespace: Namespace::parse(&name.namespace).map_err(refused)?,
            id: ScheduleId::parse(&name.id).map_err(refused)?,
        }),
        QuestionKind::Schedules(list) => OwnerQuery::ListSchedules(ListSchedules {
            namespace: Namespace::parse(&list.namespace).map_err(refused)?,
            after: match list.after {
                Some(id) => Some(ScheduleId::parse(&id).map_err(refused)?),
                None => None,
            },
            prefix: list.prefix,
            count_max: size(QUESTION, "count_max", list.count_max)?,
        }),
    };
    Ok((partition(message.partition)?, query))
}

fn refused(error: NameError) -> DecodeError {
    fault(QUESTION, error.to_string())
}

/// The bytes of a reply; `None`: the partition has no owner here, or it has just stopped.
pub fn encode_reply(reply: Option<OwnerReply>) -> Bytes {
    let list = |tasks: Vec<_>| TasksMessage {
        tasks: tasks.into_iter().map(task_message).collect(),
    };
    let kind = match reply {
        None => AnswerKind::NotOwned(NothingMessage {}),
        Some(OwnerReply::FindTasks(found)) => AnswerKind::Found(FoundMessage {
            found: found.into_iter().map(list).collect(),
        }),
        Some(OwnerReply::ListTasks(tasks)) => AnswerKind::Tasks(list(tasks)),
        Some(OwnerReply::CountTasks(loads)) => {
            let minutes = loads.into_iter().map(|(minute, tasks)| LoadMessage {
                minute_ms: minute.as_millis(),
                tasks,
            });
            AnswerKind::Loads(LoadsMessage {
                minutes: minutes.collect(),
            })
        }
        Some(OwnerReply::FindSchedule(known)) => AnswerKind::Schedule(SchedulesFoundMessage {
            schedules: known.as_deref().map(schedule_message).into_iter().collect(),
        }),
        Some(OwnerReply::ListSchedules(known)) => AnswerKind::Schedules(SchedulesFoundMessage {
            schedules: known.iter().map(schedule_message).collect(),
        }),
    };
    AnswerMessage { kind: Some(kind) }.encode_to_vec().into()
}

/// The reply in these bytes; `None`: the partition is not owned there.
///
/// # Errors
/// Bytes that are no reply, or one that this build does not know.
pub fn decode_reply(bytes: Bytes) -> Result<Option<OwnerReply>, DecodeError> {
    let message = AnswerMessage::decode(bytes).map_err(|error| fault(ANSWER, error.to_string()))?;
    let kind = message
        .kind
        .ok_or_else(|| fault(ANSWER, "it says nothing that is known here"))?;
    Ok(Some(match kind {
        AnswerKind::NotOwned(_) => return Ok(None),
        AnswerKind::Found(found) => {
            let lists = found.found.into_iter().map(|list| tasks(list.tasks));
            OwnerReply::FindTasks(lists.collect::<Result<_, _>>()?)
        }
        AnswerKind::Tasks(list) => OwnerReply::ListTasks(tasks(list.tasks)?),
        AnswerKind::Loads(loads) => {
            let minute = |load: LoadMessage| (Timestamp::from_millis(load.minute_ms), load.tasks);
            OwnerReply::CountTasks(loads.minutes.into_iter().map(minute).collect())
        }
        AnswerKind::Schedule(found) => {
            let known = found.schedules.into_iter().next().map(schedule);
            OwnerReply::FindSchedule(known.transpose()?.map(Box::new))
        }
        AnswerKind::Schedules(found) => {
            let known = found.schedules.into_iter().map(schedule);
            OwnerReply::ListSchedules(known.collect::<Result<_, _>>()?)
        }
    }))
}
