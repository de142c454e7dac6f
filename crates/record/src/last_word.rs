//! The stored form of what is told of a claimed run when nobody is left who could tell how it
//! ended.

use bytes::Bytes;
use minutehand_model::{LastWord, PartitionId};
use prost::Message;

use crate::envelope::{key, key_bytes, partition_id, seal, unseal};
use crate::error::{DecodeError, Fault};

const WHAT: &str = "last word";

#[derive(Clone, PartialEq, Eq, Message)]
struct LastWordMessage {
    #[prost(message, repeated, tag = "1")]
    commands: Vec<CommandMessage>,
    /// Sixteen bytes, big-endian; absent without an outcome.
    #[prost(bytes = "bytes", tag = "2")]
    key: Bytes,
    /// As the record of an outcome.
    #[prost(bytes = "bytes", tag = "3")]
    outcome: Bytes,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct CommandMessage {
    #[prost(uint32, tag = "1")]
    partition: u32,
    #[prost(bytes = "bytes", tag = "2")]
    command: Bytes,
}

/// The bytes of a last word.
pub fn encode(word: &LastWord) -> Bytes {
    let command = |(partition, command): &(PartitionId, Bytes)| CommandMessage {
        partition: partition.bits(),
        command: command.clone(),
    };
    let (key, outcome) = match &word.outcome {
        Some((key, outcome)) => (key_bytes(*key), crate::outcome::encode(outcome)),
        None => (Bytes::new(), Bytes::new()),
    };
    seal(&LastWordMessage {
        commands: word.commands.iter().map(command).collect(),
        key,
        outcome,
    })
}

/// The last word.
pub fn decode(bytes: &Bytes) -> Result<LastWord, DecodeError> {
    let message: LastWordMessage = unseal(WHAT, bytes)?;
    let outcome = match message.outcome.is_empty() {
        true => None,
        false => Some(crate::outcome::decode(&message.outcome)?),
    };
    let parse = || -> Result<LastWord, Fault> {
        let commands = message.commands.iter();
        let commands =
            commands.map(|one| Ok::<_, Fault>((partition_id(one.partition)?, one.command.clone())));
        Ok(LastWord {
            commands: commands.collect::<Result<_, _>>()?,
            outcome: outcome
                .map(|outcome| Ok::<_, Fault>((key(&message.key)?, outcome)))
                .transpose()?,
        })
    };
    parse().map_err(|fault| fault.of(WHAT))
}
