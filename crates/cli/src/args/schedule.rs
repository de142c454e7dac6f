//! `minutehand schedule …`, and what tasks and schedules run.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use minutehand_api::Retry;
use minutehand_model::{
    BackoffKind, DstRule, Guarantee, MisfireRule, OverlapPolicy, Precision, UnknownChoice,
};

use super::listing::ListingArgs;
use super::server::ServerArgs;
use super::values::word;
use crate::output::duration::checked;
use crate::output::time::parse_time;

#[derive(Debug, Args)]
pub struct ScheduleCommand {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// What its runs share with the tasks that they keep an order with. Whoever asks for the schedule
    /// by its id gives the key too.
    #[arg(long, global = true)]
    pub(crate) key: Option<String>,
    #[command(subcommand)]
    pub(crate) verb: ScheduleVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleVerb {
    /// Create a schedule.
    Create {
        /// Its id.
        id: String,
        #[command(flatten)]
        definition: Box<DefinitionArgs>,
        /// Check it and show its next times, and create nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Show a schedule: definition, next times, owner, and what became of the last occurrences.
    #[command(visible_alias = "show")]
    Get {
        /// Its id.
        id: String,
    },
    /// List schedules.
    List(ScheduleListArgs),
    /// Change what is given, keep the rest. The change is a new revision.
    Patch {
        /// Its id.
        id: String,
        #[command(flatten)]
        definition: Box<DefinitionArgs>,
        /// Only if the newest revision still has this number.
        #[arg(long, value_name = "N")]
        if_revision: Option<u64>,
    },
    /// Pause the schedule: what falls due until it is resumed does not run; what it owed before does.
    Pause {
        /// Its id.
        id: String,
        /// Why.
        #[arg(long)]
        note: Option<String>,
    },
    /// Let it run again.
    Resume {
        /// Its id.
        id: String,
        /// Why.
        #[arg(long)]
        note: Option<String>,
    },
    /// Run its action once, now.
    Trigger {
        /// Its id.
        id: String,
        /// The overlap policy of this run.
        #[arg(long, value_name = "POLICY", value_parser = word::<OverlapPolicy>())]
        overlap: Option<OverlapPolicy>,
    },
    /// Run the occurrences of a range of time.
    Backfill(BackfillArgs),
    /// List its backfills that are not over.
    Backfills {
        /// Its id.
        id: String,
    },
    /// Let what is left of a backfill not run.
    StopBackfill {
        /// Its id.
        id: String,
        /// The id of the backfill, as `backfills` lists it.
        backfill: String,
    },
    /// Wait no longer for its runs that are in progress: a way out when nothing is heard of them.
    /// They are not stopped.
    ForgetRuns {
        /// Its id.
        id: String,
    },
    /// List its revisions.
    Revisions {
        /// Its id.
        id: String,
    },
    /// Make an old revision the newest.
    Rollback {
        /// Its id.
        id: String,
        /// The revision to go back to.
        #[arg(long, value_name = "N")]
        to: u64,
        /// Why.
        #[arg(long)]
        note: Option<String>,
    },
    /// Show its next times.
    Preview(PreviewArgs),
    /// Delete it.
    Delete {
        /// Its id.
        id: String,
    },
}

/// When a schedule recurs.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "When")]
pub(crate) struct RecurrenceArgs {
    /// A cron expression: '0 9-17 * * 1-5', '@daily'.
    #[arg(long, value_name = "EXPR", conflicts_with = "every")]
    pub(crate) cron: Option<String>,
    /// The time zone of --cron and --exclude, an IANA name.
    #[arg(long, value_name = "ZONE")]
    pub(crate) tz: Option<String>,
    /// What becomes of times that do not exist or exist twice when clocks change.
    #[arg(long, value_name = "RULE", value_parser = word::<DstRule>())]
    pub(crate) dst: Option<DstRule>,
    /// A fixed interval: 30s, 5m, 1h30m.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = checked)]
    pub(crate) every: Option<String>,
    /// One of the interval's times; it never drifts from it.
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "every")]
    pub(crate) anchor: Option<String>,
    /// A date, a stretch of dates (2027-12-24..2027-12-26) or a cron expression that is left out;
    /// may be given more than once.
    #[arg(long, value_name = "DATE|EXPR")]
    pub(crate) exclude: Vec<String>,
    /// No occurrence before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) start: Option<String>,
    /// No occurrence after this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) end: Option<String>,
    /// At most so many runs.
    #[arg(long, value_name = "N")]
    pub(crate) max_runs: Option<u64>,
    /// Delay each occurrence by a fixed part of this, the same every time.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = checked)]
    pub(crate) jitter: Option<String>,
}

