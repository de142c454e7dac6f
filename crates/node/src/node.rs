//! A node: acquires the partitions it is assigned, runs their owners, and hands over what it is to give up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use minutehand_engine::{Config, StopReason};
use minutehand_model::{Epoch, PartitionId};
use minutehand_ports::{Coordinator, ErrorClass};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::owner::{Ended, Owner, OwnerStores, Owners, Surroundings};

/// Pause before a partition that could not be acquired, or was lost, is tried again.
const ACQUIRE_AGAIN_MS: u64 = 500;

/// A node's supervisor.
pub struct Node {
    config: Config,
    coordinator: Arc<dyn Coordinator>,
    surroundings: Surroundings,
    owners: Owners,
}

/// How the attempt to own a partition ended.
struct Ownership {
    partition: PartitionId,
    ended: Option<Ended>,
}

impl Node {
    /// A node on these stores. Owners appear in `owners` while they run.
    pub fn new(
        config: Config,
        coordinator: Arc<dyn Coordinator>,
        stores: OwnerStores,
        clock: Arc<dyn Clock>,
        owners: Owners,
    ) -> Node {
        Node { config, coordinator, surroundings: Surroundings::new(stores, clock), owners }
    }

    /// Runs until `shutdown` turns true and every partition has been handed over.
    ///
    /// # Errors
    /// When a partition stopped for good and an operator must act: the reason why.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) -> Result<(), StopReason> {
        let mut assignment = self.coordinator.assignment();
        let mut running: BTreeMap<PartitionId, watch::Sender<bool>> = BTreeMap::new();
        let mut ownerships: JoinSet<Ownership> = JoinSet::new();
        let mut fatal = None;
        loop {
            let is_ending = *shutdown.borrow_and_update() || fatal.is_some();
            let wanted = if is_ending { BTreeSet::new() } else { assignment.borrow_and_update().clone() };
            for partition in &wanted {
                if !running.contains_key(partition) {
                    let (hand_over, wanted) = watch::channel(false);
                    running.insert(*partition, hand_over);
                    self.owners.assigned(*partition);
                    ownerships.spawn(self.own(*partition, wanted));
                }
            }
            for (_, hand_over) in running.iter().filter(|(partition, _)| !wanted.contains(partition)) {
                hand_over.send_replace(true);
            }
            if is_ending && running.is_empty() {
                return fatal.map_or(Ok(()), Err);
            }
            tokio::select! {
                Ok(()) = assignment.changed(), if !is_ending => {}
                Ok(()) = shutdown.changed(), if !is_ending => {}
                Some(ownership) = ownerships.join_next(), if !ownerships.is_empty() => match ownership {
                    Ok(Ownership { partition, ended }) => {
                        running.remove(&partition);
                        if let Some(Ended::Stopped(reason)) = ended
                            && reason != StopReason::Fenced
                        {
                            fatal = Some(reason);
                        }
                    }
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
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
                Ok(None) => return Ownership { partition, ended: None },
                Err(reason) => return Ownership { partition, ended: Some(Ended::Stopped(reason)) },
            };
            tracing::info!(%partition, %epoch, "acquired the partition");
            let lease = coordinator.confirmed_at();
            let (owner, handle) = Owner::new(config, partition, epoch, surroundings, lease, hand_over);
            owners.set(partition, handle);
            let ended = owner.run().await;
            owners.remove(partition);
            if let Err(error) = coordinator.release(partition, epoch).await {
                tracing::warn!(%partition, error = %error, "could not release the partition");
            }
            tracing::info!(%partition, ?ended, "gave the partition up");
            if ended != Ended::HandedOver {
                tokio::time::sleep(Duration::from_millis(ACQUIRE_AGAIN_MS)).await;
            }
            Ownership { partition, ended: Some(ended) }
        }
    }
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
