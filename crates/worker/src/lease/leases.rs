//! The leases of a process: who takes part, what is out, and what becomes of it when its time is
//! over.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use minutehand_model::limits::{
    LEASE_EXPIRIES_MAX, LEASE_WAITERS_MAX, LEASED_BYTES_MAX, LEASES_MAX,
};
use minutehand_model::{Execution, GroupName, QueueName, Timestamp};
use minutehand_ports::{DeliveryId, PortError, Stop, StopReceiver};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::warn;

use super::id::{LeaseHolder, LeaseId};
use super::lane::{Lanes, LeaseLane, LeasedRun};
use super::table::{LeaseLimits, LeaseStanding, LeaseTable, Over};
use crate::commit::{Batch, commit};
use crate::decide::after_stop;
use crate::handler::Verdict;
use crate::observer::LeaseEnd;
use crate::run::{Run, StopCause};
use crate::settings::{Settings, duration_ms};
use crate::stops::is_meant;
use crate::worker::WorkerBuilder;

/// Leases whose time is over that are dealt with at once.
const EXPIRED_AT_ONCE_MAX: usize = 1_000;
/// How often lanes that nobody uses are looked for.
const IDLE_LOOK: Duration = Duration::from_secs(5);
/// Commits under way at once.
const COMMITS_MAX: usize = 64;
/// How long the last commits of a process that shuts down may take.
const LAST_COMMITS: Duration = Duration::from_secs(5);

/// What leases are made of.
pub struct LeasesConfig {
    /// How much may be out, and how many may wait.
    pub limits: LeaseLimits,
    /// Worker groups on queues that there may be at once.
    pub lanes_max: usize,
    /// How long one of them is kept that nobody leases from, in milliseconds.
    pub lane_idle_ms: i64,
    /// Whether what was purged is settled here also in groups that nobody leases from: to take part
    /// in a group moves partitions of its members, where processes share it.
    pub sweeps_alone: bool,
    /// Turns true when the process begins to stop: nobody waits for a lease any more.
    pub stopping: watch::Receiver<bool>,
    /// Is told of a queue from which nobody leases any more.
    pub left: Arc<dyn Fn(&QueueName) + Send + Sync>,
}

impl LeasesConfig {
    /// The usual limits, for a process that stops when that turns true.
    pub fn new(stopping: watch::Receiver<bool>) -> LeasesConfig {
        LeasesConfig {
            limits: LeaseLimits {
                leases_max: LEASES_MAX,
                bytes_max: LEASED_BYTES_MAX,
                waiters_max: LEASE_WAITERS_MAX,
            },
            lanes_max: 1_000,
            lane_idle_ms: 60_000,
            sweeps_alone: true,
            stopping,
            left: Arc::new(|_| {}),
        }
    }
}

/// An execution on lease.
#[derive(Clone, Debug)]
pub struct Leased {
    /// What it is answered by.
    pub id: LeaseId,
    run: Run,
    /// When the lease ends without an answer.
    pub expires_at: Timestamp,
}

impl Leased {
    pub(super) fn new(id: LeaseId, run: Run, expires_at: Timestamp) -> Leased {
        Leased {
            id,
            run,
            expires_at,
        }
    }

    /// What is leased.
    pub fn execution(&self) -> &Execution {
        self.run.execution()
    }
}

/// The leases of a process. Clones are the same.
#[derive(Clone)]
pub struct Leases(pub(super) Arc<Inner>);

pub(super) struct Inner {
    /// Its group is that of no lane.
    pub(super) settings: Settings,
    pub(super) holder: LeaseHolder,
    pub(super) lanes: Lanes,
    table: Mutex<LeaseTable<LeasedRun>>,
    /// The first deadline may be an earlier one.
    deadlines: Notify,
    pub(super) commits: Arc<Semaphore>,
    pub(super) sweeps_alone: bool,
    pub(super) stopping: watch::Receiver<bool>,
    left: Arc<dyn Fn(&QueueName) + Send + Sync>,
    random: SystemRandom,
    started: Instant,
    clerk: Mutex<Option<AbortHandle>>,
}

impl Drop for Leases {
    fn drop(&mut self) {
        // The clerk holds one.
        if Arc::strong_count(&self.0) <= 2
            && let Some(clerk) = self
                .0
                .clerk
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        {
            clerk.abort();
        }
    }
}

