//! Benchmarks on real servers.

use std::error::Error;
use std::time::Duration;

use minutehand_cli::{Exit, Failure};
use minutehand_engine::Config;
use minutehand_loadtest::cluster::prepared::{self, Prepared};
use minutehand_loadtest::cluster::steady::{self, Steady};
use minutehand_loadtest::cluster::{Endpoints, thin, workers};
use minutehand_loadtest::{Figure, torture::figures};
use minutehand_model::Persist;
use minutehand_testkit::{Available, with_causes};

use super::registry::{Bench, OnServers, Run};
use super::{Show, block_on};
use crate::args::BenchArgs;
use crate::torture::{QUIET_CLIENTS, folder, program, say_to_stderr, seed};

/// Figures that are nought where every promise was kept.
const PROMISES: &[&str] = &["lost", "twice", "early", "promises not kept"];

/// Runs those that need servers: first those that share them, which end before the others start
/// their own.
pub(super) fn run(benches: &[&Bench], args: &BenchArgs, show: Show<'_>) -> Result<(), Failure> {
    let sharing = benches.iter().filter_map(|bench| match bench.run {
        Run::OnServers(run) => Some(run),
        Run::Here(_) | Run::OnOwnServers => None,
    });
    let sharing: Vec<OnServers> = sharing.collect();
    let own: Vec<&&Bench> = benches
        .iter()
        .filter(|bench| bench.run == Run::OnOwnServers)
        .collect();
    if !sharing.is_empty() || !own.is_empty() {
        say_to_stderr(if own.is_empty() {
            "warn"
        } else {
            QUIET_CLIENTS
        });
    }
    if !sharing.is_empty() {
        let servers = Available::find()
            .map_err(|error| failed("the servers could not be started", &error))?;
        let endpoints = servers.endpoints();
        for run in sharing {
            block_on(on_servers(run, &endpoints, args.tasks, show))?;
        }
    }
    let mut is_kept = true;
    for bench in own {
        for figure in measured(bench.name, args).map_err(|error| failed(bench.name, &*error))? {
            is_kept &= !PROMISES.contains(&figure.figure.as_str()) || figure.value == 0.0;
            show(figure);
        }
    }
    match is_kept {
        true => Ok(()),
        false => Err(Failure::new(
            Exit::Failed,
            "a promise was not kept; the figures say which",
        )),
    }
}

fn failed(what: &str, error: &(dyn Error + 'static)) -> Failure {
    Failure::new(Exit::Failed, format!("{what}: {}", with_causes(error)))
}

fn measured(name: &str, args: &BenchArgs) -> Result<Vec<Figure>, Box<dyn Error + Send + Sync>> {
    let seed = seed(&args.schedulers)?;
    let folder = folder(args.data_dir.as_deref(), seed)?;
    figures::figures(
        name,
        &folder,
        &program(&args.schedulers)?,
        args.schedulers.minutes,
        args.rate,
        seed,
    )
}

/// The engine as a cluster sets it up where throughput counts: what is due within a minute and a
/// half stays in memory. The delay of class `normal`, which every task has that asks for none, is
/// the cluster's default.
fn engine() -> Config {
    Config {
        look_ahead_ms: 90_000,
        memory_bytes_max: 8 << 30,
        flush_interval_ms: 30_000,
        normal_tick_delay_ms: 25,
        tick_publications_max: 20_000,
        tick_bytes_max: 32 << 20,
        ..Config::default()
    }
}

/// The engine where most is due later than the usual look-ahead.
fn engine_with_blocks() -> Config {
    Config {
        look_ahead_ms: 30_000,
        ..engine()
    }
}

async fn on_servers(
    run: OnServers,
    endpoints: &Endpoints,
    tasks_wanted: Option<u64>,
    show: Show<'_>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let steady = Steady {
        name: "steady",
        rate: 60_000.0,
        ahead_ms: (5_000, 60_000),
        window: Duration::from_secs(30),
        partitions: 2,
        engine: engine(),
    };
    match run {
        OnServers::Steady => steady::highest(endpoints, &steady, show).await?,
        OnServers::Paced => {
            let paced = Steady {
                name: "paced",
                rate: 50_000.0,
                ..steady
            };
            let outcome = steady::run(endpoints, &paced).await?;
            steady::figures(&paced, &outcome).into_iter().for_each(show);
        }
        OnServers::PersistAll => {
            let engine = Config {
                persist: Persist::All,
                flush_interval_ms: 1_000,
                ..engine()
            };
            let all = Steady {
                name: "persist-all",
                rate: 25_000.0,
                engine,
                ..steady
            };
            steady::highest(endpoints, &all, show).await?;
        }
        OnServers::Prepared { tasks } => {
            let prepared = Prepared {
                tasks: tasks_wanted.unwrap_or(tasks),
                partitions: 2,
                engine: engine_with_blocks(),
            };
            prepared::run(endpoints, &prepared, show).await?;
        }
        OnServers::Thin => {
            let day = (60_000, 86_400_000);
            let window = Duration::from_secs(120);
            let engine = engine_with_blocks();
            let thin = Steady {
                name: "thin",
                rate: 20_000.0,
                ahead_ms: day,
                window,
                engine,
                ..steady
            };
            thin::run(endpoints, &thin, show).await?;
        }
        OnServers::Workers { tasks } => {
            workers::run(endpoints, tasks_wanted.unwrap_or(tasks), show).await?;
        }
    }
    Ok(())
}
