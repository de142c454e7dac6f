//! The workers of `dev`: every queue gets one as soon as something is published to it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use minutehand_cli::{Exit, Failure};
use minutehand_model::QueueName;
use minutehand_ports::ExecutionQueue;
use minutehand_worker::{GROUP_DEFAULT, Handler, Places, Worker, WorkerObserver};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::executors::{ExecutorOptions, Executors, Unclaimed, history_policy};
use crate::observer::Observer;
use crate::permission::CommandPermission;
use crate::settings::Settings;
use crate::webhooks;

/// How often new queues are looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The queue of crontab lines.
pub(super) const CRONTAB_QUEUE: &str = "crontab";

/// The executors as the settings say; no line of a crontab may run commands yet.
pub(super) fn executors(settings: &Settings, output: PathBuf) -> Result<Executors, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let mut secrets = Vec::new();
    for name in ["webhook_secret_file", "webhook_secret_previous_file"] {
        secrets.extend(settings.read(name)?.map(|secret| (name, secret)));
    }
    let webhook = webhooks::config(|name| settings.text(name), secrets).map_err(usage)?;
    let commands = CommandPermission::of_tasks(settings.is_on("process_executor"));
    let unclaimed = match settings.text("unclaimed") {
        "fail" => Unclaimed::Fail,
        _ => Unclaimed::Log,
    };
    Executors::new(ExecutorOptions { webhook, output: Some(output), commands, unclaimed }).map_err(usage)
}

/// Runs workers until `shutdown` turns true and all of them have drained. At most `runs_max` runs are in progress at once.
pub(super) async fn run(
    port: Arc<dyn ExecutionQueue>,
    executors: Executors,
    settings: Settings,
    runs_max: usize,
    mut shutdown: watch::Receiver<bool>,
) {
    let handler: Arc<dyn Handler> = Arc::new(executors);
    let keeps_unclaimed = settings.text("unclaimed") == "keep";
    let observer = Observer::new(true);
    tokio::spawn(Arc::clone(&observer).watch(Arc::clone(&port), GROUP_DEFAULT.to_owned(), shutdown.clone()));
    let observer: Arc<dyn WorkerObserver> = observer;
    let places = Places::new(settings.size("worker_concurrency_total").min(runs_max));
    let mut served = BTreeSet::new();
    let mut workers = JoinSet::new();
    while !*shutdown.borrow_and_update() {
        match port.queues().await {
            Ok(queues) => {
                for queue in queues.into_iter().filter(|queue| !served.contains(queue)).collect::<Vec<_>>() {
                    served.insert(queue.clone());
                    if keeps_unclaimed && !matches!(queue.as_str(), CRONTAB_QUEUE | "process") {
                        continue;
                    }
                    let worker = worker(&port, &queue, Arc::clone(&handler), &observer, &places, &settings);
                    let mut shutdown = shutdown.clone();
                    workers.spawn(async move {
                        let stopped = async move {
                            shutdown.wait_for(|wanted| *wanted).await.ok();
                        };
                        match worker {
                            Ok(worker) => worker.run(stopped).await.map_err(|error| error.to_string()),
                            Err(error) => Err(error),
                        }
                    });
                }
            }
            Err(error) => tracing::warn!(error = %error, "could not list the queues"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            _ = shutdown.changed() => {}
        }
    }
    while let Some(ended) = workers.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(error, "a worker stopped"),
            Err(error) => tracing::error!(error = %error, "a worker panicked"),
        }
    }
}

fn worker(
    port: &Arc<dyn ExecutionQueue>,
    queue: &QueueName,
    handler: Arc<dyn Handler>,
    observer: &Arc<dyn WorkerObserver>,
    places: &Places,
    settings: &Settings,
) -> Result<Worker, String> {
    let built = Worker::builder(Arc::clone(port))
        .observer(Arc::clone(observer))
        .places(places.clone())
        .history(history_policy(settings.text("history")))
        .run_timeout_ms(settings.number("run_timeout_ms"))
        .drain_ms(settings.number("drain_ms"))
        .handle_shared(queue.clone(), handler, settings.size("worker_concurrency"))
        .build();
    built.map_err(|error| error.to_string())
}
