//! The coordinator: who owns which partition, under which epoch.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minutehand_model::{Epoch, PartitionId, Timestamp};
use tokio::sync::watch;

use crate::PortError;

/// Who owns what.
#[async_trait]
pub trait Coordinator: Send + Sync + 'static {
    /// The partitions this node should own, kept up to date.
    fn assignment(&self) -> watch::Receiver<BTreeSet<PartitionId>>;

    /// When the coordinator last confirmed this node's lease; an owner that has not heard from it
    /// for two thirds of [`Coordinator::lease_ttl_ms`] stops firing.
    fn confirmed_at(&self) -> watch::Receiver<Timestamp>;

    /// The time to live of a lease that is not renewed, in milliseconds.
    fn lease_ttl_ms(&self) -> i64;

    /// Takes a free partition under a new epoch, higher than every earlier one; class `Retry` while
    /// somebody holds it.
    ///
    /// It may wait for a few seconds for somebody else to let go, and answers at once when the
    /// partition is no longer assigned to this node.
    async fn acquire(&self, partition: PartitionId) -> Result<Epoch, PortError>;

    /// Waits until nobody holds a partition, as far as this node has heard. At once where nobody else
    /// could.
    async fn freed(&self, _partition: PartitionId) {}

    /// Tells whoever holds a partition, and is to give it up, that this node would take it over now.
    /// Acquiring the partition takes that back.
    async fn announce(&self, _partition: PartitionId) -> Result<(), PortError> {
        Ok(())
    }

    /// Takes an announcement back: the partition is no longer wanted.
    async fn retract(&self, _partition: PartitionId) {}

    /// Waits until the node that should own a partition has announced that it would take it over
    /// now. At once where there is no other node that announces anything.
    async fn successor(&self, _partition: PartitionId) {}

    /// Gives a partition back. Releasing what is no longer held under that epoch changes nothing.
    async fn release(&self, partition: PartitionId, epoch: Epoch) -> Result<(), PortError>;
}
