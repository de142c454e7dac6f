//! A schedule: a recurring definition, its revisions and what it remembers about itself.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::limits::SCHEDULE_EVENTS_MAX;
use crate::name::{Namespace, QueueName, ScheduleId};
use crate::offset::LogOffset;
use crate::policy::{Guarantee, MisfirePolicy, OverlapPolicy, Precision, RetryPolicy};
use crate::time::Timestamp;
use crate::verbatim::Verbatim;

/// When a schedule recurs, as its caller wrote it; the calendar crate gives it meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecurrenceSpec {
    /// A cron expression in a time zone under a daylight-saving rule (`vixie`, `skip`, `literal`).
    Cron {
        /// Five to seven fields, or a nickname.
        expression: String,
        /// An IANA zone name.
        zone: String,
        /// The word of the rule.
        dst: String,
    },
    /// Every `every_ms` milliseconds, counted from the anchor.
    Interval {
        /// The period in milliseconds.
        every_ms: i64,
        /// One of its times.
        anchor: Timestamp,
        /// The IANA zone of its exclusions.
        zone: String,
    },
}

/// What each occurrence runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionTemplate {
    /// The stream executions are published to.
    pub queue: QueueName,
    /// Opaque bytes for the worker.
    pub payload: Bytes,
    /// Names and values for the worker.
    pub headers: Vec<(String, String)>,
    /// What happens when a run fails.
    pub retry: RetryPolicy,
    /// What is promised about its effect.
    pub guarantee: Guarantee,
    /// How close to its due time it is published.
    pub precision: Precision,
    /// What the Kafka record it came as had that the other fields cannot say.
    pub verbatim: Option<Box<Verbatim>>,
}

/// A schedule as its caller means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleDefinition {
    /// When it recurs.
    pub recurrence: RecurrenceSpec,
    /// Cron expressions whose times are left out, in the schedule's zone (UTC for intervals).
    pub exclude: Vec<String>,
    /// No occurrence before this time.
    pub start: Option<Timestamp>,
    /// No occurrence after this time.
    pub end: Option<Timestamp>,
    /// Occurrences that are started in all; skipped and missed ones do not count.
    pub runs_max: Option<u64>,
    /// Each occurrence is delayed by a fixed, pseudo-random part of this many milliseconds, never past the next.
    pub jitter_ms: i64,
    /// What happens to missed occurrences.
    pub misfire: MisfirePolicy,
    /// What happens while the previous run goes on.
    pub overlap: OverlapPolicy,
    /// Pauses itself when a run has failed for the last time.
    pub pause_on_failure: bool,
    /// What runs.
    pub action: ActionTemplate,
}

/// One version of a schedule. Revisions are only ever appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The name space of the id.
    pub namespace: Namespace,
    /// The schedule.
    pub schedule: ScheduleId,
    /// Counts from 1.
    pub number: u64,
    /// The definition in force from here on; `None` when the schedule was deleted.
    pub definition: Option<ScheduleDefinition>,
    /// Whether it is paused.
    pub paused: bool,
    /// Why, in the words of who did it.
    pub note: String,
    /// Who did it.
    pub author: String,
}

/// What happened to one occurrence of a schedule, or to the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScheduleEventKind {
    /// Its execution was published.
    Started,
    /// A run ended well.
    Succeeded,
    /// A run failed for the last time.
    Failed,
    /// Not run: the previous run had not ended (overlap `skip`, or a full buffer).
    SkippedOverlap,
    /// Held until the previous run ends.
    Buffered,
    /// Not run: later than the misfire window.
    MissedWindow,
    /// Not run: the misfire rule keeps a newer one or none.
    MissedRule,
    /// Not run: the schedule has had all its runs.
    RunsExhausted,
    /// The running one was asked to stop.
    CancelRequested,
    /// The schedule paused itself after a failure.
    PausedByFailure,
}

impl ScheduleEventKind {
    /// The word used in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            ScheduleEventKind::Started => "started",
            ScheduleEventKind::Succeeded => "succeeded",
            ScheduleEventKind::Failed => "failed",
            ScheduleEventKind::SkippedOverlap => "skipped: the previous run had not ended",
            ScheduleEventKind::Buffered => "buffered: waits for the previous run",
            ScheduleEventKind::MissedWindow => "missed: later than the misfire window",
            ScheduleEventKind::MissedRule => "missed: left out by the misfire rule",
            ScheduleEventKind::RunsExhausted => "not run: the schedule has had all its runs",
            ScheduleEventKind::CancelRequested => "asked the running one to stop",
            ScheduleEventKind::PausedByFailure => "paused itself after a failed run",
        }
    }
}

/// One line of a schedule's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleEvent {
    /// What happened.
    pub kind: ScheduleEventKind,
    /// The nominal time it concerns.
    pub nominal: Timestamp,
    /// When it happened.
    pub at: Timestamp,
}

/// A run that waits for the end of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaitingRun {
    /// Its nominal time.
    pub nominal: Timestamp,
    /// The log offset of the trigger that asked for it; `None` when its calendar did.
    pub trigger: Option<LogOffset>,
}

impl WaitingRun {
    /// A run that the calendar owes.
    pub const fn of_calendar(nominal: Timestamp) -> WaitingRun {
        WaitingRun { nominal, trigger: None }
    }
}

/// What a schedule knows that depends on both cursors; written in the transaction of the tick that changed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleState {
    /// Occurrences started so far.
    pub runs_started: u64,
    /// Occurrences left out so far because of the overlap policy.
    pub skipped: u64,
    /// Occurrences left out so far because of the misfire policy.
    pub missed: u64,
    /// Nominal times of the runs that have not ended, oldest first (only when the overlap policy needs them).
    pub running: Vec<Timestamp>,
    /// Runs that wait for the end of another, oldest first.
    pub buffered: VecDeque<WaitingRun>,
    /// Ranges of nominal times still to be run by request: from (exclusive) and to (inclusive).
    pub backfills: VecDeque<(Timestamp, Timestamp)>,
    /// Set when the schedule paused itself: nothing after this nominal time runs until a new revision.
    pub paused_by_failure_at: Option<Timestamp>,
    /// The nominal time of the newest run by trigger: no two have the same.
    pub triggered_at: Option<Timestamp>,
    /// Revisions that took effect only when F had passed some of the times they govern: number, and the nominal time up
    /// to and including which the revision before still rules. Oldest first, the newest few.
    pub switches: VecDeque<(u64, Timestamp)>,
    /// The newest events, oldest first, at most [`SCHEDULE_EVENTS_MAX`].
    pub events: VecDeque<ScheduleEvent>,
}

impl ScheduleState {
    /// Remembers an event, forgetting the oldest when there are too many.
    pub fn remember(&mut self, event: ScheduleEvent) {
        if self.events.len() >= SCHEDULE_EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}
