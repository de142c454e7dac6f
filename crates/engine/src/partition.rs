//! One partition: its state, and the dispatch of inputs. Every branch is a few lines; the work is
//! in the modules beside this one, one for each kind of work.

use minutehand_model::{Frontier, LogOffset, PartitionId, Phase, Place, Timestamp};

use crate::clock::SinkClock;
use crate::config::Config;
use crate::coverage::{Coverage, Reading};
use crate::due::DueTasks;
use crate::effect::{Effect, Effects, StopReason};
use crate::holds::Holds;
use crate::input::{Failure, Input, Moment, RequestId};
use crate::log_cursor::LogCursor;
use crate::minutes::MinuteBook;
use crate::outgoing::Outgoing;
use crate::ownership::Ownership;
use crate::phase::WakeReason;
use crate::planted::PlantedBug;
use crate::retry::Single;
use crate::revisions::StoredRevisions;
use crate::rules::{Rules, Sound};
use crate::schedule::ScheduleBook;
use crate::task_store::TaskStore;
use crate::ticker::Ticker;
use crate::timetable_writes::TimetableWrites;
use crate::unsettled::Unsettled;

/// The state machine of one partition. See the crate's documentation for how to drive it. `R`: the
/// rules that it obeys, which are all of them outside the simulator.
#[derive(Debug)]
pub struct Partition<R = Sound> {
    // What outlasts a new beginning after a commit in doubt.
    pub(crate) rules: R,
    pub(crate) config: Config,
    pub(crate) id: PartitionId,
    pub(crate) now: Timestamp,
    pub(crate) sink_clock: SinkClock,
    pub(crate) effects: Effects,
    pub(crate) ownership: Ownership,

    // The cursors.
    pub(crate) log: LogCursor,
    pub(crate) ticker: Ticker,
    /// F: what has been published or is in the tick under way.
    pub(crate) frontier: Frontier,
    /// What holds R back.
    pub(crate) unsettled: Unsettled,
    /// Which part of the timetable is in memory.
    pub(crate) coverage: Coverage,

    // What is in memory.
    pub(crate) tasks: TaskStore,
    pub(crate) due: DueTasks,
    pub(crate) schedules: ScheduleBook<R>,
    pub(crate) holds: Holds,

    // What leaves it.
    /// What leaves with the next tick beside what is due.
    pub(crate) outgoing: Outgoing,
    pub(crate) writes: TimetableWrites,
    pub(crate) revisions: StoredRevisions,
    /// What is counted for the ledger.
    pub(crate) minutes: MinuteBook,
}

impl Partition {
    /// A partition that waits for [`Input::Acquired`].
    pub fn new(config: Config, id: PartitionId) -> Partition {
        Partition::obeying(Sound, config, id)
    }
}

impl<R: Rules> Partition<R> {
    /// The same, with other rules: for the simulator.
    pub fn obeying(rules: R, config: Config, id: PartitionId) -> Partition<R> {
        Partition {
            rules,
            id,
            now: Timestamp::MIN,
            sink_clock: SinkClock::default(),
            effects: Effects::default(),
            ownership: Ownership::waiting(config.has_other_regions),
            log: LogCursor::new(LogOffset::START),
            ticker: Ticker::new(Single::default()),
            frontier: Frontier::START,
            unsettled: Unsettled::default(),
            coverage: Coverage::default(),
            tasks: TaskStore::new(config.dedupe_window_ms),
            due: DueTasks::default(),
            schedules: ScheduleBook::new(rules, config.catch_up_after_ms == 0),
            holds: Holds::default(),
            outgoing: Outgoing::default(),
            writes: TimetableWrites::default(),
            revisions: StoredRevisions::default(),
            minutes: MinuteBook::new(config.ledger),
            config,
        }
    }

    /// Begins anew from the last checkpoint, when the next tick may be tried: after a commit in
    /// doubt, memory is worth nothing. Both go on from the failures before: opening may succeed,
    /// and the tick fail again.
    pub(crate) fn reopen(&mut self) {
        let ticking = *self.ticker.sending();
        *self = Partition {
            now: self.now,
            sink_clock: self.sink_clock,
            effects: std::mem::take(&mut self.effects),
            ownership: self.ownership.anew(ticking),
            log: LogCursor::new(self.log.end()),
            ticker: Ticker::new(ticking),
            ..Partition::obeying(self.rules, self.config.clone(), self.id)
        };
    }

