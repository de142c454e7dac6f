//! `minutehand-lab torture`: faults on the real stack.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use minutehand_cli::Console;
use minutehand_loadtest::torture::{
    Failure, Kind, Options, SchedulerProgram, run as endure, scheduler,
};

use crate::args::{Faults, SchedulerArgs, TortureArgs};
use crate::load::{ended, tell};

/// Runs schedulers under load and faults and audits them.
pub(crate) fn run(args: TortureArgs, json: bool, console: &mut Console) -> ExitCode {
    say_to_stderr(QUIET_CLIENTS);
    let result = torture(args, json, console);
    ended(result, json, console)
}

/// The plain scheduler, as a process of its own.
pub(crate) fn scheduler(console: &mut Console) -> ExitCode {
    say_to_stderr("info,scylla=warn");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = runtime
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(scheduler::run()));
    ended(result.map(|()| true), false, console)
}

/// That connections break is what a torture is about: the rig's own clients need not say so.
pub(crate) const QUIET_CLIENTS: &str = "warn,librdkafka=off,rdkafka=off,minutehand_kafka=off";

/// Log lines of this filter, or of `RUST_LOG`, go to standard error.
pub(crate) fn say_to_stderr(filter: &str) {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| filter.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
}

fn torture(args: TortureArgs, json: bool, console: &mut Console) -> Result<bool, Failure> {
    let seed = seed(&args.schedulers)?;
    let folder = folder(args.folder.as_deref(), seed)?;
    let length_ms = (args.schedulers.minutes * 60_000.0) as i64;
    let outcome = endure(Options {
        rate: args.rate,
        nodes: usize::try_from(args.nodes)?,
        partitions: args.partitions,
        plant: args.plant.as_deref().map(str::parse).transpose()?,
        keep: args.keep,
        kinds: kinds(args.faults).to_vec(),
        ..Options::new(seed, length_ms, folder, program(&args.schedulers)?)
    })?;
    tell(outcome.text().trim_end());
    if json {
        console.json(&outcome.json())?;
    }
    Ok(outcome.is_ok())
}

/// The scheduler that is run: a binary's, or the plain one of this program.
pub(crate) fn program(args: &SchedulerArgs) -> Result<SchedulerProgram, Failure> {
    let path = match &args.scheduler {
        Some(path) => path
            .canonicalize()
            .map_err(|error| format!("--scheduler {}: {error}", path.display()))?,
        None => std::env::current_exe()?,
    };
    Ok(SchedulerProgram {
        path,
        arguments: vec!["scheduler".to_owned()],
    })
}

/// The seed that was given, or one from the clock.
pub(crate) fn seed(args: &SchedulerArgs) -> Result<u64, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(args.seed.unwrap_or(since.as_millis() as u64 % 1_000_000))
}

/// The folder for logs and journals, which exists afterwards.
pub(crate) fn folder(given: Option<&Path>, seed: u64) -> Result<PathBuf, Failure> {
    let folder = given.map_or_else(
        || Path::new("target/torture").join(seed.to_string()),
        Path::to_owned,
    );
    let unusable = |error| format!("could not make the folder {}: {error}", folder.display());
    std::fs::create_dir_all(&folder).map_err(unusable)?;
    Ok(folder.canonicalize()?)
}

const fn kinds(faults: Faults) -> &'static [Kind] {
    match faults {
        Faults::All => Kind::ALL,
        Faults::Schedulers => Kind::OF_SCHEDULERS,
        Faults::Connections => Kind::OF_CONNECTIONS,
        Faults::Servers => Kind::OF_SERVERS,
        Faults::Disks => Kind::OF_DISKS,
        Faults::None => &[],
    }
}
