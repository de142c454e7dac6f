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

/// How long an owner waits for a successor: when it goes on living, and when its process ends.
const MOVED_WAIT: Duration = Duration::from_secs(30);
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

/// Waits until a partition is to be handed over: it is to be given up, and its successor is ready
/// or has been waited for. Says when it was first to be given up.
pub(super) async fn is_due(
    coordinator: &dyn Coordinator,
    clock: &dyn Clock,
    partition: PartitionId,
    give_up: &mut watch::Receiver<GiveUp>,
) -> Timestamp {
    let mut asked_at = None;
    loop {
        let now = *give_up.borrow_and_update();
        let wait = match now {
            GiveUp::No => None,
            GiveUp::Moved => Some(MOVED_WAIT),
            GiveUp::Ending => Some(ENDING_WAIT),
        };
        asked_at = wait.and(asked_at.or_else(|| Some(clock.now())));
        let is_ready = async {
            match wait {
                Some(wait) => {
                    drop(tokio::time::timeout(wait, coordinator.successor(partition)).await)
                }
                None => std::future::pending().await,
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
