//! `minutehand queue …`, `bucket …`, `partition …`

use clap::{Args, Subcommand};

use super::lease::{AckArgs, ExtendArgs, LeaseArgs, NackArgs, SnoozeArgs};
use super::server::ServerArgs;
use crate::output::duration::checked;
use crate::output::time::{parse_minute, parse_time};

#[derive(Debug, Args)]
pub struct QueueCommand {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) verb: QueueVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    /// List queues and how full they are.
    List {
        /// The worker group that the numbers are for.
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
    },
    /// Show one queue.
    #[command(visible_alias = "get")]
    Show {
        /// Its name.
        name: String,
        /// The worker group that the numbers are for.
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
    },
    /// Hand out nothing of a queue; what is published waits, and no attempt is burnt.
    ///
    /// What runs already goes on. It holds for workers and for whoever leases, in every process, and
    /// survives restarts.
    Pause {
        /// The queue; it need not have been published to.
        name: String,
        /// Until this time; without an end unless given.
        #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "for")]
        until: Option<String>,
        /// For so long.
        #[arg(long, value_name = "DURATION", value_parser = checked)]
        r#for: Option<String>,
        /// Why, for whoever wonders.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Hand one execution out this often; the first that succeeds opens the queue.
        #[arg(long, value_name = "DURATION", value_parser = checked)]
        probe_every: Option<String>,
        /// So many executions a second come out, once it is open, of those that waited.
        #[arg(long, value_name = "N")]
        drain_per_second: Option<u64>,
    },
    /// Hand out what waits in a paused queue again.
    Resume {
        /// The queue.
        name: String,
        /// So many executions a second come out of those that waited.
        #[arg(long, value_name = "N")]
        drain_per_second: Option<u64>,
    },
    /// Cancel what waits in a queue now; what runs or is leased goes on.
    Purge {
        /// The queue.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Say how much of a queue each worker group is handed. What is not given is not limited any more.
    Limit(LimitArgs),
    /// Cancel what waits in a queue, discard its dead letters, and forget what was said of it.
    Delete {
        /// The queue.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Take executions for a while: what is not answered in that time is handed out again.
    Lease(LeaseArgs),
    /// Say that leased executions have run.
    Ack(AckArgs),
    /// Say that leased executions have failed: their retry policies say what follows.
    Nack(NackArgs),
    /// Let leases last longer, or give leased executions back.
    Extend(ExtendArgs),
    /// Have leased executions, which have not run, run later.
    Snooze(SnoozeArgs),
    /// List the executions that failed for the last time.
    DeadLetters {
        /// The queue.
        name: String,
        #[command(flatten)]
        filter: DeadLetterFilter,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Run dead letters again, from their first attempt.
    Replay(DeadLetterSelection),
    /// Discard dead letters for good.
    Discard {
        #[command(flatten)]
        selection: DeadLetterSelection,
        /// Do not ask whether all of them may go.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DeadLetterSelection {
    /// The queue.
    pub(crate) name: String,
    /// The dead letters, by the numbers that `dead-letters` shows.
    #[arg(value_name = "NUMBER", conflicts_with = "filter")]
    pub(crate) numbers: Vec<u64>,
    /// All of them.
    #[arg(long, conflicts_with_all = ["numbers", "filter"])]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filter: DeadLetterFilter,
}

/// What dead letters must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[group(id = "filter", multiple = true)]
pub(crate) struct DeadLetterFilter {
    /// Those whose tasks are of this namespace.
    #[arg(long, value_name = "NAME")]
    pub(crate) of_namespace: Option<String>,
    /// Those whose reasons have this part.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Those that were given up at this time or later.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) since: Option<String>,
    /// Those that were given up before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) before: Option<String>,
}

#[derive(Debug, Args)]
pub struct BucketCommand {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) verb: BucketVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BucketVerb {
    /// List the coming minutes that have tasks.
    List {
        /// Minutes that start at or after this time; now unless given.
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        from: Option<String>,
        /// Minutes that start before this time; an hour later unless given, a week at most.
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        until: Option<String>,
    },
    /// Say whether everything ran that was due in a minute: what each partition's owner has counted,
    /// and what is found in the timetable.
    ///
    /// It ends with 0 when all is complete, with 1 when counts differ, and with 6 when that cannot be
    /// said (yet).
    Audit {
        /// A time in the minute, `2026-11-29T09:00Z`.
        #[arg(value_name = "TIME", value_parser = parse_minute)]
        minute: String,
    },
}

#[derive(Debug, Args)]
pub struct PartitionCommand {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) verb: PartitionVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PartitionVerb {
    /// List partitions: phase, owner, cursors and load.
    List,
    /// Have records of a partition's log passed over, for good: for one that stops its partition
    /// whenever it is read.
    ///
    /// It works while the partition is stopped; the owner learns of it when it takes the partition
    /// again, within half a minute. What the records said is lost; that they were passed over, and
    /// why, stands in the topic of rejected records.
    Skip {
        /// The partition's number.
        #[arg(value_name = "P")]
        partition: u32,
        /// The position of the record in the partition's log, as the error that stops the partition
        /// names it.
        #[arg(long, value_name = "N")]
        offset: u64,
        /// Pass over everything from --offset up to this position as well.
        #[arg(long, value_name = "M")]
        through: Option<u64>,
        /// Why, for whoever wonders later.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// The queue.
    pub(crate) name: String,
    /// Executions a second.
    #[arg(long, value_name = "N")]
    pub(crate) per_second: Option<u64>,
    /// Executions of one key that are at work at once; with 1 they run in their order.
    #[arg(long, value_name = "N")]
    pub(crate) concurrency_per_key: Option<u64>,
    /// Executions a second of each namespace.
    #[arg(long, value_name = "N")]
    pub(crate) namespace_per_second: Option<u64>,
    /// How many of a namespace are handed out in its turn; may be given more than once.
    #[arg(long, value_name = "NAMESPACE=N", value_parser = named_number)]
    pub(crate) weight: Vec<(String, u64)>,
    /// Executions a second of one namespace; may be given more than once.
    #[arg(long, value_name = "NAMESPACE=N", value_parser = named_number)]
    pub(crate) rate: Vec<(String, u64)>,
    /// Pause the queue when so many attempts in a row have failed at one process.
    #[arg(long, value_name = "N")]
    pub(crate) pause_after_failures: Option<u64>,
    /// How often one execution is handed out then; the first that succeeds opens the queue.
    #[arg(long, value_name = "DURATION", value_parser = checked, requires = "pause_after_failures")]
    pub(crate) probe_every: Option<String>,
    /// How many executions a second come out of those that waited, once it is open again.
    #[arg(long, value_name = "N", requires = "pause_after_failures")]
    pub(crate) drain_per_second: Option<u64>,
}

/// Reads a name and a number.
fn named_number(text: &str) -> Result<(String, u64), String> {
    let (name, number) = text.split_once('=').ok_or("must be NAMESPACE=N")?;
    let number = number
        .parse()
        .map_err(|_| format!("{number:?} is not a whole number"))?;
    Ok((name.to_owned(), number))
}
