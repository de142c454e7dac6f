//! Benchmarks that need this machine alone.

use std::path::PathBuf;
use std::time::Duration;

use minutehand_cli::{Exit, Failure};
use minutehand_loadtest::{
    Figure, crash, crash_points, end_to_end, engine, executors, fair, memory, outage, paced, pull,
    startup,
};

use super::folder::Folder;
use super::registry::Here;
use super::{Show, block_on, failed};
use crate::args::{BenchArgs, ChildArgs, ChildRole};

/// The payload of every benchmark's tasks, in bytes.
const PAYLOAD_BYTES: usize = 256;
/// How often `crash` kills.
const KILLS: u32 = 20;
/// How often `highest` tries another rate.
const RATES_TRIED: usize = 5;

/// Runs a benchmark.
pub(super) fn run(here: Here, args: &BenchArgs, show: Show<'_>) -> Result<(), Failure> {
    let figures = match here {
        Here::Engine => engine_alone(args),
        Here::EndToEnd => {
            let (folder, tasks) = (Folder::of(args)?, args.tasks.unwrap_or(2_000_000));
            block_on(end_to_end::throughput(folder.path(), tasks, PAYLOAD_BYTES))?
        }
        Here::Paced => {
            let (rate, seconds) = (args.rate.unwrap_or(50_000), args.seconds.unwrap_or(20));
            paced::figures(block_on(paced::run(
                Folder::of(args)?.path(),
                rate,
                seconds,
                PAYLOAD_BYTES,
            ))?)
        }
        Here::Highest => highest(args)?,
        Here::Startup => {
            let (folder, tasks) = (Folder::of(args)?, args.tasks.unwrap_or(10_000_000));
            block_on(startup::run(folder.path(), tasks, PAYLOAD_BYTES))?
        }
        Here::Outage => {
            let (tasks, rate) = (args.tasks.unwrap_or(10_000_000), args.rate.unwrap_or(5_000));
            block_on(outage::run(
                &program()?,
                Folder::of(args)?.path(),
                tasks,
                rate,
                PAYLOAD_BYTES,
            ))?
        }
        Here::Memory => {
            let (folder, rest) = (
                Folder::of(args)?,
                Duration::from_secs(args.seconds.unwrap_or(900)),
            );
            let scheduler = program()?.with_file_name("minutehand");
            memory::run(&scheduler, folder.path(), rest).map_err(|error| failed(&*error))?
        }
        Here::Crash => {
            let folder = Folder::of(args)?;
            crash::run(&program()?, folder.path(), KILLS)
                .map_err(|error| failed(&*error))?
                .1
        }
        Here::Pull => {
            let (folder, tasks) = (Folder::of(args)?, args.tasks.unwrap_or(500_000));
            let program = program()?.with_file_name("minutehand");
            pull::run(&program, folder.path(), tasks, PAYLOAD_BYTES)
                .map_err(|error| failed(&*error))?
        }
        Here::CrashPoints => {
            let (folder, runs) = (Folder::of(args)?, u64::from(KILLS));
            let audits = crash_points::run(&program()?, folder.path(), runs);
            crash_points::figures(&audits.map_err(|error| failed(&*error))?, runs)
        }
        Here::Simulator => simulator(args.seconds.unwrap_or(5)),
        Here::Pool => {
            let (folder, tasks) = (Folder::of(args)?, args.tasks.unwrap_or(100_000));
            block_on(executors::pool(folder.path(), tasks, PAYLOAD_BYTES))?
        }
        Here::Webhook => {
            let (folder, tasks) = (Folder::of(args)?, args.tasks.unwrap_or(200_000));
            block_on(executors::webhook(folder.path(), tasks, PAYLOAD_BYTES))?
        }
        Here::Fair => {
            let (rate, seconds) = (args.rate.unwrap_or(2_000), args.seconds.unwrap_or(60));
            let folder = Folder::of(args)?;
            block_on(fair::run(folder.path(), rate, seconds, PAYLOAD_BYTES))?
        }
        Here::SlowEndpoint => {
            let (rate, seconds) = (args.rate.unwrap_or(2_000), args.seconds.unwrap_or(60));
            let folder = Folder::of(args)?;
            block_on(executors::slow_endpoint(
                folder.path(),
                rate,
                seconds,
                PAYLOAD_BYTES,
            ))?
        }
    };
    figures.into_iter().for_each(show);
    Ok(())
}

/// This program, which benchmarks start as their child.
fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| failed(&error))
}

fn engine_alone(args: &BenchArgs) -> Vec<Figure> {
    let tasks = args.tasks.unwrap_or(4_000_000);
    let mut figures = engine::memory(tasks.min(2_000_000), PAYLOAD_BYTES);
    figures.extend(engine::throughput(tasks, PAYLOAD_BYTES));
    figures
}

/// Doubles the rate, then halves the distance, as long as p99 stays below a second and the
/// generator keeps up.
fn highest(args: &BenchArgs) -> Result<Vec<Figure>, Failure> {
    let seconds = args.seconds.unwrap_or(10);
    let (mut low, mut high) = (0, 2 * args.rate.unwrap_or(400_000));
    let mut best = None;
    for _ in 0..RATES_TRIED {
        let rate = (low + high) / 2;
        let folder = Folder::of(args)?;
        let paced = block_on(paced::run(folder.path(), rate, seconds, PAYLOAD_BYTES))?;
        if paced.late_ms[1] < 1_000.0 && paced.generator_lag_ms < 1_000.0 {
            (low, best) = (rate, Some(paced));
        } else {
            high = rate;
        }
    }
    let none = || {
        let what = format!("not even {high} tasks/s were sustained");
        Failure::new(Exit::Failed, what)
    };
    let paced = best.ok_or_else(none)?;
    let rate = paced.rate as f64;
    let highest = Figure::new(
        "highest",
        "sustained with p99 below one second",
        rate,
        "tasks/s",
    );
    Ok([highest].into_iter().chain(paced::figures(paced)).collect())
}

/// How much faster than real time the simulator runs on a healthy cluster.
fn simulator(real_seconds_about: u64) -> Vec<Figure> {
    /// Enough virtual time for a first look at the pace.
    const LOOK_SECONDS: u64 = 120;
    let look = minutehand_sim::speed(LOOK_SECONDS);
    let seconds =
        (look.ratio * real_seconds_about as f64).clamp(LOOK_SECONDS as f64, 36_000.0) as u64;
    let speed = minutehand_sim::speed(seconds);
    vec![
        Figure::new("simulator", "virtual time to real time", speed.ratio, "x")
            .with("nodes", 3)
            .with("partitions", 8)
            .with("tasks_per_second", 100)
            .with("virtual_seconds", speed.virtual_seconds),
        Figure::new("simulator", "events", speed.events_per_second, "events/s"),
    ]
}

/// What a process does that a benchmark has started.
pub(crate) fn child(args: &ChildArgs) -> Result<(), Failure> {
    let folder = &args.data_dir;
    match args.role {
        ChildRole::Crash => block_on(crash::child(folder, false)),
        ChildRole::Drain => block_on(crash::child(folder, true)),
        ChildRole::CrashPoint => {
            let point = args.point.map(|point| (point, args.passes));
            block_on(crash_points::child(folder, point))
        }
        ChildRole::Outage => block_on(outage::child(folder, args.tasks, args.rate, PAYLOAD_BYTES)),
    }
}
