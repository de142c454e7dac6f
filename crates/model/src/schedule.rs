//! A schedule: a recurring definition, its revisions and what it remembers about itself.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::limits::SCHEDULE_EVENTS_MAX;
use crate::name::{Namespace, OrderKey, QueueName, ScheduleId, TaskId};
use crate::policy::{
    DstRule, Guarantee, MisfirePolicy, OverlapPolicy, Precision, Priority, RetryPolicy,
};
use crate::run::{Backfill, RunCause, RunInProgress, WaitingRun};
use crate::state::ScheduleStatus;
use crate::task::Task;
use crate::time::Timestamp;
use crate::verbatim::Verbatim;

/// When a schedule recurs, as its caller wrote it; the calendar crate gives it meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecurrenceSpec {
    /// A cron expression in a time zone under a daylight-saving rule.
    Cron {
        /// Five to seven fields, or a nickname.
        expression: String,
        /// An IANA zone name.
        zone: String,
        /// What becomes of wall times that do not exist or exist twice.
        dst: DstRule,
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

impl RecurrenceSpec {
    /// The IANA zone of its times and exclusions.
    pub fn zone(&self) -> &str {
        match self {
            RecurrenceSpec::Cron { zone, .. } | RecurrenceSpec::Interval { zone, .. } => zone,
        }
    }
}

/// What each occurrence runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionTemplate {
    /// What its runs share with the tasks that they keep an order with: the schedule lives in the
    /// partition of its key.
    pub order_key: Option<OrderKey>,
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
    /// How urgent it is among what waits in its queue.
    pub priority: Priority,
    /// What the Kafka record it came as had that the other fields cannot say.
    pub verbatim: Option<Box<Verbatim>>,
}

impl ActionTemplate {
    /// What every action has; the rest is as where nothing else is asked for.
    pub fn new(queue: QueueName, payload: Bytes) -> ActionTemplate {
        ActionTemplate {
            order_key: None,
            queue,
            payload,
            headers: Vec::new(),
            retry: RetryPolicy::default(),
            guarantee: Guarantee::default(),
            precision: Precision::default(),
            priority: Priority::default(),
            verbatim: None,
        }
    }

    /// The first attempt of a task that runs it.
    pub fn into_task(self, namespace: Namespace, id: TaskId, due: Timestamp) -> Task {
        Task {
            order_key: self.order_key,
            payload: self.payload,
            headers: self.headers,
            retry: self.retry,
            guarantee: self.guarantee,
            precision: self.precision,
            priority: self.priority,
            verbatim: self.verbatim,
            ..Task::new(namespace, id, self.queue, due)
        }
    }
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
    /// Each occurrence is delayed by a fixed, pseudo-random part of this many milliseconds, never
    /// past the next.
    pub jitter_ms: i64,
    /// What happens to missed occurrences.
    pub misfire: MisfirePolicy,
    /// What happens while the previous run goes on.
    pub overlap: OverlapPolicy,
    /// Pauses itself when a run has failed for the last time.
    pub pause_on_failure: bool,
    /// How long a run may stay unheard of, counted from when its newest attempt was due, in
    /// milliseconds; then it is killed and given up. `None`: see
    /// [`ScheduleDefinition::run_timeout_ms`].
    pub run_timeout_ms: Option<i64>,
    /// What runs.
    pub action: ActionTemplate,
}

impl ScheduleDefinition {
    /// How long a run may stay unheard of: as given, or the time limit of an attempt and an hour,
    /// at least two hours.
    pub fn run_timeout_ms(&self) -> i64 {
        self.run_timeout_ms
            .unwrap_or_else(|| crate::run::run_timeout_ms(&self.action.headers))
    }

