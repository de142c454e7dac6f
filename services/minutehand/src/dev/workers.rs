//! The workers of `dev`: every queue gets one as soon as something is published to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use minutehand_metrics::{QueueStanding, Queues};
use minutehand_model::{OutcomeKind, QueueName, Timestamp};
use minutehand_ports::{ExecutionQueue, PortError};
use minutehand_worker::{
    GROUP_DEFAULT, Handler, HistoryPolicy, ProcessConfig, ProcessExecutor, Run, Verdict, WebhookConfig,
    WebhookExecutor, Worker, WorkerObserver,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::output::OutputFolder;
use crate::settings::Settings;

/// How often new queues are looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The queue of crontab lines; its tasks are written by this process alone.
pub(super) const CRONTAB_QUEUE: &str = "crontab";

/// Picks the executor that fits a task: a URL goes to the webhook, a command to the process executor.
pub(super) struct Executors {
    webhook: WebhookExecutor,
    process: Arc<ProcessExecutor>,
    may_run_commands: bool,
    keeps_unclaimed: bool,
}

impl Executors {
    pub(super) fn new(settings: &Settings, output: OutputFolder) -> Result<Executors, String> {
        let webhook = WebhookConfig {
            allow_private_networks: settings.is_on("webhook_private_networks"),
            ..WebhookConfig::default()
        };
        let process = ProcessConfig { output_store: Some(Arc::new(output)), ..ProcessConfig::default() };
        Ok(Executors {
            webhook: WebhookExecutor::new(webhook).map_err(|error| error.to_string())?,
            process: Arc::new(ProcessExecutor::new(process)),
            may_run_commands: settings.is_on("process_executor"),
            keeps_unclaimed: settings.text("unclaimed") == "keep",
        })
    }
}

/// The handler of every queue but the crontab's.
struct Dispatcher(Arc<Executors>);

#[async_trait]
impl Handler for Dispatcher {
    async fn run(&self, run: Run) -> Verdict {
        let executors = &self.0;
        if run.header("minutehand-url").is_some() {
            executors.webhook.run(run).await
        } else if run.header("minutehand-command").is_some() || run.task().queue.as_str() == "process" {
            if executors.may_run_commands {
                executors.process.run(run).await
            } else {
                Verdict::discard("commands are off; start with --set process_executor=true")
            }
        } else {
            log_run(&run)
        }
    }

    fn run_at_once(&self, run: &Run) -> Option<Verdict> {
        let is_plain = run.task().headers.is_empty() && run.task().queue.as_str() != "process";
        is_plain.then(|| log_run(run))
    }
}

/// Nobody claims the task: it is logged and done.
fn log_run(run: &Run) -> Verdict {
    if LOG_BUDGET.allows(run.started_at()) {
        let (task, payload) = (run.task(), String::from_utf8_lossy(&run.task().payload));
        let payload: String = payload.chars().take(80).collect();
        let late_ms = run.started_at().millis_since(task.due);
        tracing::info!(queue = %task.queue, id = %task.id, late_ms, payload, "ran a task");
    }
    Verdict::success()
}

/// Lines about single tasks in one second; more would cost more than the tasks.
const LOG_LINES_PER_SECOND: u32 = 20;

static LOG_BUDGET: LogBudget = LogBudget { second: AtomicI64::new(0), lines: AtomicU32::new(0) };

/// Counts lines by the second.
struct LogBudget {
    second: AtomicI64,
    lines: AtomicU32,
}

impl LogBudget {
    fn allows(&self, now: Timestamp) -> bool {
        let second = now.as_millis() / 1_000;
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.lines.store(0, Ordering::Relaxed);
        }
        let lines = self.lines.fetch_add(1, Ordering::Relaxed);
        if lines == LOG_LINES_PER_SECOND {
            tracing::info!("more tasks ran in this second than are logged one by one");
        }
        lines < LOG_LINES_PER_SECOND
    }
}

