//! Revisions: from when on each of them rules, and what the one before still owes.
//!
//! - A revision rules the nominal times after its own time: the log's time of it, or the owner's
//!   when the log's clock is far ahead of that (a clock that ran ahead and came back leaves the
//!   log's time there).
//! - What comes after a revision that rested or deleted the schedule is owed from that time on,
//!   although F may have passed some of it by then. What comes after one that was in force begins
//!   where that has come to: at F, or earlier, at the first of what it owes although F has passed
//!   it. One that no tick has told of has come nowhere yet: it was read together with its successor.
//! - A rest counts by due times, so that what the jitter holds is at rest as well.

use std::sync::Arc;

use minutehand_calendar::CompiledDefinition;
use minutehand_model::{Frontier, LogOffset, Rest, RevisionEntry, ScheduleState, Timestamp};

use super::{Moment, Name, Occurrence, Outbox, Schedule, Segment};
use crate::planted::PlantedBug;
use crate::rules::Rules;

/// Switches from one revision to the next that are remembered.
const SWITCHES_MAX: usize = 16;
/// Rests that are remembered while F has not passed them.
const RESTS_MAX: usize = 64;

/// How far the log's clock may be ahead of the owner's and still say from when on a revision rules,
/// in milliseconds. Beyond it the log remembers a clock that was ahead and came back.
const LOG_AHEAD_MS_MAX: i64 = 5_000;

/// What is noted of a schedule that has nothing more to decide: its calendar has come to its end,
/// or it has had its runs.
const ALL_DECIDED: (Timestamp, Timestamp) = (Timestamp::MAX, Timestamp::MAX);

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

/// What there was before a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Nothing that decided anything after this time: no schedule, a deleted one, or one that rests
    /// since.
    Rest(Timestamp),
    /// A schedule in force.
    Force,
}

/// Where the partition stands when a revision is applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursors<'a> {
    pub(crate) frontier: &'a Frontier,
    /// A of the last tick that was sent: by the revisions below it something may have been decided.
    pub(crate) told: LogOffset,
}

/// How a revision is applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applying<'a, R> {
    pub(crate) cursors: Cursors<'a>,
    /// No predecessor has applied it, so the state does not reflect it yet.
    pub(crate) anew: bool,
    pub(crate) moment: Moment<R>,
}

impl Schedule {
    /// A schedule as its first revision makes it. `state`: what a predecessor left of it;
    /// `decided`: up to when one of that name that was deleted may have run.
    pub(super) fn create(
        name: Name,
        entry: RevisionEntry,
        state: ScheduleState,
        decided: Timestamp,
        applying: Applying<'_, impl Rules>,
    ) -> Result<Schedule, String> {
        let mut schedule = Schedule {
            namespace: name.0,
            id: name.1,
            created_offset: entry.offset,
            head: entry.clone(),
            compiled: None,
            revisions: Vec::new(),
            paused_since: None,
            rules_after: Timestamp::MIN,
            segments: Default::default(),
            asked: Default::default(),
            state,
        };
        schedule.take_revision(entry, Before::Rest(decided), applying)?;
        Ok(schedule)
    }

    /// Takes the next revision of a schedule that lives, and starts what may start under it.
    pub(super) fn revise(
        &mut self,
        entry: RevisionEntry,
        applying: Applying<'_, impl Rules>,
        outbox: &mut Outbox,
    ) -> Result<(), String> {
        // A failure that was heard of late begins a rest that F has not come to: until there the
        // revision was in force.
        let passed = applying
            .cursors
            .frontier
            .passed_through(self.created_offset)
            .due;
        let has_failed = self.state.paused_by_failure_at.is_some();
        let decided = if has_failed {
            self.decided(applying.cursors)
        } else {
            passed
        };
        // One that was heard of by a clock behind F begins a rest among what has run.
        let is_behind = has_failed && applying.moment.now < passed;
        let since = self.rests_since().filter(|_| !is_behind);
        let before = since.map_or(Before::Force, |since| Before::Rest(since.min(decided)));
        self.take_revision(entry, before, applying)?;
        if applying.anew && !applying.moment.breaks(PlantedBug::ReviseSettles) {
            self.settle_overlap(applying.moment, outbox);
        }
        Ok(())
    }

