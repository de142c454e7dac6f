//! The pace of planned hand-overs: an owner goes on until its successor would take the partition
//! over now, and a successor takes a few over at a time. So each partition is idle for its own
//! take-over only, not for those of all that move with it.

use std::time::Duration;

use minutehand_engine::Phase;
use minutehand_model::{PartitionId, Timestamp};
use minutehand_ports::Coordinator;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::clock::Clock;
use crate::owner::OwnerStatus;

/// Partitions that a node takes over from living owners at a time. What nobody owns is taken over
/// at once, however much it is.
pub(super) const SLOTS: usize = 2;

/// How long an owner waits for a successor when its process ends. One that goes on living waits for
/// as long as it takes: it fires meanwhile, and nobody else would.
const ENDING_WAIT: Duration = Duration::from_millis(4_500);

/// Whether a partition is to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GiveUp {
    /// It is wanted here.
    No,
    /// Another node should own it.
    Moved,
    /// This process ends.
    Ending,
}

/// Waits until a partition is to be handed over: it is to be given up, and its successor is ready,
/// or its process ends and has waited for it. Says when it was first to be given up.
pub(super) async fn is_due(
    coordinator: &dyn Coordinator,
    clock: &dyn Clock,
    partition: PartitionId,
    give_up: &mut watch::Receiver<GiveUp>,
) -> Timestamp {
    let mut asked_at = None;
    loop {
        let now = *give_up.borrow_and_update();
        let is_given_up = now != GiveUp::No;
        asked_at = is_given_up.then(|| asked_at.unwrap_or_else(|| clock.now()));
        let is_ready = async {
            let ready = coordinator.successor(partition);
            match now {
                GiveUp::No => std::future::pending().await,
                GiveUp::Moved => ready.await,
                GiveUp::Ending => drop(tokio::time::timeout(ENDING_WAIT, ready).await),
            }
        };
        tokio::select! {
            () = is_ready => return asked_at.unwrap_or_else(|| clock.now()),
            changed = give_up.changed() => {
                if changed.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

/// Keeps a slot until its partition fires, or nothing comes of it.
pub(super) async fn has_taken_over(
    mut status: watch::Receiver<OwnerStatus>,
    slot: Option<OwnedSemaphorePermit>,
) {
    if slot.is_some() {
        let fires = |status: &OwnerStatus| status.phase >= Phase::Owning;
        drop(status.wait_for(fires).await);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use async_trait::async_trait;
    use minutehand_model::Epoch;
    use minutehand_ports::PortError;

    use super::*;
    use crate::clock::SystemClock;

    /// A coordinator whose other nodes are never ready.
    struct NobodyReady;

    #[async_trait]
    impl Coordinator for NobodyReady {
        fn assignment(&self) -> watch::Receiver<BTreeSet<PartitionId>> {
            watch::channel(BTreeSet::new()).1
        }

        fn confirmed_at(&self) -> watch::Receiver<Timestamp> {
            watch::channel(Timestamp::MIN).1
        }

        fn lease_ttl_ms(&self) -> i64 {
            5_000
        }

        async fn acquire(&self, _partition: PartitionId) -> Result<Epoch, PortError> {
            std::future::pending().await
        }

        async fn successor(&self, _partition: PartitionId) {
            std::future::pending().await
        }

        async fn release(&self, _partition: PartitionId, _epoch: Epoch) -> Result<(), PortError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_one_that_ends_gives_up_to_nobody() {
        let (give_up, mut wanted) = watch::channel(GiveUp::Moved);
        let partition = PartitionId::own(0);
        let mut due = std::pin::pin!(is_due(&NobodyReady, &SystemClock, partition, &mut wanted));
        let hour = Duration::from_secs(3_600);
        let waited = tokio::time::timeout(hour, &mut due).await;
        assert!(waited.is_err(), "it fires until its successor is ready");
        give_up.send_replace(GiveUp::Ending);
        let waited = tokio::time::timeout(Duration::from_secs(5), &mut due).await;
        assert!(waited.is_ok(), "its process ends");
    }
}
