//! One partition: its state, and the dispatch of inputs. Every branch is a few lines; the work is in the modules
//! beside this one, one for each kind of work.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use minutehand_model::{
    Checkpoint, Epoch, Frontier, LogOffset, Namespace, PartitionId, Place, QueueName, RevisionEntry,
    ScheduleId, ScheduleState, TaskKey, Timestamp,
};

use crate::calendar_queue::CalendarQueue;
use crate::clock::SinkClock;
use crate::config::Config;
use crate::coverage::{Coverage, Reading};
use crate::effect::{Effect, StopReason};
use crate::hand_over::HandOver;
use crate::inbox::Inbox;
use crate::input::{Failure, Input, Moment, RequestId};
use crate::moves::{Hold, LookUp};
use crate::outgoing::Outgoing;
use crate::pending::PendingBlocks;
use crate::phase::{Phase, WakeReason};
use crate::planted::PlantedBug;
use crate::queue_names::QueueNames;
use crate::retry::{Single, Write};
use crate::schedule::ScheduleBook;
use crate::task_store::TaskStore;
use crate::unsettled::Unsettled;

/// The state machine of one partition. See the crate's documentation for how to drive it.
#[derive(Debug)]
pub struct Partition {
    pub(crate) config: Config,
    pub(crate) id: PartitionId,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) requests: u64,
    pub(crate) now: Timestamp,
    pub(crate) sink_clock: SinkClock,
    pub(crate) wake: Option<(Timestamp, WakeReason)>,
    pub(crate) phase: Phase,
    pub(crate) epoch: Epoch,
    pub(crate) lease_confirmed_at: Timestamp,
    pub(crate) is_handing_over: bool,
    /// The hand-over that is under way.
    pub(crate) hand_over: Option<HandOver>,

    /// The last committed checkpoint.
    pub(crate) committed: Checkpoint,
    pub(crate) committed_at: Timestamp,
    /// What the stores were last told to forget, and when.
    pub(crate) forgotten_below: LogOffset,
    pub(crate) forgotten_at: Timestamp,
    /// A: every command below has been applied.
    pub(crate) applied: LogOffset,
    /// F: what has been published or is in the tick under way.
    pub(crate) frontier: Frontier,
    /// Tasks whose dedupe window ended at or before this are forgotten.
    pub(crate) remembered_from: Timestamp,
    /// When the log took the newest record that has been applied here.
    pub(crate) log_time: Timestamp,
    /// When the log was last asked for more, and when it was asked the last time that it had no more.
    pub(crate) log_asked_at: Timestamp,
    pub(crate) log_heard_at: Timestamp,
    /// The next offset to be read; below A while a successor replays.
    pub(crate) next: LogOffset,
    /// A at take-over: commands below were applied by a predecessor.
    pub(crate) known: LogOffset,
    /// The end of the log at take-over: F stands until it is reached.
    pub(crate) replay_end: LogOffset,
    pub(crate) log_end: LogOffset,

    /// Which part of the timetable is in memory.
    pub(crate) coverage: Coverage,

    pub(crate) queues: QueueNames,
    /// Names of tasks that have been applied, to be let go together: a shared counter waits for all stores before it.
    pub(crate) spent_names: Vec<QueueName>,
    pub(crate) tasks: TaskStore,
    pub(crate) calendar: CalendarQueue,
    /// The tasks of the backlog that are in memory.
    pub(crate) behind: CalendarQueue,
    /// When the backlog last published something.
    pub(crate) caught_up_at: Timestamp,
    pub(crate) pending: PendingBlocks,
    pub(crate) schedules: ScheduleBook,
    pub(crate) revisions_loaded: bool,
    /// States of the checkpoint, until the revisions they belong to are loaded.
    pub(crate) restored_states: Vec<(Namespace, ScheduleId, ScheduleState)>,
    /// Offsets of revisions that are stored.
    pub(crate) stored_revisions: BTreeSet<LogOffset>,
    pub(crate) revisions_to_write: Vec<RevisionEntry>,
    pub(crate) unsettled: Unsettled,
    /// What leaves with the next tick beside what is due.
    pub(crate) outgoing: Outgoing,
    /// What is being moved: decided, but not yet read back from the log.
    pub(crate) held: BTreeMap<(Timestamp, TaskKey), Hold>,
    /// The far tasks that records of the backlog want to move, by the offset of the record.
    pub(crate) look_ups: BTreeMap<LogOffset, LookUp>,
    /// Records that have been read and not applied yet.
    pub(crate) inbox: Inbox,

    pub(crate) opening: Single,
    pub(crate) reading_revisions: Single,
    pub(crate) reading_log: Single,
    pub(crate) ticking: Single,
    /// The checkpoint of the tick under way.
    pub(crate) in_flight: Option<Checkpoint>,
    pub(crate) writes: BTreeMap<RequestId, Write>,
    /// Writes that failed and are to be sent again.
    pub(crate) failed_writes: Vec<Write>,
}

