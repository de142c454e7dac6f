//! `minutehand gateway`: the HTTP API.

use std::path::Path;
use std::pin::pin;

use minutehand_cli::{Exit, Failure};
use minutehand_cluster::{Callers, LeasePeers, Queues, RemoteConfig, Servers};
use minutehand_http::{ApiConfig, IdSource, LeasePlaces, NamespacePolicy, router};
use minutehand_node::Limits;
use minutehand_worker::{Gates, Leases, LeasesConfig, ResultTopics, Worker};
use tokio::sync::watch;

use super::greeting::greeting;
use super::process::Process;
use super::token::ClusterToken;
use super::{configs, failure, token};
use crate::observer::{Observer, Served, watch_leases};
use crate::service_manager;
use crate::settings::Settings;
use crate::signals::{Signals, unless};

/// Runs until SIGINT or SIGTERM, then lets the requests under way end.
pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let config = configs::cluster(settings)?;
    let (cluster_token, namespaces) = (token::current(settings, &signals)?, namespaces(settings));
    let remote = remote(settings, &cluster_token)?;
    let results = super::worker::result_topics(&settings.worker)?;
    let tokens = crate::tls::tokens(settings.gateway.tokens_file.clone(), &signals)?;
    let hint = "write tokens to a file and name it in gateway.tokens_file, or listen on 127.0.0.1";
    let listen = ("gateway.listen", settings.gateway.listen);
    let process = Process::start(settings, listen, &tokens, hint, &signals).await?;

    let lease_places = lease_places(settings, &process, &remote, &cluster_token)?;
    let limits = Limits {
        apply_wait_ms_max: settings.gateway.apply_wait_ms_max,
        ..Limits::default()
    };

    let mut stop_asked = pin!(signals.asked_to_stop());
    let servers = Servers::open(config, process.waiting.clone()).map_err(failure::start)?;
    let connecting = Box::pin(Callers::connect(&servers, remote, limits));
    let Some(connected) = unless(&mut stop_asked, connecting).await else {
        process.end().await;
        return Ok(());
    };
    let callers = connected.map_err(failure::start)?;

    let leases = leases(
        settings,
        &callers.queues,
        results,
        process.ending.subscribe(),
    );
    process.open(router(ApiConfig {
        gateway: callers.gateway.clone(),
        tokens,
        namespaces,
        ids: IdSource::from_system(),
        leases: Some(leases.clone()),
        lease_places,
        metrics: process.metrics.clone(),
        default_group: settings.worker.group.clone(),
    }));
    crate::say::greeting(&ready(&process, settings));
    service_manager::ready();
    let failed = tokio::select! {
        () = &mut stop_asked => None,
        reason = callers.failed() => Some(reason),
    };
    process.end().await;
    leases.close().await;
    callers.queues.close().await;
    failed.map_or(Ok(()), |reason| Err(Failure::new(Exit::Failed, reason)))
}

/// The first lines a person sees.
fn ready(process: &Process, settings: &Settings) -> String {
    let (url, region) = (process.url(), &settings.cluster.region);
    let partitions = settings.cluster.partitions;
    let facts = [
        ("API", format!("{url}/v1")),
        ("page", format!("{url}/")),
        ("metrics", format!("{url}/metrics")),
        ("region", format!("{region}, {partitions} partitions")),
    ];
    greeting("gateway", &facts)
}

/// Groups on queues that are leased from at once: each has a thread and a consumer.
const GROUPS_MAX: usize = 64;

/// Executions on lease, as a member of the groups that are named by whoever leases.
fn leases(
    settings: &Settings,
    queues: &Queues,
    results: ResultTopics,
    stopping: watch::Receiver<bool>,
) -> Leases {
    let (observer, gates) = (Observer::new(false), Gates::new(queues.rulebook()));
    let builder = Worker::builder(queues.queue())
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
    let served = Served::by_leases(leases.clone());
    tokio::spawn(observer.watch(queues.queue(), served, gates, stopping.clone()));
    tokio::spawn(watch_leases(leases.clone(), stopping));
    leases
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
    let peers = LeasePeers::new(remote).map_err(|error| failure::start(error.into()))?;
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
