//! What runs a task: webhook, command, a child of the pool, a container, or nothing at all.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use minutehand_cli::{Exit, Failure};
use minutehand_containers::{DockerExecutor, KubernetesExecutor};
use minutehand_model::{QueueName, Task};
use minutehand_worker::{
    COMMAND_HEADER, Handler, OutputStore, PoolExecutor, ProcessExecutor, Run, URL_HEADER, Verdict,
    WebhookConfig, WebhookConfigError, WebhookExecutor,
};

use crate::descriptors::Descriptors;
use crate::observer::PoolChildren;
use crate::output::OutputFolder;
use crate::permission::CommandPermission;
use crate::settings::{Settings, Unclaimed};

/// The header that names the executor, and the one that can be named: what `import crontab` makes
/// runs on any queue.
const EXECUTOR_HEADER: &str = "minutehand-executor";
const PROCESS_EXECUTOR: &str = "process";

/// The queue all of whose tasks are commands.
const PROCESS_QUEUE: &str = "process";

/// Picks the executor that fits a task: a queue of the pool's goes to its children, a URL to the
/// webhook, a command to the process executor.
pub(crate) struct Executors {
    webhook: WebhookExecutor,
    has_fixed_url: bool,
    process: ProcessExecutor,
    commands: CommandPermission,
    /// Those that have queues of their own.
    of_queues: BTreeMap<QueueName, Arc<dyn Handler>>,
    unclaimed: Unclaimed,
}

/// What a task asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Webhook,
    Command,
    OfQueue,
    Nothing,
}

impl Executors {
    /// The executors of these settings, within this process's descriptors; `output` is the folder for
    /// what commands print, which is not kept without one.
    pub(crate) fn new(
        settings: &Settings,
        commands: CommandPermission,
        output: Option<PathBuf>,
        descriptors: Descriptors,
    ) -> Result<Executors, Failure> {
        let usage = |error: &dyn std::error::Error| Failure::new(Exit::Usage, error.to_string());
        let mut process = ProcessExecutor::new(&settings.process).map_err(|error| usage(&error))?;
        if let Some(folder) = output {
            process = process.keeping(Arc::new(OutputFolder::new(folder)) as Arc<dyn OutputStore>);
        }
        let refused = |error| match error {
            WebhookConfigError::Settings(error) => Failure::from(error),
            error => usage(&error),
        };
        let webhook = WebhookConfig {
            idle_connections_max: descriptors.for_idle_connections(),
            ..settings.webhook.clone()
        };
        Ok(Executors {
            webhook: WebhookExecutor::new(webhook).map_err(refused)?,
            has_fixed_url: settings.webhook.url.is_some(),
            process,
            commands,
            of_queues: of_queues(settings)?,
            unclaimed: settings.worker.unclaimed,
        })
    }

    /// Whether all executions of a queue are run here, whatever they are.
    pub(crate) fn serves(&self, queue: &QueueName) -> bool {
        queue.as_str() == PROCESS_QUEUE || self.of_queues.contains_key(queue)
    }

    fn wanted(&self, task: &Task) -> Wanted {
        let has = |name: &str| {
            task.headers
                .iter()
                .any(|(given, _)| given.eq_ignore_ascii_case(name))
        };
        let asks_for_process = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case(EXECUTOR_HEADER) && value == PROCESS_EXECUTOR
        };
        // What a crontab says is a command, whatever else stands beside it.
        if self.commands.is_line(task) || task.headers.iter().any(asks_for_process) {
            Wanted::Command
        } else if self.of_queues.contains_key(&task.queue) {
            Wanted::OfQueue
        } else if self.has_fixed_url || has(URL_HEADER) {
            Wanted::Webhook
        } else if has(COMMAND_HEADER) || task.queue.as_str() == PROCESS_QUEUE {
            Wanted::Command
        } else {
            Wanted::Nothing
        }
    }
}

/// The executors that have queues of their own, by queue.
fn of_queues(settings: &Settings) -> Result<BTreeMap<QueueName, Arc<dyn Handler>>, Failure> {
    let usage = |error: &dyn std::error::Error| Failure::new(Exit::Usage, error.to_string());
    let timeout_ms = settings.worker.run_timeout_ms;
    let pool = PoolExecutor::new(settings.pool.clone(), Arc::new(PoolChildren::default()))
        .map_err(|error| usage(&error))?;
    let docker =
        DockerExecutor::new(settings.docker.clone(), timeout_ms).map_err(|error| usage(&error))?;
    let kubernetes = KubernetesExecutor::new(settings.kubernetes.clone(), timeout_ms)
        .map_err(|error| usage(&error))?;
    let executors = [
        ("pool", &settings.pool.queues, pool.map(shared)),
        ("docker", &settings.docker.queues, docker.map(shared)),
        (
            "kubernetes",
            &settings.kubernetes.queues,
            kubernetes.map(shared),
        ),
    ];
    let mut of_queues: BTreeMap<QueueName, Arc<dyn Handler>> = BTreeMap::new();
    for (section, queues, executor) in executors {
        let Some(executor) = executor else { continue };
        for queue in queues {
            if of_queues
                .insert(queue.clone(), Arc::clone(&executor))
                .is_some()
            {
                let what = format!(
                    "{section}.queues names {queue}, which has an executor already; a queue has one of its own"
                );
                return Err(Failure::new(Exit::Usage, what));
            }
        }
    }
    Ok(of_queues)
}

fn shared(executor: impl Handler) -> Arc<dyn Handler> {
    Arc::new(executor)
}

#[async_trait]
impl Handler for Executors {
    async fn run(&self, run: Run) -> Verdict {
        match (
            self.wanted(run.task()),
            self.of_queues.get(&run.task().queue),
        ) {
            (Wanted::Webhook, _) => self.webhook.run(run).await,
            (Wanted::OfQueue, Some(executor)) => executor.run(run).await,
            (Wanted::Command, _) if self.commands.allows(run.task()) => self.process.run(run).await,
            (Wanted::Command, _) => Verdict::discard(
                "commands are off here: the setting worker.process_executor is false, and it is no line of a crontab that this \
                 process follows",
            ),
            (Wanted::Nothing | Wanted::OfQueue, _) => match self.unclaimed {
                Unclaimed::Log => Verdict::success(),
                // Only from a queue of commands is it taken.
                Unclaimed::Keep => Verdict::discard(format!(
                    "no executor fits it, and what is none in {} cannot be kept there: put it into another queue",
                    run.task().queue
                )),
                Unclaimed::Fail => Verdict::discard(format!(
                    "no executor fits it: it has neither {URL_HEADER} nor {COMMAND_HEADER}"
                )),
            },
        }
    }

    fn target(&self, task: &Task) -> Option<String> {
        (self.wanted(task) == Wanted::Webhook)
            .then(|| self.webhook.target(task))
            .flatten()
    }

    fn run_at_once(&self, run: &Run) -> Option<Verdict> {
        let is_done =
            self.unclaimed == Unclaimed::Log && self.wanted(run.task()) == Wanted::Nothing;
        is_done.then(Verdict::success)
    }
}
