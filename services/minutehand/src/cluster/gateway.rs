//! `minutehand gateway`: the HTTP API. It owns nothing; what partitions know, their owners are
//! asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use minutehand_cli::{Exit, Failure};
use minutehand_etcd::{Directory, EtcdConfig, PartitionOwner};
use minutehand_http::{ApiConfig, IdSource, LeasePlaces, NamespacePolicy, router};
use minutehand_kafka::{Client, KafkaHistory, KafkaLog, KafkaQueue, KafkaRulebook};
use minutehand_model::PartitionId;
use minutehand_node::{Gateway, Limits, Stores, SystemClock};
use minutehand_peers::{LeasePeers, RemoteConfig, RemoteOwners};
use minutehand_ports::{Connected, ExecutionQueue, TimetableStore};
use minutehand_worker::{Gates, Leases, LeasesConfig, ResultTopics, Worker};
use tokio::sync::watch;

use super::greeting::greeting;
use super::process::Process;
use super::token::ClusterToken;
use super::waiting::Waiting;
use super::{configs, failure, health, servers, stores, token};
use crate::observer::{Observer, Served, watch_leases};
use crate::service_manager;
use crate::settings::Settings;
use crate::signals::{Signals, unless};

/// Runs until SIGINT or SIGTERM, then lets the requests under way end.
pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let (kafka, store) = (configs::kafka(settings)?, stores::timetable(settings)?);
    let (etcd, partitions) = (configs::etcd(settings)?, settings.cluster.partitions);
    let (cluster_token, namespaces) = (token::current(settings, &signals)?, namespaces(settings));
    let remote = remote(settings, &cluster_token)?;
    let results = super::worker::result_topics(&settings.worker)?;
    let tokens = crate::tls::tokens(settings.gateway.tokens_file.clone(), &signals)?;
    let hint = "write tokens to a file and name it in gateway.tokens_file, or listen on 127.0.0.1";
    let listen = ("gateway.listen", settings.gateway.listen);
    let process = Process::start(settings, listen, &tokens, hint, &signals).await?;

    let mut stop_asked = pin!(signals.asked_to_stop());
    let client = Client::new(kafka).map_err(|error| failure::store(&error))?;
    let connecting = Box::pin(connect(&process.waiting, settings, &client, &*store, &etcd));
    let Some(connected) = unless(&mut stop_asked, connecting).await else {
        process.end().await;
        return Ok(());
    };
    let (stored, directory) = connected?;
    let lease_places = lease_places(settings, &process, &remote, &cluster_token)?;
    let asking = RemoteOwners::new(remote, addresses(directory.owners()));
    let asking = asking.map_err(|error| failure::usage(failure::words(&error)))?;

    let queue = Arc::new(KafkaQueue::new(Arc::clone(&client)));
    let rulebook = Arc::new(KafkaRulebook::new(Arc::clone(&client)));
    let gates = Gates::new(rulebook.clone());
    let ending = process.ending.subscribe();
    let leases = leases(settings, &queue, (gates, results), ending);
    let (stores, troubles) = stores_of_callers(client, &queue, stored, store.describe().name);
    let limits = Limits {
        apply_wait_ms_max: settings.gateway.apply_wait_ms_max,
        ..Limits::default()
    };
    // Ready when every partition has an owner.
    let (_all, every) = watch::channel((0..partitions).map(PartitionId::own).collect());
    let gateway = Gateway::with_owners(stores, Arc::new(asking), Arc::new(SystemClock), limits)
        .with_assignment(every)
        .with_rulebook(rulebook)
        .with_troubles(troubles);
    process.open(router(ApiConfig {
        gateway: Arc::new(gateway),
        tokens,
        namespaces,
        ids: IdSource::from_system(),
        leases: Some(leases.clone()),
        lease_places,
        metrics: process.metrics.clone(),
        default_group: settings.worker.group.clone(),
    }));
    let (url, region) = (process.url(), &etcd.region);
    let facts = [
        ("API", format!("{url}/v1")),
        ("page", format!("{url}/")),
        ("metrics", format!("{url}/metrics")),
        ("region", format!("{region}, {partitions} partitions")),
    ];
    crate::say::greeting(&greeting("gateway", &facts));
    service_manager::ready();
    let mut directory_failed = directory.failed();
    let mut reason = None;
    tokio::select! {
        () = &mut stop_asked => {}
        Ok(failed) = directory_failed.wait_for(Option::is_some) => reason.clone_from(&failed),
    }
    process.end().await;
    leases.close().await;
    queue.close().await;
    drop(directory);
    reason.map_or(Ok(()), |reason| Err(Failure::new(Exit::Failed, reason)))
}

