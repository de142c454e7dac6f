//! A node: acquires the partitions it is assigned, runs their owners, and hands over what it is to give up.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use minutehand_engine::{Config, StopReason};
use minutehand_model::{Epoch, LogOffset, PartitionId};
use minutehand_ports::{Coordinator, ErrorClass};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::owner::{Ended, Owner, OwnerStores, Owners, Surroundings, words_of};

/// Pause before a partition that could not be acquired, or was lost, is tried again.
const ACQUIRE_AGAIN_MS: u64 = 500;

/// Pause before a partition that stopped for good while others here go on is tried again: by then an operator may have acted.
const STOPPED_AGAIN: Duration = Duration::from_secs(30);

/// A node's supervisor.
pub struct Node {
    config: Config,
    coordinator: Arc<dyn Coordinator>,
    surroundings: Surroundings,
    owners: Owners,
    isolates: bool,
}

/// How the attempt to own a partition ended.
struct Ownership {
    partition: PartitionId,
    ended: Option<Ended>,
    /// A, when it ended.
    at: LogOffset,
}

impl Ownership {
    fn ended(partition: PartitionId, ended: Option<Ended>) -> Ownership {
        Ownership { partition, ended, at: LogOffset::START }
    }
}

/// Panics of a partition's owners at one place of its log.
#[derive(Clone, Copy, Debug)]
struct Panics {
    at: LogOffset,
    count: u32,
}

/// What becomes of a partition whose owner has ended.
enum Next {
    /// It is acquired again, if it is still assigned.
    Again,
    /// It is left alone for a while.
    Alone,
    /// It stopped for good, and an operator must act.
    Fatal(StopReason),
}

/// What runs on a node.
#[derive(Default)]
struct Ownerships {
    hand_overs: BTreeMap<PartitionId, watch::Sender<bool>>,
    tasks: JoinSet<Ownership>,
    /// Partitions whose last owner here stopped for good.
    stopped: BTreeSet<PartitionId>,
    panics: BTreeMap<PartitionId, Panics>,
}

impl Ownerships {
    fn spawn<F: Future<Output = Ownership> + Send + 'static>(
        &mut self,
        partition: PartitionId,
        ownership: impl FnOnce(watch::Receiver<bool>) -> F,
    ) {
        let (hand_over, wanted) = watch::channel(false);
        self.hand_overs.insert(partition, hand_over);
        let running = ownership(wanted);
        self.tasks.spawn(async move {
            AssertUnwindSafe(running)
                .catch_unwind()
                .await
                .unwrap_or_else(|panic| Ownership::ended(partition, Some(Ended::Panicked(words_of(&*panic)))))
        });
    }

    fn give_up_all_but(&self, wanted: &BTreeSet<PartitionId>) {
        for (_, hand_over) in self.hand_overs.iter().filter(|(partition, _)| !wanted.contains(partition)) {
            hand_over.send_replace(true);
        }
    }

    /// Takes note of an end.
    fn ended(&mut self, Ownership { partition, ended, at }: Ownership) -> Next {
        self.hand_overs.remove(&partition);
        self.stopped.remove(&partition);
        match ended {
            None | Some(Ended::HandedOver | Ended::Stopped(StopReason::Fenced)) => Next::Again,
            Some(Ended::Stopped(reason)) => {
                self.stopped.insert(partition);
                Next::Fatal(reason)
            }
            Some(Ended::Panicked(reason)) => {
                self.panicked(partition, at, &reason);
                Next::Alone
            }
        }
    }

    /// A panic at the same place again is the record's, most likely: whoever reads this is told what to do about it.
    fn panicked(&mut self, partition: PartitionId, at: LogOffset, reason: &str) {
        let before = self.panics.get(&partition).filter(|panics| panics.at == at);
        let count = before.map_or(1, |panics| panics.count.saturating_add(1));
        self.panics.insert(partition, Panics { at, count });
        tracing::error!(
            %partition, offset = %at, panics_here = count, reason,
            "the owner panicked and this partition stops; the others go on. If it is the record at this offset, \
             `minutehand partition skip {partition} --offset {at} --reason …` goes on without it"
        );
    }
}

impl Node {
    /// A node on these stores. Owners appear in `owners` while they run; the memory that `config` allows is for all of them.
    pub fn new(
        config: Config,
        coordinator: Arc<dyn Coordinator>,
        stores: OwnerStores,
        clock: Arc<dyn Clock>,
        owners: Owners,
    ) -> Node {
        let surroundings = Surroundings::new(stores, clock, config.memory_bytes_max);
        Node { config, coordinator, surroundings, owners, isolates: false }
    }

    /// A partition whose store fails for good is left alone while others go on here, and tried again now and then. Else what is wrong
    /// with one partition (a checkpoint that cannot be read) ends one node after the other, as they take it over.
    #[must_use]
    pub fn isolating_partitions(self) -> Node {
        Node { isolates: true, ..self }
    }

