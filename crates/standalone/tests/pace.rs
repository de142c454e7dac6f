//! Planned hand-overs: what an owner and its successor wait for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_embedded::{Config as StoreConfig, EmbeddedStore};
use minutehand_engine::{Config, Phase, StopReason};
use minutehand_model::{Epoch, LogOffset, PartitionId, Timestamp};
use minutehand_node::{Clock, Node, OwnerStores, Owners, SystemClock};
use minutehand_ports::{Appended, CommandLog, Coordinator, LogBatch, LogBounds, PortError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PARTITIONS: u32 = 6;

/// A log that lets some partitions be read only.
struct GatedLog {
    store: Arc<EmbeddedStore>,
    readable: watch::Sender<BTreeSet<PartitionId>>,
}

#[async_trait]
impl CommandLog for GatedLog {
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
    ) -> Result<Appended, PortError> {
        CommandLog::append(&*self.store, partition, records).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: LogOffset,
        bytes_max: usize,
    ) -> Result<LogBatch, PortError> {
        let mut readable = self.readable.subscribe();
        drop(
            readable
                .wait_for(|partitions| partitions.contains(&partition))
                .await,
        );
        CommandLog::read(&*self.store, partition, from, bytes_max).await
    }

    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, PortError> {
        self.store.bounds(partition).await
    }

    fn watch_end(&self, partition: PartitionId) -> watch::Receiver<LogOffset> {
        self.store.watch_end(partition)
    }

    async fn truncate(&self, partition: PartitionId, below: LogOffset) -> Result<(), PortError> {
        self.store.truncate(partition, below).await
    }

    async fn skip(
        &self,
        partition: PartitionId,
        offsets: std::ops::RangeInclusive<LogOffset>,
        reason: &str,
    ) -> Result<(), PortError> {
        self.store.skip(partition, offsets, reason).await
    }

    async fn is_skipped(
        &self,
        partition: PartitionId,
        offset: LogOffset,
    ) -> Result<bool, PortError> {
        self.store.is_skipped(partition, offset).await
    }
}

/// What the test says of the other nodes, and hears of this one.
struct Others {
    store: Arc<EmbeddedStore>,
    assignment: watch::Sender<BTreeSet<PartitionId>>,
    /// Partitions that a living owner holds until this node announces itself.
    held: watch::Sender<BTreeSet<PartitionId>>,
    announced: watch::Sender<BTreeSet<PartitionId>>,
    acquired: Mutex<Vec<PartitionId>>,
    /// Partitions that another node would take over.
    successors: watch::Sender<BTreeSet<PartitionId>>,
}

#[async_trait]
impl Coordinator for Others {
    fn assignment(&self) -> watch::Receiver<BTreeSet<PartitionId>> {
        self.assignment.subscribe()
    }

    fn confirmed_at(&self) -> watch::Receiver<Timestamp> {
        self.store.confirmed_at()
    }

    fn lease_ttl_ms(&self) -> i64 {
        self.store.lease_ttl_ms()
    }

    async fn acquire(&self, partition: PartitionId) -> Result<Epoch, PortError> {
        let mut held = self.held.subscribe();
        drop(held.wait_for(|held| !held.contains(&partition)).await);
        self.acquired.lock().unwrap().push(partition);
        self.store.acquire(partition).await
    }

    async fn freed(&self, partition: PartitionId) {
        let mut held = self.held.subscribe();
        drop(held.wait_for(|held| !held.contains(&partition)).await);
    }

    async fn announce(&self, partition: PartitionId) -> Result<(), PortError> {
        self.announced.send_modify(|announced| {
            announced.insert(partition);
        });
        self.held.send_modify(|held| {
            held.remove(&partition);
        });
        Ok(())
    }

    async fn successor(&self, partition: PartitionId) {
        let mut successors = self.successors.subscribe();
        drop(
            successors
                .wait_for(|ready| ready.contains(&partition))
                .await,
        );
    }

    async fn release(&self, partition: PartitionId, epoch: Epoch) -> Result<(), PortError> {
        self.store.release(partition, epoch).await
    }
}

struct Rig {
    _folder: tempfile::TempDir,
    others: Arc<Others>,
    log: Arc<GatedLog>,
    owners: Owners,
    stop: watch::Sender<bool>,
    node: JoinHandle<Result<(), StopReason>>,
}

