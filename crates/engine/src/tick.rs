//! The tick: one transaction of what is due, what came late, what was decided, and the checkpoint.

use bytes::Bytes;
use minutehand_model::{
    Checkpoint, LogOffset, Phase, Place, Publication, TaskRecord, Tick, Timestamp,
};

use crate::effect::{Effect, Occurrences};
use crate::fact::{StoredFact, TAKEN_LATE_MS_MAX, flag};
use crate::owed::SILENT_DECISIONS_MAX;
use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::rules::Rules;
use crate::schedule::Outbox;
use crate::task_store::TaskIndex;

/// Facts that are passed step by step: few enough to stay in the nearest caches from one step to
/// the next.
const PASSED_TOGETHER: usize = 256;

impl<R: Rules> Partition<R> {
    /// Builds and sends a tick, if none is under way and there is a reason for one.
    pub(crate) fn tick(&mut self) {
        if !self.ticker.is_free(self.now) || !self.has_fresh_lease() {
            return;
        }
        if !self.knows_the_time() {
            return self.ask_the_time();
        }
        let is_due = self.due_at().is_some_and(|time| time <= self.now);
        let has_decided = self.outgoing.len() > 0
            || self.schedules.has_news()
            || self.backfills()
            || self.rings_at().is_some_and(|time| time <= self.now);
        let wants_checkpoint = self.checkpoint_at().is_some_and(|time| time <= self.now)
            || self.minute_closes_at().is_some_and(|time| time <= self.now);
        if is_due || has_decided || wants_checkpoint {
            self.build_tick(wants_checkpoint);
        } else {
            self.pass_empty_time();
        }
    }

    /// A tick that changes nothing: its answer tells the time.
    fn ask_the_time(&mut self) {
        let checkpoint = Checkpoint {
            epoch: self.ownership.epoch(),
            tick: self.ticker.committed().tick + 1,
            ..self.ticker.committed().clone()
        };
        let tick = Tick {
            partition: self.id,
            checkpoint,
            published_at: self.now,
            publications: Vec::new(),
            stops: Vec::new(),
            derived: Vec::new(),
            schedule_states: Vec::new(),
            set_aside: Vec::new(),
        };
        self.send_tick(tick, Occurrences::default());
    }

    fn send_tick(&mut self, tick: Tick, occurrences: Occurrences) {
        let request = self.request();
        self.sink_clock.asked(self.moment());
        self.ticker.send(request, tick.checkpoint.clone());
        self.effects.push(Effect::Commit {
            request,
            tick: Box::new(tick),
            occurrences,
        });
    }

    /// F moves in memory over time in which nothing lies, and is written with the next tick.
    fn pass_empty_time(&mut self) {
        let first = self
            .due
            .on_time
            .peek()
            .into_iter()
            .chain(self.schedules.peek())
            .min();
        let before_first = first.map_or(Place::end_of(Timestamp::MAX), |first| {
            // What may wait for company is due already, and must not be passed.
            Place::end_of(first.due.plus_millis(-1))
        });
        self.advance_front(self.frontier_limit().min(before_first));
        self.pass_empty_backlog();
    }