/// What runs.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What")]
pub(crate) struct ActionArgs {
    /// The queue its executions go to.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) queue: Option<String>,
    /// The payload, as text or JSON.
    #[arg(long, short, value_name = "TEXT", conflicts_with = "payload_file")]
    pub(crate) payload: Option<String>,
    /// A file that holds the payload, of any bytes; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) payload_file: Option<PathBuf>,
    /// A header for the worker, `NAME=VALUE` or `NAME: VALUE`; may be given more than once.
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// The URL that the execution is posted to (a webhook); sets the header `minutehand-url`.
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    pub(crate) url: Option<String>,
    /// A line for the shell, run by the process executor; sets the header `minutehand-command`.
    #[arg(long, value_name = "LINE")]
    pub(crate) command: Option<String>,
    /// How long one attempt may take; sets the header `minutehand-timeout-ms`.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = checked)]
    pub(crate) time_limit: Option<String>,
    /// How often its effect may happen.
    #[arg(long, value_name = "WORD", value_parser = word::<Guarantee>())]
    pub(crate) guarantee: Option<Guarantee>,
    /// How close to its time it is published.
    #[arg(long, value_name = "WORD", value_parser = word::<Precision>())]
    pub(crate) precision: Option<Precision>,
    /// How urgent it is among what waits in its queue: 0 to 9, 9 the most.
    #[arg(long, value_name = "0-9", value_parser = clap::value_parser!(u64).range(0..=9))]
    pub(crate) priority: Option<u64>,
    /// How a failed run is tried again, as JSON like the API's, or the word of its policy.
    #[arg(long, value_name = "POLICY", value_parser = retry)]
    pub(crate) retry: Option<Retry>,
}

/// What happens when it is late, busy or fails.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Policies")]
pub(crate) struct PoliciesArgs {
    /// Which missed occurrences run.
    #[arg(long, value_name = "RULE", value_parser = word::<MisfireRule>())]
    pub(crate) misfire: Option<MisfireRule>,
    /// Oldest lateness at which a missed occurrence still runs.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = checked)]
    pub(crate) misfire_window: Option<String>,
    /// What happens while the previous run goes on.
    #[arg(long, value_name = "POLICY", value_parser = word::<OverlapPolicy>())]
    pub(crate) overlap: Option<OverlapPolicy>,
    /// Pause it when a run has failed for the last time.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) pause_on_failure: Option<bool>,
    /// How long nothing may be heard of a run before it is killed and given up.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = checked)]
    pub(crate) run_timeout: Option<String>,
    /// A note on the revision.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

// What is asked for of a schedule.
#[derive(Debug, Args)]
pub(crate) struct DefinitionArgs {
    #[command(flatten)]
    pub(crate) recurrence: RecurrenceArgs,
    #[command(flatten)]
    pub(crate) action: ActionArgs,
    #[command(flatten)]
    pub(crate) policies: PoliciesArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleListArgs {
    #[command(flatten)]
    pub(crate) listing: ListingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BackfillArgs {
    /// Its id.
    pub(crate) id: String,
    /// First nominal time, inclusive.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) from: String,
    /// Last nominal time, inclusive.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) to: String,
}

#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// Its id.
    pub(crate) id: String,
    /// Times after this one; now unless given.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) from: Option<String>,
    /// How many.
    #[arg(short, long, value_name = "N", default_value_t = 10)]
    pub(crate) n: usize,
}

/// Splits `NAME=VALUE`, or `NAME: VALUE` as curl writes it: a name has neither sign.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(['=', ':']) {
        Some((name, value)) if !name.trim().is_empty() => {
            let is_curl = text[name.len()..].starts_with(':');
            let value = if is_curl { value.trim() } else { value };
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("must be NAME=VALUE or NAME: VALUE".to_owned()),
    }
}

fn retry(text: &str) -> Result<Retry, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    let policy: BackoffKind = text
        .parse()
        .map_err(|error: UnknownChoice| format!("{error}, or give JSON"))?;
    Ok(Retry {
        policy: Some(policy),
        ..Retry::default()
    })
}
