//! `minutehand scheduler`: owns the partitions it is assigned, takes commands in and publishes
//! executions.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use minutehand_cli::{Exit, Failure};
use minutehand_etcd::{EtcdConfig, EtcdCoordinator, MemberConfig};
use minutehand_http::{NodeConfig, Tokens, node_router};
use minutehand_kafka::{BrokerClock, Client, KafkaLog, KafkaSink};
use minutehand_model::PartitionId;
use minutehand_node::{
    Node, OwnerQueries, OwnerStores, Owners, Phase, Readiness, StopReason, SystemClock,
};
use minutehand_ports::{Connected, Coordinator, StoreDescription, TimetableStore};
use tokio::sync::watch;
use tokio::task::JoinError;

use super::greeting::greeting;
use super::process::Process;
use super::waiting::Waiting;
use super::{configs, failure, health, servers, stores, token};
use crate::service_manager;
use crate::settings::Settings;
use crate::signals::{Signals, unless};

/// Runs until SIGINT or SIGTERM, then hands every partition over and stops.
pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let (kafka, store) = (configs::kafka(settings)?, stores::timetable(settings)?);
    let (etcd, partitions) = (configs::etcd(settings)?, settings.cluster.partitions);
    let tokens = token::current(settings, &signals)?.accepted;
    let hint = "give all roles one secret in cluster.token_file, or listen on 127.0.0.1";
    let listen = ("scheduler.listen", settings.scheduler.listen);
    let process = Process::start(settings, listen, &tokens, hint, &signals).await?;
    let member = configs::member(settings, process.address)?;

    let mut stop_asked = pin!(signals.asked_to_stop());
    let client = Client::new(kafka).map_err(|error| failure::store(&error))?;
    let clock = BrokerClock::new(Arc::clone(&client));
    let servers = Servers {
        kafka: &client,
        clock: &clock,
        timetable: &*store,
        etcd: &etcd,
    };
    let connecting = Box::pin(connect(&process.waiting, settings, servers, &member));
    let Some(connected) = unless(&mut stop_asked, connecting).await else {
        process.end().await;
        return Ok(());
    };
    let (stored, coordinator) = connected?;
    let coordinator = Arc::new(coordinator);

    let (at, owners) = (store.describe(), Owners::new(partitions));
    let (stores, troubles) = stores_of_owners(client, stored, at.name);
    let node = Node::new(
        configs::engine(settings),
        coordinator.clone(),
        stores,
        Arc::new(SystemClock),
        owners.clone(),
    )
    .isolating_partitions();
    let (stop, stopping) = watch::channel(false);
    let mut running = tokio::spawn(node.run(stopping));

    let standing = Standing::of(&owners, &coordinator, troubles);
    open(&process, owners, tokens, standing);
    crate::say::greeting(&ready(&process, &member, settings, &at));
    service_manager::ready();

    let mut coordinator_failed = coordinator.failed();
    let (mut by_itself, mut reason) = (None, None);
    tokio::select! {
        () = &mut stop_asked => {}
        ended = &mut running => by_itself = Some(ended),
        Ok(failed) = coordinator_failed.wait_for(Option::is_some) => reason.clone_from(&failed),
        wrong = servers::clock_goes_wrong(&clock) => reason = Some(wrong),
    }
    // The others take over what this one gives up, while its lease still holds the rest.
    coordinator.withdraw();
    stop.send_replace(true);
    let ended = match by_itself {
        Some(ended) => ended,
        None => running.await,
    };
    coordinator.shutdown().await;
    process.end().await;
    match reason {
        Some(reason) => Err(Failure::new(Exit::Failed, reason)),
        None => result(ended),
    }
}