    /// When something must be published, if nothing else happens.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        if self.phase() == Phase::Replaying && !self.breaks(PlantedBug::EndFirst) {
            return None;
        }
        let delay_ms = [
            0,
            self.config.normal_tick_delay_ms,
            self.config.low_tick_delay_ms,
        ];
        // What is held, or not loaded yet, cannot be published. What can be is, even when its class
        // may wait for longer than that: it may be what the loading of more waits for.
        let limit = self.frontier_bound();
        let task = self.due.on_time.wake_at(delay_ms, limit);
        let schedule = self.schedules.peek().map(|place| place.due);
        task.into_iter()
            .chain(
                schedule
                    .into_iter()
                    .chain(self.owed_ahead())
                    .filter(|due| *due <= limit),
            )
            .chain(self.catch_up_at())
            .chain(self.rings_at())
            .min()
    }

    /// Whether a backfill goes on.
    pub(crate) fn backfills(&self) -> bool {
        self.schedules.is_backfilling() && !self.is_beyond_horizon()
    }

    /// When time alone brings something about for runs in progress.
    fn rings_at(&self) -> Option<Timestamp> {
        let alarm = self.schedules.alarm_at();
        alarm.filter(|_| !self.is_beyond_horizon())
    }

    /// The latest due time that F may pass at any time in the present state.
    pub(crate) fn frontier_bound(&self) -> Timestamp {
        let is_ahead = |due: &Timestamp| !self.frontier.is_behind(Place::end_of(*due));
        let held = self.holds.dues().find(is_ahead);
        let held = held.map_or(Timestamp::MAX, |due| due.plus_millis(-1));
        let loaded = match self.breaks(PlantedBug::Unloaded) {
            true => Timestamp::MAX,
            false => self.coverage.loaded().plus_millis(-1),
        };
        held.min(loaded).min(self.horizon_bound())
    }

    /// The latest due time that F may pass where another region could adopt the partition.
    pub(crate) fn horizon_bound(&self) -> Timestamp {
        let horizon = self.ownership.horizon;
        let is_assumed = !horizon.is_known() && self.breaks(PlantedBug::HorizonAssumed);
        match is_assumed || self.breaks(PlantedBug::Horizon) {
            true => Timestamp::MAX,
            false => horizon.bound(),
        }
    }

    /// Whether nothing new may begin: by this clock it would be due beyond the horizon. F may still
    /// have to come there.
    pub(crate) fn is_beyond_horizon(&self) -> bool {
        self.now > self.horizon_bound() && !self.breaks(PlantedBug::HorizonNew)
    }

    /// How far F may move in this tick.
    fn frontier_limit(&self) -> Place {
        if self.phase() == Phase::Replaying && !self.breaks(PlantedBug::EndFirst) {
            return self.frontier.front();
        }
        let early_ms = if self.breaks(PlantedBug::Early) {
            10
        } else {
            0
        };
        let limit = Place::end_of(self.now.plus_millis(early_ms).min(self.frontier_bound()));
        limit.max(self.frontier.front())
    }

    pub(crate) fn build_tick(&mut self, wants_checkpoint: bool) {
        self.begin_counting();
        let mut outbox = self.schedules.take_outbox();
        self.minutes.recurred(&outbox.publications);
        let late_changes = self
            .breaks(PlantedBug::TornState)
            .then(|| self.schedules.take_changes());
        let bytes_decided = self.outgoing.tick_bytes() + outbox.started_bytes;
        self.take_late(&mut outbox);
        let limit = self.frontier_limit();
        let share = self.catch_up_share(outbox.publications.len());
        let (frontier, bytes) = self.take_due(limit, share, bytes_decided, &mut outbox);
        self.advance_front(frontier);
        let room = self.room_behind(share, bytes, &outbox);
        let mut room = self.take_owed(room, &mut outbox);
        let occurrences_max = self.config.schedule_occurrences_per_tick_max;
        let count = outbox.publications.len();
        if self.phase() != Phase::Replaying && !self.is_beyond_horizon() {
            // Before the log has been replayed the newest definition is not known.
            self.schedules.ring(self.now, &mut outbox);
            let bytes_left = self.config.tick_bytes_max.saturating_sub(bytes);
            self.schedules
                .run_backfills(self.now, occurrences_max, bytes_left, &mut outbox);
        }
        self.minutes.recurred(&outbox.publications[count..]);
        let backfilled = outbox.publications.len() - count;
        room.count = room.count.saturating_sub(backfilled);
        self.take_backlog(room, &mut outbox);
        // A retry that was withheld has ended its run, and so started another.
        let started = self.schedules.take_outbox();
        self.minutes.recurred(&started.publications);
        outbox.append(started);
        let schedule_states = late_changes.unwrap_or_else(|| self.schedules.take_changes());
        let number = self.ticker.committed().tick + 1;
        let has_closed = self.end_counting(&outbox, number);

        let checkpoint = Checkpoint {
            epoch: self.ownership.epoch(),
            tick: number,
            applied: self.log.applied(),
            frontier: self.frontier_to_keep(),
            replay_from: self.replay_from(),
            remembered_from: self.coverage.remembered_from(),
            minutes: self.minutes.minutes().clone(),
        };
        let (derived, set_aside) = self.outgoing.take_decided();
        let tick = Tick {
            partition: self.id,
            checkpoint,
            published_at: self.now,
            publications: outbox.publications,
            stops: outbox.stops,
            derived: derived.into_iter().chain(outbox.derived).collect(),
            schedule_states,
            set_aside,
        };
        if tick.is_bare() && !wants_checkpoint && !has_closed {
            return;
        }
        self.holds.decisions_sent();
        self.send_tick(tick, outbox.occurrences);
    }

    fn advance_front(&mut self, reached: Place) {
        let (front, horizon) = (self.frontier.front(), self.horizon_bound());
        assert!(
            reached <= front || reached <= Place::end_of(horizon),
            "F would pass the horizon {horizon}: {reached:?}"
        );
        self.frontier.advance(reached);
        self.schedules.frontier_is(&self.frontier);
    }

    /// Everything that came late leaves in this tick: A passes it with this tick's checkpoint.
    fn take_late(&mut self, outbox: &mut Outbox) {
        let late = self.outgoing.take_late(if self.breaks(PlantedBug::Budget) {
            1
        } else {
            usize::MAX
        });
        outbox.publications.reserve(late.len());
        for index in late {
            // It may have been cancelled meanwhile, or its run may have been asked to stop.
            if !self.tasks.opens_live_generation(index) || self.withholds(index) {
                self.tasks.drop_body(index);
            }
            if let Some(publication) = self.publication(index) {
                self.minutes.came_late(publication.task.due);
                outbox.publications.push(publication);
            }
            self.leave(index);
        }
    }

    /// Takes what is due up to a limit, tasks and schedules in one order; answers how far it came,
    /// and with how many bytes. What was decided before leaves it its part; the backlogs have a
    /// share.
    fn take_due(
        &mut self,
        limit: Place,
        share: usize,
        bytes_decided: usize,
        outbox: &mut Outbox,
    ) -> (Place, usize) {
        let mut steps = outbox.publications.len();
        let steps_max = match self.config.tick_publications_max - share {
            most if share == 0 => most.max(steps + 1),
            most => most,
        };
        let mut bytes = bytes_decided.min(self.config.tick_bytes_max / 2);
        let mut silent = 0;
        let mut last = None;
        let mut reached = limit;
        // Looked at while they are collected, so that their memory is fetched side by side, and
        // passed together.
        let mut passing = Vec::new();
        // Before the log has been replayed the newest definition is not known.
        let may_recur = self.phase() != Phase::Replaying || self.breaks(PlantedBug::EndFirst);
        loop {
            let schedule = self.schedules.peek();
            let schedule = schedule.filter(|place| may_recur && *place <= limit);
            let task_limit =
                schedule.map_or(limit, |place| place.preceding().unwrap_or(Place::START));
            let is_full = steps >= steps_max
                || bytes >= self.config.tick_bytes_max
                || silent >= SILENT_DECISIONS_MAX;
            // Occurrences of two revisions may share a place: F cannot stand between them.
            if is_full && (last.is_none() || schedule != last) {
                let has_more = schedule.is_some()
                    || self.due.on_time.peek().is_some_and(|place| place <= limit);
                if has_more {
                    reached = self.stopped_at(last);
                }
                break;
            }
            if let Some((place, index)) = self.due.on_time.pop_through(task_limit) {
                last = Some(place);
                steps += 1;
                bytes += self.tasks.get(index).bytes();
                passing.push(index);
            } else if let Some(place) = schedule {
                last = Some(place);
                self.pass_all(&mut passing, outbox);
                let (count, size) = (outbox.publications.len(), outbox.started_bytes);
                self.schedules
                    .pass_next(self.reachable_present(), &self.frontier, outbox);
                let started = outbox.publications.len() - count;
                self.minutes.recurred(&outbox.publications[count..]);
                steps += started;
                silent += usize::from(started == 0);
                bytes += outbox.started_bytes - size;
            } else {
                break;
            }
        }
        self.pass_all(&mut passing, outbox);
        self.due.on_time.settle_after_pops();
        (reached, bytes)
    }

    /// The tick is full: F stops at the last place taken, in the middle of a due time if need be.
    pub(crate) fn stopped_at(&self, last: Option<Place>) -> Place {
        match last {
            Some(place) if self.breaks(PlantedBug::Pair) => Place::end_of(place.due),
            Some(place) => place,
            None => self.frontier.front(),
        }
    }

    /// F passes facts: each is published, unless it is void, a repetition, or closed by a later
    /// void.
    ///
    /// Step by step for many at a time: what is published shares buffers, and counting a shared
    /// buffer up waits for all stores before it.
    pub(crate) fn pass_all(&mut self, passing: &mut Vec<TaskIndex>, outbox: &mut Outbox) {
        outbox.publications.reserve(passing.len());
        for some in passing.chunks(PASSED_TOGETHER) {
            for index in some {
                self.pass(*index);
            }
            for index in some {
                outbox.publications.extend(self.publication(*index));
            }
            for index in some {
                self.leave(*index);
            }
        }
        passing.clear();
    }

    fn pass(&mut self, index: TaskIndex) {
        let runs = self.tasks.opens_live_generation(index) && !self.withholds(index);
        self.minutes.passed(self.tasks.get(index), runs, self.now);
        self.tasks.pass(index);
        if !runs {
            self.tasks.drop_body(index);
        }
    }

    /// The task of a fact, as stores take it.
    pub(crate) fn task_record(&self, fact: &StoredFact, encoded: Bytes) -> TaskRecord {
        TaskRecord {
            key: fact.key(),
            queue: self.tasks.queue_names.name(fact.queue, &encoded),
            due: fact.due,
            guarantee: fact.guarantee(),
            precision: fact.precision(),
            encoded,
        }
    }

    /// The publication of a fact whose task is still kept.
    fn publication(&self, index: TaskIndex) -> Option<Publication> {
        let encoded = self.tasks.body(index)?;
        let fact = self.tasks.get(index);
        let task = self.task_record(fact, encoded);
        Some(Publication {
            offset: fact.offset,
            task,
        })
    }

    /// A fact that F has passed is only remembered from now on.
    fn leave(&mut self, index: TaskIndex) {
        let fact = self.tasks.get_mut(index);
        if fact.is(flag::BODY) {
            fact.flags |= flag::PUBLISHED;
        }
        self.tasks.drop_body(index);
        if self.breaks(PlantedBug::Dedupe) && !self.tasks.get(index).is(flag::WRITING) {
            self.settle(index);
            self.tasks.remove(index);
        } else {
            self.tasks.rest(index);
        }
    }

    /// R: the lowest offset whose effect is neither in the timetable nor behind F and forgotten.
    pub(crate) fn replay_from(&self) -> LogOffset {
        let forgets_unflushed =
            self.breaks(PlantedBug::HandOverUnflushed) && self.phase() == Phase::HandingOver;
        if self.breaks(PlantedBug::Replay) || forgets_unflushed {
            return self.log.applied();
        }
        let position = if self.breaks(PlantedBug::Position) {
            self.log.applied()
        } else {
            self.log.next()
        };
        let lowest = self.unsettled.lowest().unwrap_or(position).min(position);
        lowest.max(self.ticker.committed().replay_from)
    }

    /// When a checkpoint is worth a tick of its own: the cursors have moved and nothing was
    /// published.
    pub(crate) fn checkpoint_at(&self) -> Option<Timestamp> {
        let has_moved = self.log.applied() != self.ticker.committed().applied
            || self.replay_from() != self.ticker.committed().replay_from;
        has_moved.then(|| {
            self.ticker
                .committed_at()
                .plus_millis(self.config.checkpoint_interval_ms)
        })
    }

    pub(crate) fn tick_committed(&mut self, derived_end: Option<LogOffset>) {
        if !self.ticker.commit(self.now) {
            return;
        }
        if let Some(below) = derived_end {
            self.holds.decisions_stored(below);
        }
        let gone = self
            .schedules
            .forget_deleted(self.now, self.ticker.committed().replay_from);
        if !gone.is_empty() {
            self.effects.push(Effect::ForgetRevisions { offsets: gone });
        }
        if let Some(log_below) = self
            .ticker
            .forgets_below(self.now, self.config.checkpoint_interval_ms)
        {
            let timetable_before = self.timetable_forgotten_before();
            self.effects.push(Effect::Forget {
                log_below,
                timetable_before,
            });
        }
    }

    /// Minutes of the timetable before this are needed by nobody. Whole minutes only: a bucket that
    /// begins before this time may hold what is due after it.
    fn timetable_forgotten_before(&self) -> Timestamp {
        let committed = self.ticker.committed();
        let needed_from = committed
            .remembered_from
            .min(committed.frontier.floor_of_tasks().due);
        // By the log's clock as well: this owner's may run hours ahead, and its successor needs the
        // buckets.
        let needed_from = needed_from.min(self.log.time());
        needed_from
            .plus_millis(-self.config.dedupe_window_ms - TAKEN_LATE_MS_MAX)
            .min(self.ledger_needs_from())
            .floor_to_minute()
    }

    /// Nobody knows whether the tick was committed: begin anew from the checkpoint.
    pub(crate) fn tick_in_doubt(&mut self) {
        if self.ownership.hand_over.is_some() {
            // Whoever comes next begins at what was committed, as this owner would.
            return self.release();
        }
        if self.breaks(PlantedBug::DoubtIgnored) {
            return self.ticker.give_up();
        }
        self.reopen();
    }
}
