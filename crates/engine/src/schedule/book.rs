//! All schedules of a partition, and what is known of them in which order. After each change of a
//! schedule [`ScheduleBook::changed`] brings every index up to date.

use std::collections::{BTreeMap, BTreeSet};

use minutehand_model::{
    Command, LogOffset, Namespace, Place, RevisionEntry, ScheduleId, ScheduleState,
    ScheduleStateChange, ScheduleStatus, TaskKey, Timestamp,
};

use super::deleted::{Deleted, DeletedSchedules};
use super::order::{DecisionOrder, Number};
use super::revise::{Applying, Cursors, Revised};
use super::{KnownSchedule, Moment, Name, Outbox, Schedule};
use crate::planted::PlantedBug;
use crate::rules::Rules;

/// All schedules of a partition.
#[derive(Debug)]
pub(crate) struct ScheduleBook<R> {
    pub(super) rules: R,
    pub(super) schedules: Vec<Option<Schedule>>,
    /// Numbers that are free.
    free: Vec<Number>,
    by_name: BTreeMap<Name, Number>,
    /// What each schedule stands under in the indices below.
    standing: BTreeMap<Number, Standing>,
    /// Every schedule that has a next occurrence.
    pub(super) order: DecisionOrder,
    /// Those with runs that are to be given up or asked to stop again, by when.
    alarms: BTreeSet<(Timestamp, Number)>,
    /// Whose runs are in progress.
    runs: BTreeMap<TaskKey, Number>,
    /// How many of those runs were asked to stop.
    stopping: usize,
    /// Those that may run something of a backfill now.
    backfilling: BTreeSet<Number>,
    pub(super) dirty: BTreeSet<Number>,
    /// Deleted since the last tick: their states go.
    gone: BTreeSet<Name>,
    deleted: DeletedSchedules,
    /// States of the checkpoint whose schedules have not come up yet.
    restored: BTreeMap<Name, ScheduleState>,
    /// Runs decided while commands were applied; they leave with the next tick.
    outbox: Outbox,
}

/// Where a schedule stands in the indices.
#[derive(Debug, Default, PartialEq, Eq)]
struct Standing {
    next: Option<Place>,
    alarm: Option<Timestamp>,
    runs: Vec<TaskKey>,
    stopping: usize,
}

impl<R: Rules> ScheduleBook<R> {
    /// `is_one_order`: no schedule is ever behind.
    pub(crate) fn new(rules: R, is_one_order: bool) -> ScheduleBook<R> {
        ScheduleBook {
            rules,
            schedules: Vec::new(),
            free: Vec::new(),
            by_name: BTreeMap::new(),
            standing: BTreeMap::new(),
            order: DecisionOrder::new(is_one_order),
            alarms: BTreeSet::new(),
            runs: BTreeMap::new(),
            stopping: 0,
            backfilling: BTreeSet::new(),
            dirty: BTreeSet::new(),
            gone: BTreeSet::new(),
            deleted: DeletedSchedules::default(),
            restored: BTreeMap::new(),
            outbox: Outbox::default(),
        }
    }

    pub(super) fn moment(&self, now: Timestamp) -> Moment<R> {
        Moment {
            now,
            rules: self.rules,
        }
    }

    pub(super) fn at(&self, number: Number) -> &Schedule {
        self.schedules[number]
            .as_ref()
            .expect("a number in an index is that of a schedule that lives")
    }

    pub(super) fn at_mut(&mut self, number: Number) -> &mut Schedule {
        self.schedules[number]
            .as_mut()
            .expect("a number in an index is that of a schedule that lives")
    }

