//! One partition that panics, and the others.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_embedded::{Config as StoreConfig, EmbeddedStore};
use minutehand_engine::{Config, Phase};
use minutehand_model::{LogOffset, PartitionId};
use minutehand_node::{Clock, Node, OwnerStatus, OwnerStores, Owners, SystemClock};
use minutehand_ports::{Appended, CommandLog, LogBatch, LogBounds, PortError};
use tokio::sync::watch;

const SOUND: PartitionId = PartitionId::own(0);
const POISONED: PartitionId = PartitionId::own(1);

/// A log whose second partition makes whoever reads it panic.
struct PoisonedLog(Arc<EmbeddedStore>);

#[async_trait]
impl CommandLog for PoisonedLog {
    async fn append(&self, partition: PartitionId, records: Vec<Bytes>) -> Result<Appended, PortError> {
        CommandLog::append(&*self.0, partition, records).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: LogOffset,
        bytes_max: usize,
    ) -> Result<LogBatch, PortError> {
        assert!(partition != POISONED, "the record cannot be borne");
        CommandLog::read(&*self.0, partition, from, bytes_max).await
    }

    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, PortError> {
        self.0.bounds(partition).await
    }

    fn watch_end(&self, partition: PartitionId) -> watch::Receiver<LogOffset> {
        self.0.watch_end(partition)
    }

    async fn truncate(&self, partition: PartitionId, below: LogOffset) -> Result<(), PortError> {
        self.0.truncate(partition, below).await
    }
}

/// Waits until a partition stands as wanted.
async fn wait_for(owners: &Owners, partition: PartitionId, wanted: impl Fn(&OwnerStatus) -> bool) {
    let stands = || owners.all().into_iter().any(|(id, status)| id == partition && wanted(&status));
    while !stands() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_panics_stops_alone() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store_clock = Arc::clone(&clock);
    let config = StoreConfig::new(folder.path(), 2, Arc::new(move || store_clock.now()));
    let store = EmbeddedStore::open(config).unwrap();
    for partition in [SOUND, POISONED] {
        CommandLog::append(&*store, partition, vec![Bytes::from_static(b"no command")]).await.unwrap();
    }
    let owners = Owners::new(store.partitions());
    let log = Arc::new(PoisonedLog(Arc::clone(&store)));
    let stores = OwnerStores { log, sink: store.clone(), timetable: store.clone() };
    let node = Node::new(Config::default(), store.clone(), stores, clock, owners.clone());
    let (stop, stopping) = watch::channel(false);
    let node = tokio::spawn(node.run(stopping));

    wait_for(&owners, POISONED, |status| status.phase == Phase::Stopped).await;
    wait_for(&owners, SOUND, |status| status.phase == Phase::Owning && status.applied == LogOffset::at(1))
        .await;
    assert!(owners.owner(POISONED).is_none(), "nobody is asked who has stopped");
    CommandLog::append(&*store, SOUND, vec![Bytes::from_static(b"no command either")]).await.unwrap();
    wait_for(&owners, SOUND, |status| status.applied == LogOffset::at(2)).await;
    assert!(!node.is_finished(), "the node goes on");

    stop.send_replace(true);
    assert_eq!(node.await.unwrap(), Ok(()), "and ends when it is asked to");
}