fn all() -> BTreeSet<PartitionId> {
    (0..PARTITIONS).map(PartitionId::own).collect()
}

/// A node that should own everything, on a store with one record in each partition's log.
async fn start(held: BTreeSet<PartitionId>, readable: BTreeSet<PartitionId>) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store_clock = Arc::clone(&clock);
    let config = StoreConfig::new(
        folder.path(),
        PARTITIONS,
        Arc::new(move || store_clock.now()),
    );
    let store = EmbeddedStore::open(config).unwrap();
    for partition in all() {
        CommandLog::append(&*store, partition, vec![Bytes::from_static(b"no command")])
            .await
            .unwrap();
    }
    let log = Arc::new(GatedLog {
        store: Arc::clone(&store),
        readable: watch::channel(readable).0,
    });
    let others = Arc::new(Others {
        store: Arc::clone(&store),
        assignment: watch::channel(all()).0,
        held: watch::channel(held).0,
        announced: watch::channel(BTreeSet::new()).0,
        acquired: Mutex::default(),
        successors: watch::channel(BTreeSet::new()).0,
    });
    let owners = Owners::new(PARTITIONS);
    let stores = OwnerStores {
        log: log.clone(),
        sink: store.clone(),
        timetable: store.clone(),
        ledger: store,
    };
    let node = Node::new(
        Config::default(),
        others.clone(),
        stores,
        clock,
        owners.clone(),
    );
    let (stop, stopping) = watch::channel(false);
    let node = tokio::spawn(node.run(stopping));
    Rig {
        _folder: folder,
        others,
        log,
        owners,
        stop,
        node,
    }
}

impl Rig {
    fn in_phase(&self, phase: Phase) -> BTreeSet<PartitionId> {
        let stands = self.owners.all().into_iter();
        stands
            .filter(|(_, status)| status.phase == phase)
            .map(|(partition, _)| partition)
            .collect()
    }

    async fn until(&self, phase: Phase, count: usize) {
        while self.in_phase(phase).len() != count {
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        self.others.successors.send_replace(all());
        self.stop.send_replace(true);
        self.node.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_over_two_partitions_at_a_time() {
    let rig = start(all(), BTreeSet::new()).await;
    let mut announced = rig.others.announced.subscribe();
    for taken in 1..=all().len() {
        let ahead = (taken + 1).min(all().len());
        announced
            .wait_for(|some| some.len() == ahead)
            .await
            .unwrap();
        rig.until(Phase::Replaying, ahead - taken + 1).await;
        assert_eq!(announced.borrow().len(), ahead);
        let next = *rig.in_phase(Phase::Replaying).first().unwrap();
        rig.log.readable.send_modify(|readable| {
            readable.insert(next);
        });
        rig.until(Phase::Owning, taken).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_owns_is_taken_over_all_at_once() {
    let rig = start(BTreeSet::new(), BTreeSet::new()).await;
    rig.until(Phase::Replaying, all().len()).await;
    assert!(rig.others.announced.borrow().is_empty());
    rig.log.readable.send_replace(all());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_goes_on_until_its_successor_is_ready() {
    let rig = start(BTreeSet::new(), all()).await;
    rig.until(Phase::Owning, all().len()).await;
    let [stays, first, second, third] = [0, 1, 2, 3].map(PartitionId::own);
    let assign_all_but = |gone: &[PartitionId]| {
        let assigned = all().into_iter().filter(|one| !gone.contains(one));
        rig.others.assignment.send_replace(assigned.collect());
    };
    let gone = async |partition| {
        while rig.owners.owner(partition).is_some() {
            tokio::task::yield_now().await;
        }
    };
    rig.others.successors.send_replace([first, second].into());
    assign_all_but(&[stays, first]);
    gone(first).await;
    assert!(rig.in_phase(Phase::Owning).contains(&stays));
    // It is assigned again before anybody was ready for it.
    assign_all_but(&[first, second]);
    gone(second).await;
    rig.others.successors.send_replace(all());
    assign_all_but(&[first, second, third]);
    gone(third).await;
    assert!(rig.in_phase(Phase::Owning).contains(&stays));
    let times = |partition| {
        let acquired = rig.others.acquired.lock().unwrap();
        acquired.iter().filter(|one| **one == partition).count()
    };
    assert_eq!(times(stays), 1, "it has never been given up");
    rig.end().await;
}