    fn take_revision(
        &mut self,
        entry: RevisionEntry,
        before: Before,
        applying: Applying<'_, impl Rules>,
    ) -> Result<(), String> {
        let number = entry.revision.number;
        let rules_after = self.rules_after(&entry, before, applying);
        let compiled = compiled(&entry)?;
        let segment = self.segment_of(&entry, compiled.clone(), rules_after, applying);
        for segment in &mut self.segments {
            if !applying.moment.breaks(PlantedBug::RevisionOverlap) {
                segment.close(rules_after);
            }
        }
        self.paused_since = entry
            .revision
            .paused
            .then(|| self.paused_since.unwrap_or(rules_after));
        if applying.anew {
            if rules_after != entry.appended_at {
                remember_newest(
                    &mut self.state.switches,
                    (number, rules_after),
                    SWITCHES_MAX,
                );
            }
            self.state.paused_by_failure_at = None;
            self.end_rest(rules_after);
            if entry.revision.paused {
                self.begin_rest(rules_after);
            }
        }
        self.segments.extend(segment);
        self.head = entry;
        self.compiled = compiled;
        self.rules_after = rules_after;
        self.revisions.push(self.head.offset);
        if applying.anew {
            self.note_owed(number, rules_after, applying.cursors.frontier);
            self.note_next(applying.cursors.frontier);
            self.forget_rests(applying.cursors);
        }
        self.segments.retain(|segment| segment.next.is_some());
        self.forget_owed();
        Ok(())
    }

    /// The nominal time up to and including which the revision before rules.
    fn rules_after(
        &self,
        entry: &RevisionEntry,
        before: Before,
        applying: Applying<'_, impl Rules>,
    ) -> Timestamp {
        let Applying {
            cursors,
            anew,
            moment,
        } = applying;
        if !anew {
            let decided = self
                .state
                .switches
                .iter()
                .find(|(number, _)| *number == entry.revision.number);
            return decided.map_or(entry.appended_at, |(_, nominal)| *nominal);
        }
        let is_ahead = entry.appended_at.millis_since(moment.now) > LOG_AHEAD_MS_MAX;
        let own = match is_ahead && !moment.breaks(PlantedBug::ClampedRevision) {
            true => moment.now,
            false => entry.appended_at,
        };
        match before {
            Before::Rest(since) => own.max(since),
            Before::Force => own.max(self.decided(cursors)),
        }
    }

    /// The nominal time up to which all has been decided, and beyond which nothing has: F, or just
    /// before the first occurrence that is owed although F has passed it. The newest revision has
    /// decided nothing as long as no tick has told of it.
    pub(super) fn decided(&self, Cursors { frontier, told }: Cursors<'_>) -> Timestamp {
        if self.head.offset >= told {
            return self.rules_after;
        }
        let passed = frontier.passed_through(self.created_offset).due;
        let owed = self.owed_from(frontier);
        let decided = owed.map_or(passed, |nominal| passed.min(nominal.plus_millis(-1)));
        // With jitter a later nominal time may have been decided first. What is noted may lie ahead:
        // just before the next one.
        let noted = self.state.decided_through;
        noted.map_or(decided, |(_, nominal)| decided.max(nominal.min(passed)))
    }

    /// The first nominal time that is owed although F has passed it.
    fn owed_from(&self, frontier: &Frontier) -> Option<Timestamp> {
        let next = self.segments.iter().filter_map(|segment| segment.next);
        next.filter(|next| frontier.has_come_past(self.place(*next)))
            .map(|next| next.nominal)
            .min()
    }

    /// What a revision owes: nothing while it is paused.
    fn segment_of(
        &self,
        entry: &RevisionEntry,
        compiled: Option<Arc<CompiledDefinition>>,
        rules_after: Timestamp,
        applying: Applying<'_, impl Rules>,
    ) -> Option<Segment> {
        let compiled = compiled.filter(|_| !entry.revision.paused)?;
        // What its calendar named during the rest before, and the jitter holds until after it, is
        // owed.
        let held = rules_after
            .plus_millis(-compiled.definition().jitter_ms)
            .plus_millis(-1);
        let after = self
            .paused_since
            .map_or(rules_after, |since| since.max(held));
        let number = entry.revision.number;
        let owed = self
            .state
            .owed
            .iter()
            .find(|(owing, _)| *owing == number)
            .filter(|_| !applying.anew);
        let after = owed.map_or(after, |(_, nominal)| *nominal);
        let name = (self.namespace.clone(), self.id.clone());
        let mut segment = Segment::open(&name, number, compiled, after, applying.moment);
        let is_anew = applying.anew && !applying.moment.breaks(PlantedBug::LateCreation);
        match self.state.decided_through {
            _ if is_anew || owed.is_some() => {}
            Some(ALL_DECIDED) => segment.next = None,
            Some(decided) => segment.pass_through(decided),
            None => segment.pass_decided(applying.cursors.frontier, self.created_offset),
        }
        Some(segment)
    }

    /// A revision that was applied when F had passed some of what it owes: that is owed all the
    /// same, and must not be forgotten by a successor. Where another revision was in force, there
    /// is no such thing.
    fn note_owed(&mut self, number: u64, rules_after: Timestamp, frontier: &Frontier) {
        let Some(segment) = self
            .segments
            .iter()
            .find(|segment| segment.revision == number)
        else {
            return;
        };
        if segment
            .next
            .is_some_and(|next| frontier.has_come_past(self.place(next)))
        {
            let after = segment
                .next
                .map_or(rules_after, |next| next.nominal.plus_millis(-1));
            remember_newest(&mut self.state.owed, (number, after), SWITCHES_MAX);
        }
    }