    /// Runs until `shutdown` turns true and every partition has been handed over.
    ///
    /// # Errors
    /// When a partition stopped for good and an operator must act: the reason why. Of a node that isolates its partitions:
    /// when all that are assigned to it have.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) -> Result<(), StopReason> {
        let mut assignment = self.coordinator.assignment();
        let mut ownerships = Ownerships::default();
        let mut fatal = None;
        loop {
            let is_ending = *shutdown.borrow_and_update() || fatal.is_some();
            let wanted = if is_ending { BTreeSet::new() } else { assignment.borrow_and_update().clone() };
            for partition in &wanted {
                if !ownerships.hand_overs.contains_key(partition) {
                    self.owners.assigned(*partition);
                    ownerships.spawn(*partition, |hand_over| self.own(*partition, hand_over));
                }
            }
            ownerships.give_up_all_but(&wanted);
            if is_ending && ownerships.hand_overs.is_empty() {
                return fatal.map_or(Ok(()), Err);
            }
            tokio::select! {
                Ok(()) = assignment.changed(), if !is_ending => {}
                Ok(()) = shutdown.changed(), if !is_ending => {}
                Some(ownership) = ownerships.tasks.join_next(), if !ownerships.tasks.is_empty() => {
                    let ownership = ownership.expect("panics are caught, and nothing is aborted");
                    let partition = ownership.partition;
                    let next = match ownerships.ended(ownership) {
                        Next::Fatal(_) if self.isolates && !wanted.is_subset(&ownerships.stopped) => Next::Alone,
                        next => next,
                    };
                    match next {
                        Next::Fatal(reason) => fatal = Some(reason),
                        Next::Alone if !is_ending => {
                            let owners = self.owners.clone();
                            ownerships.spawn(partition, |hand_over| leave_alone(partition, owners, hand_over));
                        }
                        Next::Alone | Next::Again => {}
                    }
                }
            }
        }
    }

    /// Owns one partition from acquisition to its end.
    fn own(
        &self,
        partition: PartitionId,
        hand_over: watch::Receiver<bool>,
    ) -> impl Future<Output = Ownership> + Send + 'static {
        let (coordinator, owners) = (Arc::clone(&self.coordinator), self.owners.clone());
        let config = Config { lease_ttl_ms: coordinator.lease_ttl_ms(), ..self.config.clone() };
        let surroundings = self.surroundings.clone();
        async move {
            let epoch = match acquire(&*coordinator, partition, hand_over.clone()).await {
                Ok(Some(epoch)) => epoch,
                Ok(None) => return Ownership::ended(partition, None),
                Err(reason) => return Ownership::ended(partition, Some(Ended::Stopped(reason))),
            };
            tracing::info!(%partition, %epoch, "acquired the partition");
            let lease = coordinator.confirmed_at();
            let (mut owner, handle) = Owner::new(config, partition, epoch, surroundings, lease, hand_over);
            owners.set(partition, handle);
            let ended = owner.run().await;
            let stopped_at = owner.stopped_at();
            let at = stopped_at.applied;
            match &ended {
                Ended::HandedOver | Ended::Stopped(StopReason::Fenced) => owners.remove(partition),
                Ended::Stopped(_) | Ended::Panicked(_) => owners.stopped(partition, stopped_at),
            }
            // What waits for answers of a store is not needed any more.
            drop(owner);
            if let Err(error) = coordinator.release(partition, epoch).await {
                tracing::warn!(%partition, error = %error, "could not release the partition");
            }
            tracing::info!(%partition, ?ended, "gave the partition up");
            if ended != Ended::HandedOver {
                tokio::time::sleep(Duration::from_millis(ACQUIRE_AGAIN_MS)).await;
            }
            Ownership { partition, ended: Some(ended), at }
        }
    }
}

/// Waits until a partition that stopped for good may be tried again, or is somebody else's.
async fn leave_alone(
    partition: PartitionId,
    owners: Owners,
    mut given_up: watch::Receiver<bool>,
) -> Ownership {
    tracing::error!(
        %partition,
        again_after_s = STOPPED_AGAIN.as_secs(),
        "the partition is left alone; the others here go on"
    );
    tokio::select! {
        () = tokio::time::sleep(STOPPED_AGAIN) => {}
        _ = given_up.wait_for(|given_up| *given_up) => {}
    }
    owners.remove(partition);
    Ownership::ended(partition, None)
}

/// Takes a partition, waiting while somebody else holds it. `None` when it is no longer wanted.
async fn acquire(
    coordinator: &dyn Coordinator,
    partition: PartitionId,
    mut hand_over: watch::Receiver<bool>,
) -> Result<Option<Epoch>, StopReason> {
    loop {
        if *hand_over.borrow_and_update() {
            return Ok(None);
        }
        match coordinator.acquire(partition).await {
            Ok(epoch) => return Ok(Some(epoch)),
            Err(error) if error.class == ErrorClass::Fatal => {
                tracing::error!(%partition, error = %error, "could not acquire the partition");
                return Err(StopReason::Fatal);
            }
            Err(error) => tracing::debug!(%partition, error = %error, "the partition is not free"),
        }
        let pause = tokio::time::sleep(Duration::from_millis(ACQUIRE_AGAIN_MS));
        tokio::select! {
            () = pause => {}
            _ = hand_over.changed() => {}
        }
    }
}
