//! `minutehand worker`: runs webhooks and commands, for the queues that its settings name.

use std::pin::pin;
use std::sync::Arc;

use minutehand_cli::{Exit, Failure};
use minutehand_cluster::Queues;
use minutehand_http::{NodeConfig, Tokens, node_router};
use minutehand_model::QueueName;
use minutehand_ports::ExecutionQueue;
use minutehand_worker::{Gates, Handler, Places, ResultTopics, Worker, WorkerObserver};
use tokio::sync::watch;

use super::greeting::greeting;
use super::process::Process;
use super::{configs, failure, token};
use crate::descriptors::Descriptors;
use crate::executors::Executors;
use crate::observer::{Observer, Served};
use crate::permission::CommandPermission;
use crate::service_manager;
use crate::settings::{Settings, Unclaimed, WorkerConfig};
use crate::signals::{Signals, unless};

/// Runs until SIGINT or SIGTERM, then lets running handlers end.
pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let (kafka, names) = (configs::kafka(settings)?, queues(settings)?);
    let descriptors =
        Descriptors::raised().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let executors = executors(settings, descriptors)?;
    let tokens = token::current(settings, &signals)?.accepted;
    let hint = "give all roles one secret in cluster.token_file, or listen on 127.0.0.1";
    let listen = ("worker.listen", settings.worker.listen);
    let process = Process::start(settings, listen, &tokens, hint, &signals).await?;

    let mut stop_asked = pin!(signals.asked_to_stop());
    let connecting = Box::pin(Queues::connect(kafka, &process.waiting));
    let Some(connected) = unless(&mut stop_asked, connecting).await else {
        process.end().await;
        return Ok(());
    };
    let queues = connected.map_err(failure::start)?;
    let gates = Gates::new(queues.rulebook());
    let port = queues.queue();
    let (stop, stopping) = watch::channel(false);
    let observer = Observer::new(false);
    tokio::spawn(Arc::clone(&observer).watch(
        Arc::clone(&port),
        Served::by_workers(&settings.worker.queues, &settings.worker.group),
        gates.clone(),
        stopping.clone(),
    ));
    let runs_max = settings
        .worker
        .concurrency_total
        .min(descriptors.for_runs());
    let places = Places::new(runs_max);
    let worker = worker(
        &settings.worker,
        &port,
        executors,
        (observer, gates),
        places,
    )?;
    let mut running = tokio::spawn(worker.run(crate::signals::until_true(stopping)));

    open(&process, tokens, &queues);
    crate::say::greeting(&ready(&process, settings, names));
    service_manager::ready();
    let by_itself = tokio::select! {
        () = &mut stop_asked => None,
        ended = &mut running => Some(ended),
    };
    stop.send_replace(true);
    let ended = match by_itself {
        Some(ended) => ended,
        None => running.await,
    };
    queues.close().await;
    process.end().await;
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failure::failed(&error)),
        Err(error) => Err(Failure::new(
            Exit::Failed,
            format!("the worker failed: {error}"),
        )),
    }
}

/// Tells how it stands.
fn open(process: &Process, tokens: Tokens, queues: &Queues) {
    process.open(node_router(NodeConfig {
        owners: None,
        tokens,
        readiness: Arc::new(queues.readiness()),
        metrics: process.metrics.clone(),
        stopping: process.ending.subscribe(),
    }));
}

/// The first lines a person sees.
fn ready(process: &Process, settings: &Settings, queues: &[QueueName]) -> String {
    let names: Vec<&str> = queues.iter().map(QueueName::as_str).collect();
    let facts = [
        ("queues", names.join(", ")),
        ("group", settings.worker.group.to_string()),
        ("metrics", format!("{}/metrics", process.url())),
        ("kafka", settings.kafka.brokers.join(", ")),
    ];
    greeting("worker", &facts)
}

fn queues(settings: &Settings) -> Result<&[QueueName], Failure> {
    if settings.worker.queues.is_empty() {
        return Err(failure::usage(
            "worker.queues is empty; name the queues that this worker serves",
        ));
    }
    Ok(&settings.worker.queues)
}

fn executors(settings: &Settings, descriptors: Descriptors) -> Result<Executors, Failure> {
    let WorkerConfig {
        unclaimed,
        process_executor,
        output_dir,
        ..
    } = &settings.worker;
    if *unclaimed == Unclaimed::Keep {
        return Err(failure::usage(
            "worker.unclaimed is keep, which only `dev` can; leave the queue out of worker.queues",
        ));
    }
    Executors::new(
        settings,
        CommandPermission::of_tasks(*process_executor),
        output_dir.clone(),
        descriptors,
    )
}

fn worker(
    config: &WorkerConfig,
    port: &Arc<dyn ExecutionQueue>,
    executors: Executors,
    (observer, gates): (Arc<dyn WorkerObserver>, Gates),
    places: Places,
) -> Result<Worker, Failure> {
    let handler: Arc<dyn Handler> = Arc::new(executors);
    let result_topics = result_topics(config)?;
    let mut builder = Worker::builder(Arc::clone(port))
        .result_topics(result_topics)
        .group(config.group.clone())
        .observer(observer)
        .gates(gates)
        .places(places)
        .history(config.history)
        .dead_letter_hook(config.dead_letter_hook())
        .run_timeout_ms(config.run_timeout_ms)
        .drain_ms(config.drain_ms);
    for queue in &config.queues {
        builder = builder.handle_shared(queue.clone(), Arc::clone(&handler), config.concurrency);
    }
    builder
        .build()
        .map_err(|error| failure::usage(format!("worker: {error}")))
}

/// Where results go, for workers and for whoever answers leases.
pub(super) fn result_topics(config: &WorkerConfig) -> Result<ResultTopics, Failure> {
    ResultTopics::new(&config.result_topics)
        .map_err(|error| failure::usage(format!("worker.result_topics: {error}")))
}
