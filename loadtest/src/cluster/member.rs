//! The rig's place in the cluster.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use minutehand_model::{Epoch, PartitionId, Timestamp};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::{Coordinator, PortError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Failure;

/// A member that owns everything.
pub(super) struct Member {
    coordinator: Arc<Alone>,
    renewing: JoinHandle<()>,
}

struct Alone {
    assignment: watch::Sender<BTreeSet<PartitionId>>,
    confirmed: watch::Sender<Timestamp>,
}

impl Member {
    pub(super) async fn join(_etcd: &str, _name: &str, partitions: u32) -> Result<Member, Failure> {
        let coordinator = Arc::new(Alone {
            assignment: watch::Sender::new((0..partitions).map(PartitionId).collect()),
            confirmed: watch::Sender::new(SystemClock.now()),
        });
        let renewed = Arc::clone(&coordinator);
        let renewing = tokio::spawn(async move {
            loop {
                renewed.confirmed.send_replace(SystemClock.now());
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        Ok(Member { coordinator, renewing })
    }

    pub(super) fn coordinator(&self) -> Arc<dyn Coordinator> {
        Arc::clone(&self.coordinator) as _
    }

    pub(super) async fn leave(self) {
        self.renewing.abort();
    }
}

#[async_trait]
impl Coordinator for Alone {
    fn assignment(&self) -> watch::Receiver<BTreeSet<PartitionId>> {
        self.assignment.subscribe()
    }

    fn confirmed_at(&self) -> watch::Receiver<Timestamp> {
        self.confirmed.subscribe()
    }

    fn lease_ttl_ms(&self) -> i64 {
        5_000
    }

    async fn acquire(&self, _: PartitionId) -> Result<Epoch, PortError> {
        Ok(Epoch(1))
    }

    async fn release(&self, _: PartitionId, _: Epoch) -> Result<(), PortError> {
        Ok(())
    }
}
