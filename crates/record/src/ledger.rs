//! Minutes of the ledger: those of a checkpoint, and the rows that are kept.

use bytes::Bytes;
use minutehand_model::time::MINUTE_MS;
use minutehand_model::{LedgerRow, Minutes, Sum, Tally, Timestamp};
use prost::Message;

use crate::envelope::{log_offset, seal, unseal};
use crate::error::{DecodeError, Fault};

const WHAT: &str = "ledger row";

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct SumMessage {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(fixed64, tag = "2")]
    digest: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct TallyMessage {
    #[prost(sint64, tag = "1")]
    minute: i64,
    #[prost(uint64, tag = "2")]
    stored_below: u64,
    #[prost(message, optional, tag = "3")]
    stored: Option<SumMessage>,
    #[prost(uint64, tag = "4")]
    due: u64,
    #[prost(uint64, tag = "5")]
    withdrawn: u64,
    #[prost(message, optional, tag = "6")]
    published: Option<SumMessage>,
    #[prost(uint64, tag = "7")]
    late: u64,
    #[prost(uint64, tag = "8")]
    recurring: u64,
    #[prost(uint64, tag = "9")]
    early: u64,
    #[prost(uint64, tag = "10")]
    left_out: u64,
    #[prost(uint64, tag = "11")]
    closed_by: u64,
    #[prost(bool, tag = "12")]
    is_supplement: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct RowMessage {
    #[prost(message, optional, tag = "1")]
    tally: Option<TallyMessage>,
    #[prost(message, optional, tag = "2")]
    found: Option<SumMessage>,
}

/// Minutes are counted from 1970, so that they take few bytes.
fn minutes_since_1970(minute: Timestamp) -> i64 {
    minute.as_millis().div_euclid(MINUTE_MS)
}

fn minute(number: i64) -> Result<Timestamp, Fault> {
    number
        .checked_mul(MINUTE_MS)
        .map(Timestamp::from_millis)
        .ok_or_else(|| format!("minute {number} lies beyond all times").into())
}

fn sum_message(sum: Sum) -> Option<SumMessage> {
    let Sum { count, digest } = sum;
    (sum != Sum::default()).then_some(SumMessage { count, digest })
}

fn sum(message: Option<SumMessage>) -> Sum {
    message.map_or_else(Sum::default, |SumMessage { count, digest }| Sum {
        count,
        digest,
    })
}

pub(crate) fn tally_message(tally: &Tally) -> TallyMessage {
    TallyMessage {
        minute: minutes_since_1970(tally.minute),
        stored_below: tally.stored_below.bits(),
        stored: sum_message(tally.stored),
        due: tally.due,
        withdrawn: tally.withdrawn,
        published: sum_message(tally.published),
        late: tally.late,
        recurring: tally.recurring,
        early: tally.early,
        left_out: tally.left_out,
        closed_by: tally.closed_by,
        is_supplement: tally.is_supplement,
    }
}

fn tally(message: TallyMessage) -> Result<Tally, Fault> {
    Ok(Tally {
        minute: minute(message.minute)?,
        stored_below: log_offset("stored_below of a minute", message.stored_below)?,
        stored: sum(message.stored),
        due: message.due,
        withdrawn: message.withdrawn,
        published: sum(message.published),
        late: message.late,
        recurring: message.recurring,
        early: message.early,
        left_out: message.left_out,
        closed_by: message.closed_by,
        is_supplement: message.is_supplement,
    })
}

/// The minutes of a checkpoint, as its message has them.
pub(crate) struct MinutesMessage {
    pub(crate) closed_before: Option<i64>,
    pub(crate) tallies: Vec<TallyMessage>,
    pub(crate) supplements: Vec<TallyMessage>,
}

pub(crate) fn minutes_message(minutes: &Minutes) -> MinutesMessage {
    MinutesMessage {
        closed_before: minutes.closed_before.map(minutes_since_1970),
        tallies: minutes.tallies.iter().map(tally_message).collect(),
        supplements: minutes.supplements.iter().map(tally_message).collect(),
    }
}

pub(crate) fn minutes(message: MinutesMessage) -> Result<Minutes, Fault> {
    let closed_before = message.closed_before.map(minute).transpose()?;
    let all = |tallies: Vec<TallyMessage>| -> Result<Vec<Tally>, Fault> {
        tallies.into_iter().map(tally).collect()
    };
    let (tallies, supplements) = (all(message.tallies)?, all(message.supplements)?);
    if tallies
        .windows(2)
        .any(|pair| pair[0].minute >= pair[1].minute)
    {
        return Err("the minutes are not in order".into());
    }
    Ok(Minutes {
        closed_before,
        tallies,
        supplements,
    })
}

/// The bytes of a row.
pub fn encode(row: &LedgerRow) -> Bytes {
    let found = row
        .found
        .map(|Sum { count, digest }| SumMessage { count, digest });
    seal(&RowMessage {
        tally: Some(tally_message(&row.tally)),
        found,
    })
}

/// The row.
pub fn decode(bytes: &Bytes) -> Result<LedgerRow, DecodeError> {
    let message: RowMessage = unseal(WHAT, bytes)?;
    let row = || -> Result<LedgerRow, Fault> {
        Ok(LedgerRow {
            tally: tally(message.tally.ok_or("the tally is missing")?)?,
            found: message.found.map(|found| sum(Some(found))),
        })
    };
    row().map_err(|fault| fault.of(WHAT))
}
