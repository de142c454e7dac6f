//! Schedules: their revisions, what they owe, and what becomes of each occurrence.
//!
//! Occurrences are computed, not stored. What depends on both cursors (runs in progress, counts,
//! pauses) is kept in [`ScheduleState`] and leaves the engine in the tick that changed it. After
//! every change of a schedule [`Schedule::settle_overlap`] decides what of all that waits may
//! start.

mod book;
mod decide;
mod deciding;
mod deleted;
mod ends;
mod moment;
mod occurrence;
mod order;
mod request;
mod revise;
mod segment;

use std::collections::VecDeque;
use std::sync::Arc;

use minutehand_calendar::CompiledDefinition;
use minutehand_model::{
    Command, LogOffset, Namespace, Place, Publication, RevisionEntry, RunCause, ScheduleDefinition,
    ScheduleEvent, ScheduleEventKind, ScheduleId, ScheduleState, ScheduleStatus, StopRequest,
    Timestamp,
};

use crate::effect::Occurrences;
pub(crate) use book::ScheduleBook;
pub(crate) use moment::{Moment, Name};
pub(crate) use revise::{Cursors, Revised};
use segment::{Occurrence, Segment};

/// What a decision publishes.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) publications: Vec<Publication>,
    /// Of the runs of schedules among them.
    pub(crate) started_bytes: usize,
    pub(crate) stops: Vec<StopRequest>,
    /// Records that are appended to the log.
    pub(crate) derived: Vec<Command>,
    /// How many occurrences were started or left out.
    pub(crate) occurrences: Occurrences,
    /// The nominal times of those that a policy has left out.
    pub(crate) left_out: Vec<Timestamp>,
}

impl Outbox {
    /// Adds what another has.
    pub(crate) fn append(&mut self, other: Outbox) {
        self.publications.extend(other.publications);
        self.started_bytes += other.started_bytes;
        self.stops.extend(other.stops);
        self.derived.extend(other.derived);
        self.left_out.extend(other.left_out);
        let Occurrences {
            started,
            skipped,
            missed,
        } = other.occurrences;
        self.occurrences.started += started;
        self.occurrences.skipped += skipped;
        self.occurrences.missed += missed;
    }
}

#[derive(Debug)]
pub(crate) struct Schedule {
    namespace: Namespace,
    id: ScheduleId,
    /// The offset of the record that created it: its place among equal due times, over all
    /// revisions.
    created_offset: LogOffset,
    head: RevisionEntry,
    /// Its definition with its calendar. None when it is deleted, and when a paused one has no
    /// meaning.
    compiled: Option<Arc<CompiledDefinition>>,
    /// The offsets of all its revisions.
    revisions: Vec<LogOffset>,
    /// The nominal time after which the newest revisions, all of them paused, have ruled.
    paused_since: Option<Timestamp>,
    /// The nominal time after which the newest revision rules.
    rules_after: Timestamp,
    /// The revisions that still owe something, oldest first.
    segments: VecDeque<Segment>,
    /// The backfills that were asked for just now.
    asked: VecDeque<request::Asked>,
    state: ScheduleState,
}

impl Schedule {
    /// The definition in force, unless it is deleted.
    pub(crate) fn definition(&self) -> Option<&ScheduleDefinition> {
        self.head.revision.definition.as_ref()
    }

    /// Whether nothing of it starts by itself, until it is revised.
    fn is_resting(&self) -> bool {
        self.head.revision.paused || self.state.paused_by_failure_at.is_some()
    }

    /// Whether a run goes on that others wait for.
    fn is_busy(&self) -> bool {
        self.state.runs_that_count().next().is_some()
    }

    /// Whether it has had all its runs, those counted that wait.
    fn is_used_up(&self, definition: &ScheduleDefinition) -> bool {
        let taken = self.state.runs_taken();
        definition.runs_max.is_some_and(|max| taken >= max)
    }

    /// The occurrence that runs next, as things stand.
    fn runs_next(&self) -> Option<Occurrence> {
        let is_used_up = self
            .definition()
            .is_some_and(|definition| self.is_used_up(definition));
        let (_, next) = self.next().filter(|_| !self.is_resting() && !is_used_up)?;
        Some(next)
    }

    /// Whether it runs.
    fn status(&self) -> ScheduleStatus {
        let is_paused = self.head.revision.paused;
        self.state.status(is_paused, self.runs_next().is_some())
    }

    /// The next occurrence to be decided.
    fn next(&self) -> Option<(usize, Occurrence)> {
        let candidates = self.segments.iter().enumerate();
        candidates
            .filter_map(|(i, segment)| Some((i, segment.next?)))
            .min_by_key(|(_, next)| (next.due, next.nominal))
    }

    /// The place of the next occurrence to be decided.
    fn next_place(&self) -> Option<Place> {
        self.next().map(|(_, next)| self.place(next))
    }

    /// The first that the newest of the revisions which still owe something names after a due time,
    /// whatever is owed before. While the schedule is paused that revision is closed, and names
    /// nothing beyond the pause.
    fn named_after(&self, due: Timestamp) -> Option<Place> {
        let named = self.segments.back()?.first_due_after(due)?;
        Some(self.place(named))
    }

    fn place(&self, occurrence: Occurrence) -> Place {
        Place {
            due: occurrence.due,
            offset: self.created_offset,
        }
    }

    fn remember(
        &mut self,
        kind: ScheduleEventKind,
        nominal: Timestamp,
        cause: RunCause,
        at: Timestamp,
    ) {
        self.state.remember(ScheduleEvent {
            kind,
            nominal,
            cause,
            at,
        });
    }
}

/// A schedule as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSchedule {
    /// Its newest revision.
    pub head: RevisionEntry,
    /// The offset of the record that created it.
    pub created_offset: LogOffset,
    /// What it remembers.
    pub state: ScheduleState,
    /// The occurrence that runs next, as things stand: nominal time, and due time with jitter. None
    /// while it rests.
    pub next: Option<(Timestamp, Timestamp)>,
}
