//! `minutehand-lab bench`: picks benchmarks and prints their figures.

#[cfg(feature = "cluster")]
mod cluster;
mod folder;
mod here;
mod registry;

use minutehand_cli::{Console, Exit, Failure};
use minutehand_loadtest::{Figure, end_to_end};

pub(crate) use here::child;
use registry::{BENCHES, Run};

use crate::args::BenchArgs;

/// Takes figures as they are measured.
type Show<'a> = &'a mut dyn FnMut(Figure);

/// Runs the benchmarks that were named, or lists them all.
pub(crate) fn run(args: BenchArgs, json: bool, console: &mut Console) -> Result<(), Failure> {
    if args.names.is_empty() {
        return BENCHES.iter().try_for_each(|bench| {
            let words = bench.words();
            match json {
                true => console.json(&serde_json::json!({ "name": words, "about": bench.about })),
                false => console.line(&format!("{words:<27} {}", bench.about)),
            }
        });
    }
    let benches = registry::select(&args.names)?;
    #[cfg(not(feature = "cluster"))]
    if benches.iter().any(|bench| bench.needs_servers()) {
        return Err(crate::rebuild::with_cluster());
    }
    let mut shown = Ok(());
    let mut show =
        |figure: Figure| shown = shown.clone().and_then(|()| print(console, &figure, json));
    for bench in &benches {
        if let Run::Here(here) = bench.run {
            here::run(here, &args, &mut show)?;
        }
    }
    #[cfg(feature = "cluster")]
    cluster::run(&benches, &args, &mut show)?;
    shown
}

/// Prints a figure at once: what follows takes its time.
fn print(console: &mut Console, figure: &Figure, json: bool) -> Result<(), Failure> {
    match json {
        true => console.json(&figure.as_json())?,
        false => console.line(&figure.to_string())?,
    }
    console.flush()
}

/// Runs an asynchronous measurement to its end.
fn block_on<T>(
    measure: impl Future<Output = Result<T, end_to_end::Failure>>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| failed(&error))
        .and_then(|runtime| runtime.block_on(measure).map_err(|error| failed(&*error)))
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the benchmark could not be run: {error}"),
    )
}
