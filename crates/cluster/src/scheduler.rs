//! A scheduler of a cluster: a node whose partitions are shared out by etcd, on Kafka and the store
//! of the timetable.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use minutehand_etcd::{EtcdCoordinator, MemberConfig};
use minutehand_kafka::{BrokerClock, KafkaLog, KafkaSink};
use minutehand_model::PartitionId;
use minutehand_node::{
    Node, OwnerQueries, OwnerStores, Owners, Phase, Readiness, StopReason, SystemClock,
};
use minutehand_ports::{Connected, Coordinator};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::error::StartError;
use crate::health;
use crate::servers::{Servers, clock_goes_wrong};

/// Why a scheduler has ended without being asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Its lease in etcd, or its clock, is no longer one to own anything by.
    #[error("{0}")]
    Unfit(String),
    /// A partition stopped and an operator must act.
    #[error("a partition stopped: {0}")]
    Stopped(StopReason),
    /// A task of the scheduler panicked.
    #[error("the scheduler failed: {0}")]
    Failed(String),
}

/// A running scheduler.
pub struct Scheduler {
    coordinator: Arc<EtcdCoordinator>,
    clock: Arc<BrokerClock>,
    owners: Owners,
    troubles: watch::Receiver<Vec<String>>,
    stop: watch::Sender<bool>,
    running: JoinHandle<Result<(), StopReason>>,
}

impl Scheduler {
    /// Waits for every server, becomes a member, and begins to own what it is assigned.
    ///
    /// # Errors
    /// When an operator must act.
    pub async fn start(servers: &Servers, member: &MemberConfig) -> Result<Scheduler, StartError> {
        let clock = BrokerClock::new(Arc::clone(&servers.kafka));
        let (stored, coordinator) = Box::pin(connect(servers, &clock, member)).await?;
        let coordinator = Arc::new(coordinator);
        let owners = Owners::new(servers.config.partitions);
        let (stores, troubles) = stores(servers, stored);
        let node = Node::new(
            servers.config.engine(),
            coordinator.clone(),
            stores,
            Arc::new(SystemClock),
            owners.clone(),
        )
        .isolating_partitions();
        let (stop, stopping) = watch::channel(false);
        Ok(Scheduler {
            coordinator,
            clock,
            owners,
            troubles,
            stop,
            running: tokio::spawn(node.run(stopping)),
        })
    }

    /// Its partitions, for the questions of gateways.
    pub fn owners(&self) -> Owners {
        self.owners.clone()
    }

    /// What its readiness depends on.
    pub fn standing(&self) -> Standing {
        Standing {
            owners: self.owners.clone(),
            assignment: self.coordinator.assignment(),
            placed: self.coordinator.placed(),
            troubles: self.troubles.clone(),
        }
    }

    /// Runs until `stop`, or until it can no longer; hands every partition over either way.
    ///
    /// # Errors
    /// Why it could no longer.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), Ended> {
        let mut coordinator_failed = self.coordinator.failed();
        let (mut by_itself, mut unfit) = (None, None);
        tokio::select! {
            () = pin!(stop) => {}
            ended = &mut self.running => by_itself = Some(ended),
            Ok(failed) = coordinator_failed.wait_for(Option::is_some) => unfit.clone_from(&failed),
            wrong = clock_goes_wrong(&self.clock) => unfit = Some(wrong),
        }
        // The others take over what this one gives up, while its lease still holds the rest.
        self.coordinator.withdraw();
        self.stop.send_replace(true);
        let ended = match by_itself {
            Some(ended) => ended,
            None => self.running.await,
        };
        self.coordinator.shutdown().await;
        unfit.map_or_else(|| result(ended), |unfit| Err(Ended::Unfit(unfit)))
    }
}

/// Waits for every server. Only then, and when its clock is right, is this node a member: before,
/// it could do nothing with what it would be assigned.
async fn connect(
    servers: &Servers,
    clock: &Arc<BrokerClock>,
    member: &MemberConfig,
) -> Result<(Connected, EtcdCoordinator), StartError> {
    let (etcd, partitions) = (&servers.config.etcd, servers.config.partitions);
    let (_, stored, _) = tokio::try_join!(
        async {
            servers.reach_kafka().await?;
            servers.reach_clock(clock).await
        },
        servers.reach_timetable(),
        servers.reach_etcd(|| minutehand_etcd::partitions(etcd)),
    )?;
    let start = || EtcdCoordinator::start(etcd, member, partitions);
    let coordinator = servers.reach_etcd(start).await?;
    Ok((stored, coordinator))
}

/// What owners work with, and what is told of a store that does not answer.
fn stores(
    servers: &Servers,
    Connected { timetable, ledger }: Connected,
) -> (OwnerStores, watch::Receiver<Vec<String>>) {
    let log = Arc::new(KafkaLog::new(Arc::clone(&servers.kafka)));
    let timetable_of = (servers.timetable().name, Arc::clone(&timetable));
    let troubles = health::watch(log.clone(), timetable_of);
    let sink = Arc::new(KafkaSink::new(Arc::clone(&servers.kafka)));
    let stores = OwnerStores {
        log,
        sink,
        timetable,
        ledger,
    };
    (stores, troubles)
}

fn result(ended: Result<Result<(), StopReason>, JoinError>) -> Result<(), Ended> {
    match ended {
        Ok(ended) => ended.map_err(Ended::Stopped),
        Err(error) => Err(Ended::Failed(error.to_string())),
    }
}

/// What the readiness of a scheduler depends on.
pub struct Standing {
    owners: Owners,
    assignment: watch::Receiver<BTreeSet<PartitionId>>,
    /// Whether the node is a member and the members' partitions are placed.
    placed: watch::Receiver<bool>,
    troubles: watch::Receiver<Vec<String>>,
}

impl Standing {
    /// Ready when every partition assigned here fires and every store answers. Where there are more
    /// nodes than partitions that may be none.
    pub fn readiness(&self) -> Readiness {
        let mut reasons = self.troubles.borrow().clone();
        let assigned = self.assignment.borrow().clone();
        if assigned.is_empty() && !*self.placed.borrow() {
            reasons.push("the partitions are not shared among the members yet".to_owned());
        }
        let statuses = self.owners.statuses();
        for partition in assigned {
            let status = statuses.iter().find(|(owned, _)| *owned == partition);
            let phase = status.map_or(Phase::Waiting, |(_, status)| status.phase);
            if phase != Phase::Owning {
                reasons.push(format!("partition {partition} is {}", phase.as_str()));
            }
        }
        Readiness::unless(reasons)
    }
}