impl Leases {
    /// Leases executions of a queue, as a worker of these settings would run them. To be called
    /// within a tokio runtime.
    pub fn new(builder: WorkerBuilder, config: LeasesConfig) -> Leases {
        let random = SystemRandom::new();
        let holder = LeaseHolder(drawn(&random) as u64);
        let inner = Arc::new(Inner {
            settings: builder.into_settings(),
            holder,
            lanes: Lanes::new(config.lanes_max, duration_ms(config.lane_idle_ms)),
            table: Mutex::new(LeaseTable::new(config.limits)),
            deadlines: Notify::new(),
            commits: Arc::new(Semaphore::new(COMMITS_MAX)),
            sweeps_alone: config.sweeps_alone,
            stopping: config.stopping,
            left: config.left,
            random,
            started: Instant::now(),
            clerk: Mutex::new(None),
        });
        let clerk = tokio::spawn(Arc::clone(&inner).expire_for_ever()).abort_handle();
        *inner.clerk.lock().unwrap_or_else(PoisonError::into_inner) = Some(clerk);
        Leases(inner)
    }

    /// Who holds the leases that are given here.
    pub fn holder(&self) -> LeaseHolder {
        self.0.holder
    }

    /// Waits until the process begins to stop.
    pub async fn stops(&self) {
        self.0.begins_to_stop().await;
    }

    /// How much is out on lease.
    pub fn standing(&self) -> LeaseStanding {
        self.0.table().standing()
    }

    /// The queues that are leased from here, or have been within the last minute, and for which
    /// groups.
    pub fn served(&self) -> Vec<(QueueName, GroupName)> {
        self.0.lanes.served()
    }

    /// Gives everything back, when nobody can answer any more: what has not been answered is handed
    /// out again, and of at-most-once runs it is told that they did not end.
    pub async fn close(&self) {
        let over = self.0.table().end_all();
        let shut_down = || {
            Verdict::failure("the process that held its lease was shut down before it was answered")
        };
        let ends = self.0.end_unanswered(over, &shut_down);
        let commits = async {
            for end in ends.0 {
                self.0.make_durable(end).await.ok();
            }
        };
        if tokio::time::timeout(LAST_COMMITS, commits).await.is_err() {
            warn!("ends of leased runs were not confirmed in time");
        }
    }
}

impl Inner {
    pub(super) fn table(&self) -> MutexGuard<'_, LeaseTable<LeasedRun>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that leases go by: it never jumps.
    pub(super) fn steady_now(&self) -> Timestamp {
        let elapsed_ms = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(elapsed_ms)
    }

    pub(super) fn secret(&self) -> u128 {
        drawn(&self.random)
    }

    /// The first deadline has changed.
    pub(super) fn deadlines_changed(&self) {
        self.deadlines.notify_one();
    }

    pub(super) fn lane(self: &Arc<Self>, name: super::table::LaneName) -> Option<Arc<LeaseLane>> {
        self.lanes.lane(name, &self.settings, |lane, stops| {
            let (lane, inner) = (Arc::downgrade(lane), Arc::downgrade(self));
            let hears = async move {
                let mut stops: StopReceiver = stops;
                while let Some(stop) = stops.recv().await {
                    let (Some(lane), Some(inner)) = (lane.upgrade(), inner.upgrade()) else {
                        return;
                    };
                    inner.stop(&lane, stop);
                }
            };
            tokio::spawn(hears).abort_handle()
        })
    }

    /// A run is to stop. Who has it on lease cannot be reached: it hears of that when it asks for
    /// more time, or is refused when the run is killed.
    fn stop(self: &Arc<Self>, lane: &Arc<LeaseLane>, stop: Stop) {
        let is_meant = |leased: &LeasedRun| is_meant(stop.due, leased.run.task());
        let mut table = self.table();
        let mut is_out = false;
        for (_, leased) in table
            .of_task(&lane.name, stop.key)
            .filter(|(_, leased)| is_meant(leased))
        {
            leased.run.ask_to_stop(StopCause::Requested);
            is_out = true;
        }
        if !is_out {
            lane.stops().remember(stop);
        } else if stop.kill {
            let over = table.end_task(&lane.name, stop.key, is_meant);
            drop(table);
            let ends = self.end_unanswered(over, &|| Verdict::Killed);
            self.end_apart(ends);
        }
    }