/// What the API works with, and what is told of a store that does not answer.
fn stores_of_callers(
    client: Arc<Client>,
    queue: &Arc<KafkaQueue>,
    Connected { timetable, ledger }: Connected,
    timetable_name: &'static str,
) -> (Stores, watch::Receiver<Vec<String>>) {
    let log = Arc::new(KafkaLog::new(Arc::clone(&client)));
    let timetable_of = (timetable_name, timetable.clone());
    let troubles = health::watch(log.clone(), timetable_of);
    let stores = Stores {
        log,
        timetable,
        ledger,
        queue: queue.clone(),
        history: Arc::new(KafkaHistory::new(client)),
    };
    (stores, troubles)
}

/// Groups on queues that are leased from at once: each has a thread and a consumer.
const GROUPS_MAX: usize = 64;

/// Executions on lease, as a member of the groups that are named by whoever leases.
fn leases(
    settings: &Settings,
    queue: &Arc<KafkaQueue>,
    (gates, results): (Gates, ResultTopics),
    stopping: watch::Receiver<bool>,
) -> Leases {
    let observer = Observer::new(false);
    let builder = Worker::builder(queue.clone())
        .observer(observer.clone())
        .gates(gates.clone())
        .result_topics(results)
        .history(settings.worker.history)
        .dead_letter_hook(settings.worker.dead_letter_hook());
    let leases = LeasesConfig {
        lanes_max: GROUPS_MAX,
        sweeps_alone: false,
        ..LeasesConfig::new(stopping.clone())
    };
    let leases = Leases::new(builder, leases);
    let port: Arc<dyn ExecutionQueue> = queue.clone();
    let served = Served::by_leases(leases.clone());
    tokio::spawn(observer.watch(port, served, gates, stopping.clone()));
    tokio::spawn(watch_leases(leases.clone(), stopping));
    leases
}

async fn connect(
    waiting: &Waiting,
    settings: &Settings,
    kafka: &Client,
    store: &dyn TimetableStore,
    etcd: &EtcdConfig,
) -> Result<(Connected, Directory), Failure> {
    let partitions = settings.cluster.partitions;
    let (_, timetable, directory) = tokio::try_join!(
        servers::kafka(waiting, settings, kafka),
        servers::timetable(waiting, store),
        servers::etcd(waiting, settings, || Directory::open(etcd, partitions)),
    )?;
    Ok((timetable, directory))
}

fn namespaces(settings: &Settings) -> NamespacePolicy {
    match &settings.gateway.namespaces {
        names if names.is_empty() => NamespacePolicy::OnFirstUse,
        names => NamespacePolicy::Listed(names.iter().cloned().collect()),
    }
}

/// The other gateways, who may be asked about leases of this one; `None` when they cannot reach it,
/// or nobody could tell them from strangers.
fn lease_places(
    settings: &Settings,
    process: &Process,
    remote: &RemoteConfig,
    token: &ClusterToken,
) -> Result<Option<LeasePlaces>, Failure> {
    let is_safe = !token.accepted.is_empty() || process.address.ip().is_loopback();
    let Some(address) = configs::gateway_address(settings, process.address)?.filter(|_| is_safe)
    else {
        tracing::warn!(
            "answers to leases of this gateway must reach it itself: other gateways need gateway.advertise, and one secret in \
             cluster.token_file"
        );
        return Ok(None);
    };
    let peers = LeasePeers::new(remote).map_err(|error| failure::usage(failure::words(&error)))?;
    Ok(Some(LeasePlaces {
        tokens: token.accepted.clone(),
        address,
        peers,
    }))
}

fn remote(settings: &Settings, token: &ClusterToken) -> Result<RemoteConfig, Failure> {
    let read = |path: &Path| {
        let refused = |error| {
            failure::usage(format!(
                "could not read the certificates in {}: {error}",
                path.display()
            ))
        };
        std::fs::read(path).map_err(refused)
    };
    let identity_pem = match settings.http.tls_files()? {
        Some(files) => Some([read(&files.cert)?, read(&files.key)?].concat()),
        None => None,
    };
    Ok(RemoteConfig {
        token: token.shown.clone(),
        ca_pem: settings
            .http
            .peer_ca_file
            .as_deref()
            .map(read)
            .transpose()?,
        identity_pem,
        ..RemoteConfig::new(settings.cluster.partitions)
    })
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
