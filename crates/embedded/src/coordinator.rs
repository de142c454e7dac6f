//! The coordinator of a single process: everything is its own, and epochs only grow.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minutehand_model::{Epoch, PartitionId, Timestamp};
use minutehand_ports::{Coordinator, ErrorClass, PortError};
use tokio::sync::watch;

use crate::keys;
use crate::state::State;
use crate::store::{Applied, EmbeddedStore};
use crate::writes::{Writes, pair};

/// The lease of a process that has the folder for itself; it is confirmed as long as the committer
/// lives.
const LEASE_TTL_MS: i64 = 10_000;

#[async_trait]
impl Coordinator for EmbeddedStore {
    fn assignment(&self) -> watch::Receiver<BTreeSet<PartitionId>> {
        self.assigned().subscribe()
    }

    fn confirmed_at(&self) -> watch::Receiver<Timestamp> {
        self.confirmed().clone()
    }

    fn lease_ttl_ms(&self) -> i64 {
        LEASE_TTL_MS
    }

    async fn acquire(&self, partition: PartitionId) -> Result<Epoch, PortError> {
        let action = format!("acquire partition {partition}");
        self.shared().log(partition, &action)?;
        let words = action.clone();
        self.submit(action, 64, false, move |state, writes| {
            acquire(state, writes, partition, words)
        })
        .await
    }

    async fn release(&self, partition: PartitionId, epoch: Epoch) -> Result<(), PortError> {
        let action = format!("release partition {partition}");
        self.shared().log(partition, &action)?;
        self.submit(action, 64, false, move |state, _| {
            let held = &mut state.partitions[partition.index()].held;
            if *held == Some(epoch) {
                *held = None;
            }
            Ok(Applied::now(()))
        })
        .await
    }
}

fn acquire(
    state: &mut State,
    writes: &mut Writes,
    partition: PartitionId,
    action: String,
) -> Result<Applied<Epoch>, PortError> {
    let mine = &mut state.partitions[partition.index()];
    if let Some(epoch) = mine.held {
        let reason = format!("it is held under epoch {epoch}");
        return Err(PortError::new(ErrorClass::Retry, action, reason));
    }
    mine.granted = Epoch(mine.granted.max(mine.opened).0 + 1);
    mine.held = Some(mine.granted);
    let epoch = mine.granted;
    write_epochs(state, writes, partition);
    Ok(Applied::now(epoch))
}

/// Writes the epochs of a partition.
pub(crate) fn write_epochs(state: &State, writes: &mut Writes, partition: PartitionId) {
    let mine = &state.partitions[partition.index()];
    let row = pair(mine.granted.0, mine.opened.0);
    writes.insert(
        &state.spaces.meta,
        keys::partition("epochs", partition),
        row,
    );
}
