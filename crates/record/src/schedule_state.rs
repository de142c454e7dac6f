//! What a schedule remembers that depends on both cursors.

use bytes::Bytes;
use minutehand_model::{
    Backfill, LogOffset, QueueName, Rest, RunInProgress, ScheduleEvent, ScheduleState, StopAsked,
    Timestamp, WaitingRun,
};
use prost::Message;

use crate::envelope::{key, key_bytes, log_offset, seal, unseal};
use crate::error::{DecodeError, Fault};
use crate::policy::{cause, cause_number, event, event_number};

const WHAT: &str = "schedule state";

#[derive(Clone, PartialEq, Eq, Message)]
struct ScheduleStateMessage {
    #[prost(uint64, tag = "1")]
    runs_started: u64,
    #[prost(uint64, tag = "2")]
    skipped: u64,
    #[prost(uint64, tag = "3")]
    missed: u64,
    #[prost(message, repeated, tag = "4")]
    running: Vec<RunMessage>,
    #[prost(message, repeated, tag = "5")]
    buffered: Vec<WaitingMessage>,
    #[prost(message, repeated, tag = "6")]
    backfills: Vec<BackfillMessage>,
    #[prost(sint64, optional, tag = "7")]
    paused_by_failure_at_ms: Option<i64>,
    #[prost(message, repeated, tag = "8")]
    events: Vec<EventMessage>,
    #[prost(message, repeated, tag = "9")]
    switches: Vec<RevisionTimeMessage>,
    #[prost(sint64, optional, tag = "10")]
    triggered_at_ms: Option<i64>,
    #[prost(sint64, optional, tag = "11")]
    backfilled_at_ms: Option<i64>,
    #[prost(message, repeated, tag = "12")]
    owed: Vec<RevisionTimeMessage>,
    #[prost(message, repeated, tag = "13")]
    rests: Vec<RestMessage>,
    #[prost(message, optional, tag = "14")]
    decided_through: Option<OccurrenceMessage>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct OccurrenceMessage {
    #[prost(sint64, tag = "1")]
    due_ms: i64,
    #[prost(sint64, tag = "2")]
    nominal_ms: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct RunMessage {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(sint64, tag = "2")]
    nominal_ms: i64,
    #[prost(uint32, tag = "3")]
    cause: u32,
    #[prost(sint64, tag = "4")]
    due_ms: i64,
    #[prost(string, tag = "5")]
    queue: String,
    #[prost(sint64, tag = "6")]
    started_at_ms: i64,
    #[prost(sint64, tag = "7")]
    timeout_ms: i64,
    #[prost(sint64, tag = "8")]
    deadline_ms: i64,
    #[prost(sint64, optional, tag = "9")]
    retry_due_ms: Option<i64>,
    #[prost(message, optional, tag = "10")]
    stop: Option<StopMessage>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct StopMessage {
    #[prost(bool, tag = "1")]
    kill: bool,
    #[prost(sint64, tag = "2")]
    at_ms: i64,
    #[prost(sint64, tag = "3")]
    again_at_ms: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct WaitingMessage {
    #[prost(sint64, tag = "1")]
    nominal_ms: i64,
    /// The log offset of the trigger that asked for it.
    #[prost(uint64, optional, tag = "2")]
    trigger: Option<u64>,
    /// Whether it waits by the policy of its trigger.
    #[prost(bool, tag = "3")]
    alone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct BackfillMessage {
    #[prost(uint64, tag = "1")]
    offset: u64,
    #[prost(sint64, tag = "2")]
    after_ms: i64,
    #[prost(sint64, tag = "3")]
    to_ms: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct RevisionTimeMessage {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(sint64, tag = "2")]
    nominal_ms: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct RestMessage {
    #[prost(sint64, tag = "1")]
    after_ms: i64,
    #[prost(sint64, optional, tag = "2")]
    until_ms: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct EventMessage {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(sint64, tag = "2")]
    nominal_ms: i64,
    #[prost(sint64, tag = "3")]
    at_ms: i64,
    #[prost(uint32, tag = "4")]
    cause: u32,
}

/// The bytes of a schedule's state.
pub fn encode(state: &ScheduleState) -> Bytes {
    let of_revision = |(revision, nominal): &(u64, Timestamp)| RevisionTimeMessage {
        revision: *revision,
        nominal_ms: nominal.as_millis(),
    };
    seal(&ScheduleStateMessage {
        runs_started: state.runs_started,
        skipped: state.skipped,
        missed: state.missed,
        running: state.running.iter().map(run_message).collect(),
        buffered: state.buffered.iter().map(waiting_message).collect(),
        backfills: state.backfills.iter().map(backfill_message).collect(),
        paused_by_failure_at_ms: state.paused_by_failure_at.map(Timestamp::as_millis),
        events: state.events.iter().map(event_message).collect(),
        switches: state.switches.iter().map(of_revision).collect(),
        triggered_at_ms: state.triggered_at.map(Timestamp::as_millis),
        backfilled_at_ms: state.backfilled_at.map(Timestamp::as_millis),
        owed: state.owed.iter().map(of_revision).collect(),
        rests: state.rests.iter().map(rest_message).collect(),
        decided_through: state.decided_through.map(occurrence_message),
    })
}

fn occurrence_message((due, nominal): (Timestamp, Timestamp)) -> OccurrenceMessage {
    OccurrenceMessage {
        due_ms: due.as_millis(),
        nominal_ms: nominal.as_millis(),
    }
}

fn run_message(run: &RunInProgress) -> RunMessage {
    let stop = |stop: StopAsked| StopMessage {
        kill: stop.kill,
        at_ms: stop.at.as_millis(),
        again_at_ms: stop.again_at.as_millis(),
    };
    RunMessage {
        key: key_bytes(run.key),
        nominal_ms: run.nominal.as_millis(),
        cause: cause_number(run.cause),
        due_ms: run.due.as_millis(),
        queue: run.queue.as_str().to_owned(),
        started_at_ms: run.started_at.as_millis(),
        timeout_ms: run.timeout_ms,
        deadline_ms: run.deadline.as_millis(),
        retry_due_ms: run.retry_due.map(Timestamp::as_millis),
        stop: run.stop.map(stop),
    }
}

fn waiting_message(waiting: &WaitingRun) -> WaitingMessage {
    WaitingMessage {
        nominal_ms: waiting.nominal.as_millis(),
        trigger: waiting.trigger.map(LogOffset::bits),
        alone: waiting.is_alone,
    }
}

fn backfill_message(backfill: &Backfill) -> BackfillMessage {
    let Backfill { offset, after, to } = *backfill;
    BackfillMessage {
        offset: offset.bits(),
        after_ms: after.as_millis(),
        to_ms: to.as_millis(),
    }
}

fn rest_message(rest: &Rest) -> RestMessage {
    RestMessage {
        after_ms: rest.after.as_millis(),
        until_ms: rest.until.map(Timestamp::as_millis),
    }
}

fn event_message(event: &ScheduleEvent) -> EventMessage {
    EventMessage {
        kind: event_number(event.kind),
        nominal_ms: event.nominal.as_millis(),
        at_ms: event.at.as_millis(),
        cause: cause_number(event.cause),
    }
}

/// The schedule's state.
pub fn decode(bytes: &Bytes) -> Result<ScheduleState, DecodeError> {
    let message: ScheduleStateMessage = unseal(WHAT, bytes)?;
    state(message).map_err(|fault| fault.of(WHAT))
}

fn state(message: ScheduleStateMessage) -> Result<ScheduleState, Fault> {
    let ms = Timestamp::from_millis;
    let of_revision = |message: RevisionTimeMessage| (message.revision, ms(message.nominal_ms));
    let waiting = |message: WaitingMessage| -> Result<WaitingRun, Fault> {
        let trigger = message
            .trigger
            .map(|offset| log_offset("offset of a trigger", offset))
            .transpose()?;
        Ok(WaitingRun {
            nominal: ms(message.nominal_ms),
            trigger,
            is_alone: message.alone,
        })
    };
    let backfill = |message: BackfillMessage| -> Result<Backfill, Fault> {
        Ok(Backfill {
            offset: log_offset("offset of a backfill", message.offset)?,
            after: ms(message.after_ms),
            to: ms(message.to_ms),
        })
    };
    let rest = |message: RestMessage| Rest {
        after: ms(message.after_ms),
        until: message.until_ms.map(ms),
    };
    let occurrence = |message: OccurrenceMessage| (ms(message.due_ms), ms(message.nominal_ms));
    let event = |message: EventMessage| -> Result<ScheduleEvent, Fault> {
        Ok(ScheduleEvent {
            kind: event(message.kind)?,
            nominal: ms(message.nominal_ms),
            cause: cause(message.cause)?,
            at: ms(message.at_ms),
        })
    };
    Ok(ScheduleState {
        runs_started: message.runs_started,
        skipped: message.skipped,
        missed: message.missed,
        running: message
            .running
            .into_iter()
            .map(run)
            .collect::<Result<_, _>>()?,
        buffered: message
            .buffered
            .into_iter()
            .map(waiting)
            .collect::<Result<_, _>>()?,
        backfills: message
            .backfills
            .into_iter()
            .map(backfill)
            .collect::<Result<_, _>>()?,
        backfilled_at: message.backfilled_at_ms.map(ms),
        paused_by_failure_at: message.paused_by_failure_at_ms.map(ms),
        triggered_at: message.triggered_at_ms.map(ms),
        switches: message.switches.into_iter().map(of_revision).collect(),
        owed: message.owed.into_iter().map(of_revision).collect(),
        rests: message.rests.into_iter().map(rest).collect(),
        decided_through: message.decided_through.map(occurrence),
        events: message
            .events
            .into_iter()
            .map(event)
            .collect::<Result<_, _>>()?,
    })
}

fn run(message: RunMessage) -> Result<RunInProgress, Fault> {
    let ms = Timestamp::from_millis;
    let stop = |stop: StopMessage| StopAsked {
        kill: stop.kill,
        at: ms(stop.at_ms),
        again_at: ms(stop.again_at_ms),
    };
    Ok(RunInProgress {
        key: key(&message.key)?,
        nominal: ms(message.nominal_ms),
        cause: cause(message.cause)?,
        due: ms(message.due_ms),
        queue: QueueName::parse(&message.queue)?,
        started_at: ms(message.started_at_ms),
        timeout_ms: message.timeout_ms,
        deadline: ms(message.deadline_ms),
        retry_due: message.retry_due_ms.map(ms),
        stop: message.stop.map(stop),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_says_how_far_its_schedule_has_come() {
        let ms = Timestamp::from_millis;
        let state = ScheduleState {
            decided_through: Some((ms(20_500), ms(-20_000))),
            ..ScheduleState::default()
        };
        assert_eq!(decode(&encode(&state)).unwrap(), state);
    }
}
