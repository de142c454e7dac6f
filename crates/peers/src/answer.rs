//! The answer to a question, and how a scheduler comes by it.

use std::collections::BTreeMap;

use bytes::Bytes;
use minutehand_engine::{KnownSchedule, KnownTask, Phase};
use minutehand_model::Timestamp;
use minutehand_node::Ask;
use minutehand_record::DecodeError;
use prost::Message;

use crate::codec::{fault, schedule, schedule_message, task_message, tasks};
use crate::message::{
    AnswerKind, AnswerMessage, FoundMessage, LoadMessage, LoadsMessage, NothingMessage,
    SchedulesFoundMessage, TasksMessage,
};
use crate::question::Question;

const WHAT: &str = "answer";

/// What an owner says; each variant belongs to the question of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The partition has no owner here, or it has just stopped.
    NotOwned,
    /// What is in memory of each task, in the order asked.
    Found(Vec<Vec<KnownTask>>),
    /// Tasks in order of their places.
    Tasks(Vec<KnownTask>),
    /// Tasks by the minute.
    Loads(BTreeMap<Timestamp, u64>),
    /// The schedule, if there is one.
    Schedule(Option<Box<KnownSchedule>>),
    /// Schedules in order of their ids.
    Schedules(Vec<KnownSchedule>),
}

impl Answer {
    /// The bytes of an answer.
    pub fn encode(self) -> Bytes {
        let list = |tasks: Vec<KnownTask>| TasksMessage {
            tasks: tasks.into_iter().map(task_message).collect(),
        };
        let kind = match self {
            Answer::NotOwned => AnswerKind::NotOwned(NothingMessage {}),
            Answer::Found(found) => AnswerKind::Found(FoundMessage {
                found: found.into_iter().map(list).collect(),
            }),
            Answer::Tasks(tasks) => AnswerKind::Tasks(list(tasks)),
            Answer::Loads(loads) => AnswerKind::Loads(LoadsMessage {
                minutes: loads
                    .into_iter()
                    .map(|(minute, tasks)| LoadMessage {
                        minute_ms: minute.as_millis(),
                        tasks,
                    })
                    .collect(),
            }),
            Answer::Schedule(known) => AnswerKind::Schedule(SchedulesFoundMessage {
                schedules: known.as_deref().map(schedule_message).into_iter().collect(),
            }),
            Answer::Schedules(known) => AnswerKind::Schedules(SchedulesFoundMessage {
                schedules: known.iter().map(schedule_message).collect(),
            }),
        };
        AnswerMessage { kind: Some(kind) }.encode_to_vec().into()
    }

    /// The answer in these bytes.
    ///
    /// # Errors
    /// Bytes that are no answer, or one that this build does not know.
    pub fn decode(bytes: Bytes) -> Result<Answer, DecodeError> {
        let message =
            AnswerMessage::decode(bytes).map_err(|error| fault(WHAT, error.to_string()))?;
        let kind = message
            .kind
            .ok_or_else(|| fault(WHAT, "it says nothing that is known here"))?;
        Ok(match kind {
            AnswerKind::NotOwned(_) => Answer::NotOwned,
            AnswerKind::Found(found) => Answer::Found(
                found
                    .found
                    .into_iter()
                    .map(|list| tasks(list.tasks))
                    .collect::<Result<_, _>>()?,
            ),
            AnswerKind::Tasks(list) => Answer::Tasks(tasks(list.tasks)?),
            AnswerKind::Loads(loads) => {
                let minute =
                    |load: LoadMessage| (Timestamp::from_millis(load.minute_ms), load.tasks);
                Answer::Loads(loads.minutes.into_iter().map(minute).collect())
            }
            AnswerKind::Schedule(found) => Answer::Schedule(
                found
                    .schedules
                    .into_iter()
                    .next()
                    .map(schedule)
                    .transpose()?
                    .map(Box::new),
            ),
            AnswerKind::Schedules(found) => Answer::Schedules(
                found
                    .schedules
                    .into_iter()
                    .map(schedule)
                    .collect::<Result<_, _>>()?,
            ),
        })
    }
}

/// Answers the bytes of a question with the bytes of an answer. An owner that is still taking over
/// knows too little to be asked, and counts as none.
///
/// # Errors
/// Bytes that are no question, or one that this build does not know.
pub async fn answer(owners: &dyn Ask, question: Bytes) -> Result<Bytes, DecodeError> {
    let (partition, question) = Question::decode(question)?;
    let phase = owners.status(partition).map(|status| status.borrow().phase);
    if !matches!(phase, Some(Phase::Owning | Phase::HandingOver)) {
        return Ok(Answer::NotOwned.encode());
    }
    let answer = match question {
        Question::Find { keys } => owners.find(partition, keys).await.map(Answer::Found),
        Question::List {
            after,
            until,
            count_max,
        } => owners
            .list(partition, after, until, count_max)
            .await
            .map(Answer::Tasks),
        Question::Loads { from, until } => owners
            .loads(partition, from, until)
            .await
            .map(Answer::Loads),
        Question::Schedule { namespace, id } => {
            let known = owners.schedule(partition, namespace, id).await;
            known.map(|known| Answer::Schedule(known.map(Box::new)))
        }
        Question::Schedules {
            namespace,
            after,
            prefix,
            count_max,
        } => owners
            .schedules(partition, namespace, after, prefix, count_max)
            .await
            .map(Answer::Schedules),
    };
    Ok(answer.unwrap_or(Answer::NotOwned).encode())
}
