//! Everything that can be typed.

mod cluster;
mod dev;
mod lease;
mod listing;
mod queue;
mod schedule;
mod server;
mod task;
mod tools;
mod values;

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

pub use cluster::{ConfigShowArgs, Role, SchemaCommand, SchemaVerb};
pub use dev::{DevArgs, LabArgs, PROFILES, SettingsArgs};
pub(crate) use lease::{AckArgs, ExtendArgs, LeaseArgs, LeasesArgs, NackArgs, SnoozeArgs};
pub(crate) use queue::{
    BucketCommand, BucketVerb, DeadLetterFilter, DeadLetterSelection, LimitArgs, PartitionCommand,
    PartitionVerb, QueueCommand, QueueVerb,
};
pub(crate) use schedule::{
    ActionArgs, BackfillArgs, DefinitionArgs, PreviewArgs, ScheduleCommand, ScheduleListArgs,
    ScheduleVerb,
};
pub use server::{ServerArgs, Token};
pub(crate) use task::{
    TaskCommand, TaskCreateArgs, TaskImportArgs, TaskListArgs, TaskMoveArgs, TaskVerb,
};
pub(crate) use tools::{CompletionArgs, ImportCommand, ImportCrontabArgs, ImportVerb, ManArgs};
pub use tools::{ConfigVerb, ExplainArgs};

use crate::exit::EXIT_CODES;

/// A distributed task scheduler: one-shot tasks, delays, intervals and cron schedules.
#[derive(Debug, Parser)]
#[command(name = "minutehand", version, propagate_version = true, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Cli {
    /// Print JSON only, one object or one per line.
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Verb {
    /// Run everything in one process: scheduler, HTTP API, page, metrics, workers, on a durable
    /// store.
    Dev(Box<DevArgs>),
    /// Run a cluster's scheduler: owns partitions, takes commands in and publishes executions.
    Scheduler(SettingsArgs),
    /// Run a cluster's gateway: the HTTP API.
    Gateway(SettingsArgs),
    /// Run a cluster's worker: webhooks and commands, for the queues it is given.
    Worker(SettingsArgs),
    /// Create or look at what a cluster needs in Kafka, Cassandra and etcd.
    Schema(SchemaCommand),
    /// Create, look at, move and cancel tasks.
    #[command(visible_alias = "tasks")]
    Task(Box<TaskCommand>),
    /// Create, look at and change schedules.
    #[command(visible_alias = "schedules")]
    Schedule(Box<ScheduleCommand>),
    /// Look at queues and handle their dead letters.
    #[command(visible_alias = "queues")]
    Queue(QueueCommand),
    /// Look at the load of the coming minutes.
    #[command(visible_alias = "buckets")]
    Bucket(BucketCommand),
    /// Look at partitions and their owners.
    #[command(visible_alias = "partitions")]
    Partition(PartitionCommand),
    /// Bring schedules in from elsewhere.
    Import(ImportCommand),
    /// Say in words what an expression means and when it fires.
    Explain(ExplainArgs),
    /// Show settings.
    Config(ConfigCommand),
    /// Measure this machine; has moved to `minutehand-lab bench`.
    Bench(LabArgs),
    /// Run simulated clusters from seeds; has moved to `minutehand-lab sim`.
    Sim(LabArgs),
    /// Print a completion script for a shell.
    Completion(CompletionArgs),
    /// Print the manual page, or write the pages of all verbs into a folder.
    Man(ManArgs),
}

/// Show settings.
#[derive(Debug, Args)]
pub struct ConfigCommand {
    /// What to show.
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

/// Reads a command line; the first word is the program's name.
///
/// # Errors
/// With clap's own error, which also stands for `--help` and `--version`: call its `exit` or print
/// it.
pub fn parse_from<I, T>(words: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let mut cli = Cli::try_parse_from(words)?;
    if let Verb::Bench(args) | Verb::Sim(args) = &mut cli.verb {
        cli.json |= args.take_json();
    }
    Ok(cli)
}