    /// Whether the ends of its runs have to be heard of.
    pub const fn awaits_ends(&self) -> bool {
        self.overlap.awaits_ends() || self.pause_on_failure
    }
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

impl Revision {
    /// Whether it is one of a schedule.
    pub fn is_of(&self, namespace: &Namespace, schedule: &ScheduleId) -> bool {
        (&self.namespace, &self.schedule) == (namespace, schedule)
    }
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
    /// A run was stopped on request.
    Cancelled,
    /// A run ended with the worker that had taken it.
    Lost,
    /// A run's execution was gone, or could not be read, before a worker had run it.
    Expired,
    /// Nothing was heard of a run for as long as its schedule allows: it was given up.
    TimedOut,
    /// Held until the previous run ended, and not run: the schedule had ended by then.
    Ended,
    /// A run was forgotten on request.
    Forgotten,
    /// A backfill was stopped on request.
    BackfillStopped,
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
            ScheduleEventKind::Cancelled => "cancelled",
            ScheduleEventKind::Lost => "lost: the worker that had taken it died",
            ScheduleEventKind::Expired => "lost: its execution was gone before it ran",
            ScheduleEventKind::TimedOut => {
                "given up: nothing was heard of it within its run timeout"
            }
            ScheduleEventKind::Ended => "not run: the schedule had ended before its turn",
            ScheduleEventKind::Forgotten => "forgotten on request",
            ScheduleEventKind::BackfillStopped => "stopped its backfill on request",
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
    /// How the run that it concerns came about.
    pub cause: RunCause,
    /// When it happened.
    pub at: Timestamp,
}

/// A stretch of due times in which a schedule owes nothing, because it rested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rest {
    /// What is due at or before this is owed.
    pub after: Timestamp,
    /// The last due time of the stretch; `None` while it lasts.
    pub until: Option<Timestamp>,
}

impl Rest {
    /// Whether what is due then is not owed.
    pub fn covers(&self, due: Timestamp) -> bool {
        self.after < due && self.until.is_none_or(|until| due <= until)
    }
}

/// What a schedule knows that depends on both cursors; written in the transaction of the tick that
/// changed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleState {
    /// Occurrences started so far.
    pub runs_started: u64,
    /// Occurrences left out so far because of the overlap policy.
    pub skipped: u64,
    /// Occurrences left out so far because of the misfire policy.
    pub missed: u64,
    /// The runs of whose end nothing has been heard, oldest first (only those whose end somebody
    /// waits for).
    pub running: Vec<RunInProgress>,
    /// Runs that wait for the end of another, oldest first.
    pub buffered: VecDeque<WaitingRun>,
    /// Ranges of nominal times still to be run by request, oldest first.
    pub backfills: VecDeque<Backfill>,
    /// When a run by backfill was last started: two with one nominal time never have one due time.
    pub backfilled_at: Option<Timestamp>,
    /// Set when the schedule paused itself: nothing that is due after this runs until a new
    /// revision.
    pub paused_by_failure_at: Option<Timestamp>,
    /// The nominal time of the newest run by trigger: no two have the same.
    pub triggered_at: Option<Timestamp>,
    /// Revisions that took effect at another time than the log's time of them: number, and the
    /// nominal time up to and including which the revision before still rules. Oldest first, the
    /// newest few.
    pub switches: VecDeque<(u64, Timestamp)>,
    /// Revisions that still owe nominal times that F had passed when they were applied: number, and
    /// the nominal time after which.
    pub owed: VecDeque<(u64, Timestamp)>,
    /// The due time, and the nominal time, of the last occurrence that was decided in their order:
    /// noted while F has left behind what schedules owe ([`crate::Frontier::owed_after`]). Of what
    /// [`ScheduleState::owed`] names it says nothing.
    pub decided_through: Option<(Timestamp, Timestamp)>,
    /// Stretches in which it rested and that F has not passed, oldest first; the last one may last.
    pub rests: VecDeque<Rest>,
    /// The newest events, oldest first, at most [`SCHEDULE_EVENTS_MAX`].
    pub events: VecDeque<ScheduleEvent>,
}

impl ScheduleState {
    /// How many of its runs are taken: those that wait will start.
    pub fn runs_taken(&self) -> u64 {
        self.runs_started + self.buffered.len() as u64
    }

    /// Whether it runs: as its newest revision says, and as long as it has a next time or something
    /// waits for its turn.
    pub fn status(&self, is_paused: bool, has_next: bool) -> ScheduleStatus {
        let has_waiting = !self.buffered.is_empty() || !self.backfills.is_empty();
        match () {
            () if is_paused => ScheduleStatus::Paused,
            () if self.paused_by_failure_at.is_some() => ScheduleStatus::PausedByFailure,
            () if has_next || has_waiting => ScheduleStatus::Active,
            () => ScheduleStatus::Ended,
        }
    }

    /// Remembers an event, forgetting the oldest when there are too many.
    pub fn remember(&mut self, event: ScheduleEvent) {
        if self.events.len() >= SCHEDULE_EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// The runs that others wait for.
    pub fn runs_that_count(&self) -> impl Iterator<Item = &RunInProgress> {
        self.running.iter().filter(|run| run.counts())
    }
}