impl Partition {
    /// A partition that waits for [`Input::Acquired`].
    pub fn new(config: Config, id: PartitionId) -> Partition {
        Partition {
            id,
            effects: VecDeque::new(),
            requests: 0,
            now: Timestamp::MIN,
            sink_clock: SinkClock::default(),
            wake: None,
            phase: Phase::Waiting,
            epoch: Epoch(0),
            lease_confirmed_at: Timestamp::MIN,
            is_handing_over: false,
            hand_over: None,
            committed: Checkpoint::START,
            committed_at: Timestamp::MIN,
            forgotten_below: LogOffset::START,
            forgotten_at: Timestamp::MIN,
            applied: LogOffset::START,
            frontier: Frontier::START,
            remembered_from: Timestamp::MIN,
            log_time: Timestamp::MIN,
            log_asked_at: Timestamp::MIN,
            log_heard_at: Timestamp::MIN,
            next: LogOffset::START,
            known: LogOffset::START,
            replay_end: LogOffset::START,
            log_end: LogOffset::START,
            coverage: Coverage::default(),
            queues: QueueNames::default(),
            spent_names: Vec::new(),
            tasks: TaskStore::new(config.dedupe_window_ms),
            calendar: CalendarQueue::default(),
            behind: CalendarQueue::default(),
            caught_up_at: Timestamp::MIN,
            pending: PendingBlocks::default(),
            schedules: ScheduleBook::new(config.planted),
            revisions_loaded: false,
            restored_states: Vec::new(),
            stored_revisions: BTreeSet::new(),
            revisions_to_write: Vec::new(),
            unsettled: Unsettled::default(),
            outgoing: Outgoing::default(),
            held: BTreeMap::new(),
            look_ups: BTreeMap::new(),
            inbox: Inbox::default(),
            opening: Single::default(),
            reading_revisions: Single::default(),
            reading_log: Single::default(),
            ticking: Single::default(),
            in_flight: None,
            writes: BTreeMap::new(),
            failed_writes: Vec::new(),
            config,
        }
    }

    /// Takes note of something that happened.
    pub fn handle(&mut self, now: impl Into<Moment>, input: Input) {
        self.tell_time(now.into());
        if self.phase == Phase::Stopped {
            return;
        }
        match input {
            Input::Acquired { epoch } => self.acquired(epoch),
            Input::Opened { request, checkpoint, schedule_states, log_end, taken_at } => {
                if self.opening.answers(request) && self.compare_clock(taken_at) {
                    self.opened(checkpoint, schedule_states, log_end);
                }
            }
            Input::Revisions { request, entries } => {
                if self.reading_revisions.answers(request) {
                    self.loaded_revisions(entries);
                }
            }
            Input::Page { request, page } => match self.coverage.answers(request) {
                Some(Reading::Ahead) => self.loaded_page(page),
                Some(Reading::Behind) => self.loaded_behind(page),
                None => {}
            },
            Input::Records { request, records, next, end } => {
                if self.reading_log.answers(request) {
                    self.take_records(records, next, end);
                }
            }
            Input::Found { request, entries } => self.found(request, &entries),
            Input::Committed { request, derived_end, taken_at } => {
                self.commit_answered(request, derived_end, taken_at);
            }
            Input::Done { request } => self.done(request),
            Input::Failed { request, failure } => self.failed(request, failure),
            Input::LogGrew { end } => self.log_end = self.log_end.max(end),
            Input::LeaseConfirmed { at } => self.lease_confirmed_at = self.lease_confirmed_at.max(at),
            Input::MemoryBudget { bytes_max } => self.config.memory_bytes_max = bytes_max,
            Input::HandOver => self.is_handing_over = true,
        }
    }

    fn done(&mut self, request: RequestId) {
        if let Some(write) = self.writes.remove(&request) {
            self.written(write);
        } else if self.breaks(PlantedBug::StaleAnswer) {
            self.commit_answered(request, None, None);
        }
    }

    fn commit_answered(
        &mut self,
        request: RequestId,
        derived_end: Option<LogOffset>,
        taken_at: Option<Timestamp>,
    ) {
        let is_believed = self.breaks(PlantedBug::StaleAnswer) && self.in_flight.is_some();
        if self.ticking.answers(request) || is_believed {
            self.ticking = Single::default();
            if self.compare_clock(taken_at) {
                self.tick_committed(derived_end);
            }
        }
    }

