//! How a scheduler comes by its reply to a query.

use bytes::Bytes;
use minutehand_engine::Phase;
use minutehand_node::OwnerQueries;
use minutehand_record::DecodeError;

use crate::wire::{decode_query, encode_reply};

/// Answers the bytes of a query with the bytes of a reply. An owner that is still taking over knows
/// too little to be asked, and counts as none.
///
/// # Errors
/// Bytes that are no query, or one that this build does not know.
pub async fn answer(owners: &dyn OwnerQueries, query: Bytes) -> Result<Bytes, DecodeError> {
    let (partition, query) = decode_query(query)?;
    let phase = owners.status(partition).map(|status| status.borrow().phase);
    let reply = match phase {
        Some(Phase::Owning | Phase::HandingOver) => owners.put(partition, query).await,
        _ => None,
    };
    Ok(encode_reply(reply))
}
