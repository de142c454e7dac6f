//! Choices and retry policies on the wire. Zero is the default of every choice, and is left out.

use minutehand_model::{
    Backoff, Guarantee, MisfireRule, OutcomeKind, OverlapPolicy, Precision, Priority, RetryPolicy,
    RunCause, ScheduleEventKind,
};
use prost::Message;

use crate::error::Fault;

/// The two directions between a choice and its number; a number without a meaning is refused.
macro_rules! numbers {
    ($to:ident, $from:ident, $type:ident, $field:literal { $($variant:ident = $number:literal,)+ }) => {
        pub(crate) const fn $to(choice: $type) -> u32 {
            match choice { $($type::$variant => $number,)+ }
        }

        pub(crate) fn $from(number: u32) -> Result<$type, Fault> {
            match number {
                $($number => Ok($type::$variant),)+
                other => Err(format!(concat!($field, " has the unknown number {}"), other).into()),
            }
        }
    };
}

numbers!(guarantee_number, guarantee, Guarantee, "guarantee" {
    AtLeastOnce = 0, AtMostOnce = 1, ExactlyOnce = 2,
});
numbers!(precision_number, precision, Precision, "precision" { Normal = 0, High = 1, Low = 2, });
numbers!(misfire_number, misfire, MisfireRule, "misfire rule" { All = 0, Latest = 1, OneNow = 2, None = 3, });
numbers!(overlap_number, overlap, OverlapPolicy, "overlap policy" {
    AllowAll = 0, Skip = 1, BufferOne = 2, BufferAll = 3, CancelOther = 4, TerminateOther = 5,
});
numbers!(outcome_number, outcome, OutcomeKind, "outcome" {
    Succeeded = 0, Retried = 1, Dead = 2, Cancelled = 3, Lost = 4, Expired = 5,
});
numbers!(event_number, event, ScheduleEventKind, "schedule event" {
    Started = 0, Succeeded = 1, Failed = 2, SkippedOverlap = 3, Buffered = 4, MissedWindow = 5,
    MissedRule = 6, RunsExhausted = 7, CancelRequested = 8, PausedByFailure = 9, Cancelled = 10, Lost = 11,
    Expired = 12, TimedOut = 13, Ended = 14, Forgotten = 15, BackfillStopped = 16,
});
numbers!(cause_number, cause, RunCause, "cause of a run" { Calendar = 0, Trigger = 1, Backfill = 2, });

/// What an absent priority means in version 1, whatever the model's default becomes.
const ABSENT_PRIORITY: u8 = 4;

/// The number of a priority; nothing for the one that absence stands for.
pub(crate) fn priority_number(priority: Priority) -> Option<u32> {
    (priority.level() != ABSENT_PRIORITY).then(|| u32::from(priority.level()))
}

/// The priority of a number that may be absent.
pub(crate) fn priority(number: Option<u32>) -> Result<Priority, Fault> {
    let level = number.unwrap_or(u32::from(ABSENT_PRIORITY));
    Ok(Priority::of_level(u64::from(level))?)
}

/// A retry policy on the wire.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RetryMessage {
    /// 0 exponential, 1 none, 2 immediate, 3 fixed, 4 doublings, then linear.
    #[prost(uint32, tag = "1")]
    pub(crate) backoff: u32,
    /// The delay of a fixed backoff.
    #[prost(sint64, tag = "2")]
    pub(crate) delay_ms: i64,
    #[prost(sint64, tag = "3")]
    pub(crate) base_ms: i64,
    #[prost(sint64, tag = "4")]
    pub(crate) cap_ms: i64,
    #[prost(uint32, tag = "5")]
    pub(crate) attempts_max: u32,
    #[prost(sint64, optional, tag = "6")]
    pub(crate) age_ms_max: Option<i64>,
    /// Of a backoff that doubles so many times, then grows evenly.
    #[prost(uint32, tag = "7")]
    pub(crate) doublings: u32,
}

/// What an absent retry policy means in version 1, whatever the model's default becomes.
const ABSENT: RetryPolicy = RetryPolicy {
    backoff: Backoff::Exponential,
    base_ms: 1_000,
    cap_ms: 300_000,
    attempts_max: 10,
    age_ms_max: None,
};

/// The message of a policy; nothing for the one that absence stands for.
pub(crate) fn retry_message(policy: &RetryPolicy) -> Option<RetryMessage> {
    if *policy == ABSENT {
        return None;
    }
    let (backoff, delay_ms, doublings) = match policy.backoff {
        Backoff::Exponential => (0, 0, 0),
        Backoff::None => (1, 0, 0),
        Backoff::Immediate => (2, 0, 0),
        Backoff::Fixed { delay_ms } => (3, delay_ms, 0),
        Backoff::DoublingsThenLinear { doublings } => (4, 0, doublings),
    };
    Some(RetryMessage {
        backoff,
        delay_ms,
        base_ms: policy.base_ms,
        cap_ms: policy.cap_ms,
        attempts_max: policy.attempts_max,
        age_ms_max: policy.age_ms_max,
        doublings,
    })
}

/// The policy of a message, validated.
pub(crate) fn retry(message: Option<RetryMessage>) -> Result<RetryPolicy, Fault> {
    let Some(message) = message else {
        return Ok(ABSENT);
    };
    let backoff = match message.backoff {
        0 => Backoff::Exponential,
        1 => Backoff::None,
        2 => Backoff::Immediate,
        3 => Backoff::Fixed {
            delay_ms: message.delay_ms,
        },
        4 => Backoff::DoublingsThenLinear {
            doublings: message.doublings,
        },
        other => return Err(format!("retry backoff has the unknown number {other}").into()),
    };
    let policy = RetryPolicy {
        backoff,
        base_ms: message.base_ms,
        cap_ms: message.cap_ms,
        attempts_max: message.attempts_max,
        age_ms_max: message.age_ms_max,
    };
    Ok(policy.validated()?)
}
