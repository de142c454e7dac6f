//! The laboratory of Minutehand: simulated clusters, benchmarks, and faults on real servers.
//!
//! Nothing of it is part of the product: the program `minutehand` links neither the simulator nor
//! the load tests.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod bench;
mod load;
#[cfg(not(feature = "cluster"))]
mod rebuild;
#[cfg(feature = "cluster")]
mod rig;
mod sim;
#[cfg(feature = "cluster")]
mod torture;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use minutehand_cli::{Console, Exit, Failure, usage_error};

use crate::args::{Cli, Verb};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The verbs whose lateness is measured.
const MEASURED: &[&str] = &["bench", "torture", "load", "rig"];

fn main() -> ExitCode {
    minutehand_standalone::delay_purge(MEASURED, &[]);
    let words: Vec<OsString> = std::env::args_os().collect();
    let mut console = Console::of_process();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return usage_error(&error, &words, &mut console).into(),
    };
    let verb = match cli.verb {
        Verb::Torture(args) => args.as_bench().map_or(Verb::Torture(args), Verb::Bench),
        verb => verb,
    };
    let result = match verb {
        Verb::Sim(args) => sim::run(&args, cli.json, &mut console),
        Verb::Bench(args) => bench::run(args, cli.json, &mut console),
        Verb::Child(args) => bench::child(&args),
        Verb::Load(args) => return load::run(&args, cli.json, &mut console),
        #[cfg(feature = "cluster")]
        Verb::Torture(args) => return torture::run(args, cli.json, &mut console),
        #[cfg(feature = "cluster")]
        Verb::Scheduler => return torture::scheduler(&mut console),
        #[cfg(feature = "cluster")]
        Verb::Rig(args) => return rig::run(&args, cli.json, &mut console),
        #[cfg(not(feature = "cluster"))]
        Verb::Torture(_) | Verb::Scheduler | Verb::Rig(_) => Err(rebuild::with_cluster()),
    };
    finish(result, cli.json, &mut console).into()
}

fn finish(result: Result<(), Failure>, json: bool, console: &mut Console) -> Exit {
    match result.and_then(|()| console.flush()) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            console.failure(&failure, json);
            failure.exit
        }
    }
}
