//! `minutehand task …`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use minutehand_api::NewChainedTask;
use minutehand_model::{RunCancel, TaskState};

use super::listing::ListingArgs;
use super::schedule::ActionArgs;
use super::server::ServerArgs;
use super::values::{word, word_but};
use crate::output::duration::checked;
use crate::output::time::parse_time;

#[derive(Debug, Args)]
pub struct TaskCommand {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) verb: TaskVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskVerb {
    /// Create a task that runs once.
    Create(Box<TaskCreateArgs>),
    /// Show a task: its latest due time, and the earlier ones.
    #[command(visible_alias = "show")]
    Get {
        /// Answer when it has ended, or after so long: up to 50s.
        #[arg(long, value_name = "DURATION", value_parser = checked)]
        wait: Option<String>,
        /// The key that it was created with.
        #[arg(long)]
        key: Option<String>,
        /// The task's id.
        id: String,
    },
    /// Cancel a task that has not run, or its runs.
    Cancel {
        /// The task's id.
        id: String,
        /// The key that it was created with.
        #[arg(long)]
        key: Option<String>,
        /// Only at this due time; otherwise at every one at which it waits.
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        due_at: Option<String>,
        /// Cancel its runs as well: ask them to stop, or kill them.
        #[arg(long, value_name = "HOW", value_parser = word::<RunCancel>())]
        running: Option<RunCancel>,
        /// The queue that it was published to, where the server does not know any more.
        #[arg(long, requires = "running")]
        queue: Option<String>,
    },
    /// Run a task at another time.
    Reschedule(TaskMoveArgs),
    /// List tasks by due time and by the beginning of their ids.
    List(TaskListArgs),
    /// Create tasks from a file of JSON lines, as a stream.
    Import(TaskImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TaskCreateArgs {
    /// The task's id; the server makes one up when it is left out.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// What it shares with the tasks that it keeps an order with. Whoever asks for the task by its id
    /// gives the key too.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// When it runs, RFC 3339: 2026-11-24T09:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "delay")]
    pub(crate) at: Option<String>,
    /// How long from now it runs: 90s, 5m, 1h30m, 1.5h, 2d, PT5M.
    #[arg(long = "in", value_name = "DURATION", allow_hyphen_values = true, value_parser = checked)]
    pub(crate) delay: Option<String>,
    /// The task to create when it has succeeded, as the HTTP API takes it:
    /// {"queue":"invoices","delay":"5m"}. Without a payload it is given the result.
    #[arg(long, value_name = "JSON", value_parser = chained)]
    pub(crate) on_success: Option<String>,
    /// The task to create when it was given up. Without a payload it is given the reason.
    #[arg(long, value_name = "JSON", value_parser = chained)]
    pub(crate) on_failure: Option<String>,
    #[command(flatten)]
    pub(crate) action: ActionArgs,
}

/// A chained task in JSON, as it was written.
fn chained(text: &str) -> Result<String, String> {
    match NewChainedTask::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct TaskMoveArgs {
    /// The task's id.
    pub(crate) id: String,
    /// The key that it was created with.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Its present due time, when more than one task has the id.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) due_at: Option<String>,
    /// The new due time, RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "delay")]
    pub(crate) at: Option<String>,
    /// The new due time, from now: 90s, 5m, 1h30m, 1.5h, 2d, PT5M.
    #[arg(long = "in", value_name = "DURATION", allow_hyphen_values = true, value_parser = checked)]
    pub(crate) delay: Option<String>,
    /// Only if it has not been published; otherwise it runs at the new time also when it has, as
    /// long as its payload is kept.
    #[arg(long)]
    pub(crate) only_if_not_published: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TaskListArgs {
    /// Those that have ended so, the newest first; those that wait unless given.
    #[arg(long, value_name = "STATE", value_parser = word_but::<TaskState>(&["published"]))]
    pub(crate) state: Option<TaskState>,
    /// Only of this queue.
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Due at or after this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) from: Option<String>,
    /// Due before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) until: Option<String>,
    #[command(flatten)]
    pub(crate) listing: ListingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TaskImportArgs {
    /// The file, one task per line as the HTTP API takes them; `-` reads standard input.
    pub(crate) file: PathBuf,
    /// Print every refused line, not the first ten.
    #[arg(long)]
    pub(crate) all_errors: bool,
    /// The line to begin with: that which an import that was ended names.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) from_line: u64,
}
