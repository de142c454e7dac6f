//! `minutehand scheduler`: owns the partitions it is assigned, takes commands in and publishes executions.

use std::collections::BTreeSet;
use std::sync::Arc;

use minutehand_cassandra::CassandraTimetable;
use minutehand_cli::{Exit, Failure};
use minutehand_engine::{Phase, StopReason};
use minutehand_etcd::EtcdCoordinator;
use minutehand_http::{NodeConfig, node_router};
use minutehand_kafka::{Client, KafkaLog, KafkaSink};
use minutehand_model::PartitionId;
use minutehand_node::{Ask, Node, OwnerStores, Owners, Readiness, SystemClock};
use minutehand_ports::Coordinator;
use tokio::sync::watch;
use tokio::task::JoinError;

use super::greeting::greeting;
use super::process::Process;
use super::settings::ClusterSettings;
use super::{configs, failure, health};
use crate::shutdown::asked_to_stop;

/// Runs until SIGINT or SIGTERM, then hands every partition over and stops.
pub(super) async fn run(settings: &ClusterSettings) -> Result<(), Failure> {
    let (kafka, cassandra) = (configs::kafka(settings)?, configs::cassandra(settings)?);
    let (etcd, partitions) = (configs::etcd(settings)?, settings.number("cluster.partitions"));
    let tokens = configs::cluster_tokens(settings)?;
    let hint = "give all roles one secret in cluster.token_file, or listen on 127.0.0.1";
    let process = Process::start(settings, "scheduler.listen", &tokens, hint).await?;
    let member = configs::member(settings, process.address)?;

    let client = Client::new(kafka).map_err(|error| failure::store(&error))?;
    client.check_topics().await.map_err(|error| failure::store(&error))?;
    let timetable =
        CassandraTimetable::connect(&cassandra).await.map_err(|error| failure::cassandra(&error))?;
    let coordinator = EtcdCoordinator::start(&etcd, &member, partitions).await;
    let coordinator = Arc::new(coordinator.map_err(|error| failure::etcd(&error))?);

    let log = Arc::new(KafkaLog::new(Arc::clone(&client)));
    let sink = Arc::new(KafkaSink::new(client));
    let stores = OwnerStores { log: log.clone(), sink, timetable: timetable.clone() };
    let owners = Owners::new(partitions);
    let troubles = health::watch_stores(vec![
        Box::new(health::LogProbe(log)),
        Box::new(health::TimetableProbe(timetable)),
    ]);
    let node = Node::new(
        configs::engine(settings),
        coordinator.clone(),
        stores,
        Arc::new(SystemClock),
        owners.clone(),
    );
    let (stop, stopping) = watch::channel(false);
    let mut running = tokio::spawn(node.run(stopping));

    let standing = Standing { owners: owners.clone(), assignment: coordinator.assignment(), troubles };
    let router = node_router(NodeConfig {
        owners: Some(Arc::new(owners)),
        tokens,
        readiness: Arc::new(move || standing.readiness()),
        metrics: process.metrics.clone(),
        stopping: process.ending.subscribe(),
    });
    let url = process.url();
    let serving = process.serve(router)?;
    println!(
        "{}",
        greeting(
            "scheduler",
            &[
                ("node", format!("{} of region {}, {partitions} partitions", member.id, etcd.region)),
                ("reached", member.address.clone()),
                ("metrics", format!("{url}/metrics")),
                ("kafka", settings.list("kafka.brokers").join(", ")),
                (
                    "cassandra",
                    format!(
                        "{} in {}",
                        settings.list("cassandra.contact_points").join(", "),
                        cassandra.keyspace
                    )
                ),
                ("etcd", etcd.endpoints.join(", ")),
            ],
        )
    );

    let by_itself = tokio::select! {
        () = asked_to_stop() => None,
        ended = &mut running => Some(ended),
    };
    // The others take over what this one gives up, while its lease still holds the rest.
    coordinator.withdraw();
    stop.send_replace(true);
    let ended = match by_itself {
        Some(ended) => ended,
        None => running.await,
    };
    coordinator.shutdown().await;
    serving.end().await;
    result(ended)
}

fn result(ended: Result<Result<(), StopReason>, JoinError>) -> Result<(), Failure> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(Failure::new(Exit::Failed, format!("a partition stopped: {reason}"))
            .with_hint("the lines before this say why; nothing that was acknowledged is lost")),
        Err(error) => Err(Failure::new(Exit::Failed, format!("the scheduler failed: {error}"))),
    }
}

/// What readiness depends on.
struct Standing {
    owners: Owners,
    assignment: watch::Receiver<BTreeSet<PartitionId>>,
    troubles: watch::Receiver<Vec<String>>,
}

impl Standing {
    /// Ready when every partition assigned here fires and every store answers.
    fn readiness(&self) -> Readiness {
        let mut reasons = self.troubles.borrow().clone();
        let assigned = self.assignment.borrow().clone();
        if assigned.is_empty() {
            reasons.push("no partition is assigned to this node yet".to_owned());
        }
        let statuses = self.owners.statuses();
        for partition in assigned {
            let status = statuses.iter().find(|(owned, _)| *owned == partition);
            let phase = status.map_or(Phase::Waiting, |(_, status)| status.phase);
            if phase != Phase::Owning {
                reasons.push(format!("partition {partition} is {}", phase.as_str()));
            }
        }
        if reasons.is_empty() { Readiness::Ready } else { Readiness::NotReady(reasons) }
    }
}