    async fn expire_for_ever(self: Arc<Self>) {
        let mut idle_look = tokio::time::interval(IDLE_LOOK);
        loop {
            let deadline = self.table().next_deadline();
            let deadline =
                deadline.map(|deadline| self.started + duration_ms(deadline.as_millis()));
            tokio::select! {
                () = self.deadlines.notified() => {}
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.expire();
                    tokio::task::yield_now().await;
                }
                _ = idle_look.tick() => {
                    for lane in self.lanes.forget_idle() {
                        let queue = lane.name.queue.clone();
                        drop(lane);
                        (self.left)(&queue);
                    }
                }
            }
        }
    }

    fn expire(self: &Arc<Self>) {
        let over = self.table().expire(self.steady_now(), EXPIRED_AT_ONCE_MAX);
        let ends = self.end_unanswered(over, &|| {
            Verdict::failure("its lease ended without an answer")
        });
        self.end_apart(ends);
    }

    /// Deals with leases that ended without an answer: most are handed out again; where that may
    /// not be, or has been often, the run has ended by `verdict`.
    fn end_unanswered(&self, over: Vec<Over<LeasedRun>>, verdict: &dyn Fn() -> Verdict) -> Ends {
        let mut ends = Ends::default();
        let mut back: Vec<(Arc<LeaseLane>, Vec<DeliveryId>)> = Vec::new();
        for Over {
            bytes,
            expiries,
            content,
            ..
        } in over
        {
            let verdict = match content.run.stop_cause() {
                Some(cause) => after_stop(None, cause, 0),
                None if content.ticket.is_claimed || expiries >= LEASE_EXPIRIES_MAX => {
                    Some(verdict())
                }
                None => None,
            };
            match verdict {
                Some(verdict) => ends.settle(bytes, &content, verdict),
                None => {
                    let queue = &content.lane.name.queue;
                    content
                        .lane
                        .settings
                        .observer
                        .lease_ended(queue, LeaseEnd::Expired);
                    self.table().close(bytes);
                    let id = content.ticket.delivery;
                    match back
                        .iter_mut()
                        .find(|(lane, _)| Arc::ptr_eq(lane, &content.lane))
                    {
                        Some((_, ids)) => ids.push(id),
                        None => back.push((content.lane, vec![id])),
                    }
                }
            }
        }
        back.into_iter().for_each(|(lane, ids)| lane.let_go(ids));
        ends
    }

    /// Makes ends durable that no caller waits for.
    pub(super) fn end_apart(self: &Arc<Self>, ends: Ends) {
        for end in ends.0 {
            let inner = Arc::clone(self);
            tokio::spawn(async move {
                // The error is told by the log.
                inner.make_durable(end).await.ok();
            });
        }
    }

    /// Makes the ends of runs of one lane durable; the error is that of the queue, which then hands
    /// out again what it has not settled.
    pub(super) async fn make_durable(
        &self,
        end: LaneEnds,
    ) -> Result<BTreeSet<DeliveryId>, PortError> {
        let LaneEnds { lane, batch, bytes } = end;
        let _turn = self.commits.acquire().await;
        let ids = batch.ids();
        let committed = commit(&lane.settings, &lane.name.queue, batch).await;
        {
            let mut table = self.table();
            bytes.into_iter().for_each(|bytes| table.close(bytes));
        }
        match committed {
            Ok(committed) => Ok(committed.lost),
            Err(error) => {
                warn!(queue = %lane.name.queue, %error, "ends of leased runs are not durable; what is not settled is handed out again");
                lane.let_go(ids);
                Err(error)
            }
        }
    }
}

/// Ends of runs of one lane that are to become durable together.
pub(super) struct LaneEnds {
    pub(super) lane: Arc<LeaseLane>,
    pub(super) batch: Batch,
    /// Of each that was a lease.
    pub(super) bytes: Vec<usize>,
}

/// Ends of runs by their lanes, of which a call has one or few.
#[derive(Default)]
pub(super) struct Ends(pub(super) Vec<LaneEnds>);

impl Ends {
    /// The ends of a lane, with the bytes of a lease that is among them.
    pub(super) fn of(&mut self, lane: &Arc<LeaseLane>, bytes: Option<usize>) -> &mut Batch {
        let place = self.place(lane);
        if place == self.0.len() {
            let lane = Arc::clone(lane);
            self.0.push(LaneEnds {
                lane,
                batch: Batch::default(),
                bytes: Vec::new(),
            });
        }
        let ends = &mut self.0[place];
        ends.bytes.extend(bytes);
        &mut ends.batch
    }

    /// Which of them is that of a lane.
    pub(super) fn place(&self, lane: &Arc<LeaseLane>) -> usize {
        self.0
            .iter()
            .position(|ends| Arc::ptr_eq(&ends.lane, lane))
            .unwrap_or(self.0.len())
    }

    pub(super) fn settle(&mut self, bytes: usize, leased: &LeasedRun, verdict: Verdict) {
        let LeasedRun { lane, ticket, run } = leased;
        self.of(lane, Some(bytes))
            .settle(&lane.settings, &lane.name.queue, ticket, run, verdict);
    }
}

/// 128 bits that nobody can foretell.
fn drawn(random: &SystemRandom) -> u128 {
    let mut bytes = [0; 16];
    random
        .fill(&mut bytes)
        .expect("the system has randomness once it runs programs");
    u128::from_be_bytes(bytes)
}
