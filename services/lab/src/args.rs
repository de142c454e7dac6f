//! Everything that can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Simulated clusters, benchmarks, and faults on real servers.
#[derive(Debug, Parser)]
#[command(name = "minutehand-lab", version, max_term_width = 110)]
pub(crate) struct Cli {
    /// Print JSON only, one object per line.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run simulated clusters from seeds and check that nothing is lost, early or repeated.
    Sim(SimArgs),
    /// Measure this machine.
    Bench(BenchArgs),
    /// Run schedulers on real servers under load and faults drawn from a seed, and audit what they
    /// did.
    ///
    /// The exit code is 0 when every promise was kept, 1 when not, and 2 when the run itself
    /// failed.
    Torture(TortureArgs),
    /// A process that a benchmark starts.
    #[command(hide = true)]
    Child(ChildArgs),
    /// The plain scheduler that a torture starts when it is given no other.
    #[command(hide = true)]
    Scheduler,
}

/// Run simulated clusters.
#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    /// How many seeds.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) seeds: u64,

    /// The first seed.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) from: u64,

    /// Plant a bug: break this rule of the protocol, and see whether the simulator finds it; `list`
    /// lists the rules.
    #[arg(long = "break", value_name = "RULE")]
    pub(crate) break_rule: Option<String>,
}

/// Measure this machine.
#[derive(Clone, Debug, Args)]
pub(crate) struct BenchArgs {
    /// Which benchmarks; without a name they are listed. `cluster` stands before the names of those
    /// that need real servers, and alone for all of them but the long ones.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// The folder for what a benchmark stores; a temporary one unless given.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// How many tasks, where a benchmark has a choice.
    #[arg(long, value_name = "N")]
    pub(crate) tasks: Option<u64>,

    /// How many tasks a second, where a benchmark has a choice.
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<u64>,

    /// How long, where a benchmark has a choice, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<u64>,

    #[command(flatten)]
    pub(crate) schedulers: SchedulerArgs,
}

/// Faults, and the schedulers that are to survive them.
#[derive(Clone, Debug, Args)]
pub(crate) struct SchedulerArgs {
    /// How long faults go on.
    #[arg(long, value_name = "N", default_value_t = 5.0)]
    pub(crate) minutes: f64,

    /// Repeats a run; drawn from the clock when not given.
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,

    /// The binary whose `scheduler` is run; a plain scheduler of this program when not given.
    #[arg(long, value_name = "PATH")]
    pub(crate) scheduler: Option<PathBuf>,
}

/// Run schedulers on real servers under load and faults.
#[derive(Clone, Debug, Args)]
pub(crate) struct TortureArgs {
    #[command(flatten)]
    pub(crate) schedulers: SchedulerArgs,

    /// Records a second.
    #[arg(long, value_name = "R", default_value_t = 2_000.0)]
    pub(crate) rate: f64,

    /// Schedulers.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) nodes: u32,

    /// Partitions.
    #[arg(long, value_name = "P", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) partitions: u32,

    /// Where logs and journals are kept; `target/torture/SEED` when not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,

    /// Which faults.
    #[arg(long, value_name = "KINDS", value_enum, default_value_t = Faults::All)]
    pub(crate) faults: Faults,

    /// Take a measurement instead: the same as `bench cluster NAME`.
    #[arg(long, value_name = "NAME")]
    pub(crate) measure: Option<String>,

    /// Put a mistake into what was read: the audit must fail.
    #[arg(long, value_name = "MISTAKE")]
    pub(crate) plant: Option<String>,

    /// Keep the journals of a good run too; those of a bad one are always kept.
    #[arg(long)]
    pub(crate) keep: bool,
}

impl TortureArgs {
    /// The benchmark that is meant by `--measure`, if any.
    pub(crate) fn as_bench(&self) -> Option<BenchArgs> {
        let name = self.measure.clone()?;
        Some(BenchArgs {
            names: vec!["cluster".to_owned(), name],
            data_dir: self.folder.clone(),
            tasks: None,
            rate: None,
            seconds: None,
            schedulers: self.schedulers.clone(),
        })
    }
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Faults {
    /// Every kind.
    All,
    /// Schedulers are killed and paused.
    Schedulers,
    /// Connections are cut, reset, held and slowed.
    Connections,
    /// Servers are killed and stopped.
    Servers,
    /// Disks are full.
    Disks,
    /// No faults.
    None,
}

/// A process that a benchmark starts.
#[derive(Debug, Args)]
pub(crate) struct ChildArgs {
    /// What the process does.
    #[arg(value_enum)]
    pub(crate) role: ChildRole,

    /// The folder that it works on.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,

    /// How many tasks were missed.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) tasks: u64,

    /// How many tasks a second are on time.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) rate: u64,
}

/// What a process does that a benchmark starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChildRole {
    /// Creates and runs tasks until it is killed.
    Crash,
    /// Runs what the killed ones left behind.
    Drain,
    /// Catches up with what was missed.
    Outage,
}
