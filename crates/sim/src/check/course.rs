//! The runs of one schedule in progress, as somebody outside sees them: when each began, from when
//! on its owner may know that it has ended, and from when on it must; when it was asked to stop;
//! and when the schedule rests because a run has failed.
//!
//! It follows the order in which an owner works: the commands that a tick is the first to have
//! applied, then what is due in it, then what time brings about. Ticks stand for both.

use std::collections::BTreeMap;

use minutehand_model::{
    LogOffset, OutcomeKind, OverlapPolicy, Place, ScheduleDefinition, StopRequest, TaskKey,
    Timestamp,
};

use super::policies::promises;
use super::revisions::{Life, Reign, ScheduleRun};
use crate::journal::{Journal, PartitionJournal, Said, TickEntry};

/// Clocks that are further off than this have been set.
pub(super) const SKEW_MS_MAX: i64 = 200;

/// Whether nobody has set a clock, so that the times that owners tell can be compared.
pub(super) fn has_calm_clocks(journal: &Journal) -> bool {
    journal.clock_error_ms <= SKEW_MS_MAX
}

/// A retry of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    pub(super) due: Timestamp,
    /// The tick that heard of it.
    pub(super) heard: usize,
    /// The tick that published it.
    pub(super) published: Option<usize>,
}

/// A run and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) run: ScheduleRun,
    /// Whether others may have to wait for it.
    pub(super) is_awaited: bool,
    /// The policy that the trigger brought which asked for it.
    pub(super) own: Option<OverlapPolicy>,
    /// Which life of its schedule it belongs to.
    pub(super) incarnation: usize,
    /// From this tick on nobody may be waiting for it any more.
    pub(super) ends_first: usize,
    /// From this tick on nobody waits for it for certain.
    pub(super) ends_last: usize,
    /// From this tick on its owner may have forgotten it.
    pub(super) gone_first: usize,
    /// The ticks that asked it to stop, the first of them, and the first that killed it.
    pub(super) asked: Vec<usize>,
    pub(super) killed: Option<usize>,
    pub(super) retries: Vec<Retry>,
}

impl Course {
    /// Whether somebody waits for it for certain in a tick, before time brings anything about
    /// there.
    pub(super) fn counts(&self, tick: usize) -> bool {
        self.is_awaited && self.run.tick < tick && tick < self.ends_first
    }
}

/// A stretch of ticks in which a schedule rests because a run has failed.
#[derive(Clone, Copy, Debug)]
struct FailureRest {
    from: usize,
    until: usize,
    is_certain: bool,
}

/// Whether a schedule rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rests {
    Yes,
    No,
    Perhaps,
}

/// One schedule with all its runs.
pub(super) struct Story<'a> {
    pub(super) about: &'a PartitionJournal,
    pub(super) life: &'a Life,
    pub(super) runs: Vec<Course>,
    failure_rests: Vec<FailureRest>,
    /// For every revision the tick that applied it.
    applied: Vec<usize>,
    /// The runs of one name, oldest first: what is created again while a clock that was ahead is
    /// back runs some times anew.
    by_name: BTreeMap<(TaskKey, Timestamp), Vec<usize>>,
    by_key: BTreeMap<TaskKey, Vec<usize>>,
}

