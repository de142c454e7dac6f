//! A node: acquires the partitions it is assigned, runs their owners, and hands over what it is to
//! give up.

mod hand_over;
mod quarantine;
mod succeed;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use minutehand_engine::{Config, StopReason};
use minutehand_metrics::PartitionMetrics;
use minutehand_model::{Epoch, LogOffset, PartitionId};
use minutehand_ports::{CommandLog, Coordinator};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::Clock;
use crate::owner::{Ended, Owner, OwnerStores, Owners, Surroundings, words_of};
use hand_over::{GiveUp, SLOTS, has_taken_over, is_due};
use quarantine::{Panics, STOPPED_AGAIN, Until};
use succeed::{ACQUIRE_AGAIN_MS, Successor};

/// How often metrics are told how long the lease lasts.
const LEASE_LOOK: Duration = Duration::from_secs(1);

/// How often a quarantined partition's log is asked whether an operator has had the record passed
/// over.
const SKIPPED_LOOK: Duration = Duration::from_secs(5);

/// A node's supervisor.
pub struct Node {
    config: Config,
    coordinator: Arc<dyn Coordinator>,
    surroundings: Surroundings,
    owners: Owners,
    isolates: bool,
    /// One for each partition that this node takes over from a living owner at a time.
    slots: Arc<Semaphore>,
}

/// How the attempt to own a partition ended.
struct Ownership {
    partition: PartitionId,
    ended: Option<Ended>,
    /// A, when it ended.
    at: LogOffset,
    worked_for: Duration,
    /// What is not released yet: a partition that stopped stays this node's while it is left alone.
    held: Option<Epoch>,
    /// What it fell over is passed over from now on.
    was_skipped: bool,
}

impl Ownership {
    fn ended(partition: PartitionId, ended: Option<Ended>) -> Ownership {
        let (at, worked_for) = (LogOffset::START, Duration::ZERO);
        Ownership {
            partition,
            ended,
            at,
            worked_for,
            held: None,
            was_skipped: false,
        }
    }
}

/// What becomes of a partition whose owner has ended.
enum Next {
    /// It is left alone, and then acquired again if it is still assigned.
    Alone(Until),
    /// It stopped for good, and an operator must act.
    Fatal(StopReason),
}

/// What runs on a node.
#[derive(Default)]
struct Ownerships {
    hand_overs: BTreeMap<PartitionId, watch::Sender<GiveUp>>,
    tasks: JoinSet<Ownership>,
    /// Partitions whose last owner here stopped for good.
    stopped: BTreeSet<PartitionId>,
    panics: Panics,
}

impl Ownerships {
    fn spawn<F: Future<Output = Ownership> + Send + 'static>(
        &mut self,
        partition: PartitionId,
        ownership: impl FnOnce(watch::Receiver<GiveUp>) -> F,
    ) {
        let (hand_over, wanted) = watch::channel(GiveUp::No);
        self.hand_overs.insert(partition, hand_over);
        let running = ownership(wanted);
        self.tasks.spawn(async move {
            AssertUnwindSafe(running)
                .catch_unwind()
                .await
                .unwrap_or_else(|panic| {
                    Ownership::ended(partition, Some(Ended::Panicked(words_of(&*panic))))
                })
        });
    }

    /// Partitions that are not wanted are given up; one that is wanted again stays if nothing of it
    /// has been given up yet.
    fn give_up_all_but(&self, wanted: &BTreeSet<PartitionId>, is_ending: bool) {
        for (partition, hand_over) in &self.hand_overs {
            let give_up = match (wanted.contains(partition), is_ending) {
                (true, _) => GiveUp::No,
                (false, false) => GiveUp::Moved,
                (false, true) => GiveUp::Ending,
            };
            hand_over.send_if_modified(|known| std::mem::replace(known, give_up) != give_up);
        }
    }

    /// Takes note of an end.
    fn ended(&mut self, ownership: &Ownership, owners: &Owners) -> Next {
        let partition = ownership.partition;
        self.hand_overs.remove(&partition);
        self.stopped.remove(&partition);
        if ownership.was_skipped {
            self.panics.forget(partition);
        }
        match &ownership.ended {
            None | Some(Ended::HandedOver | Ended::Stopped(StopReason::Fenced)) => {
                Next::Alone(Until::Now)
            }
            Some(Ended::Stopped(reason)) => {
                self.stopped.insert(partition);
                owners.told_why(
                    partition,
                    &format!(
                        "{reason}; it is tried again every {} s",
                        STOPPED_AGAIN.as_secs()
                    ),
                );
                Next::Fatal(reason.clone())
            }
            Some(Ended::Panicked(said)) => {
                let (at, count) = (
                    ownership.at,
                    self.panics.count(partition, ownership.worked_for),
                );
                let reason = quarantine::told(partition, at, count, said);
                tracing::error!(%partition, offset = %at, panics_in_row = count, reason, "the partition stops; the others go on");
                owners.told_why(partition, &reason);
                Next::Alone(quarantine::until(count, at))
            }
        }
    }
}

