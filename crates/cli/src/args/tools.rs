//! `minutehand import …`, `explain`, `config …`, `completion`, `man`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use minutehand_crontab::Format;
use minutehand_model::DstRule;

use super::cluster::ConfigShowArgs;
use super::server::ServerArgs;
use super::values::{crontab_format, word};
use crate::output::time::parse_time;

#[derive(Debug, Args)]
pub struct ImportCommand {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) verb: ImportVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportVerb {
    /// Make every line of crontab files a schedule; importing again changes what has changed.
    Crontab(ImportCrontabArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImportCrontabArgs {
    /// The files; `-` reads standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Whether lines have a user between time and command: `user` (they have none) or `system`.
    /// Unless it is given, the place and the lines of each file say it; a file that does not say it
    /// is refused.
    #[arg(long, value_name = "FORMAT", value_parser = crontab_format)]
    pub(crate) format: Option<Format>,
    /// Show what would be made, and make nothing; asks no server, unless --prune needs its
    /// schedules.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Follow the files: a line that was edited keeps its schedule, and the schedules below
    /// PREFIX/FILE/ that no line makes any more are deleted.
    #[arg(long)]
    pub(crate) prune: bool,
    /// What the schedules' ids begin with.
    #[arg(long, value_name = "TEXT", default_value = minutehand_crontab::PREFIX_DEFAULT)]
    pub(crate) prefix: String,
    /// The queue of the schedules. Whatever it is, its workers must be allowed to run commands.
    #[arg(long, value_name = "NAME", default_value = crate::crontab::QUEUE_DEFAULT)]
    pub(crate) queue: String,
    /// The zone of lines without CRON_TZ; the machine's own unless given.
    #[arg(long, value_name = "ZONE")]
    pub(crate) tz: Option<String>,
}

/// Say in words what an expression means and when it fires.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// A cron expression, a nickname such as @daily, or @every 5m.
    #[arg(required_unless_present = "batch", value_name = "EXPR")]
    pub expression: Option<String>,
    /// The time zone, an IANA name; UTC unless given.
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// What becomes of times that do not exist or exist twice when clocks change.
    #[arg(long, value_name = "RULE", value_parser = word::<DstRule>(), default_value_t)]
    pub dst: DstRule,
    /// Times after this one; now unless given.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub from: Option<String>,
    /// How many times.
    #[arg(short, value_name = "N", default_value_t = 5, value_parser = crate::explain::count)]
    pub n: usize,
    /// Answer questions from standard input, one JSON object per line (expr, tz, dst, from, n), in
    /// order.
    #[arg(long, conflicts_with = "expression")]
    pub batch: bool,
}

/// What to show of the settings.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print every setting that `dev`, or a cluster's role, would run with, and where its value
    /// comes from. Takes the arguments of `dev`.
    Show(Box<ConfigShowArgs>),
}

#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write one page per verb into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