/// What owners work with, and what is told of a store that does not answer.
fn stores_of_owners(
    client: Arc<Client>,
    Connected { timetable, ledger }: Connected,
    timetable_name: &'static str,
) -> (OwnerStores, watch::Receiver<Vec<String>>) {
    let log = Arc::new(KafkaLog::new(Arc::clone(&client)));
    let timetable_of = (timetable_name, timetable.clone());
    let troubles = health::watch(log.clone(), timetable_of);
    let sink = Arc::new(KafkaSink::new(client));
    let stores = OwnerStores {
        log,
        sink,
        timetable,
        ledger,
    };
    (stores, troubles)
}

/// Takes questions of gateways, and tells how it stands.
fn open(process: &Process, owners: Owners, tokens: Tokens, standing: Standing) {
    process.open(node_router(NodeConfig {
        owners: Some(Arc::new(owners)),
        tokens,
        readiness: Arc::new(move || standing.readiness()),
        metrics: process.metrics.clone(),
        stopping: process.ending.subscribe(),
    }));
}

/// The first lines a person sees.
fn ready(
    process: &Process,
    member: &MemberConfig,
    settings: &Settings,
    timetable: &StoreDescription,
) -> String {
    let (region, partitions) = (&settings.cluster.region, settings.cluster.partitions);
    let node = format!("{} of region {region}, {partitions} partitions", member.id);
    let facts = [
        ("node", node),
        ("reached", member.address.clone()),
        ("metrics", format!("{}/metrics", process.url())),
        ("kafka", settings.kafka.brokers.join(", ")),
        (timetable.word, timetable.to_string()),
        ("etcd", settings.etcd.endpoints.join(", ")),
    ];
    greeting("scheduler", &facts)
}

/// The servers of a scheduler.
struct Servers<'a> {
    kafka: &'a Client,
    clock: &'a Arc<BrokerClock>,
    timetable: &'a dyn TimetableStore,
    etcd: &'a EtcdConfig,
}

/// Waits for every server. Only then, and when its clock is right, is this node a member: before,
/// it could do nothing with what it would be assigned.
async fn connect(
    waiting: &Waiting,
    settings: &Settings,
    servers: Servers<'_>,
    member: &MemberConfig,
) -> Result<(Connected, EtcdCoordinator), Failure> {
    let Servers {
        kafka,
        clock,
        timetable,
        etcd,
    } = servers;
    let (_, timetable, _) = tokio::try_join!(
        async {
            servers::kafka(waiting, settings, kafka).await?;
            servers::clock(waiting, settings, clock).await
        },
        servers::timetable(waiting, timetable),
        servers::etcd(waiting, settings, || minutehand_etcd::partitions(etcd)),
    )?;
    let partitions = settings.cluster.partitions;
    let start = || EtcdCoordinator::start(etcd, member, partitions);
    let coordinator = servers::etcd(waiting, settings, start).await?;
    Ok((timetable, coordinator))
}

fn result(ended: Result<Result<(), StopReason>, JoinError>) -> Result<(), Failure> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(Failure::new(
            Exit::Failed,
            format!("a partition stopped: {reason}"),
        )
        .with_hint("the lines before this say why; nothing that was acknowledged is lost")),
        Err(error) => Err(Failure::new(
            Exit::Failed,
            format!("the scheduler failed: {error}"),
        )),
    }
}

/// What readiness depends on.
struct Standing {
    owners: Owners,
    assignment: watch::Receiver<BTreeSet<PartitionId>>,
    /// Whether the node is a member and the members' partitions are placed.
    placed: watch::Receiver<bool>,
    troubles: watch::Receiver<Vec<String>>,
}

impl Standing {
    fn of(
        owners: &Owners,
        coordinator: &EtcdCoordinator,
        troubles: watch::Receiver<Vec<String>>,
    ) -> Standing {
        Standing {
            owners: owners.clone(),
            assignment: coordinator.assignment(),
            placed: coordinator.placed(),
            troubles,
        }
    }

    /// Ready when every partition assigned here fires and every store answers. Where there are more
    /// nodes than partitions that may be none.
    fn readiness(&self) -> Readiness {
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
