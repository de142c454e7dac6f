//! `minutehand scheduler`: owns the partitions it is assigned, takes commands in and publishes
//! executions.

use std::pin::pin;
use std::sync::Arc;

use minutehand_cli::{Exit, Failure};
use minutehand_cluster::{Ended, MemberConfig, Scheduler, Servers};
use minutehand_http::{NodeConfig, Tokens, node_router};
use minutehand_ports::StoreDescription;

use super::greeting::greeting;
use super::process::Process;
use super::{configs, failure, token};
use crate::service_manager;
use crate::settings::Settings;
use crate::signals::{Signals, unless};

/// Runs until SIGINT or SIGTERM, then hands every partition over and stops.
pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let config = configs::cluster(settings)?;
    let tokens = token::current(settings, &signals)?.accepted;
    let hint = "give all roles one secret in cluster.token_file, or listen on 127.0.0.1";
    let listen = ("scheduler.listen", settings.scheduler.listen);
    let process = Process::start(settings, listen, &tokens, hint, &signals).await?;
    let member = configs::member(settings, process.address)?;

    let mut stop_asked = pin!(signals.asked_to_stop());
    let servers = Servers::open(config, process.waiting.clone()).map_err(failure::start)?;
    let starting = Scheduler::start(&servers, &member);
    let Some(started) = unless(&mut stop_asked, starting).await else {
        process.end().await;
        return Ok(());
    };
    let scheduler = started.map_err(failure::start)?;

    open(&process, &scheduler, tokens);
    crate::say::greeting(&ready(&process, &member, settings, &servers.timetable()));
    service_manager::ready();

    let ended = scheduler.run_until(stop_asked).await;
    process.end().await;
    ended.map_err(|ended| {
        let failed = Failure::new(Exit::Failed, ended.to_string());
        match ended {
            Ended::Stopped(_) => failed
                .with_hint("the lines before this say why; nothing that was acknowledged is lost"),
            Ended::Unfit(_) | Ended::Failed(_) => failed,
        }
    })
}

/// Takes questions of gateways, and tells how it stands.
fn open(process: &Process, scheduler: &Scheduler, tokens: Tokens) {
    let standing = scheduler.standing();
    process.open(node_router(NodeConfig {
        owners: Some(Arc::new(scheduler.owners())),
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