    /// Takes note of something that happened.
    pub fn handle(&mut self, now: impl Into<Moment>, input: Input) {
        self.tell_time(now.into());
        if self.phase() == Phase::Stopped {
            return;
        }
        match input {
            Input::Acquired { epoch } => self.ownership.acquired(epoch, self.now),
            Input::Opened {
                request,
                checkpoint,
                schedule_states,
                log_end,
                taken_at,
                prepared_from,
            } => {
                if self.ownership.opening.answers(request) && self.compare_clock(taken_at) {
                    let checkpoint = checkpoint.map(|checkpoint| *checkpoint);
                    self.opened(checkpoint, schedule_states, log_end, prepared_from);
                }
            }
            Input::Revisions { request, entries } => {
                if self.revisions.reading_mut().answers(request) {
                    self.loaded_revisions(entries);
                }
            }
            Input::Page { request, page } => match self.coverage.answers(request) {
                Some(Reading::Ahead) => self.loaded_page(page),
                Some(Reading::Behind) => self.loaded_behind(page),
                None => {}
            },
            Input::Records {
                request,
                records,
                next,
                end,
            } => {
                if self.log.answers(request) {
                    self.take_records(records, next, end);
                }
            }
            Input::Found { request, entries } => self.found(request, &entries),
            Input::Committed {
                request,
                derived_end,
                taken_at,
            } => {
                self.commit_answered(request, derived_end, taken_at);
            }
            Input::Done { request } => self.done(request),
            Input::Failed { request, failure } => self.failed(request, failure),
            Input::LogGrew { end } => self.log.grew(end),
            Input::LeaseConfirmed { at } => self.ownership.lease_confirmed(at),
            Input::Horizon { until } => self.ownership.horizon.acknowledged(until),
            Input::MemoryBudget { bytes_max } => self.config.memory_bytes_max = bytes_max,
            Input::HandOver { asked_at } => self.ownership.ask_for_hand_over(asked_at),
        }
    }

    fn done(&mut self, request: RequestId) {
        if let Some(write) = self.writes.take(request) {
            self.written(write);
        } else if !self.minutes.kept(request) && self.breaks(PlantedBug::StaleAnswer) {
            self.commit_answered(request, None, None);
        }
    }

    fn commit_answered(
        &mut self,
        request: RequestId,
        derived_end: Option<LogOffset>,
        taken_at: Option<Timestamp>,
    ) {
        let is_believed =
            self.breaks(PlantedBug::StaleAnswer) && self.ticker.has_checkpoint_in_flight();
        let is_awaited = self.ticker.answers(request) || is_believed;
        if is_awaited && self.compare_clock(taken_at) {
            self.tick_committed(derived_end);
        }
    }

    fn failed(&mut self, request: RequestId, failure: Failure) {
        let (now, config) = (self.now, self.config.clone());
        let is_tick = self.ticker.awaits(request);
        let is_awaited = self
            .singles_mut()
            .any(|single| single.fails(request, now, &config));
        let write = self.writes.take(request);
        if !is_awaited && write.is_none() {
            return;
        }
        match failure {
            Failure::Fenced => self.stop(StopReason::Fenced),
            Failure::Fatal => self.stop(StopReason::Fatal),
            Failure::Retry if is_tick => self.tick_in_doubt(),
            Failure::Retry => {
                if let Some(write) = write {
                    self.writes.fail(write, now, &config);
                }
            }
        }
    }

    pub(crate) fn stop(&mut self, reason: StopReason) {
        self.ownership.end();
        self.effects.push(Effect::Stopped { reason });
    }

    /// Decides what is to be done by now. To be called after inputs and when a timeout has passed.
    pub fn advance(&mut self, now: impl Into<Moment>) {
        self.tell_time(now.into());
        self.decide();
    }

    /// Decides what is to be done at the present time.
    pub(crate) fn decide(&mut self) {
        if let Some(asked_at) = self.ownership.hand_over_to_begin() {
            self.begin_hand_over(asked_at);
        }
        match self.phase() {
            Phase::Waiting | Phase::Stopped | Phase::Unowned => return,
            Phase::Opening => self.open(),
            Phase::Loading => self.load(),
            Phase::Replaying | Phase::Owning | Phase::HandingOver => self.work(),
        }
        self.ownership.wake = self.next_wake();
        self.assert_invariants();
    }

    /// The present time is `now`. When the clock has gone back, nothing waits for times that it
    /// named before.
    fn tell_time(
        &mut self,
        Moment {
            wall: now,
            steady_ms,
        }: Moment,
    ) {
        self.sink_clock.tell(steady_ms);
        let back_ms = self.now.millis_since(now);
        self.now = now;
        if back_ms > 0 {
            let retry_at = now.plus_millis(self.config.retry_delay_ms);
            self.ownership.clock_went_back(now, &self.config);
            self.log.clock_went_back(now);
            self.ticker.clock_went_back(now);
            self.due.clock_went_back(now);
            self.writes.clock_went_back(now, retry_at);
            self.schedules.clock_went_back(now);
            self.turns_went_back(back_ms);
            for single in self.singles_mut() {
                single.not_before = single.not_before.map(|time| time.min(retry_at));
            }
        }
    }

