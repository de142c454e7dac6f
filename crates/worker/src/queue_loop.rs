//! The loop of one queue: takes, starts, ends and commits, each without waiting for the others.
//!
//! One commit is in flight at a time; whatever ends meanwhile goes into the next one. So commits
//! grow with the load, and the number of executions between taking and settling is bounded.

mod intake;

use std::collections::{BTreeMap, VecDeque};
use std::pin::{Pin, pin};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{Future, FutureExt};
use minutehand_ports::{Delivery, DeliveryId, ErrorClass, PortError, Stop, StopReceiver};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use intake::Intake;

use crate::attempt;
use crate::attempt::{Finish, Prepared, Started, Ticket, prepare, start, supervise};
use crate::bulkheads::{Bulkheads, Held, Target};
use crate::commit::{Batch, Committed, commit, pause_after};
use crate::decide::after_stop;
use crate::gates::Handed;
use crate::handler::Verdict;
use crate::places::Place;
use crate::run::{Run, StopCause};
use crate::settings::{Lane, Settings, duration_ms};
use crate::stops::{EarlyStops, is_meant};

/// Runs started between two looks at everything else.
const STARTS_IN_A_ROW_MAX: usize = 256;
/// How long the last commit of a worker that shuts down may take, in milliseconds.
const LAST_COMMIT_MS_MAX: i64 = 5_000;
/// Shortest time that a run is put off for which there was no place, in milliseconds; at most twice
/// as long.
const PUT_OFF_MS: i64 = 10_000;

/// How far a loop is on its way down; each but the first ends at a deadline at the latest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    /// Nothing is taken any more; what runs may go on.
    Draining,
    /// What runs has been asked to stop.
    Stopping,
    /// Nothing runs any more; what has ended is being committed.
    Committing,
    Over,
}

/// A run that waits for something.
struct Slot {
    ticket: Ticket,
    run: Run,
    timeout_ms: i64,
    held: Option<Held>,
    /// Given back when the run has ended.
    _place: Place,
}

pub(crate) struct QueueLoop<'a> {
    settings: &'a Settings,
    lane: &'a Lane,
    phase: Phase,
    deadline: Option<Instant>,
    result: Result<(), PortError>,
    /// Since when there has been nothing to do.
    idle_since: Option<Instant>,

    intake: Intake<'a>,
    /// Settled at-most-once executions that may start.
    claimed: VecDeque<Prepared>,
    running: FuturesUnordered<BoxFuture<'a, (u64, Finish)>>,
    slots: BTreeMap<u64, Slot>,
    slots_used: u64,
    bulkheads: Bulkheads,
    /// Something that is parked may have a place by now.
    may_unpark: bool,
    stops: EarlyStops,

    next: Batch,
    commit: Option<BoxFuture<'a, Result<Committed, PortError>>>,
    /// What is in the commit that is in flight.
    committing: Vec<DeliveryId>,
    claiming: usize,
}