impl Node {
    /// A node on these stores. Owners appear in `owners` while they run; the memory that `config`
    /// allows is for all of them.
    pub fn new(
        config: Config,
        coordinator: Arc<dyn Coordinator>,
        stores: OwnerStores,
        clock: Arc<dyn Clock>,
        owners: Owners,
    ) -> Node {
        let surroundings = Surroundings::new(stores, clock, config.memory_bytes_max);
        Node {
            config,
            coordinator,
            surroundings,
            owners,
            isolates: false,
            slots: Arc::new(Semaphore::new(SLOTS)),
        }
    }

    /// A partition whose store fails for good is left alone while others go on here, and tried
    /// again now and then. Else what is wrong with one partition (a checkpoint that cannot be read)
    /// ends one node after the other, as they take it over.
    #[must_use]
    pub fn isolating_partitions(self) -> Node {
        Node {
            isolates: true,
            ..self
        }
    }

    /// Runs until `shutdown` turns true and every partition has been handed over.
    ///
    /// # Errors
    /// When a partition stopped for good and an operator must act: the reason why. Of a node that
    /// isolates its partitions: when all that are assigned to it have.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) -> Result<(), StopReason> {
        let mut assignment = self.coordinator.assignment();
        let mut ownerships = Ownerships::default();
        let mut fatal = None;
        let mut look = tokio::time::interval(LEASE_LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_ending = *shutdown.borrow_and_update() || fatal.is_some();
            let wanted = if is_ending {
                BTreeSet::new()
            } else {
                assignment.borrow_and_update().clone()
            };
            for partition in &wanted {
                if !ownerships.hand_overs.contains_key(partition) {
                    self.owners.assigned(*partition);
                    ownerships.spawn(*partition, |give_up| self.own(*partition, give_up));
                }
            }
            ownerships.give_up_all_but(&wanted, is_ending);
            if is_ending && ownerships.hand_overs.is_empty() {
                return fatal.map_or(Ok(()), Err);
            }
            tokio::select! {
                Ok(()) = assignment.changed(), if !is_ending => {}
                Ok(()) = shutdown.changed(), if !is_ending => {}
                _ = look.tick() => self.tell_lease_left(),
                Some(ownership) = ownerships.tasks.join_next(), if !ownerships.tasks.is_empty() => {
                    let ownership = ownership.expect("panics are caught, and nothing is aborted");
                    let (partition, held) = (ownership.partition, ownership.held);
                    let until = match ownerships.ended(&ownership, &self.owners) {
                        Next::Fatal(_) if self.isolates && !wanted.is_subset(&ownerships.stopped) => Until::LaterOn,
                        Next::Fatal(reason) => {
                            fatal = Some(reason);
                            Until::Now
                        }
                        Next::Alone(until) => until,
                    };
                    let until = if is_ending { Until::Now } else { until };
                    if until != Until::Now || held.is_some() {
                        ownerships.spawn(partition, |give_up| self.leave_alone(partition, until, held, give_up));
                    }
                }
            }
        }
    }

    /// How long the lease lasts from now on, as metrics tell it.
    fn tell_lease_left(&self) {
        let confirmed_at = *self.coordinator.confirmed_at().borrow();
        let gone_ms = self.surroundings.clock.now().millis_since(confirmed_at);
        let left_ms = self.coordinator.lease_ttl_ms().saturating_sub(gone_ms);
        minutehand_metrics::set_lease_left(left_ms as f64 / 1_000.0);
    }

    /// Owns one partition from acquisition to its end.
    fn own(
        &self,
        partition: PartitionId,
        mut give_up: watch::Receiver<GiveUp>,
    ) -> impl Future<Output = Ownership> + Send + 'static {
        let (coordinator, owners) = (Arc::clone(&self.coordinator), self.owners.clone());
        let config = Config {
            lease_ttl_ms: coordinator.lease_ttl_ms(),
            ..self.config.clone()
        };
        let surroundings = self.surroundings.clone();
        let slots = Arc::clone(&self.slots);
        async move {
            let successor = Successor {
                coordinator: &*coordinator,
                partition,
                slots,
                config: &config,
                surroundings: &surroundings,
            };
            let acquired = match successor.acquire(&mut give_up).await {
                Ok(Some(acquired)) => acquired,
                Ok(None) => return Ownership::ended(partition, None),
                Err(reason) => return Ownership::ended(partition, Some(Ended::Stopped(reason))),
            };
            let epoch = acquired.epoch;
            tracing::info!(%partition, %epoch, "acquired the partition");
            let lease = coordinator.confirmed_at();
            let clock = Arc::clone(&surroundings.clock);
            let (ask, asked) = watch::channel(None);
            let (mut owner, handle) = Owner::new(
                config,
                partition,
                epoch,
                surroundings,
                lease,
                asked,
                acquired.prepared,
            );
            owners.set(partition, handle.clone());
            let began = Instant::now();
            let ended = {
                let in_time = async {
                    let asked_at = is_due(&*coordinator, &*clock, partition, &mut give_up).await;
                    ask.send_replace(Some(asked_at));
                };
                let takes_over = has_taken_over(handle.status(), acquired.slot);
                alongside(owner.run(), in_time, takes_over).await
            };
            let stopped_at = owner.stopped_at();
            let (at, worked_for) = (stopped_at.applied, began.elapsed());
            let is_stopped = match &ended {
                Ended::HandedOver | Ended::Stopped(StopReason::Fenced) => false,
                Ended::Stopped(_) | Ended::Panicked(_) => true,
            };
            if is_stopped {
                owners.stopped(partition, stopped_at);
            } else {
                owners.remove(partition);
            }
            // What waits for answers of a store is not needed any more.
            drop(owner);
            tracing::info!(%partition, ?ended, "the ownership of the partition ends");
            let held = is_stopped.then_some(epoch);
            if held.is_none() {
                release(&*coordinator, partition, epoch).await;
            }
            if ended != Ended::HandedOver {
                tokio::time::sleep(Duration::from_millis(ACQUIRE_AGAIN_MS)).await;
            }
            Ownership {
                partition,
                ended: Some(ended),
                at,
                worked_for,
                held,
                was_skipped: false,
            }
        }
    }

    /// Waits until a partition that stopped for good may be tried again, or is somebody else's;
    /// then lets go of it.
    fn leave_alone(
        &self,
        partition: PartitionId,
        until: Until,
        held: Option<Epoch>,
        mut give_up: watch::Receiver<GiveUp>,
    ) -> impl Future<Output = Ownership> + Send + 'static {
        let (coordinator, owners) = (Arc::clone(&self.coordinator), self.owners.clone());
        let log = Arc::clone(&self.surroundings.stores.log);
        let metrics = PartitionMetrics::new(partition.number());
        async move {
            metrics.quarantined(matches!(until, Until::Skipped(_)));
            if until != Until::Now {
                tracing::error!(%partition, ?until, "the partition is left alone; the others here go on");
            }
            let was_skipped = tokio::select! {
                was_skipped = may_go_on(&*log, partition, until) => was_skipped,
                _ = give_up.wait_for(|give_up| *give_up != GiveUp::No) => false,
            };
            metrics.quarantined(false);
            owners.remove(partition);
            if let Some(epoch) = held {
                release(&*coordinator, partition, epoch).await;
            }
            Ownership {
                was_skipped,
                ..Ownership::ended(partition, None)
            }
        }
    }
}

/// Waits until a partition may be tried again; whether that is because what it fell over is passed
/// over from now on.
async fn may_go_on(log: &dyn CommandLog, partition: PartitionId, until: Until) -> bool {
    let at = match until {
        Until::Now => return false,
        Until::LaterOn => {
            tokio::time::sleep(STOPPED_AGAIN).await;
            return false;
        }
        Until::Skipped(at) => at,
    };
    loop {
        match log.is_skipped(partition, at).await {
            Ok(true) => return true,
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(%partition, error = %error, "could not ask what is to be passed over")
            }
        }
        tokio::time::sleep(SKIPPED_LOOK).await;
    }
}

async fn release(coordinator: &dyn Coordinator, partition: PartitionId, epoch: Epoch) {
    if let Err(error) = coordinator.release(partition, epoch).await {
        tracing::warn!(%partition, error = %error, "could not release the partition");
    }
}

/// Runs an owner to its end, and two things beside it.
async fn alongside(
    owner: impl Future<Output = Ended>,
    first: impl Future<Output = ()>,
    second: impl Future<Output = ()>,
) -> Ended {
    let both = async {
        tokio::join!(first, second);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = owner => ended,
        () = both => unreachable!("it waits for ever"),
    }
}
