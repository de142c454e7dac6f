//! What runs a task: webhook, command, or a line in the log; and what a worker's queues tell the metrics.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use minutehand_metrics::{QueueStanding, Queues};
use minutehand_model::{OutcomeKind, QueueName, Timestamp};
use minutehand_ports::{ExecutionQueue, PortError};
use minutehand_worker::{
    Handler, HistoryPolicy, OutputStore, ProcessConfig, ProcessExecutor, Run, Verdict, WebhookConfig,
    WebhookExecutor, WorkerObserver,
};
use tokio::sync::watch;

use crate::output::OutputFolder;

/// Which executors there are.
pub(crate) struct ExecutorOptions {
    /// How webhooks are sent.
    pub(crate) webhook: WebhookConfig,
    /// The folder for what commands print; not kept without one.
    pub(crate) output: Option<PathBuf>,
    /// Tasks may run commands.
    pub(crate) may_run_commands: bool,
    /// What becomes of executions that no executor fits.
    pub(crate) unclaimed: Unclaimed,
}

/// What becomes of executions that no executor fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unclaimed {
    /// They are logged as done.
    Log,
    /// They are dead letters, with the reason.
    Fail,
}

/// Picks the executor that fits a task: a URL goes to the webhook, a command to the process executor.
pub(crate) struct Executors {
    webhook: WebhookExecutor,
    has_fixed_url: bool,
    process: ProcessExecutor,
    may_run_commands: bool,
    unclaimed: Unclaimed,
}

impl Executors {
    pub(crate) fn new(options: ExecutorOptions) -> Result<Executors, String> {
        let has_fixed_url = options.webhook.url.is_some();
        let keep = |folder| Arc::new(OutputFolder::new(folder)) as Arc<dyn OutputStore>;
        let process = ProcessConfig { output_store: options.output.map(keep), ..ProcessConfig::default() };
        Ok(Executors {
            webhook: WebhookExecutor::new(options.webhook).map_err(|error| error.to_string())?,
            has_fixed_url,
            process: ProcessExecutor::new(process),
            may_run_commands: options.may_run_commands,
            unclaimed: options.unclaimed,
        })
    }

    /// Runs a command, whether or not tasks may.
    pub(crate) async fn command(&self, run: Run) -> Verdict {
        self.process.run(run).await
    }
}

/// The handler of every queue but the crontab's.
pub(crate) struct Dispatcher(pub(crate) Arc<Executors>);

#[async_trait]
impl Handler for Dispatcher {
    async fn run(&self, run: Run) -> Verdict {
        let executors = &self.0;
        if executors.has_fixed_url || run.header("minutehand-url").is_some() {
            executors.webhook.run(run).await
        } else if run.header("minutehand-command").is_some() || run.task().queue.as_str() == "process" {
            if executors.may_run_commands {
                executors.process.run(run).await
            } else {
                Verdict::discard("commands are off here: the setting process_executor is false")
            }
        } else if executors.unclaimed == Unclaimed::Fail {
            Verdict::discard("no executor fits it: it has neither minutehand-url nor minutehand-command")
        } else {
            log_run(&run)
        }
    }

    fn run_at_once(&self, run: &Run) -> Option<Verdict> {
        let is_plain = run.task().headers.is_empty() && run.task().queue.as_str() != "process";
        let is_logged = is_plain && !self.0.has_fixed_url && self.0.unclaimed == Unclaimed::Log;
        is_logged.then(|| log_run(run))
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

/// Brings a worker's observations to the metrics.
pub(crate) struct Observer(pub(crate) Arc<Queues>);

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

/// Brings the depths of all queues to the metrics, once a second.
pub(crate) async fn report_depths(
    port: Arc<dyn ExecutionQueue>,
    group: String,
    queues: Arc<Queues>,
    mut shutdown: watch::Receiver<bool>,
) {
    while !*shutdown.borrow_and_update() {
        for queue in port.queues().await.unwrap_or_default() {
            if let Ok(depth) = port.depth(&queue, &group).await {
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

/// The policy behind a word of the settings.
pub(crate) fn history_policy(word: &str) -> HistoryPolicy {
    match word {
        "none" => HistoryPolicy::None,
        "all" => HistoryPolicy::All,
        _ => HistoryPolicy::Failures,
    }
}