impl<'a> Story<'a> {
    pub(super) fn of(
        about: &'a PartitionJournal,
        life: &'a Life,
        runs: &[ScheduleRun],
    ) -> Story<'a> {
        let applied = life
            .reigns
            .iter()
            .map(|reign| about.applied_by(reign.offset))
            .collect();
        let mut story = Story {
            about,
            life,
            runs: Vec::new(),
            failure_rests: Vec::new(),
            applied,
            by_name: BTreeMap::new(),
            by_key: BTreeMap::new(),
        };
        for run in runs {
            story.add(*run);
        }
        match about.stops.is_some() {
            true => story.hear_stops(),
            false => story.give_up_by_time(),
        }
        story.hear_log();
        story.end_lives();
        story
    }

    fn never(&self) -> usize {
        self.about.ticks.len()
    }

    fn add(&mut self, run: ScheduleRun) {
        let own = match self.about.record(run.offset).map(|record| &record.said) {
            Some(Said::Trigger { overlap, .. }) => *overlap,
            _ => None,
        };
        let is_own = own.is_some_and(|own| !promises(own).runs_side_by_side);
        let index = self.runs.len();
        self.by_name
            .entry((run.key, run.due))
            .or_default()
            .push(index);
        self.by_key.entry(run.key).or_default().push(index);
        self.runs.push(Course {
            run,
            is_awaited: run.is_awaited || is_own,
            own,
            incarnation: self.incarnation(run.offset),
            ends_first: self.never(),
            ends_last: self.never(),
            gone_first: self.never(),
            asked: Vec::new(),
            killed: None,
            retries: Vec::new(),
        });
    }

    /// Which life of the schedule a record belongs to: how often it had been deleted before.
    pub(super) fn incarnation(&self, offset: LogOffset) -> usize {
        let deletions = self
            .life
            .reigns
            .iter()
            .filter(|reign| reign.definition.is_none());
        deletions.take_while(|reign| reign.offset < offset).count()
    }

    /// The tick that deleted a life of the schedule.
    pub(super) fn deleted_by(&self, incarnation: usize) -> usize {
        let mut deletions = self
            .life
            .reigns
            .iter()
            .filter(|reign| reign.definition.is_none());
        deletions
            .nth(incarnation)
            .map_or(self.never(), |reign| self.about.applied_by(reign.offset))
    }

    fn hear_stops(&mut self) {
        for (tick, stop) in self.about.stops.iter().flatten() {
            let Some(index) = self.named(stop, *tick) else {
                continue;
            };
            let run = &mut self.runs[index];
            run.asked.push(*tick);
            if stop.kill && run.killed.is_none() {
                run.killed = Some(*tick);
                run.ends_first = run.ends_first.min(*tick);
                run.ends_last = run.ends_last.min(tick + 1);
            }
        }
    }

    /// Where nobody recorded the requests to stop, a run may have been given up when its time was
    /// over.
    fn give_up_by_time(&mut self) {
        for index in 0..self.runs.len() {
            self.runs[index].ends_first = self.given_up_first(&self.runs[index]);
        }
    }

    /// The run that a tick's request to stop names.
    pub(super) fn named(&self, stop: &StopRequest, tick: usize) -> Option<usize> {
        self.newest(stop.key, stop.due, tick)
    }

    /// The newest run of a name that a tick or one before it published.
    fn newest(&self, key: TaskKey, due: Timestamp, tick: usize) -> Option<usize> {
        let mut runs = self.by_name.get(&(key, due))?.iter().rev();
        runs.find(|index| self.runs[**index].run.tick <= tick)
            .copied()
    }

    /// The run of a name that a record is about, which a tick is the first to have applied: the
    /// newest that was out before.
    fn meant(&self, key: TaskKey, due: Timestamp, tick: usize) -> Option<usize> {
        self.newest(key, due, tick.checked_sub(1)?)
    }

    fn hear_log(&mut self) {
        for record in &self.about.log {
            let tick = || self.about.applied_by(record.offset);
            match &record.said {
                Said::Completed {
                    key,
                    due: Some(due),
                    kind,
                } => {
                    let tick = tick();
                    if let Some(index) = self.meant(*key, *due, tick) {
                        self.has_ended(index, tick, record.offset, *kind);
                    }
                }
                Said::ForgetRuns {
                    namespace,
                    schedule,
                } if (namespace, schedule) == (&self.life.namespace, &self.life.schedule) => {
                    let (tick, incarnation) = (tick(), self.incarnation(record.offset));
                    self.forgets(tick, incarnation);
                }
                Said::Create { key, due, encoded } if self.by_key.contains_key(key) => {
                    self.is_tried_again(*key, *due, record.offset, encoded);
                }
                Said::Cancel { key, due } if self.by_key.contains_key(key) => {
                    let tick = tick();
                    self.is_cancelled(*key, *due, tick);
                }
                _ => {}
            }
        }
    }

    fn has_ended(&mut self, index: usize, tick: usize, offset: LogOffset, kind: OutcomeKind) {
        let run = &mut self.runs[index];
        let is_news = run.gone_first > tick;
        let was_asked = run.asked.first().is_some_and(|asked| *asked <= tick);
        let is_awaited = run.is_awaited;
        for end in [&mut run.ends_first, &mut run.ends_last, &mut run.gone_first] {
            *end = (*end).min(tick);
        }
        let is_own = run.incarnation == self.incarnation(offset);
        let has_failed = !matches!(kind, OutcomeKind::Succeeded | OutcomeKind::Cancelled);
        let pauses = self
            .life
            .reign_at(offset)
            .and_then(|reign| reign.definition.as_ref());
        if has_failed
            && is_own
            && is_awaited
            && pauses.is_some_and(|definition| definition.pause_on_failure)
        {
            let until = self.next_revision(offset);
            let is_certain = is_news && !was_asked && tick < self.given_up_first(&self.runs[index]);
            self.failure_rests.push(FailureRest {
                from: tick,
                until,
                is_certain,
            });
        }
    }

    /// The first tick that may have given a run up, because nothing was heard of it. Each owner
    /// goes by its own clock, and one whose clock is behind that of the one before begins to count
    /// anew.
    pub(super) fn given_up_first(&self, run: &Course) -> usize {
        let mut counted_from_ms = i64::MAX;
        let times = self
            .about
            .ticks
            .iter()
            .map(|tick| tick.published_at_ms)
            .enumerate()
            .skip(run.run.tick);
        let mut overdue = times.filter(|(_, now_ms)| {
            counted_from_ms = counted_from_ms.min(*now_ms);
            now_ms - counted_from_ms >= self.life.run_timeout_ms_min() - SKEW_MS_MAX
        });
        overdue.next().map_or(self.never(), |(tick, _)| tick)
    }

    /// The tick that applied the first revision after a record.
    fn next_revision(&self, offset: LogOffset) -> usize {
        let next = self
            .life
            .reigns
            .iter()
            .position(|reign| reign.offset > offset);
        next.map_or(self.never(), |index| self.applied[index])
    }

    fn forgets(&mut self, tick: usize, incarnation: usize) {
        for run in self
            .runs
            .iter_mut()
            .filter(|run| run.incarnation == incarnation && run.run.tick <= tick)
        {
            run.ends_first = run.ends_first.min(tick);
            run.gone_first = run.gone_first.min(tick);
            // One that the same tick published may have begun after that.
            if run.run.tick < tick {
                run.ends_last = run.ends_last.min(tick);
            }
        }
    }

    fn is_tried_again(
        &mut self,
        key: TaskKey,
        due: Timestamp,
        offset: LogOffset,
        encoded: &bytes::Bytes,
    ) {
        let Ok(task) = minutehand_record::task::decode(encoded) else {
            return;
        };
        let heard = self.about.applied_by(offset);
        let Some(index) = self.meant(key, task.first_due, heard) else {
            return;
        };
        let of_this = |one: &crate::journal::Published| (one.key, one.due) == (key, due);
        let published = self
            .about
            .publications
            .iter()
            .find(|one| of_this(one))
            .map(|one| one.tick);
        let run = &mut self.runs[index];
        if due <= run.run.due {
            return;
        }
        run.retries.push(Retry {
            due,
            heard,
            published,
        });
        if let (Some(asked), None) = (run.asked.first().copied(), published) {
            // It is withheld, which ends the run: when it comes late, or is due.
            let withheld = asked.max(heard);
            run.ends_first = run.ends_first.min(withheld);
            run.gone_first = run.gone_first.min(withheld);
        }
    }

    fn is_cancelled(&mut self, key: TaskKey, due: Timestamp, tick: usize) {
        let indices = self.by_key.get(&key).cloned().unwrap_or_default();
        for index in indices {
            let run = &mut self.runs[index];
            let Some(retry) = run.retries.last().filter(|retry| retry.due == due) else {
                continue;
            };
            // One that is published later comes back from a damaged block, in which the cancel may
            // have stood as well.
            if retry.published.is_some_and(|published| published <= tick) {
                continue;
            }
            run.ends_first = run.ends_first.min(tick);
            run.gone_first = run.gone_first.min(tick);
            let was_ahead = self
                .about
                .ticks
                .get(tick)
                .is_some_and(|tick| tick.head.due < due);
            if was_ahead {
                run.ends_last = run.ends_last.min(tick);
            }
        }
    }

    fn end_lives(&mut self) {
        for index in 0..self.runs.len() {
            let deleted = self.deleted_by(self.runs[index].incarnation);
            let run = &mut self.runs[index];
            for end in [&mut run.ends_first, &mut run.ends_last, &mut run.gone_first] {
                *end = (*end).min(deleted);
            }
        }
        // What was given up may have paused its schedule.
        for index in 0..self.runs.len() {
            let Some(killed) = self.runs[index].killed else {
                continue;
            };
            let is_certain = false;
            let pauses = self
                .ruling_in(killed)
                .filter_map(|reign| reign.definition.as_ref());
            if pauses
                .into_iter()
                .any(|definition| definition.pause_on_failure)
            {
                let until = self
                    .applied
                    .iter()
                    .copied()
                    .filter(|tick| *tick > killed)
                    .min();
                let until = until.unwrap_or(self.never());
                self.failure_rests.push(FailureRest {
                    from: killed,
                    until,
                    is_certain,
                });
            }
        }
    }

    /// The revisions that ruled at some time in a tick: the one before, and those that it applied.
    pub(super) fn ruling_in(&self, tick: usize) -> impl Iterator<Item = &Reign> {
        self.ruling_between(tick, tick)
    }

    /// The revisions that ruled at some time between two ticks.
    pub(super) fn ruling_between(&self, first: usize, last: usize) -> impl Iterator<Item = &Reign> {
        let end = self.applied.partition_point(|applied| *applied <= last);
        let begin = self
            .applied
            .partition_point(|applied| *applied < first)
            .saturating_sub(1)
            .min(end);
        self.life.reigns[begin..end].iter()
    }

    /// The revision that rules at the end of a tick.
    pub(super) fn ruling_after(&self, tick: usize) -> Option<&Reign> {
        let end = self.applied.partition_point(|applied| *applied <= tick);
        end.checked_sub(1).map(|last| &self.life.reigns[last])
    }

    /// Whether the schedule rests when all commands of a tick have been applied.
    pub(super) fn rests_after(&self, tick: usize) -> Rests {
        if self.ruling_after(tick).is_some_and(|reign| reign.is_paused) {
            return Rests::Yes;
        }
        let lasting = || {
            self.failure_rests
                .iter()
                .filter(|rest| rest.from <= tick && tick < rest.until.max(rest.from))
        };
        // In the tick of its end both may have come in any order.
        let at_edge = self.failure_rests.iter().any(|rest| rest.until == tick);
        match (
            lasting().any(|rest| rest.is_certain),
            lasting().next().is_some() || at_edge,
        ) {
            (true, _) => Rests::Yes,
            (false, true) => Rests::Perhaps,
            (false, false) => Rests::No,
        }
    }

    /// Whether the schedule rests all through a tick.
    pub(super) fn rests_through(&self, tick: usize) -> bool {
        let Some(before) = tick.checked_sub(1) else {
            return false;
        };
        let is_paused = || self.ruling_in(tick).all(|reign| reign.is_paused);
        let has_failed = || {
            self.failure_rests
                .iter()
                .any(|rest| rest.is_certain && rest.from < tick && tick < rest.until)
        };
        self.rests_after(before) == Rests::Yes && (is_paused() || has_failed())
    }

    /// Whether the schedule may have rested because of a failure when something was due, at some
    /// time of a stretch.
    pub(super) fn may_have_rested_at(&self, from: Timestamp, to: Timestamp) -> bool {
        let time = |tick: usize| {
            self.about
                .ticks
                .get(tick)
                .map_or(i64::MAX, |tick| tick.published_at_ms)
        };
        self.failure_rests.iter().any(|rest| {
            let from_ms = rest
                .from
                .checked_sub(1)
                .map_or(i64::MIN, time)
                .saturating_sub(SKEW_MS_MAX);
            let until_ms = time(rest.until).saturating_add(SKEW_MS_MAX);
            from_ms <= to.as_millis() && from.as_millis() <= until_ms
        })
    }

    /// When a certain rest after a failure has begun at the latest, if something that is due then
    /// falls into one.
    pub(super) fn rests_since_failure(&self, due: Timestamp, tick: usize) -> bool {
        let certain = self.failure_rests.iter().filter(|rest| rest.is_certain);
        certain.into_iter().any(|rest| {
            let began = self.about.ticks.get(rest.from);
            let has_begun =
                began.is_some_and(|began| began.published_at_ms + SKEW_MS_MAX < due.as_millis());
            has_begun && rest.from <= tick && tick < rest.until
        })
    }

    /// For every tick whether nothing runs for certain that others wait for, of one life.
    pub(super) fn idle(&self, incarnation: usize) -> Vec<bool> {
        let mut change = vec![0_i64; self.never() + 1];
        for run in self
            .runs
            .iter()
            .filter(|run| run.is_awaited && run.incarnation == incarnation)
        {
            let until = run.ends_last.max(run.run.tick + 1).min(self.never());
            change[run.run.tick] += 1;
            change[until] -= 1;
        }
        let mut busy = 0;
        let ticks = change.into_iter().take(self.never());
        ticks
            .map(|change| {
                busy += change;
                busy == 0
            })
            .collect()
    }

    /// The time from which on a run is unheard of: that of its newest attempt, or when that was
    /// heard of if it came late.
    pub(super) fn unheard_since(&self, run: &Course) -> Timestamp {
        let time = |tick: usize| {
            self.about
                .ticks
                .get(tick)
                .map_or(i64::MIN, |tick| tick.published_at_ms)
        };
        let time = |tick: usize| Timestamp::from_millis(time(tick));
        let attempts = run
            .retries
            .iter()
            .map(|retry| retry.due.max(time(retry.heard)));
        attempts.fold(time(run.run.tick), Timestamp::max)
    }

    pub(super) fn tick(&self, index: usize) -> &TickEntry {
        &self.about.ticks[index]
    }

    /// The ticks in which what is due between two times may have been decided, of a schedule that was
    /// created at an offset.
    pub(super) fn passed_by(
        &self,
        from: Timestamp,
        to: Timestamp,
        created: LogOffset,
    ) -> (usize, usize) {
        let first = Place {
            due: from,
            offset: created,
        };
        let last = Place {
            due: to,
            offset: created,
        };
        let ticks = &self.about.ticks;
        let first = ticks.partition_point(|tick| tick.head < first);
        let decided = ticks[first..]
            .iter()
            .position(|tick| tick.has_decided(last));
        (first, decided.map_or(ticks.len(), |index| first + index))
    }

    /// The revision that created a life of the schedule.
    pub(super) fn creation(&self, incarnation: usize) -> Option<&Reign> {
        let mut living = self
            .life
            .reigns
            .iter()
            .filter(|reign| reign.definition.is_some());
        living.find(|reign| self.incarnation(reign.offset) == incarnation)
    }

    /// Whether a nominal time may be owed by a revision that was applied when F had passed it: then
    /// it is decided later, in any tick.
    pub(super) fn may_be_owed_late(&self, nominal: Timestamp, incarnation: usize) -> bool {
        let mut owing = self
            .life
            .reigns
            .iter()
            .zip(&self.applied)
            .filter(|(reign, _)| !reign.is_paused);
        owing.any(|(reign, applied)| {
            let was_passed = self
                .about
                .ticks
                .get(*applied)
                .is_some_and(|tick| tick.head.due >= nominal);
            self.incarnation(reign.offset) == incarnation && was_passed && reign.first <= nominal
        })
    }

    /// Whether a due time lies in a pause, of which a tick knows.
    pub(super) fn pauses_at(&self, due: Timestamp, tick: usize) -> bool {
        let known = self.applied.partition_point(|applied| *applied <= tick);
        let reigns = &self.life.reigns[..known];
        reigns.iter().enumerate().any(|(index, reign)| {
            let resumed = reigns[index..].iter().find(|later| !later.is_paused);
            let is_paused = reign.is_paused && reign.definition.is_some();
            is_paused && reign.after < due && resumed.is_none_or(|resumed| due < resumed.after)
        })
    }

    /// The revisions whose calendars name a time.
    pub(super) fn naming(&self, nominal: Timestamp) -> impl Iterator<Item = &Reign> {
        self.life.reigns.iter().filter(move |reign| {
            let times = reign.times.as_ref();
            times.is_some_and(|times| !times.between(nominal.plus_millis(-1), nominal).is_empty())
        })
    }

    /// Whether all definitions of a life say so.
    pub(super) fn all(
        &self,
        incarnation: usize,
        says: impl Fn(&ScheduleDefinition) -> bool,
    ) -> bool {
        let of_this = |reign: &&Reign| self.incarnation(reign.offset) == incarnation;
        let mut definitions = self
            .life
            .reigns
            .iter()
            .filter(of_this)
            .filter_map(|reign| reign.definition.as_ref());
        definitions.all(says)
    }
}
