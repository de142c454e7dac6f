//! What a schedule remembers that depends on both cursors.

use std::collections::VecDeque;

use bytes::Bytes;
use minutehand_model::{ScheduleEvent, ScheduleState, Timestamp, WaitingRun};
use prost::Message;

use crate::envelope::{log_offset, seal, unseal};
use crate::error::{DecodeError, Fault};
use crate::policy::{event, event_number};

const WHAT: &str = "schedule state";

#[derive(Clone, PartialEq, Eq, Message)]
struct ScheduleStateMessage {
    #[prost(uint64, tag = "1")]
    runs_started: u64,
    #[prost(uint64, tag = "2")]
    skipped: u64,
    #[prost(uint64, tag = "3")]
    missed: u64,
    #[prost(sint64, repeated, tag = "4")]
    running_ms: Vec<i64>,
    #[prost(sint64, repeated, tag = "5")]
    buffered_ms: Vec<i64>,
    #[prost(message, repeated, tag = "6")]
    backfills: Vec<RangeMessage>,
    #[prost(sint64, optional, tag = "7")]
    paused_by_failure_at_ms: Option<i64>,
    #[prost(message, repeated, tag = "8")]
    events: Vec<EventMessage>,
    #[prost(message, repeated, tag = "9")]
    switches: Vec<SwitchMessage>,
    #[prost(message, repeated, tag = "10")]
    buffered_triggers: Vec<TriggerMessage>,
    #[prost(sint64, optional, tag = "11")]
    triggered_at_ms: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct TriggerMessage {
    #[prost(uint32, tag = "1")]
    index: u32,
    #[prost(uint64, tag = "2")]
    offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct SwitchMessage {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(sint64, tag = "2")]
    nominal_ms: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct RangeMessage {
    #[prost(sint64, tag = "1")]
    from_ms: i64,
    #[prost(sint64, tag = "2")]
    to_ms: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct EventMessage {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(sint64, tag = "2")]
    nominal_ms: i64,
    #[prost(sint64, tag = "3")]
    at_ms: i64,
}

/// The bytes of a schedule's state.
pub fn encode(state: &ScheduleState) -> Bytes {
    let event = |event: &ScheduleEvent| EventMessage {
        kind: event_number(event.kind),
        nominal_ms: event.nominal.as_millis(),
        at_ms: event.at.as_millis(),
    };
    let range = |(from, to): &(Timestamp, Timestamp)| RangeMessage {
        from_ms: from.as_millis(),
        to_ms: to.as_millis(),
    };
    let switch = |(revision, nominal): &(u64, Timestamp)| SwitchMessage {
        revision: *revision,
        nominal_ms: nominal.as_millis(),
    };
    let trigger = |(index, waiting): (u32, &WaitingRun)| {
        waiting.trigger.map(|offset| TriggerMessage { index, offset: offset.bits() })
    };
    seal(&ScheduleStateMessage {
        runs_started: state.runs_started,
        skipped: state.skipped,
        missed: state.missed,
        running_ms: state.running.iter().map(|time| time.as_millis()).collect(),
        buffered_ms: state.buffered.iter().map(|waiting| waiting.nominal.as_millis()).collect(),
        backfills: state.backfills.iter().map(range).collect(),
        paused_by_failure_at_ms: state.paused_by_failure_at.map(Timestamp::as_millis),
        events: state.events.iter().map(event).collect(),
        switches: state.switches.iter().map(switch).collect(),
        buffered_triggers: (0..).zip(&state.buffered).filter_map(trigger).collect(),
        triggered_at_ms: state.triggered_at.map(Timestamp::as_millis),
    })
}

/// The schedule's state.
pub fn decode(bytes: &Bytes) -> Result<ScheduleState, DecodeError> {
    let message: ScheduleStateMessage = unseal(WHAT, bytes)?;
    state(message).map_err(|fault| fault.of(WHAT))
}

fn state(message: ScheduleStateMessage) -> Result<ScheduleState, Fault> {
    let event = |message: EventMessage| -> Result<ScheduleEvent, Fault> {
        Ok(ScheduleEvent {
            kind: event(message.kind)?,
            nominal: Timestamp::from_millis(message.nominal_ms),
            at: Timestamp::from_millis(message.at_ms),
        })
    };
    let range =
        |range: RangeMessage| (Timestamp::from_millis(range.from_ms), Timestamp::from_millis(range.to_ms));
    let of_calendar = |ms| WaitingRun::of_calendar(Timestamp::from_millis(ms));
    let mut buffered: VecDeque<WaitingRun> = message.buffered_ms.into_iter().map(of_calendar).collect();
    for TriggerMessage { index, offset } in message.buffered_triggers {
        let waiting =
            buffered.get_mut(index as usize).ok_or("a trigger waits that is not among the waiting")?;
        waiting.trigger = Some(log_offset("offset of a trigger", offset)?);
    }
    Ok(ScheduleState {
        runs_started: message.runs_started,
        skipped: message.skipped,
        missed: message.missed,
        running: message.running_ms.into_iter().map(Timestamp::from_millis).collect(),
        buffered,
        backfills: message.backfills.into_iter().map(range).collect(),
        paused_by_failure_at: message.paused_by_failure_at_ms.map(Timestamp::from_millis),
        triggered_at: message.triggered_at_ms.map(Timestamp::from_millis),
        switches: message
            .switches
            .into_iter()
            .map(|switch| (switch.revision, Timestamp::from_millis(switch.nominal_ms)))
            .collect(),
        events: message.events.into_iter().map(event).collect::<Result<_, _>>()?,
    })
}