    /// What a revision owed although F had passed it is decided up to a nominal time.
    pub(super) fn pay(&mut self, number: u64, through: Timestamp, frontier: &Frontier) -> bool {
        let Some(index) = self
            .state
            .owed
            .iter()
            .position(|(owing, _)| *owing == number)
        else {
            return false;
        };
        let next = self
            .segments
            .iter()
            .find(|segment| segment.revision == number)
            .and_then(|segment| segment.next);
        if next.is_some_and(|next| frontier.has_come_past(self.place(next))) {
            self.state.owed[index].1 = through;
        } else {
            self.state.owed.remove(index);
        }
        true
    }

    /// Notes how far the schedule has come with this occurrence, if a successor could not tell it
    /// from F: it is behind, or others are. `frontier`: on F's way as it stood before this tick, so
    /// that it says nothing of what the tick comes past. Whether the state changed.
    pub(super) fn note_decided(
        &mut self,
        decided: Occurrence,
        frontier: &Frontier,
        moment: Moment<impl Rules>,
    ) -> bool {
        let is_noted = self.is_to_be_noted(frontier) && !moment.breaks(PlantedBug::OwedUnnoted);
        let through = match self.next() {
            Some(_) => (decided.due, decided.nominal),
            None => ALL_DECIDED,
        };
        let noted = is_noted.then_some(through);
        std::mem::replace(&mut self.state.decided_through, noted) != noted
    }

    /// The same where nothing was decided: all before its next occurrence has been.
    fn note_next(&mut self, frontier: &Frontier) {
        self.state.decided_through = None;
        if self.is_to_be_noted(frontier) {
            self.note_left();
        }
    }

    /// The same when F leaves it behind.
    pub(super) fn note_left(&mut self) {
        let through = self.next().map_or(ALL_DECIDED, |(_, next)| {
            (next.due, next.nominal.plus_millis(-1))
        });
        self.state.decided_through = Some(through);
    }

    fn is_to_be_noted(&self, frontier: &Frontier) -> bool {
        let is_behind = |(_, next)| frontier.has_come_past(self.place(next));
        frontier.owed_after.is_some() || self.next().is_some_and(is_behind)
    }

    /// What a revision owed is forgotten with it. What later ones owe, which are still to be
    /// loaded, is not.
    fn forget_owed(&mut self) {
        let (segments, newest) = (&self.segments, self.head.revision.number);
        let is_owed =
            |number| number > newest || segments.iter().any(|segment| segment.revision == number);
        self.state.owed.retain(|(number, _)| is_owed(*number));
    }

    /// The due time after which nothing is owed, while the schedule rests.
    pub(super) fn rests_since(&self) -> Option<Timestamp> {
        self.state
            .rests
            .back()
            .filter(|rest| rest.until.is_none())
            .map(|rest| rest.after)
    }

    /// From a due time on nothing is owed.
    pub(super) fn begin_rest(&mut self, after: Timestamp) {
        if self
            .state
            .rests
            .back()
            .is_some_and(|rest| rest.until.is_none())
        {
            return;
        }
        remember_newest(
            &mut self.state.rests,
            Rest { after, until: None },
            RESTS_MAX,
        );
    }

    /// The rest that lasts ends.
    fn end_rest(&mut self, until: Timestamp) {
        if let Some(rest) = self
            .state
            .rests
            .back_mut()
            .filter(|rest| rest.until.is_none())
        {
            rest.until = Some(until);
        }
    }

    /// Forgets the rests in which nothing can be due any more: F has passed them, and nothing is
    /// owed before their end.
    fn forget_rests(&mut self, cursors: Cursors<'_>) {
        let passed = self.decided(cursors).min(cursors.frontier.front().due);
        let owed = self.owed_from(cursors.frontier);
        let passed = owed.map_or(passed, |owed| passed.min(owed));
        self.state.rests.retain(|rest| {
            rest.until
                .is_none_or(|until| until > passed && until > rest.after)
        });
    }
}

/// The definition of a revision with its calendar. One that has no meaning is refused, unless the
/// schedule rests: then it does no harm.
fn compiled(entry: &RevisionEntry) -> Result<Option<Arc<CompiledDefinition>>, String> {
    let Some(definition) = entry.revision.definition.clone() else {
        return Ok(None);
    };
    match CompiledDefinition::new(definition) {
        Ok(compiled) => Ok(Some(Arc::new(compiled))),
        Err(_) if entry.revision.paused => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn remember_newest<T>(list: &mut std::collections::VecDeque<T>, newest: T, count_max: usize) {
    if list.len() >= count_max {
        list.pop_front();
    }
    list.push_back(newest);
}
