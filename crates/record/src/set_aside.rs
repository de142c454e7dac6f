//! A stored record that could not be understood, as it is put aside.

use bytes::Bytes;
use minutehand_model::SetAside;
use prost::Message;

use crate::envelope::{seal, unseal};
use crate::error::DecodeError;

#[derive(Clone, PartialEq, Eq, Message)]
struct SetAsideMessage {
    #[prost(string, tag = "1")]
    position: String,
    #[prost(string, tag = "2")]
    reason: String,
    #[prost(bytes = "bytes", tag = "3")]
    bytes: Bytes,
}

/// The bytes of a record that was set aside.
pub fn encode(set_aside: &SetAside) -> Bytes {
    seal(&SetAsideMessage {
        position: set_aside.position.clone(),
        reason: set_aside.reason.clone(),
        bytes: set_aside.bytes.clone(),
    })
}

/// The record that was set aside.
pub fn decode(bytes: &Bytes) -> Result<SetAside, DecodeError> {
    let message: SetAsideMessage = unseal("set-aside record", bytes)?;
    Ok(SetAside::new(
        message.position,
        message.reason,
        message.bytes,
    ))
}
