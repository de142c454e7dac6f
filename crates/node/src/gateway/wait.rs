//! Waiting for an owner to catch up with the log.

use std::time::Duration;

use minutehand_engine::Phase;
use minutehand_model::{LogOffset, PartitionId};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Gateway;
use super::error::Unavailable;
use crate::owner::OwnerStatus;

/// How long to wait before looking again for an owner that is not there.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Gateway {
    /// Waits until the partition has applied everything its log held at the time of the call.
    pub(super) async fn caught_up(
        &self,
        partition: PartitionId,
    ) -> Result<OwnerStatus, Unavailable> {
        // Asked of the log itself: nothing keeps a watch up to date where nobody reads the
        // partition.
        let end = self.stores.log.bounds(partition).await?.end;
        self.applied(partition, end).await
    }

    /// Waits until the partition's owner is ready and has applied every record below `offset`.
    pub(super) async fn applied(
        &self,
        partition: PartitionId,
        offset: LogOffset,
    ) -> Result<OwnerStatus, Unavailable> {
        let deadline = Instant::now() + Duration::from_millis(self.limits.apply_wait_ms_max);
        loop {
            let Some(mut status) = self.owners.status(partition) else {
                let retry_at = Instant::now() + LOOK_AGAIN;
                if retry_at >= deadline {
                    return Err(not_ready(partition, None));
                }
                sleep_until(retry_at).await;
                continue;
            };
            let wanted = |status: &OwnerStatus| is_ready(status.phase) && status.applied >= offset;
            let reached = timeout_at(deadline, status.wait_for(wanted)).await;
            // The lock on the status must not be held while waiting.
            match reached.map(|reached| reached.map(|status| status.clone())) {
                Ok(Ok(reached)) => return Ok(reached),
                // The owner has gone: wait for its successor.
                Ok(Err(_)) => sleep_until((Instant::now() + LOOK_AGAIN).min(deadline)).await,
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                let last = status.borrow().clone();
                return Err(match is_ready(last.phase) {
                    true => Unavailable::Behind {
                        partition,
                        applied: last.applied,
                        wanted: offset,
                    },
                    false => not_ready(partition, Some(last.phase)),
                });
            }
        }
    }
}

/// Whether the owner knows everything it should.
pub(super) fn is_ready(phase: Phase) -> bool {
    matches!(phase, Phase::Owning | Phase::HandingOver)
}

/// The partition has no owner that is ready.
pub(super) fn not_ready(partition: PartitionId, phase: Option<Phase>) -> Unavailable {
    Unavailable::NotReady {
        partition,
        phase: phase.map_or("no owner", Phase::as_str).to_owned(),
    }
}
