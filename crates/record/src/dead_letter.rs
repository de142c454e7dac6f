//! A task that failed for the last time, with the reason.

use bytes::Bytes;
use minutehand_model::{DeadLetter, QueueName, Timestamp};
use prost::Message;

use crate::envelope::{key, key_bytes, partition_id, seal, unseal};
use crate::error::{DecodeError, Fault};

const WHAT: &str = "dead letter";

#[derive(Clone, PartialEq, Eq, Message)]
struct DeadLetterMessage {
    #[prost(string, tag = "1")]
    queue: String,
    #[prost(uint32, tag = "2")]
    partition: u32,
    #[prost(bytes = "bytes", tag = "3")]
    key: Bytes,
    #[prost(sint64, tag = "4")]
    at_ms: i64,
    #[prost(uint32, tag = "5")]
    attempts: u32,
    #[prost(string, tag = "6")]
    reason: String,
    #[prost(bytes = "bytes", tag = "7")]
    task: Bytes,
}

/// The bytes of a dead letter.
pub fn encode(letter: &DeadLetter) -> Bytes {
    seal(&DeadLetterMessage {
        queue: letter.queue.as_str().to_owned(),
        partition: letter.partition.bits(),
        key: key_bytes(letter.key),
        at_ms: letter.at.as_millis(),
        attempts: letter.attempts,
        reason: letter.reason.clone(),
        task: letter.encoded.clone(),
    })
}

/// The dead letter; its task is kept as it is, for it may be what could not be understood.
pub fn decode(bytes: &Bytes) -> Result<DeadLetter, DecodeError> {
    let message: DeadLetterMessage = unseal(WHAT, bytes)?;
    let parse = |message: DeadLetterMessage| -> Result<DeadLetter, Fault> {
        Ok(DeadLetter {
            queue: QueueName::parse(&message.queue)?,
            partition: partition_id(message.partition)?,
            key: key(&message.key)?,
            at: Timestamp::from_millis(message.at_ms),
            attempts: message.attempts,
            reason: message.reason,
            encoded: message.task,
        })
    };
    parse(message).map_err(|fault| fault.of(WHAT))
}
