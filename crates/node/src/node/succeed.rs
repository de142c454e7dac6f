//! Taking a partition: at once where nobody has it, and prepared where a living owner is to give it
//! up.

use std::sync::Arc;
use std::time::Duration;

use minutehand_engine::{Config, StopReason};
use minutehand_model::{Epoch, PartitionId};
use minutehand_ports::{Coordinator, ErrorClass};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::hand_over::GiveUp;
use crate::owner::{Prepared, Surroundings};

/// Pause before a partition that could not be acquired, or was lost, is tried again.
pub(super) const ACQUIRE_AGAIN_MS: u64 = 500;

/// What was read so long ago is read again.
const PREPARED_FOR: Duration = Duration::from_secs(10);

/// A node that should own a partition.
pub(super) struct Successor<'a> {
    pub(super) coordinator: &'a dyn Coordinator,
    pub(super) partition: PartitionId,
    pub(super) slots: Arc<Semaphore>,
    pub(super) config: &'a Config,
    pub(super) surroundings: &'a Surroundings,
}

/// A partition that was taken.
pub(super) struct Acquired {
    pub(super) epoch: Epoch,
    /// What keeps others waiting until this one fires, where a living owner has given it up.
    pub(super) slot: Option<OwnedSemaphorePermit>,
    /// What was read while that owner still fired.
    pub(super) prepared: Option<Prepared>,
}

/// What is ready for a partition that somebody still has.
struct Ready {
    slot: OwnedSemaphorePermit,
    prepared: Option<Prepared>,
    since: Instant,
}

impl Successor<'_> {
    /// Takes the partition, waiting while somebody else holds it. `None` when it is no longer
    /// wanted.
    pub(super) async fn acquire(
        &self,
        give_up: &mut watch::Receiver<GiveUp>,
    ) -> Result<Option<Acquired>, StopReason> {
        let (coordinator, partition) = (self.coordinator, self.partition);
        let mut ready: Option<Ready> = None;
        let mut has_announced = false;
        let acquired = loop {
            if *give_up.borrow_and_update() != GiveUp::No {
                break Ok(None);
            }
            tokio::select! {
                biased;
                () = coordinator.freed(partition) => {}
                () = self.get_ready(&mut ready) => {}
                _ = give_up.changed() => continue,
            }
            if ready.is_some() {
                has_announced = true;
                if let Err(error) = coordinator.announce(partition).await {
                    tracing::debug!(%partition, error = %error, "the owner does not know of its successor");
                }
            }
            match coordinator.acquire(partition).await {
                Ok(epoch) => break Ok(Some(epoch)),
                Err(error) if error.class == ErrorClass::Fatal => {
                    tracing::error!(%partition, error = %error, "could not acquire the partition");
                    break Err(StopReason::Fatal);
                }
                Err(error) => {
                    tracing::debug!(%partition, error = %error, "the partition is not free");
                }
            }
            let pause = tokio::time::sleep(Duration::from_millis(ACQUIRE_AGAIN_MS));
            tokio::select! {
                () = pause => {}
                _ = give_up.changed() => {}
            }
        };
        if has_announced && !matches!(acquired, Ok(Some(_))) {
            coordinator.retract(partition).await;
        }
        let acquired = acquired?.map(|epoch| {
            let (slot, prepared) = match ready {
                Some(Ready { slot, prepared, .. }) => (Some(slot), prepared),
                None => (None, None),
            };
            Acquired {
                epoch,
                slot,
                prepared,
            }
        });
        Ok(acquired)
    }

    /// Waits for its turn, and reads what it will need. While a store does not answer, the owner
    /// that fires is not asked to give way.
    async fn get_ready(&self, ready: &mut Option<Ready>) {
        let is_fresh = |ready: &Ready| ready.since.elapsed() < PREPARED_FOR;
        if ready.as_ref().is_some_and(is_fresh) {
            return;
        }
        let slot = match ready.take() {
            Some(ready) => ready.slot,
            None => {
                let slots = Arc::clone(&self.slots);
                slots.acquire_owned().await.expect("it is never closed")
            }
        };
        let prepared = loop {
            match Prepared::read(self.config, self.partition, self.surroundings).await {
                Ok(prepared) => break prepared,
                Err(error) => {
                    tracing::debug!(partition = %self.partition, error = %error, "cannot prepare to take the partition over");
                    tokio::time::sleep(Duration::from_millis(ACQUIRE_AGAIN_MS)).await;
                }
            }
        };
        *ready = Some(Ready {
            slot,
            prepared,
            since: Instant::now(),
        });
    }
}