impl<'a> QueueLoop<'a> {
    pub(crate) fn new(settings: &'a Settings, lane: &'a Lane) -> QueueLoop<'a> {
        QueueLoop {
            settings,
            lane,
            phase: Phase::Working,
            deadline: None,
            result: Ok(()),
            idle_since: None,
            intake: Intake::new(settings, lane),
            claimed: VecDeque::new(),
            running: FuturesUnordered::new(),
            slots: BTreeMap::new(),
            slots_used: 0,
            bulkheads: Bulkheads::new(lane.concurrency),
            may_unpark: false,
            stops: EarlyStops::default(),
            next: Batch::default(),
            commit: None,
            committing: Vec::new(),
            claiming: 0,
        }
    }

    /// Works until it is told to stop and has drained, or the queue fails for good.
    pub(crate) async fn run(
        mut self,
        mut stop_receiver: watch::Receiver<bool>,
    ) -> Result<(), PortError> {
        let mut stops = Some(self.settings.port.stops(&self.lane.queue));
        let mut crowd = self
            .settings
            .idleness
            .as_ref()
            .map(|idleness| idleness.is_crowded.clone());
        loop {
            self.assert_invariants();
            self.begin_commit();
            self.begin_poll();
            if self.is_over() {
                return std::mem::replace(&mut self.result, Ok(()));
            }
            let mut place_freed = pin!(self.settings.places.freed());
            let (can_start, deadline) = (self.can_start(), self.next_deadline());
            let wants_place = self.has_work() && !can_start;
            let idle_end = self.idle_end();
            tokio::select! {
                biased;
                () = told_to_stop(&mut stop_receiver), if self.phase == Phase::Working => self.begin_drain(),
                stop = next_stop(&mut stops) => self.stop(stop),
                committed = polled_if_some(&mut self.commit) => self.committed(committed)?,
                Some((slot, finish)) = self.running.next(), if !self.running.is_empty() => {
                    self.finished(slot, finish);
                    while let Some(Some((slot, finish))) = self.running.next().now_or_never() {
                        self.finished(slot, finish);
                    }
                }
                polled = polled_if_some(&mut self.intake.poll) => self.polled(polled),
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.deadline_passed();
                }
                // Another queue has given one back: look again.
                () = &mut place_freed, if wants_place => {}
                () = tokio::time::sleep_until(idle_end.unwrap_or_else(Instant::now)), if idle_end.is_some() => {
                    self.begin_drain();
                }
                () = has_changed(&mut crowd), if idle_end.is_some() => {}
                () = std::future::ready(()), if can_start => {
                    self.start_some();
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// What holds between two steps.
    fn assert_invariants(&self) {
        assert_eq!(
            self.running.len(),
            self.slots.len(),
            "what runs has a slot, and nothing else has one"
        );
        assert!(
            self.slots.len() <= self.lane.concurrency,
            "no more run than may"
        );
        assert!(
            self.claiming <= self.committing.len(),
            "what is being claimed is in the commit under way"
        );
        assert!(
            self.commit.is_some() || self.committing.is_empty() || self.phase == Phase::Over,
            "what is being committed is in a commit"
        );
        let takes = self.intake.has_any() || !self.next.claims.is_empty();
        assert!(
            self.phase == Phase::Working || !takes,
            "who is going down takes nothing more"
        );
    }

    // Taking.

    fn begin_poll(&mut self) {
        let is_full = self.next.len() + self.committing.len() >= 4 * self.settings.batch_max;
        let wanted = self.wanted();
        let is_full = is_full || self.bulkheads.is_full();
        let is_wanted =
            self.phase == Phase::Working && self.intake.taken.is_empty() && !is_full && wanted > 0;
        if self.intake.poll.is_none() && is_wanted && self.intake.poll_not_before.is_none() {
            let (settings, queue) = (self.settings, &self.lane.queue);
            let seat = self.intake.seat.clone();
            self.intake.poll = Some(Box::pin(async move {
                let gates = &settings.gates;
                gates.poll(settings, queue, seat.as_deref(), wanted).await
            }));
        }
    }

    /// How many more executions the lane can take on.
    fn wanted(&self) -> usize {
        let claims = self.next.claims.len() + self.claiming + self.claimed.len();
        let room = if self.intake.appetite > self.lane.concurrency {
            self.intake.appetite
        } else {
            self.free_slots().min(self.settings.batch_max)
        };
        room.saturating_sub(claims)
    }

    fn free_slots(&self) -> usize {
        self.lane.concurrency.saturating_sub(self.slots.len())
    }

    fn polled(&mut self, polled: Result<Vec<Handed>, PortError>) {
        self.intake.poll = None;
        match polled {
            Ok(deliveries) => {
                self.intake.poll_failures = 0;
                if deliveries.is_empty() {
                    self.intake.poll_not_before = Some(Instant::now() + pause_after(1));
                }
                self.intake.taken.extend(deliveries);
                self.intake.waited = false;
            }
            Err(error) => {
                self.settings.observer.troubled(&self.lane.queue, &error);
                if error.class == ErrorClass::Retry {
                    self.intake.poll_failures += 1;
                    let pause = pause_after(self.intake.poll_failures);
                    warn!(queue = %self.lane.queue, ?pause, %error, "trying again");
                    self.intake.poll_not_before = Some(Instant::now() + pause);
                } else {
                    // What runs may still be settled, so it is not thrown away.
                    self.result = Err(error);
                    self.begin_drain();
                }
            }
        }
    }

    // Starting.

    fn has_work(&self) -> bool {
        match self.phase {
            Phase::Working => {
                let may_take =
                    !self.intake.taken.is_empty() && self.wanted() > 0 && !self.bulkheads.is_full();
                self.may_unpark || !self.claimed.is_empty() || may_take
            }
            Phase::Draining => !self.claimed.is_empty(),
            Phase::Stopping | Phase::Committing | Phase::Over => false,
        }
    }

    fn can_start(&self) -> bool {
        let has_place = self.free_slots() > 0 && self.settings.places.has_one_for(self.slots.len());
        has_place && self.has_work()
    }

    fn start_some(&mut self) {
        for _ in 0..STARTS_IN_A_ROW_MAX {
            if !self.can_start() {
                break;
            }
            let Some(place) = self.settings.places.take(self.slots.len()) else {
                break;
            };
            if self.may_unpark {
                match self.bulkheads.next_ready(self.free_slots()) {
                    Some((prepared, target)) => self.start(prepared, Some(target), place),
                    None => self.may_unpark = false,
                }
            } else if let Some(prepared) = self.claimed.pop_front() {
                self.admit(prepared, place);
            } else if let Some(handed) = self.intake.taken.pop_front() {
                if self.is_held_back(&handed.delivery) {
                    self.give_back(handed);
                    continue;
                }
                self.begin(handed, place);
            }
        }
        if self.intake.taken.is_empty() && !self.intake.waited {
            self.intake.appetite = (self.intake.appetite * 2).min(self.settings.batch_max);
        }
    }

    /// Begins with what was taken: what may run at most once is claimed first.
    fn begin(&mut self, handed: Handed, place: Place) {
        let (settings, queue) = (self.settings, &self.lane.queue);
        let Handed {
            delivery,
            hold,
            put_off,
        } = handed;
        let mut prepared = match prepare(&delivery) {
            Ok(prepared) => prepared,
            Err(error) => return self.next.set_aside(settings, queue, delivery, &error),
        };
        prepared.ticket.hold = hold;
        if prepared.ticket.is_claimed && delivery.may_have_run {
            self.next.doubt(settings, queue, prepared);
        } else if let Some(delay) = put_off {
            settings.observer.put_off(queue);
            self.next.put_off_whole(settings, prepared, delay);
        } else if prepared.ticket.is_claimed {
            self.next.claims.push(prepared);
        } else {
            self.admit(prepared, place);
        }
    }

    /// Whether the queue was paused since it was taken.
    fn is_held_back(&self, delivery: &Delivery) -> bool {
        let Settings { gates, group, .. } = self.settings;
        gates.holds_back(
            &self.lane.queue,
            group.as_str(),
            delivery,
            self.settings.now(),
        )
    }

    /// What was taken goes back, with all that was taken behind it.
    fn give_back(&mut self, handed: Handed) {
        let behind = self.intake.taken.drain(..).map(|handed| handed.delivery.id);
        let ids = std::iter::once(handed.delivery.id).chain(behind).collect();
        let Settings { port, group, .. } = self.settings;
        port.let_go(&self.lane.queue, group.as_str(), ids);
    }

    /// Starts a run, or parks it when its target has its share of the places.
    fn admit(&mut self, prepared: Prepared, place: Place) {
        let target = self
            .lane
            .handler
            .target(&prepared.execution.task)
            .map(Target::from);
        match target {
            Some(target) if !self.bulkheads.admits(&target, self.free_slots()) => {
                match self.phase {
                    Phase::Working => self.bulkheads.park(prepared, target, Instant::now()),
                    _ => self.put_off(prepared, PUT_OFF_MS),
                }
            }
            target => self.start(prepared, target, place),
        }
    }

    fn start(&mut self, prepared: Prepared, target: Option<Target>, place: Place) {
        let Prepared { ticket, execution } = prepared;
        let Settings {
            observer,
            run_timeout_ms,
            stop_grace_ms,
            ..
        } = self.settings;
        let started_at = self.settings.now();
        let run = Run::new(execution, started_at);
        assert_eq!(
            ticket.is_claimed,
            run.task().guarantee.settles_first(),
            "what runs at most once is settled before it runs"
        );
        let is_purged = || {
            let published_at = run.execution().published_at;
            self.settings
                .gates
                .is_purged(&self.lane.queue, published_at)
        };
        if self.stops.has(ticket.key, run.task()) || is_purged() {
            return self.settle(ticket, &run, Verdict::Cancelled);
        }
        let timeout_ms = match attempt::run_timeout_ms(run.task(), *run_timeout_ms) {
            Ok(timeout_ms) => timeout_ms,
            Err(reason) => return self.settle(ticket, &run, Verdict::discard(reason)),
        };
        let (due, published_at) = (run.task().due, run.execution().published_at);
        run.begins();
        observer.started(
            &self.lane.queue,
            started_at.millis_since(due),
            published_at.millis_since(due),
        );
        match start(&*self.lane.handler, &run) {
            Started::Ended(verdict) => self.settle(ticket, &run, verdict),
            Started::Waiting(running) => {
                self.intake.waited = true;
                self.intake.appetite = self.lane.concurrency.min(self.settings.batch_max);
                let slot = self.slots_used;
                self.slots_used += 1;
                let supervised = supervise(run.clone(), running, timeout_ms, *stop_grace_ms);
                self.running
                    .push(Box::pin(async move { (slot, supervised.await) }));
                let held = target.map(|target| self.bulkheads.take(target));
                self.slots.insert(
                    slot,
                    Slot {
                        ticket,
                        run,
                        timeout_ms,
                        held,
                        _place: place,
                    },
                );
            }
        }
    }

    fn put_off(&mut self, prepared: Prepared, delay_ms_min: i64) {
        let spread_ms =
            (self.settings.random)() % u64::try_from(delay_ms_min).unwrap_or(0).saturating_add(1);
        let delay_ms = delay_ms_min.saturating_add(i64::try_from(spread_ms).unwrap_or(0));
        if delay_ms_min > 0 {
            self.settings.observer.put_off(&self.lane.queue);
        }
        self.next.put_off(self.settings, prepared, delay_ms);
    }

    fn stop(&mut self, stop: Stop) {
        let mut is_running = false;
        for slot in self.slots.values() {
            if slot.ticket.key == stop.key && is_meant(stop.due, slot.run.task()) {
                is_running = true;
                if stop.kill {
                    slot.run.kill(StopCause::Requested);
                } else {
                    slot.run.ask_to_stop(StopCause::Requested);
                }
            }
        }
        if !is_running {
            self.stops.remember(stop);
        }
    }

    // Ending.

    fn finished(&mut self, slot: u64, finish: Finish) {
        let Some(Slot {
            ticket,
            run,
            timeout_ms,
            held,
            ..
        }) = self.slots.remove(&slot)
        else {
            return;
        };
        let has_succeeded = matches!(finish.verdict, Some(Verdict::Success { .. }));
        held.into_iter()
            .for_each(|held| self.bulkheads.give_back(held, has_succeeded));
        self.may_unpark = true;
        let Finish { verdict, cause } = finish;
        let verdict = match cause {
            None => verdict,
            Some(cause) => after_stop(verdict, cause, timeout_ms),
        };
        match verdict {
            Some(verdict) => self.settle(ticket, &run, verdict),
            None => self.abandon(ticket, &run),
        }
    }

    /// Gives a run up that did not end before the worker did.
    fn abandon(&mut self, ticket: Ticket, run: &Run) {
        self.settings.observer.abandoned(&self.lane.queue);
        if ticket.is_claimed {
            self.settle(
                ticket,
                run,
                Verdict::failure("the worker was shut down before the run had ended"),
            );
        } else {
            self.let_go(vec![ticket.delivery]);
        }
    }

    fn settle(&mut self, ticket: Ticket, run: &Run, verdict: Verdict) {
        self.next
            .settle(self.settings, &self.lane.queue, &ticket, run, verdict);
    }

    // Committing.

    fn begin_commit(&mut self) {
        if self.commit.is_none() && !self.next.is_empty() && self.phase != Phase::Over {
            let batch = std::mem::take(&mut self.next);
            (self.committing, self.claiming) = (batch.ids(), batch.claims.len());
            self.commit = Some(Box::pin(commit(self.settings, &self.lane.queue, batch)));
        }
    }

    fn committed(&mut self, committed: Result<Committed, PortError>) -> Result<(), PortError> {
        self.commit = None;
        let Committed { claimed, .. } = committed?;
        self.committing.clear();
        self.claiming = 0;
        self.claimed.extend(claimed);
        if matches!(self.phase, Phase::Stopping | Phase::Committing) {
            self.abandon_claimed();
        }
        Ok(())
    }

    // Going down.

    fn begin_drain(&mut self) {
        self.intake.end();
        self.may_unpark = false;
        let (claimed, parked): (Vec<Prepared>, Vec<Prepared>) = self
            .bulkheads
            .clear()
            .into_iter()
            .partition(|parked| parked.ticket.is_claimed);
        let unclaimed = std::mem::take(&mut self.next.claims)
            .into_iter()
            .chain(parked);
        let unclaimed = unclaimed.map(|prepared| prepared.ticket.delivery);
        let ids = self
            .intake
            .taken
            .drain(..)
            .map(|handed| handed.delivery.id)
            .chain(unclaimed)
            .collect();
        self.let_go(ids);
        for prepared in claimed {
            self.put_off(prepared, 0);
        }
        self.enter(Phase::Draining, self.settings.drain_ms);
    }

    fn enter(&mut self, phase: Phase, ms_max: i64) {
        self.phase = phase;
        self.deadline = Some(Instant::now() + duration_ms(ms_max));
    }

    /// When it ends because it has been idle; never while it has something to do.
    fn idle_end(&mut self) -> Option<Instant> {
        let idleness = self.settings.idleness.as_ref()?;
        let is_idle = self.phase == Phase::Working
            && self.intake.poll.is_some()
            && self.intake.taken.is_empty()
            && self.claimed.is_empty()
            && self.slots.is_empty()
            && self.bulkheads.deadline().is_none()
            && self.commit.is_none()
            && self.next.is_empty();
        if !is_idle {
            self.idle_since = None;
            return None;
        }
        Some(idleness.ends_at(*self.idle_since.get_or_insert_with(Instant::now)))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let waits = [
            self.deadline,
            self.intake.poll_not_before,
            self.bulkheads.deadline(),
        ];
        waits.into_iter().flatten().min()
    }

    fn deadline_passed(&mut self) {
        match self.phase {
            Phase::Working => {
                let now = Instant::now();
                self.intake.poll_not_before = self
                    .intake
                    .poll_not_before
                    .filter(|not_before| *not_before > now);
                while let Some(prepared) = self.bulkheads.next_overdue(now) {
                    self.put_off(prepared, PUT_OFF_MS);
                }
            }
            Phase::Draining => {
                for slot in self.slots.values() {
                    slot.run.ask_to_stop(StopCause::ShuttingDown);
                }
                self.abandon_claimed();
                self.enter(Phase::Stopping, self.settings.stop_grace_ms);
            }
            Phase::Stopping => {
                self.running.clear();
                for (_, slot) in std::mem::take(&mut self.slots) {
                    self.abandon(slot.ticket, &slot.run);
                }
                self.enter(Phase::Committing, LAST_COMMIT_MS_MAX);
            }
            Phase::Committing | Phase::Over => {
                let count = self.committing.len() + self.next.len();
                warn!(queue = %self.lane.queue, count, "settlements were not confirmed in time; they may be delivered again");
                self.commit = None;
                self.phase = Phase::Over;
            }
        }
    }

    fn abandon_claimed(&mut self) {
        // Nobody else will be given them, and they have not begun.
        for prepared in std::mem::take(&mut self.claimed) {
            self.put_off(prepared, 0);
        }
    }

    /// Others may have what was taken and is not worked on any more.
    fn let_go(&self, ids: Vec<DeliveryId>) {
        if !ids.is_empty() {
            self.settings
                .port
                .let_go(&self.lane.queue, self.settings.group.as_str(), ids);
        }
    }

    fn is_over(&self) -> bool {
        let is_idle = self.slots.is_empty() && self.claimed.is_empty() && self.commit.is_none();
        match self.phase {
            Phase::Working => false,
            Phase::Over => true,
            Phase::Draining | Phase::Stopping | Phase::Committing => {
                is_idle && self.next.is_empty()
            }
        }
    }
}

/// A loop that fails, panics or is dropped has runs in hand. What is settled already changes
/// nothing.
impl Drop for QueueLoop<'_> {
    fn drop(&mut self) {
        let mut ids = std::mem::take(&mut self.committing);
        ids.extend(self.next.ids());
        ids.extend(self.intake.taken.iter().map(|handed| handed.delivery.id));
        let waiting = self.bulkheads.clear();
        ids.extend(
            self.claimed
                .iter()
                .chain(&waiting)
                .map(|prepared| prepared.ticket.delivery),
        );
        ids.extend(self.slots.values().map(|slot| slot.ticket.delivery));
        // They end before somebody else begins them.
        self.running.clear();
        self.let_go(ids);
    }
}

/// Ends when the worker is told to stop, or is gone.
async fn told_to_stop(receiver: &mut watch::Receiver<bool>) {
    let _ = receiver.wait_for(|is_stopping| *is_stopping).await;
}

/// Ends when a flag that may not be there changes.
async fn has_changed(flag: &mut Option<watch::Receiver<bool>>) {
    if let Some(receiver) = flag
        && receiver.changed().await.is_err()
    {
        // Nobody can set it any more.
        *flag = None;
    }
    if flag.is_none() {
        std::future::pending().await
    }
}

/// Polls a future that may not be there; without one, it never ends.
async fn polled_if_some<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => Pin::new(future).await,
        None => std::future::pending().await,
    }
}

/// The next stop request; when there can be no more, it never ends.
async fn next_stop(stops: &mut Option<StopReceiver>) -> Stop {
    if let Some(receiver) = stops {
        match receiver.recv().await {
            Some(stop) => return stop,
            None => *stops = None,
        }
    }
    std::future::pending().await
}
