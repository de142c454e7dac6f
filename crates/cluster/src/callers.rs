//! What the API of a cluster works with. It owns nothing; what partitions know, their owners are
//! asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use minutehand_etcd::{Directory, PartitionOwner};
use minutehand_kafka::{KafkaHistory, KafkaLog};
use minutehand_model::PartitionId;
use minutehand_node::{Gateway, Limits, Stores, SystemClock};
use minutehand_peers::{RemoteConfig, RemoteOwners};
use tokio::sync::watch;

use crate::error::StartError;
use crate::health;
use crate::queues::Queues;
use crate::servers::Servers;

/// The callers' face of a cluster: a gateway that knows by etcd whom to ask, and the queues.
pub struct Callers {
    /// What callers ask of.
    pub gateway: Arc<Gateway>,
    /// What executions are leased from.
    pub queues: Queues,
    directory: Directory,
}

impl Callers {
    /// Waits for every server. Owners are asked as `remote` says.
    ///
    /// # Errors
    /// When an operator must act.
    pub async fn connect(
        servers: &Servers,
        remote: RemoteConfig,
        limits: Limits,
    ) -> Result<Callers, StartError> {
        let (kafka, partitions) = (&servers.kafka, servers.config.partitions);
        let (_, stored, directory) = tokio::try_join!(
            servers.reach_kafka(),
            servers.reach_timetable(),
            servers.reach_etcd(|| Directory::open(&servers.config.etcd, partitions)),
        )?;
        let asking = RemoteOwners::new(remote, addresses(directory.owners()))?;

        let queues = Queues::of(kafka);
        let log = Arc::new(KafkaLog::new(Arc::clone(kafka)));
        let timetable_of = (servers.timetable().name, Arc::clone(&stored.timetable));
        let troubles = health::watch(log.clone(), timetable_of);
        let stores = Stores {
            log,
            timetable: stored.timetable,
            ledger: stored.ledger,
            queue: queues.queue(),
            history: Arc::new(KafkaHistory::new(Arc::clone(kafka))),
        };
        // Ready when every partition has an owner.
        let (_, every) = watch::channel((0..partitions).map(PartitionId::own).collect());
        let gateway = Gateway::with_owners(stores, Arc::new(asking), Arc::new(SystemClock), limits)
            .with_assignment(every)
            .with_rulebook(queues.rulebook())
            .with_troubles(troubles);
        Ok(Callers {
            gateway: Arc::new(gateway),
            queues,
            directory,
        })
    }

    /// Waits until it can no longer be known who owns what; why.
    pub async fn failed(&self) -> String {
        let mut failed = self.directory.failed();
        let reason = failed.wait_for(Option::is_some).await;
        match reason.ok().and_then(|reason| reason.clone()) {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }
}

/// The addresses alone, kept up to date.
fn addresses(
    mut owners: watch::Receiver<BTreeMap<PartitionId, PartitionOwner>>,
) -> watch::Receiver<BTreeMap<PartitionId, String>> {
    let addresses = |owners: &BTreeMap<PartitionId, PartitionOwner>| {
        let address = |(partition, owner): (&PartitionId, &PartitionOwner)| {
            (*partition, owner.address.clone())
        };
        owners.iter().map(address).collect()
    };
    let (tell, known) = watch::channel(addresses(&owners.borrow_and_update()));
    tokio::spawn(async move {
        while owners.changed().await.is_ok() {
            tell.send_replace(addresses(&owners.borrow_and_update()));
        }
    });
    known
}
