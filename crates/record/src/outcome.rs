//! The end of one attempt, as history keeps it.

use bytes::Bytes;
use minutehand_model::{
    EndedTask, ExecutionId, Namespace, OrderKey, Outcome, QueueName, TaskId, Timestamp,
};
use prost::Message;

use crate::envelope::{key, seal, unseal};
use crate::error::{DecodeError, Fault};
use crate::policy::{outcome, outcome_number};
use crate::task::order_key;

const WHAT: &str = "outcome";

#[derive(Clone, PartialEq, Eq, Message)]
struct OutcomeMessage {
    /// Sixteen bytes, big-endian.
    #[prost(bytes = "bytes", tag = "1")]
    execution: Bytes,
    #[prost(uint32, tag = "2")]
    attempt: u32,
    #[prost(uint32, tag = "3")]
    kind: u32,
    #[prost(string, tag = "4")]
    detail: String,
    #[prost(sint64, tag = "5")]
    due_ms: i64,
    #[prost(sint64, tag = "6")]
    started_at_ms: i64,
    #[prost(sint64, tag = "7")]
    ended_at_ms: i64,
    /// With the next two, absent where only the key says whose it was.
    #[prost(string, tag = "8")]
    namespace: String,
    #[prost(string, tag = "9")]
    id: String,
    #[prost(string, tag = "10")]
    queue: String,
    #[prost(string, tag = "11")]
    order_key: String,
}

/// The bytes of an outcome.
pub fn encode(outcome: &Outcome) -> Bytes {
    let named = |name: fn(&EndedTask) -> &str| {
        let task = outcome.task.as_deref();
        task.map(name).unwrap_or_default().to_owned()
    };
    seal(&OutcomeMessage {
        execution: Bytes::copy_from_slice(&outcome.execution.0.to_be_bytes()),
        attempt: outcome.attempt,
        kind: outcome_number(outcome.kind),
        detail: outcome.detail.clone(),
        due_ms: outcome.due.as_millis(),
        started_at_ms: outcome.started_at.as_millis(),
        ended_at_ms: outcome.ended_at.as_millis(),
        namespace: named(|task| task.namespace.as_str()),
        id: named(|task| task.id.as_str()),
        queue: named(|task| task.queue.as_str()),
        order_key: named(|task| task.order_key.as_ref().map_or("", OrderKey::as_str)),
    })
}

/// The outcome.
pub fn decode(bytes: &Bytes) -> Result<Outcome, DecodeError> {
    let message: OutcomeMessage = unseal(WHAT, bytes)?;
    let parse = |message: OutcomeMessage| -> Result<Outcome, Fault> {
        let execution = key(&message.execution).map_err(|fault| fault.within("execution"))?;
        Ok(Outcome {
            execution: ExecutionId(execution.0),
            attempt: message.attempt,
            kind: outcome(message.kind)?,
            detail: message.detail,
            due: Timestamp::from_millis(message.due_ms),
            started_at: Timestamp::from_millis(message.started_at_ms),
            ended_at: Timestamp::from_millis(message.ended_at_ms),
            task: match message.id.is_empty() {
                true => None,
                false => Some(Box::new(EndedTask {
                    namespace: Namespace::parse(&message.namespace)?,
                    id: TaskId::parse(&message.id)?,
                    order_key: order_key(&message.order_key)?
                        .map(OrderKey::parse)
                        .transpose()?,
                    queue: QueueName::parse(&message.queue)?,
                })),
            },
        })
    };
    parse(message).map_err(|fault| fault.of(WHAT))
}
