//! What runs a task: webhook, command, or nothing at all.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use minutehand_cli::{Exit, Failure};
use minutehand_model::Task;
use minutehand_worker::{
    COMMAND_HEADER, Handler, OutputStore, ProcessConfig, ProcessExecutor, Run, URL_HEADER, Verdict,
    WebhookConfigError, WebhookExecutor,
};

use crate::output::OutputFolder;
use crate::permission::CommandPermission;
use crate::settings::{Settings, Unclaimed};

/// The header that names the executor, and the one that can be named: what `import crontab` makes
/// runs on any queue.
const EXECUTOR_HEADER: &str = "minutehand-executor";
const PROCESS_EXECUTOR: &str = "process";

/// The queue all of whose tasks are commands.
const PROCESS_QUEUE: &str = "process";

/// Picks the executor that fits a task: a URL goes to the webhook, a command to the process
/// executor.
pub(crate) struct Executors {
    webhook: WebhookExecutor,
    has_fixed_url: bool,
    process: ProcessExecutor,
    commands: CommandPermission,
    unclaimed: Unclaimed,
}

/// What a task asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Webhook,
    Command,
    Nothing,
}

impl Executors {
    /// The executors of these settings; `output` is the folder for what commands print, which is
    /// not kept without one.
    pub(crate) fn new(
        settings: &Settings,
        commands: CommandPermission,
        output: Option<PathBuf>,
    ) -> Result<Executors, Failure> {
        let keep = |folder| Arc::new(OutputFolder::new(folder)) as Arc<dyn OutputStore>;
        let process = ProcessConfig {
            output_store: output.map(keep),
            ..ProcessConfig::default()
        };
        let refused = |error| match error {
            WebhookConfigError::Settings(error) => Failure::from(error),
            error => Failure::new(Exit::Usage, error.to_string()),
        };
        Ok(Executors {
            webhook: WebhookExecutor::new(settings.webhook.clone()).map_err(refused)?,
            has_fixed_url: settings.webhook.url.is_some(),
            process: ProcessExecutor::new(process),
            commands,
            unclaimed: settings.worker.unclaimed,
        })
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
        } else if self.has_fixed_url || has(URL_HEADER) {
            Wanted::Webhook
        } else if has(COMMAND_HEADER) || task.queue.as_str() == PROCESS_QUEUE {
            Wanted::Command
        } else {
            Wanted::Nothing
        }
    }
}

#[async_trait]
impl Handler for Executors {
    async fn run(&self, run: Run) -> Verdict {
        match self.wanted(run.task()) {
            Wanted::Webhook => self.webhook.run(run).await,
            Wanted::Command if self.commands.allows(run.task()) => self.process.run(run).await,
            Wanted::Command => Verdict::discard(
                "commands are off here: the setting worker.process_executor is false, and it is no line of a crontab that this \
                 process follows",
            ),
            Wanted::Nothing => match self.unclaimed {
                Unclaimed::Log | Unclaimed::Keep => Verdict::success(),
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
            self.unclaimed != Unclaimed::Fail && self.wanted(run.task()) == Wanted::Nothing;
        is_done.then(Verdict::success)
    }
}
