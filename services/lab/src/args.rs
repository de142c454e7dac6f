//! Everything that can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use minutehand_loadtest::crash_points::CrashPoint;

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
    /// Put a load on an installation, and verify what becomes of every task.
    ///
    /// The exit code is 0 when every promise was kept, 1 when not, and 2 when the run itself
    /// failed.
    Load(Box<LoadArgs>),
    /// Put a load on servers and roles of its own: Kafka, Cassandra and etcd, schedulers, a gateway
    /// and workers, each a process, with a profile that ships.
    ///
    /// Exit codes are those of `load`.
    Rig(Box<RigArgs>),
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
    /// Keep a ledger as well, and check it: another run of each seed
    #[arg(long)]
    pub(crate) ledger: bool,
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

/// Put a load on an installation.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LoadArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<LoadVerb>,

    /// A scenario that comes along, or a file of TOML; `list` lists those that come along.
    #[arg(long, value_name = "FILE|NAME", default_value = "steady")]
    pub(crate) scenario: String,

    /// Which way tasks go in and executions come out.
    #[arg(long, value_enum, default_value_t = Via::Http)]
    pub(crate) via: Via,

    /// The highest rate, in tasks a second; the scenario's own unless given.
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<f64>,

    /// How long tasks are asked for; as long as the scenario says unless given.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_ms)]
    pub(crate) lasts_ms: Option<i64>,

    /// Another seed than the scenario's.
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,

    /// Consume the executions, and compare them with what was asked for.
    #[arg(long)]
    pub(crate) verify: bool,

    /// Look for the highest rate that is sustained, from the scenario's on; needs --verify.
    #[arg(long, requires = "verify")]
    pub(crate) search: bool,

    /// Start lateness that 99 in a hundred may not exceed in a search.
    #[arg(long, value_name = "DURATION", value_parser = duration_ms, default_value = "1s")]
    pub(crate) p99_max: i64,

    /// Write the report as a page of HTML.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// How long executions are waited for after the last is due.
    #[arg(long, value_name = "DURATION", value_parser = duration_ms, default_value = "60s")]
    pub(crate) wait: i64,

    /// How much before its time by this machine's clock an execution may come.
    #[arg(long, value_name = "DURATION", value_parser = duration_ms, default_value = "0s")]
    pub(crate) clock_margin: i64,

    /// Generators at once in this process.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) generators: u64,

    /// The part of the tasks that this process asks for, where several machines share a load; all
    /// are given the same --run and --begin.
    #[arg(long, value_name = "K/N", value_parser = share, default_value = "1/1")]
    pub(crate) share: (u64, u64),

    /// What every id begins with; drawn from the clock unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) run: Option<String>,

    /// When it begins, in RFC 3339; soon unless given.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) begin: Option<minutehand_model::Timestamp>,

    #[command(flatten)]
    pub(crate) watched: WatchedArgs,

    /// Somebody else does what the scenario's events say: the rig.
    #[arg(long, hide = true)]
    pub(crate) events_are_done: bool,

    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) kafka: KafkaArgs,
}

// What is flattened has no description of its own: it would take the place of the verb's.

#[derive(Clone, Debug, Args)]
pub(crate) struct WatchedArgs {
    /// A process to watch, of this machine; may be given again.
    #[arg(long = "process", value_name = "NAME=PID", value_parser = process)]
    pub(crate) processes: Vec<(String, u32)>,

    /// A folder whose size is watched; may be given again.
    #[arg(long = "folder", value_name = "NAME=PATH", value_parser = folder)]
    pub(crate) folders: Vec<(String, PathBuf)>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct HttpArgs {
    /// The server's address, with --via http.
    #[arg(
        long,
        env = "MINUTEHAND_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) server: String,

    /// The bearer token. Prefer the variable: a command line can be read by others.
    #[arg(
        long,
        env = "MINUTEHAND_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<minutehand_cli::Token>,

    /// Who signs the server's certificate (PEM); the system's authorities unless given.
    #[arg(long, env = "MINUTEHAND_CACERT", value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,

    /// The worker group that executions are leased in; the server's own unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct KafkaArgs {
    /// The settings of a role, of which `[kafka]` and `[cluster]` are read, with --via kafka: TLS,
    /// SASL, topics and partitions.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// `host:port` of some brokers, with commas between them; before what the settings say.
    #[arg(long = "kafka", env = "MINUTEHAND_KAFKA", value_name = "BROKERS")]
    pub(crate) brokers: Option<String>,
}

/// Put a load on servers and roles of its own.
#[derive(Clone, Debug, Args)]
pub(crate) struct RigArgs {
    /// The roles' profile, as `--profile` of a role; the default one unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// A setting more of the roles, as `--set` of a role; may be given again.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) settings: Vec<String>,

