//! A revision of a schedule as the store of revisions keeps it.

use bytes::Bytes;
use minutehand_model::{RevisionEntry, Timestamp};
use prost::Message;

use crate::envelope::{log_offset, seal, unseal};
use crate::error::{DecodeError, Fault};
use crate::schedule::{self, RevisionMessage, revision_message};

const WHAT: &str = "revision";

#[derive(Clone, PartialEq, Eq, Message)]
struct RevisionEntryMessage {
    #[prost(uint64, tag = "1")]
    offset: u64,
    #[prost(sint64, tag = "2")]
    appended_at_ms: i64,
    #[prost(message, optional, tag = "3")]
    revision: Option<RevisionMessage>,
}

/// The bytes of a stored revision.
pub fn encode(entry: &RevisionEntry) -> Bytes {
    seal(&RevisionEntryMessage {
        offset: entry.offset.bits(),
        appended_at_ms: entry.appended_at.as_millis(),
        revision: Some(revision_message(&entry.revision)),
    })
}

/// The stored revision.
pub fn decode(bytes: &Bytes) -> Result<RevisionEntry, DecodeError> {
    let message: RevisionEntryMessage = unseal(WHAT, bytes)?;
    entry(message).map_err(|fault| fault.of(WHAT))
}

fn entry(message: RevisionEntryMessage) -> Result<RevisionEntry, Fault> {
    Ok(RevisionEntry {
        offset: log_offset("offset", message.offset)?,
        appended_at: Timestamp::from_millis(message.appended_at_ms),
        revision: schedule::revision(message.revision.ok_or("revision is missing")?)?,
    })
}
