//! One partition that panics, and the others.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_embedded::{Config as StoreConfig, EmbeddedStore};
use minutehand_engine::{Config, Phase, StopReason};
use minutehand_model::{LogOffset, PartitionId};
use minutehand_node::{Clock, Node, OwnerStatus, OwnerStores, Owners, SystemClock};
use minutehand_ports::{Appended, CommandLog, LogBatch, LogBounds, PortError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const SOUND: PartitionId = PartitionId::own(0);
const POISONED: PartitionId = PartitionId::own(1);

/// A log whose second partition makes whoever reads it panic, until its first record is skipped.
struct PoisonedLog(Arc<EmbeddedStore>);

#[async_trait]
impl CommandLog for PoisonedLog {
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
    ) -> Result<Appended, PortError> {
        CommandLog::append(&*self.0, partition, records).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: LogOffset,
        bytes_max: usize,
    ) -> Result<LogBatch, PortError> {
        let is_skipped = self.0.is_skipped(POISONED, LogOffset::START).await?;
        assert!(
            partition != POISONED || is_skipped,
            "the record cannot be borne"
        );
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

    async fn skip(
        &self,
        partition: PartitionId,
        offsets: RangeInclusive<LogOffset>,
        reason: &str,
    ) -> Result<(), PortError> {
        self.0.skip(partition, offsets, reason).await
    }

    async fn is_skipped(
        &self,
        partition: PartitionId,
        offset: LogOffset,
    ) -> Result<bool, PortError> {
        self.0.is_skipped(partition, offset).await
    }
}

/// A node on a store with one record in each partition's log.
struct Rig {
    _folder: tempfile::TempDir,
    store: Arc<EmbeddedStore>,
    owners: Owners,
    stop: watch::Sender<bool>,
    node: JoinHandle<Result<(), StopReason>>,
}

async fn start() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store_clock = Arc::clone(&clock);
    let config = StoreConfig::new(folder.path(), 2, Arc::new(move || store_clock.now()));
    let store = EmbeddedStore::open(config).unwrap();
    for partition in [SOUND, POISONED] {
        CommandLog::append(&*store, partition, vec![Bytes::from_static(b"no command")])
            .await
            .unwrap();
    }
    let owners = Owners::new(store.partitions());
    let log = Arc::new(PoisonedLog(Arc::clone(&store)));
    let stores = OwnerStores {
        log,
        sink: store.clone(),
        timetable: store.clone(),
        ledger: store.clone(),
    };
    let node = Node::new(
        Config::default(),
        store.clone(),
        stores,
        clock,
        owners.clone(),
    );
    let (stop, stopping) = watch::channel(false);
    let node = tokio::spawn(node.run(stopping));
    Rig {
        _folder: folder,
        store,
        owners,
        stop,
        node,
    }
}

/// Waits until a partition stands as wanted, `between` the looks.
async fn wait_for<F: Future<Output = ()>>(
    owners: &Owners,
    partition: PartitionId,
    wanted: impl Fn(&OwnerStatus) -> bool,
    between: impl Fn() -> F,
) {
    let stands = || {
        owners
            .all()
            .into_iter()
            .any(|(id, status)| id == partition && wanted(&status))
    };
    while !stands() {
        between().await;
    }
}

fn has_applied(count: u64) -> impl Fn(&OwnerStatus) -> bool {
    move |status| status.phase == Phase::Owning && status.applied == LogOffset::at(count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_panics_stops_alone() {
    let Rig {
        store,
        owners,
        stop,
        node,
        ..
    } = &mut start().await;
    let look = tokio::task::yield_now;
    wait_for(
        owners,
        POISONED,
        |status| status.phase == Phase::Stopped,
        look,
    )
    .await;
    wait_for(owners, SOUND, has_applied(1), look).await;
    assert!(
        owners.owner(POISONED).is_none(),
        "nobody is asked who has stopped"
    );
    CommandLog::append(
        &**store,
        SOUND,
        vec![Bytes::from_static(b"no command either")],
    )
    .await
    .unwrap();
    wait_for(owners, SOUND, has_applied(2), look).await;
    assert!(!node.is_finished(), "the node goes on");

    stop.send_replace(true);
    assert_eq!(node.await.unwrap(), Ok(()), "and ends when it is asked to");
}

#[tokio::test(start_paused = true)]
async fn what_stops_a_partition_is_passed_over_when_it_is_skipped() {
    let Rig {
        store,
        owners,
        stop,
        node,
        ..
    } = &mut start().await;
    let look = || tokio::time::advance(Duration::from_millis(10));
    let says = |words: &'static str| {
        move |status: &OwnerStatus| {
            status
                .stop_reason
                .as_ref()
                .is_some_and(|reason| reason.contains(words))
        }
    };
    wait_for(
        owners,
        POISONED,
        says("the record cannot be borne; it is tried again in 30 s"),
        look,
    )
    .await;
    wait_for(
        owners,
        POISONED,
        says("it is not tried again by itself"),
        look,
    )
    .await;
    tokio::time::advance(Duration::from_secs(3_600)).await;
    assert_eq!(owners.all()[1].1.phase, Phase::Stopped, "and is not");

    store
        .skip(
            POISONED,
            LogOffset::START..=LogOffset::START,
            "it cannot be borne",
        )
        .await
        .unwrap();
    wait_for(owners, POISONED, has_applied(1), look).await;
    wait_for(owners, POISONED, |status| status.set_aside == 1, look).await;
    stop.send_replace(true);
    assert_eq!(node.await.unwrap(), Ok(()));
}
