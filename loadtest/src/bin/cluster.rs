//! `cargo xtask bench cluster`: the benchmarks against real servers, named or all of them.

use std::process::ExitCode;
use std::time::Duration;

use minutehand_engine::Config;
use minutehand_loadtest::Figure;
use minutehand_loadtest::cluster::prepared::{self, Prepared};
use minutehand_loadtest::cluster::steady::{self, Steady};
use minutehand_loadtest::cluster::{Endpoints, Failure, thin};
use minutehand_model::Persist;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is run when no name is given, in this order.
const ROUTINE: &[&str] = &["steady", "paced", "persist-all", "prepared", "thin"];
/// What takes longer, and is run by its name alone.
const LONG: &[&str] = &["prepared-6-million"];

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_json = words.iter().any(|word| word == "--json");
    let mut wanted: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    let all = [ROUTINE, LONG].concat();
    if let Some(unknown) = wanted.iter().find(|word| !all.contains(word)) {
        eprintln!("there is no benchmark {unknown:?}; there are {}", all.join(", "));
        return ExitCode::from(2);
    }
    if wanted.is_empty() {
        wanted = ROUTINE.to_vec();
    }
    let show = |figure: Figure| match is_json {
        true => println!("{}", figure.as_json()),
        false => println!("{figure}"),
    };
    for name in wanted {
        if let Err(failure) = run(name, show).await {
            eprintln!("{name} could not be measured: {failure}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The engine as a cluster sets it up where throughput counts: what is due within a minute and a half stays in memory. The
/// delay of class `normal`, which every task has that asks for none, is the cluster's default.
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

async fn run(name: &str, show: impl FnMut(Figure) + Copy) -> Result<(), Failure> {
    let endpoints = Endpoints::from_environment()?;
    let steady = Steady {
        name: "steady",
        rate: 60_000.0,
        ahead_ms: (5_000, 60_000),
        window: Duration::from_secs(30),
        partitions: 2,
        engine: engine(),
    };
    match name {
        "steady" => steady::highest(&endpoints, &steady, show).await,
        "paced" => {
            let paced = Steady { name: "paced", rate: 50_000.0, ..steady };
            let outcome = steady::run(&endpoints, &paced).await?;
            steady::figures(&paced, &outcome).into_iter().for_each(show);
            Ok(())
        }
        "persist-all" => {
            let engine = Config { persist: Persist::All, flush_interval_ms: 1_000, ..engine() };
            let all = Steady { name: "persist-all", rate: 25_000.0, engine, ..steady };
            steady::highest(&endpoints, &all, show).await
        }
        "prepared" | "prepared-6-million" => {
            let engine = Config { look_ahead_ms: 30_000, ..engine() };
            let tasks = if name == "prepared" { 1_000_000 } else { 6_000_000 };
            let prepared = Prepared { tasks, partitions: 2, engine };
            prepared::run(&endpoints, &prepared, show).await
        }
        _ => {
            let engine = Config { look_ahead_ms: 30_000, ..engine() };
            let day = (60_000, 86_400_000);
            let window = Duration::from_secs(120);
            let thin = Steady { name: "thin", rate: 20_000.0, ahead_ms: day, window, engine, ..steady };
            thin::run(&endpoints, &thin, show).await
        }
    }
}
