//! Schedules: their revisions, what they owe, and what becomes of each occurrence.
//!
//! Occurrences are computed, not stored. What depends on both cursors (runs in progress, counts) is kept in
//! [`ScheduleState`] and leaves the engine in the tick that changed it.

mod decide;
mod occurrence;
mod segment;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use minutehand_model::limits::BACKFILL_OCCURRENCES_MAX;
use minutehand_model::{
    Frontier, LogOffset, Namespace, OutcomeKind, OverlapPolicy, Place, Publication, RevisionEntry,
    ScheduleDefinition, ScheduleEvent, ScheduleEventKind, ScheduleId, ScheduleState, ScheduleStateChange,
    StopRequest, Timestamp,
};

pub use segment::{DefinitionError, compile};
use segment::{Occurrence, Segment};

/// Late switches from one revision to the next that are remembered.
const SWITCHES_MAX: usize = 16;

/// What a decision publishes.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) publications: Vec<Publication>,
    pub(crate) stops: Vec<StopRequest>,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    namespace: Namespace,
    id: ScheduleId,
    /// The offset of the record that created it: its place among equal due times, over all revisions.
    created_offset: LogOffset,
    head: RevisionEntry,
    /// The revisions that still owe something, oldest first.
    segments: VecDeque<Segment>,
    state: ScheduleState,
    /// Where it stands in the book's order.
    queued: Option<Place>,
}

impl Schedule {
    /// The definition in force, unless it is deleted.
    pub(crate) fn definition(&self) -> Option<&ScheduleDefinition> {
        self.head.revision.definition.as_ref()
    }

    fn next(&self) -> Option<(usize, Occurrence)> {
        let candidates = self.segments.iter().enumerate();
        candidates
            .filter_map(|(i, segment)| Some((i, segment.next?)))
            .min_by_key(|(_, next)| (next.due, next.nominal))
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
    /// Its next occurrence: nominal time, and due time with jitter.
    pub next: Option<(Timestamp, Timestamp)>,
}

/// All schedules of a partition.
#[derive(Debug, Default)]
pub(crate) struct ScheduleBook {
    schedules: Vec<Schedule>,
    by_name: BTreeMap<(Namespace, ScheduleId), usize>,
    /// Every schedule that owes something, by the place of its next occurrence.
    order: BTreeSet<(Place, usize)>,
    backfilling: BTreeSet<usize>,
    dirty: BTreeSet<usize>,
    /// States of the checkpoint whose schedules have not come up yet.
    restored: BTreeMap<(Namespace, ScheduleId), ScheduleState>,
    /// Runs decided while commands were applied; they leave with the next tick.
    outbox: Outbox,
}

/// What became of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Revised {
    /// It is the newest now.
    Applied,
    /// It was known, or its number does not follow the newest.
    Ignored,
    /// Its definition has no meaning.
    Refused(String),
}

impl ScheduleBook {
    /// The place of the next occurrence of any schedule.
    pub(crate) fn peek(&self) -> Option<Place> {
        self.order.first().map(|(place, _)| *place)
    }