/// The handler of crontab lines.
struct Crontab(Arc<Executors>);

#[async_trait]
impl Handler for Crontab {
    async fn run(&self, run: Run) -> Verdict {
        self.0.process.run(run).await
    }
}

/// Brings a worker's observations to the metrics.
struct Observer(Arc<Queues>);

impl WorkerObserver for Observer {
    fn started(&self, queue: &QueueName, start_lateness_ms: i64, _publish_lateness_ms: i64) {
        self.0.queue(queue.as_str()).started(start_lateness_ms.max(0) as f64 / 1_000.0);
    }

    fn ended(&self, queue: &QueueName, kind: OutcomeKind, duration_ms: i64) {
        self.0.queue(queue.as_str()).ended(kind.as_str(), duration_ms.max(0) as f64 / 1_000.0);
    }

    fn abandoned(&self, queue: &QueueName) {
        self.0.queue(queue.as_str()).abandoned();
    }

    fn troubled(&self, queue: &QueueName, error: &PortError) {
        tracing::warn!(%queue, error = %error, "a worker's queue failed");
    }
}

/// Runs workers until `shutdown` turns true and all of them have drained.
pub(super) async fn run(
    port: Arc<dyn ExecutionQueue>,
    executors: Executors,
    settings: Settings,
    mut shutdown: watch::Receiver<bool>,
) {
    let executors = Arc::new(executors);
    let queues = Arc::new(Queues::new());
    let observer: Arc<dyn WorkerObserver> = Arc::new(Observer(Arc::clone(&queues)));
    tokio::spawn(report_depths(Arc::clone(&port), queues, shutdown.clone()));
    let mut served = BTreeSet::new();
    let mut workers = JoinSet::new();
    while !*shutdown.borrow_and_update() {
        match port.queues().await {
            Ok(queues) => {
                for queue in queues.into_iter().filter(|queue| !served.contains(queue)).collect::<Vec<_>>() {
                    served.insert(queue.clone());
                    let is_crontab = queue.as_str() == CRONTAB_QUEUE;
                    if executors.keeps_unclaimed && !is_crontab && queue.as_str() != "process" {
                        continue;
                    }
                    let handler: Arc<dyn Handler> = match is_crontab {
                        true => Arc::new(Crontab(Arc::clone(&executors))),
                        false => Arc::new(Dispatcher(Arc::clone(&executors))),
                    };
                    let worker = worker(&port, &queue, handler, &observer, &settings);
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

/// Brings the depths of all queues to the metrics, once a second.
async fn report_depths(
    port: Arc<dyn ExecutionQueue>,
    queues: Arc<Queues>,
    mut shutdown: watch::Receiver<bool>,
) {
    while !*shutdown.borrow_and_update() {
        for queue in port.queues().await.unwrap_or_default() {
            if let Ok(depth) = port.depth(&queue, GROUP_DEFAULT).await {
                let standing = QueueStanding { depth: depth.waiting, dead_letters: depth.dead_letters };
                queues.queue(queue.as_str()).stands(standing);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = shutdown.changed() => {}
        }
    }
}

fn worker(
    port: &Arc<dyn ExecutionQueue>,
    queue: &QueueName,
    handler: Arc<dyn Handler>,
    observer: &Arc<dyn WorkerObserver>,
    settings: &Settings,
) -> Result<Worker, String> {
    let history = match settings.text("history") {
        "none" => HistoryPolicy::None,
        "all" => HistoryPolicy::All,
        _ => HistoryPolicy::Failures,
    };
    let built = Worker::builder(Arc::clone(port))
        .observer(Arc::clone(observer))
        .history(history)
        .run_timeout_ms(settings.number("run_timeout_ms"))
        .drain_ms(settings.number("drain_ms"))
        .handle_shared(queue.clone(), handler, settings.size("worker_concurrency"))
        .build();
    built.map_err(|error| error.to_string())
}