    fn work(&mut self) {
        // F may stand ahead of the clock: this one went back, or the predecessor's ran ahead.
        self.frontier
            .open_gap(Place::end_of(self.now), self.log.applied());
        self.schedules.frontier_is(&self.frontier);
        if self.has_sent_last_tick() {
            self.act_on_hand_over();
            return;
        }
        self.ask_timetable();
        self.apply_backlog();
        self.end_holds();
        self.read_log();
        self.narrow_look_ahead();
        self.leave_behind();
        self.note_who_is_behind();
        self.write_what_is_behind();
        self.read_ahead();
        self.read_behind();
        if self.ownership.hand_over.is_some() {
            // What is sent now decides whether there is anything to wait for.
            self.flush();
            self.act_on_hand_over();
            self.forget();
        } else {
            self.tick();
            self.forget();
            self.flush();
        }
        self.keep_minutes();
    }

    /// What holds after every step, whatever happened: the parts hold what is theirs, and here is
    /// what holds between them.
    fn assert_invariants(&self) {
        if self.rules.broken().is_some() {
            // A rule is broken on purpose: others are to find it.
            return;
        }
        self.ownership.assert_invariants();
        self.log.assert_invariants();
        self.ticker.assert_invariants();
        self.coverage.assert_invariants();
        assert!(
            self.ticker.committed().applied <= self.log.applied(),
            "what was committed has been applied"
        );
        self.assert_what_is_owed_is_noted();
    }

    /// The next thing to be carried out.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop()
    }

    /// When to call [`Partition::advance`] again if nothing arrives before, and why.
    pub fn poll_timeout(&self) -> Option<(Timestamp, WakeReason)> {
        self.ownership.wake
    }

    /// How far the ownership has come.
    pub fn phase(&self) -> Phase {
        self.ownership.phase()
    }

    /// Starts an operation that is under way at most once.
    pub(crate) fn request(&mut self) -> RequestId {
        self.effects.next_request()
    }

    /// All that are under way at most once: what is true of their pauses is true of every one.
    pub(crate) fn singles(&self) -> impl Iterator<Item = &Single> {
        let singles = [
            &self.ownership.opening,
            self.revisions.reading(),
            self.log.reading(),
            self.ticker.sending(),
            self.minutes.keeping(),
        ];
        singles
            .into_iter()
            .chain(self.coverage.readings())
            .chain(self.holds.asking())
    }

    /// The same, to be changed.
    pub(crate) fn singles_mut(&mut self) -> impl Iterator<Item = &mut Single> {
        let singles = [
            &mut self.ownership.opening,
            self.revisions.reading_mut(),
            self.log.reading_mut(),
            self.ticker.sending_mut(),
            self.minutes.keeping_mut(),
        ];
        singles
            .into_iter()
            .chain(self.coverage.readings_mut())
            .chain(self.holds.asking_mut())
    }

    /// Whether a rule is broken on purpose.
    #[inline(always)]
    pub(crate) fn breaks(&self, bug: PlantedBug) -> bool {
        self.rules.breaks(bug)
    }

    /// Whether the owner may fire: its lease is fresh, and it knows what time it is.
    pub(crate) fn may_fire(&self) -> bool {
        self.has_fresh_lease() && self.knows_the_time()
    }

    /// A node that has not heard from the coordinator for two thirds of its lease's time to live
    /// may have a successor.
    pub(crate) fn has_fresh_lease(&self) -> bool {
        self.ownership.has_fresh_lease(self.now, &self.config)
    }

    pub(crate) fn knows_the_time(&self) -> bool {
        self.sink_clock.agrees(self.moment(), &self.config)
            || self.breaks(PlantedBug::ClockUnchecked)
    }

    /// The present, as it was told last.
    pub(crate) fn moment(&self) -> Moment {
        self.sink_clock.moment(self.now)
    }

    /// Holds the owner's clock against the sink's; the owner stops when it is off. Answers whether
    /// it goes on.
    fn compare_clock(&mut self, taken_at: Option<Timestamp>) -> bool {
        let now = self.moment();
        match self.sink_clock.answered(taken_at, now, &self.config) {
            Err(reason) if !self.breaks(PlantedBug::ClockUnchecked) => {
                self.stop(reason);
                false
            }
            _ => true,
        }
    }
}