    /// Runs that wait for the next tick.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.publications.len() + self.outbox.stops.len()
    }

    pub(crate) fn is_backfilling(&self) -> bool {
        !self.backfilling.is_empty()
    }

    /// Whether a tick has something to say about schedules apart from due occurrences.
    pub(crate) fn has_news(&self) -> bool {
        !self.dirty.is_empty() || self.waiting() > 0
    }

    /// Takes note of the states of a checkpoint; to be called before any revision. A schedule takes its own up when its first
    /// revision comes, from the store or from the log.
    pub(crate) fn restore(&mut self, states: Vec<(Namespace, ScheduleId, ScheduleState)>) {
        self.restored = states.into_iter().map(|(namespace, id, state)| ((namespace, id), state)).collect();
    }

    /// Applies a revision. `anew`: no predecessor has applied it, so the state does not reflect it yet.
    pub(crate) fn revise(
        &mut self,
        entry: RevisionEntry,
        frontier: &Frontier,
        anew: bool,
        keep_old: bool,
    ) -> Revised {
        let name = (entry.revision.namespace.clone(), entry.revision.schedule.clone());
        let known = self.by_name.get(&name).copied();
        let newest = known.map_or(0, |number| self.schedules[number].head.revision.number);
        if entry.revision.number != newest + 1 || (known.is_none() && entry.revision.definition.is_none()) {
            return Revised::Ignored;
        }
        let created_offset = known.map_or(entry.offset, |number| self.schedules[number].created_offset);
        let switch_at = self.switch_at(known, &entry, frontier, created_offset, anew);
        let segment = match entry.revision.definition.as_ref().filter(|_| !entry.revision.paused) {
            None => None,
            Some(definition) => {
                let name = (&entry.revision.namespace, &entry.revision.schedule);
                let definition = Arc::new(definition.clone());
                match Segment::open(name, definition, switch_at, frontier, created_offset) {
                    Ok(segment) => Some(segment),
                    Err(error) => return Revised::Refused(error.to_string()),
                }
            }
        };
        let number = known.unwrap_or_else(|| self.add(name, &entry));
        let schedule = &mut self.schedules[number];
        if !keep_old {
            for segment in &mut schedule.segments {
                segment.close(switch_at);
            }
        }
        schedule.segments.retain(|segment| segment.next.is_some());
        schedule.segments.extend(segment);
        if anew {
            let cleared = schedule.state.paused_by_failure_at.take().is_some();
            let deleted = entry.revision.definition.is_none();
            if deleted {
                schedule.state.buffered.clear();
                schedule.state.backfills.clear();
                self.backfilling.remove(&number);
            }
            let switches_late = switch_at > entry.appended_at;
            if switches_late {
                if schedule.state.switches.len() >= SWITCHES_MAX {
                    schedule.state.switches.pop_front();
                }
                schedule.state.switches.push_back((entry.revision.number, switch_at));
            }
            if cleared || deleted || switches_late {
                self.dirty.insert(number);
            }
        }
        schedule.head = entry;
        self.requeue(number);
        Revised::Applied
    }

    /// The nominal time up to and including which the revision before rules: the log time of the new one, or what F had
    /// passed when it was applied, if that is later. What depends on F is decided once, and kept with the state.
    fn switch_at(
        &self,
        known: Option<usize>,
        entry: &RevisionEntry,
        frontier: &Frontier,
        created_offset: LogOffset,
        anew: bool,
    ) -> Timestamp {
        let Some(number) = known else { return entry.appended_at };
        if anew {
            let stands_in_gap = frontier.gaps.iter().any(|gap| created_offset >= gap.from_offset);
            let passed = if stands_in_gap { frontier.front() } else { frontier.head };
            return entry.appended_at.max(passed.due);
        }
        let switches = &self.schedules[number].state.switches;
        let decided = switches.iter().find(|(revision, _)| *revision == entry.revision.number);
        decided.map_or(entry.appended_at, |(_, nominal)| *nominal)
    }

    fn add(&mut self, name: (Namespace, ScheduleId), entry: &RevisionEntry) -> usize {
        let number = self.schedules.len();
        let state = self.restored.remove(&name).unwrap_or_default();
        if !state.backfills.is_empty() {
            self.backfilling.insert(number);
        }
        self.schedules.push(Schedule {
            namespace: name.0.clone(),
            id: name.1.clone(),
            created_offset: entry.offset,
            head: entry.clone(),
            segments: VecDeque::new(),
            state,
            queued: None,
        });
        self.by_name.insert(name, number);
        number
    }

    fn requeue(&mut self, number: usize) {
        let schedule = &mut self.schedules[number];
        let place = schedule.next().map(|(_, next)| Place { due: next.due, offset: schedule.created_offset });
        if place != schedule.queued {
            if let Some(old) = schedule.queued {
                self.order.remove(&(old, number));
            }
            if let Some(new) = place {
                self.order.insert((new, number));
            }
            schedule.queued = place;
        }
    }

    /// Decides the next occurrence, whose place the caller has peeked, and moves on to the following one.
    pub(crate) fn pass_next(&mut self, now: Timestamp, outbox: &mut Outbox) {
        let Some((_, number)) = self.order.first().copied() else { return };
        let schedule = &mut self.schedules[number];
        if let Some((segment, occurrence)) = schedule.next() {
            let definition = Arc::clone(&schedule.segments[segment].definition);
            schedule.segments[segment].pass();
            schedule.segments.retain(|segment| segment.next.is_some());
            schedule.decide(&definition, occurrence, now, outbox);
            self.dirty.insert(number);
        }
        self.requeue(number);
    }

    /// Runs the action once, by request. Its nominal time is the log's, or the first after it at which no trigger before ran: what
    /// was asked for twice in one millisecond is two runs.
    pub(crate) fn trigger(
        &mut self,
        name: &(Namespace, ScheduleId),
        overlap: Option<OverlapPolicy>,
        offset: LogOffset,
        at: Timestamp,
    ) {
        let Some(number) = self.by_name.get(name) else { return };
        let schedule = &mut self.schedules[*number];
        if let Some(definition) = schedule.definition().cloned() {
            let overlap = overlap.unwrap_or(definition.overlap);
            let nominal = schedule.state.triggered_at.map_or(at, |last| at.max(last.plus_millis(1)));
            schedule.state.triggered_at = Some(nominal);
            let run = occurrence::Run { nominal, due: at, suffix: occurrence::TRIGGERED, offset };
            schedule.start_or_wait(&definition, overlap, run, at, &mut self.outbox);
            self.dirty.insert(*number);
        }
    }

    /// Queues a range of nominal times to be run by request, both ends inclusive. What lies beyond
    /// [`BACKFILL_OCCURRENCES_MAX`] is left out; the door refuses such a range, other producers are bounded here.
    pub(crate) fn backfill(&mut self, name: &(Namespace, ScheduleId), from: Timestamp, to: Timestamp) {
        let Some(number) = self.by_name.get(name) else { return };
        let schedule = &mut self.schedules[*number];
        let Some(calendar) = schedule.definition().and_then(|definition| compile(definition).ok()) else {
            return;
        };
        let last = calendar.between(from, to).take(BACKFILL_OCCURRENCES_MAX).last();
        if let Some(last) = last {
            schedule.state.backfills.push_back((from.plus_millis(-1), last));
            self.backfilling.insert(*number);
            self.dirty.insert(*number);
        }
    }

    /// Runs what backfills ask for, at most `count_max` occurrences of each schedule.
    pub(crate) fn run_backfills(&mut self, now: Timestamp, count_max: usize, outbox: &mut Outbox) {
        for number in self.backfilling.clone() {
            let schedule = &mut self.schedules[number];
            if schedule.run_backfill(now, count_max, outbox) {
                self.dirty.insert(number);
            }
            if schedule.state.backfills.is_empty() {
                self.backfilling.remove(&number);
            }
        }
    }

    /// Takes note of the end of a run.
    pub(crate) fn complete(
        &mut self,
        name: &(Namespace, ScheduleId),
        nominal: Timestamp,
        kind: OutcomeKind,
        at: Timestamp,
    ) {
        let Some(number) = self.by_name.get(name) else { return };
        let schedule = &mut self.schedules[*number];
        schedule.complete(nominal, kind, at, &mut self.outbox);
        self.dirty.insert(*number);
    }

    /// Takes what has been decided outside of a tick.
    pub(crate) fn take_outbox(&mut self) -> Outbox {
        std::mem::take(&mut self.outbox)
    }

    /// Takes the states that changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<ScheduleStateChange> {
        let changed = std::mem::take(&mut self.dirty);
        changed
            .into_iter()
            .map(|number| {
                let schedule = &self.schedules[number];
                let over = schedule.definition().is_none() && schedule.state.running.is_empty();
                ScheduleStateChange {
                    namespace: schedule.namespace.clone(),
                    schedule: schedule.id.clone(),
                    state: (!over).then(|| schedule.state.clone()),
                }
            })
            .collect()
    }

    pub(crate) fn get(&self, namespace: &Namespace, id: &ScheduleId) -> Option<KnownSchedule> {
        self.by_name.get(&(namespace.clone(), id.clone())).map(|number| self.known(*number))
    }

    pub(crate) fn list(
        &self,
        namespace: &Namespace,
        after: Option<&ScheduleId>,
        prefix: &str,
        count_max: usize,
    ) -> Vec<KnownSchedule> {
        let all = self.by_name.iter().filter(|((ns, id), _)| {
            ns == namespace && id.as_str().starts_with(prefix) && after.is_none_or(|after| id > after)
        });
        let living = all.filter(|(_, number)| self.schedules[**number].definition().is_some());
        living.take(count_max).map(|(_, number)| self.known(*number)).collect()
    }

    fn known(&self, number: usize) -> KnownSchedule {
        let schedule = &self.schedules[number];
        KnownSchedule {
            head: schedule.head.clone(),
            created_offset: schedule.created_offset,
            state: schedule.state.clone(),
            next: schedule.next().map(|(_, next)| (next.nominal, next.due)),
        }
    }
}

impl Schedule {
    fn remember(&mut self, kind: ScheduleEventKind, nominal: Timestamp, at: Timestamp) {
        self.state.remember(ScheduleEvent { kind, nominal, at });
    }
}
