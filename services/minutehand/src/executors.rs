//! What runs a task: webhook, command, or nothing at all.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use minutehand_model::Task;
use minutehand_worker::{
    COMMAND_HEADER, Handler, HistoryPolicy, OutputStore, ProcessConfig, ProcessExecutor, Run, URL_HEADER,
    Verdict, WebhookConfig, WebhookExecutor,
};

use crate::output::OutputFolder;
use crate::permission::CommandPermission;

/// The header that names the executor, and the one that can be named: what `import crontab` makes runs on any queue.
const EXECUTOR_HEADER: &str = "minutehand-executor";
const PROCESS_EXECUTOR: &str = "process";

/// The queue all of whose tasks are commands.
const PROCESS_QUEUE: &str = "process";

/// Which executors there are.
pub(crate) struct ExecutorOptions {
    /// How webhooks are sent.
    pub(crate) webhook: WebhookConfig,
    /// The folder for what commands print; not kept without one.
    pub(crate) output: Option<PathBuf>,
    /// Which tasks may run commands.
    pub(crate) commands: CommandPermission,
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
    pub(crate) fn new(options: ExecutorOptions) -> Result<Executors, String> {
        let has_fixed_url = options.webhook.url.is_some();
        let keep = |folder| Arc::new(OutputFolder::new(folder)) as Arc<dyn OutputStore>;
        let process = ProcessConfig { output_store: options.output.map(keep), ..ProcessConfig::default() };
        Ok(Executors {
            webhook: WebhookExecutor::new(options.webhook).map_err(|error| error.to_string())?,
            has_fixed_url,
            process: ProcessExecutor::new(process),
            commands: options.commands,
            unclaimed: options.unclaimed,
        })
    }

    fn wanted(&self, task: &Task) -> Wanted {
        let has = |name: &str| task.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
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
                "commands are off here: the setting process_executor is false, and it is no line of a crontab that this \
                 process follows",
            ),
            Wanted::Nothing => match self.unclaimed {
                Unclaimed::Log => Verdict::success(),
                Unclaimed::Fail => Verdict::discard(format!(
                    "no executor fits it: it has neither {URL_HEADER} nor {COMMAND_HEADER}"
                )),
            },
        }
    }

    fn target(&self, task: &Task) -> Option<String> {
        (self.wanted(task) == Wanted::Webhook).then(|| self.webhook.target(task)).flatten()
    }

    fn run_at_once(&self, run: &Run) -> Option<Verdict> {
        let is_done = self.unclaimed == Unclaimed::Log && self.wanted(run.task()) == Wanted::Nothing;
        is_done.then(Verdict::success)
    }
}

/// The policy behind a word of the settings.
pub(crate) fn history_policy(word: &str) -> HistoryPolicy {
    word.parse().unwrap_or_default()
}