    /// When time alone brings something about for runs in progress.
    pub(crate) fn alarm_at(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(time, _)| *time)
    }

    /// Runs that wait for the next tick.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.publications.len() + self.outbox.stops.len() + self.outbox.derived.len()
    }

    /// Bytes of the runs that wait for the next tick.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox.started_bytes
    }

    pub(crate) fn is_backfilling(&self) -> bool {
        !self.backfilling.is_empty()
    }

    /// Whether a tick has something to say about schedules apart from due occurrences.
    pub(crate) fn has_news(&self) -> bool {
        !self.dirty.is_empty() || !self.gone.is_empty() || self.waiting() > 0
    }

    /// Takes note of the states of a checkpoint; to be called before any revision. A schedule takes
    /// its own up when its first revision comes, from the store or from the log.
    pub(crate) fn restore(&mut self, states: Vec<(Namespace, ScheduleId, ScheduleState)>) {
        self.restored = states
            .into_iter()
            .map(|(namespace, id, state)| ((namespace, id), state))
            .collect();
    }

    /// Applies a revision.
    pub(crate) fn revise(
        &mut self,
        entry: RevisionEntry,
        cursors: Cursors<'_>,
        anew: bool,
        now: Timestamp,
    ) -> Revised {
        let name = name_of(&entry);
        let known = self.by_name.get(&name).copied();
        let newest = self.newest(&name, known);
        // What the store still has of a deleted schedule that was forgotten does not stand in the
        // way of its successor.
        let begins_anew = known.is_none() && !anew && entry.revision.number == 1;
        if entry.revision.number != newest + 1 && !begins_anew {
            return Revised::Ignored;
        }
        self.apply(
            known,
            name,
            entry,
            Applying {
                cursors,
                anew,
                moment: self.moment(now),
            },
        )
    }

    /// Applies a revision that the store has, and that was applied before; those before it have
    /// come if they are to come at all. Some of them may be damaged: the newest that can be read is
    /// in force. Answers how many are missing as well.
    pub(crate) fn revise_again(
        &mut self,
        entry: RevisionEntry,
        cursors: Cursors<'_>,
        now: Timestamp,
    ) -> (Revised, u64) {
        let name = name_of(&entry);
        let known = self.by_name.get(&name).copied();
        let newest = self.newest(&name, known);
        if entry.revision.number <= newest + 1 {
            return (self.revise(entry, cursors, false, now), 0);
        }
        let missing = entry.revision.number - newest - 1;
        let applying = Applying {
            cursors,
            anew: false,
            moment: self.moment(now),
        };
        (self.apply(known, name, entry, applying), missing)
    }

    fn newest(&self, name: &Name, known: Option<Number>) -> u64 {
        match (known, self.deleted.get(name)) {
            (Some(number), _) => self.at(number).head.revision.number,
            (None, Some(deleted)) => deleted.head.revision.number,
            (None, None) => 0,
        }
    }

    fn apply(
        &mut self,
        known: Option<Number>,
        name: Name,
        entry: RevisionEntry,
        applying: Applying<'_, R>,
    ) -> Revised {
        let anew = applying.anew;
        let refused = match (known, entry.revision.definition.is_some()) {
            (None, false) => return self.delete_again(name, entry),
            (Some(number), false) => {
                self.delete(number, name, entry, applying);
                return Revised::Applied;
            }
            (None, true) => self.create(name, entry, applying),
            (Some(number), true) => {
                let mut outbox = std::mem::take(&mut self.outbox);
                let revised = self.at_mut(number).revise(entry, applying, &mut outbox);
                self.outbox = outbox;
                if revised.is_ok() {
                    self.changed(number, anew);
                    self.order.renew_turn(number);
                }
                revised
            }
        };
        refused.map_or_else(Revised::Refused, |()| Revised::Applied)
    }

    fn create(
        &mut self,
        name: Name,
        entry: RevisionEntry,
        applying: Applying<'_, R>,
    ) -> Result<(), String> {
        // What is created again begins anew; what a predecessor created goes on.
        let begins = applying.anew && !applying.moment.breaks(PlantedBug::Inherits);
        let mut state = if begins {
            None
        } else {
            self.restored.get(&name).cloned()
        }
        .unwrap_or_default();
        let decided = self
            .deleted
            .get(&name)
            .map_or(Timestamp::MIN, |deleted| deleted.decided);
        // The predecessor's clock may have been ahead of this owner's.
        state
            .running
            .iter_mut()
            .for_each(|run| run.clock_went_back(applying.moment.now));
        let mut schedule = Schedule::create(name.clone(), entry, state, decided, applying)?;
        self.restored.remove(&name);
        if let Some(before) = self.deleted.take(&name) {
            schedule.revisions.splice(0..0, before.revisions);
        }
        self.gone.remove(&name);
        let number = self.free.pop().unwrap_or_else(|| {
            self.schedules.push(None);
            self.schedules.len() - 1
        });
        self.schedules[number] = Some(schedule);
        self.by_name.insert(name, number);
        self.changed(number, applying.anew);
        Ok(())
    }

    /// A deleted schedule owes nothing, waits for nothing and is waited for by nothing.
    fn delete(
        &mut self,
        number: Number,
        name: Name,
        entry: RevisionEntry,
        applying: Applying<'_, R>,
    ) {
        let Some(mut schedule) = self.schedules[number].take() else {
            return;
        };
        self.leave_indices(number, None);
        self.dirty.remove(&number);
        self.by_name.remove(&name);
        self.free.push(number);
        if applying.anew {
            self.gone.insert(name.clone());
        }
        let rested_since = schedule.rests_since().unwrap_or(Timestamp::MAX);
        let passed = if applying.anew {
            schedule.decided(applying.cursors)
        } else {
            entry.appended_at
        };
        if !applying.anew || applying.moment.breaks(PlantedBug::Inherits) {
            // It belongs to whatever was created again under the name.
            self.restored.insert(name.clone(), schedule.state);
        }
        schedule.revisions.push(entry.offset);
        // One that rests has decided nothing since. Not beyond the present: a clock that was ahead
        // and came back keeps nothing waiting that is created again.
        let decided = passed
            .max(entry.appended_at)
            .min(applying.moment.now)
            .min(rested_since);
        let created_offset = schedule.created_offset;
        let deleted = Deleted {
            head: entry,
            created_offset,
            revisions: schedule.revisions,
            decided,
        };
        self.deleted.add(name, deleted);
    }

    /// A deletion of what is deleted counts as a revision, and changes nothing else.
    fn delete_again(&mut self, name: Name, entry: RevisionEntry) -> Revised {
        let Some(mut deleted) = self.deleted.take(&name) else {
            return Revised::Ignored;
        };
        deleted.revisions.push(entry.offset);
        self.deleted.add(
            name,
            Deleted {
                head: entry,
                ..deleted
            },
        );
        Revised::Applied
    }

    /// Brings every index up to date with a schedule. `is_dirty`: its state leaves with the next
    /// tick.
    pub(super) fn changed(&mut self, number: Number, is_dirty: bool) {
        let moment = self.moment(Timestamp::MIN);
        let schedule = self.at(number);
        // While revisions are loaded, an earlier one meets the state that a later one has left.
        let may_be_stranded = !is_dirty || self.rules.broken().is_some();
        debug_assert!(
            may_be_stranded || !schedule.is_stranded(),
            "what waits may start: {schedule:?}"
        );
        let standing = Standing {
            next: schedule.next_place(),
            alarm: schedule.wakes_at(),
            runs: schedule.state.running.iter().map(|run| run.key).collect(),
            stopping: schedule
                .state
                .running
                .iter()
                .filter(|run| run.stop.is_some())
                .count(),
        };
        let may_backfill = schedule.may_backfill(moment);
        if self.standing.get(&number) != Some(&standing) {
            self.leave_indices(number, standing.next);
            self.alarms
                .extend(standing.alarm.map(|time| (time, number)));
            self.runs
                .extend(standing.runs.iter().map(|key| (*key, number)));
            self.stopping += standing.stopping;
            self.standing.insert(number, standing);
        }
        if may_backfill {
            self.backfilling.insert(number);
        } else {
            self.backfilling.remove(&number);
        }
        if is_dirty {
            self.dirty.insert(number);
        }
    }

    /// `to`: where its next occurrence lies by now.
    fn leave_indices(&mut self, number: Number, to: Option<Place>) {
        self.backfilling.remove(&number);
        let before = self.standing.remove(&number);
        let from = before.as_ref().and_then(|standing| standing.next);
        self.order.moved(number, from, to);
        let Some(standing) = before else {
            return;
        };
        if let Some(time) = standing.alarm {
            self.alarms.remove(&(time, number));
        }
        for key in standing.runs {
            self.runs.remove(&key);
        }
        self.stopping -= standing.stopping;
    }

    /// Changes one schedule with the book's own outbox; whether its state changed is the answer of
    /// `change`.
    fn change(
        &mut self,
        number: Number,
        now: Timestamp,
        change: impl FnOnce(&mut Schedule, Moment<R>, &mut Outbox) -> bool,
    ) {
        let moment = self.moment(now);
        let mut outbox = std::mem::take(&mut self.outbox);
        let is_dirty = change(self.at_mut(number), moment, &mut outbox);
        self.outbox = outbox;
        self.changed(number, is_dirty);
    }

    /// Runs what backfills ask for, at most `count_max` occurrences of each schedule, and at least
    /// one of all of them however few bytes there are left.
    pub(crate) fn run_backfills(
        &mut self,
        now: Timestamp,
        count_max: usize,
        bytes_max: usize,
        outbox: &mut Outbox,
    ) {
        let moment = self.moment(now);
        let full_at = outbox.started_bytes + bytes_max.max(1);
        for number in self.backfilling.clone() {
            if outbox.started_bytes >= full_at {
                break;
            }
            let schedule = self.at_mut(number);
            let is_dirty = schedule.run_backfills(moment, count_max, full_at, outbox);
            self.changed(number, is_dirty);
        }
    }

    /// Gives up runs of which nothing has been heard, and repeats requests to stop.
    pub(crate) fn ring(&mut self, now: Timestamp, outbox: &mut Outbox) {
        let moment = self.moment(now);
        let due: Vec<Number> = self
            .alarms
            .iter()
            .take_while(|(time, _)| *time <= now)
            .map(|(_, number)| *number)
            .collect();
        for number in due {
            let is_dirty = self.at_mut(number).ring(moment, outbox);
            self.changed(number, is_dirty);
        }
    }

    /// A command that no predecessor has applied, about a schedule or one of its runs.
    pub(crate) fn tell(
        &mut self,
        command: Command,
        offset: LogOffset,
        asked_at: Timestamp,
        now: Timestamp,
    ) {
        let named = |namespace, schedule| self.by_name.get(&(namespace, schedule)).copied();
        match command {
            Command::Trigger {
                namespace,
                schedule,
                overlap,
            } => {
                let Some(number) = named(namespace, schedule) else {
                    return;
                };
                self.change(number, now, |schedule, moment, outbox| {
                    schedule.trigger(overlap, (offset, asked_at), moment, outbox)
                });
            }
            Command::Backfill {
                namespace,
                schedule,
                from,
                to,
            } => {
                let Some(number) = named(namespace, schedule) else {
                    return;
                };
                self.change(number, now, |schedule, moment, _| {
                    schedule.backfill((offset, asked_at), (from, to), moment)
                });
            }
            Command::StopBackfill {
                namespace,
                schedule,
                backfill,
            } => {
                let Some(number) = named(namespace, schedule) else {
                    return;
                };
                self.change(number, now, |schedule, moment, _| {
                    schedule.stop_backfill(backfill, moment)
                });
            }
            Command::ForgetRuns {
                namespace,
                schedule,
            } => {
                let Some(number) = named(namespace, schedule) else {
                    return;
                };
                self.change(number, now, Schedule::forget_runs);
            }
            Command::Completed { key, due, kind } => {
                let Some(number) = self.runs.get(&key).copied() else {
                    return;
                };
                self.change(number, now, |schedule, moment, outbox| {
                    schedule.complete(key, due, kind, moment, outbox)
                });
            }
            _ => debug_assert!(false, "only commands to schedules come here"),
        }
    }

    /// A task was created anew: it may be the retry of a run.
    pub(crate) fn task_created(&mut self, key: TaskKey, encoded: &bytes::Bytes, now: Timestamp) {
        let Some(number) = self.runs.get(&key).copied() else {
            return;
        };
        let Ok(task) = minutehand_record::task::decode(encoded) else {
            return;
        };
        self.change(number, now, |schedule, moment, outbox| {
            schedule.retried(key, task.first_due, task.due, moment, outbox);
            true
        });
    }

    /// A task that was not published yet was cancelled.
    pub(crate) fn task_cancelled(&mut self, key: TaskKey, due: Timestamp, now: Timestamp) {
        let Some(number) = self.runs.get(&key).copied() else {
            return;
        };
        self.change(number, now, |schedule, moment, outbox| {
            schedule.cancelled(key, due, moment, outbox);
            true
        });
    }

    /// A task that was not published yet was moved.
    pub(crate) fn task_moved(
        &mut self,
        key: TaskKey,
        due: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) {
        let Some(number) = self.runs.get(&key).copied() else {
            return;
        };
        self.change(number, now, |schedule, moment, _| {
            schedule.moved(key, due, to, moment.now);
            true
        });
    }

    /// Whether what is to be published is an attempt of a run that was asked to stop before. The
    /// task itself is looked at only while there is such a run: this is asked for every execution.
    pub(crate) fn withholds(
        &self,
        key: TaskKey,
        encoded: impl FnOnce() -> Option<bytes::Bytes>,
    ) -> bool {
        if self.stopping == 0 || self.rules.breaks(PlantedBug::StoppedRetries) {
            return false;
        }
        let Some(number) = self.runs.get(&key) else {
            return false;
        };
        let task = encoded().and_then(|encoded| minutehand_record::task::decode(&encoded).ok());
        task.is_some_and(|task| {
            self.at(*number)
                .withholds(key, task.first_due, task.attempt)
        })
    }

    /// The clock went back: no time of a run lies further ahead than it may.
    pub(crate) fn clock_went_back(&mut self, now: Timestamp) {
        let running: BTreeSet<Number> = self.alarms.iter().map(|(_, number)| *number).collect();
        for number in running {
            let runs = &mut self.at_mut(number).state.running;
            let before = runs.clone();
            runs.iter_mut().for_each(|run| run.clock_went_back(now));
            let is_dirty = *runs != before;
            // No deadline lets anything start. So nothing is said of what may, which is not known
            // before all revisions are loaded.
            self.changed(number, false);
            if is_dirty {
                self.dirty.insert(number);
            }
        }
    }

    /// Takes what has been decided outside of a tick.
    pub(crate) fn take_outbox(&mut self) -> Outbox {
        std::mem::take(&mut self.outbox)
    }

    /// Takes the states that changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<ScheduleStateChange> {
        let gone = std::mem::take(&mut self.gone);
        let gone = gone
            .into_iter()
            .map(|(namespace, schedule)| ScheduleStateChange {
                namespace,
                schedule,
                state: None,
            });
        let dirty = std::mem::take(&mut self.dirty);
        let changed = dirty.into_iter().map(|number| {
            let schedule = self.at(number);
            ScheduleStateChange {
                namespace: schedule.namespace.clone(),
                schedule: schedule.id.clone(),
                state: Some(schedule.state.clone()),
            }
        });
        gone.chain(changed).collect()
    }

    /// Forgets what was deleted long ago, of records below an offset; answers the offsets of its
    /// revisions, for the store.
    pub(crate) fn forget_deleted(&mut self, now: Timestamp, below: LogOffset) -> Vec<LogOffset> {
        self.deleted.forget(now, below)
    }

    /// Deleted schedules that are remembered.
    pub(crate) fn deleted(&self) -> usize {
        self.deleted.len()
    }

    pub(crate) fn get(&self, namespace: &Namespace, id: &ScheduleId) -> Option<KnownSchedule> {
        let name = (namespace.clone(), id.clone());
        if let Some(number) = self.by_name.get(&name) {
            return Some(self.known(*number));
        }
        let Deleted {
            head,
            created_offset,
            ..
        } = self.deleted.get(&name)?.clone();
        Some(KnownSchedule {
            head,
            created_offset,
            state: ScheduleState::default(),
            next: None,
        })
    }

    /// Schedules of a namespace in order of id, those that live.
    pub(crate) fn list(
        &self,
        namespace: &Namespace,
        after: Option<&ScheduleId>,
        prefix: &str,
        count_max: usize,
    ) -> Vec<KnownSchedule> {
        let all = self.by_name.iter().filter(|((ns, id), _)| {
            ns == namespace
                && id.as_str().starts_with(prefix)
                && after.is_none_or(|after| id > after)
        });
        all.take(count_max)
            .map(|(_, number)| self.known(*number))
            .collect()
    }

    /// How many live in each state, in the order of the states. Looks at every one.
    pub(crate) fn count_by_state(&self) -> BTreeMap<ScheduleStatus, u64> {
        let mut counts = BTreeMap::new();
        for schedule in self.schedules.iter().flatten() {
            *counts.entry(schedule.status()).or_default() += 1;
        }
        counts
    }

    fn known(&self, number: Number) -> KnownSchedule {
        let schedule = self.at(number);
        let next = schedule.runs_next();
        KnownSchedule {
            head: schedule.head.clone(),
            created_offset: schedule.created_offset,
            state: schedule.state.clone(),
            next: next.map(|next| (next.nominal, next.due)),
        }
    }
}

fn name_of(entry: &RevisionEntry) -> Name {
    let revision = &entry.revision;
    (revision.namespace.clone(), revision.schedule.clone())
}