    fn failed(&mut self, request: RequestId, failure: Failure) {
        let (now, config) = (self.now, self.config.clone());
        let is_tick = self.ticking.request == Some(request);
        let is_awaited = self.singles_mut().any(|single| single.fails(request, now, &config));
        let write = self.writes.remove(&request);
        if !is_awaited && write.is_none() {
            return;
        }
        match failure {
            Failure::Fenced => self.stop(StopReason::Fenced),
            Failure::Fatal => self.stop(StopReason::Fatal),
            Failure::Retry if is_tick => self.tick_in_doubt(),
            Failure::Retry => {
                self.failed_writes.extend(write.map(|write| write.failed(now, &config)));
            }
        }
    }

    pub(crate) fn stop(&mut self, reason: StopReason) {
        self.phase = Phase::Stopped;
        self.wake = None;
        self.effects.push_back(Effect::Stopped { reason });
    }

    /// Decides what is to be done by now. To be called after inputs and when a timeout has passed.
    pub fn advance(&mut self, now: impl Into<Moment>) {
        self.tell_time(now.into());
        self.decide();
    }

    /// Decides what is to be done at the present time.
    pub(crate) fn decide(&mut self) {
        if self.is_handing_over
            && matches!(self.phase, Phase::Opening | Phase::Loading | Phase::Replaying | Phase::Owning)
        {
            self.begin_hand_over();
        }
        match self.phase {
            Phase::Waiting | Phase::Stopped => return,
            Phase::Opening => self.open(),
            Phase::Loading => self.load(),
            Phase::Replaying | Phase::Owning | Phase::HandingOver => self.work(),
        }
        self.wake = self.next_wake();
    }

    /// The present time is `now`. When the clock has gone back, nothing waits for times that it named before.
    fn tell_time(&mut self, Moment { wall: now, steady_ms }: Moment) {
        self.sink_clock.tell(steady_ms);
        let went_back = now < self.now;
        self.now = now;
        if went_back {
            self.committed_at = self.committed_at.min(now);
            self.forgotten_at = self.forgotten_at.min(now);
            self.caught_up_at = self.caught_up_at.min(now);
            self.log_asked_at = self.log_asked_at.min(now);
            self.log_heard_at = self.log_heard_at.min(now);
            self.lease_confirmed_at = self.lease_confirmed_at.min(now);
            self.pending.clock_went_back(now);
            if let Some(hand_over) = &mut self.hand_over {
                hand_over.clock_went_back(now, &self.config);
            }
            self.schedules.clock_went_back(now);
            let retry_at = now.plus_millis(self.config.retry_delay_ms);
            for write in &mut self.failed_writes {
                write.not_before = write.not_before.min(retry_at);
            }
            for single in self.singles_mut() {
                single.not_before = single.not_before.map(|time| time.min(retry_at));
            }
        }
    }

    fn work(&mut self) {
        // F may stand ahead of the clock: this one went back, or the predecessor's ran ahead.
        self.frontier.open_gap(Place::end_of(self.now), self.applied);
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
        self.read_ahead();
        self.read_behind();
        if self.hand_over.is_some() {
            // What is sent now decides whether there is anything to wait for.
            self.flush();
            self.act_on_hand_over();
            self.forget();
        } else {
            self.tick();
            self.forget();
            self.flush();
        }
    }

    /// The next thing to be carried out.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Partition::advance`] again if nothing arrives before, and why.
    pub fn poll_timeout(&self) -> Option<(Timestamp, WakeReason)> {
        self.wake
    }

    /// Starts an operation that is under way at most once.
    pub(crate) fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    /// Whether a planted bug is active; never without the feature.
    #[inline]
    pub(crate) fn breaks(&self, bug: PlantedBug) -> bool {
        cfg!(feature = "planted-bugs") && self.config.planted == Some(bug)
    }

    /// Whether the owner may fire: its lease is fresh, and it knows what time it is.
    pub(crate) fn may_fire(&self) -> bool {
        self.has_fresh_lease() && self.knows_the_time()
    }

    /// A node that has not heard from the coordinator for two thirds of its lease's time to live may have a successor.
    pub(crate) fn has_fresh_lease(&self) -> bool {
        self.now.millis_since(self.lease_confirmed_at) < self.config.lease_ttl_ms * 2 / 3
    }

    pub(crate) fn knows_the_time(&self) -> bool {
        self.sink_clock.agrees(self.moment(), &self.config) || self.breaks(PlantedBug::ClockUnchecked)
    }

    /// The present, as it was told last.
    pub(crate) fn moment(&self) -> Moment {
        self.sink_clock.moment(self.now)
    }

    /// Holds the owner's clock against the sink's; the owner stops when it is off. Answers whether it goes on.
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