    /// Schedulers.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) schedulers: u8,

    /// Workers, which have nothing to run; none with --via http, where the load takes the
    /// executions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=16))]
    pub(crate) workers: Option<u8>,

    /// Partitions of the command log and of the queues.
    #[arg(long, value_name = "P", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) partitions: u32,

    /// The program whose roles are run; the one beside this program unless given.
    #[arg(long, value_name = "PATH", alias = "scheduler")]
    pub(crate) program: Option<PathBuf>,

    /// Where settings and logs are kept; `target/rig` unless given.
    #[arg(long, value_name = "DIR", default_value = "target/rig")]
    pub(crate) at: PathBuf,

    #[command(flatten)]
    pub(crate) load: LoadWords,
}

/// What a rig tells its load.
#[derive(Clone, Debug, Args)]
pub(crate) struct LoadWords {
    /// A scenario that comes along, or a file of TOML.
    #[arg(long, value_name = "FILE|NAME", default_value = "steady")]
    pub(crate) scenario: String,

    /// Which way tasks go in and executions come out.
    #[arg(long, value_enum, default_value_t = Via::Kafka)]
    pub(crate) via: Via,

    /// The highest rate, in tasks a second; the scenario's own unless given.
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<f64>,

    /// How long tasks are asked for; as long as the scenario says unless given.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_ms)]
    pub(crate) lasts_ms: Option<i64>,

    /// Look for the highest rate that is sustained.
    #[arg(long)]
    pub(crate) search: bool,

    /// Start lateness that 99 in a hundred may not exceed in a search.
    #[arg(long, value_name = "DURATION", value_parser = duration_ms, default_value = "1s")]
    pub(crate) p99_max: i64,

    /// Generators at once.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) generators: u64,

    /// Write the report as a page of HTML.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// What is done with reports.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum LoadVerb {
    /// Set the reports of two runs beside each other, as they were written with --json.
    Compare {
        /// The earlier one.
        before: PathBuf,
        /// The later one.
        after: PathBuf,
    },
    /// List the scenarios that come along.
    List,
}

/// Which way tasks go in and executions come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// Through the HTTP API.
    Http,
    /// Through the topics.
    Kafka,
}

fn duration_ms(text: &str) -> Result<i64, String> {
    let parsed = minutehand_api::Duration::Text(text.into()).as_ms("it");
    parsed.map_err(|invalid| format!("{}: {}", invalid.given, invalid.limit))
}

fn time(text: &str) -> Result<minutehand_model::Timestamp, String> {
    minutehand_api::parse_time("it", text).map_err(|invalid| invalid.limit)
}

fn share(text: &str) -> Result<(u64, u64), String> {
    let parsed = text
        .split_once('/')
        .and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    parsed.ok_or_else(|| "it must be K/N, such as 1/3".to_owned())
}

fn named(text: &str) -> Result<(String, &str), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value))
}

fn process(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = named(text)?;
    Ok((
        name,
        pid.parse().map_err(|_| "the id of a process is a number")?,
    ))
}

fn folder(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = named(text)?;
    Ok((name, path.into()))
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

    /// Where it is killed; nowhere unless given.
    #[arg(long, value_name = "POINT")]
    pub(crate) point: Option<CrashPoint>,

    /// At which pass of that point.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) passes: u64,
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
    /// Runs tasks of every guarantee until it is killed at a point, or until all have ended.
    CrashPoint,
}
