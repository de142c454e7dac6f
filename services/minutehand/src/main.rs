//! Minutehand: a task scheduler in one binary.
//!
//! The command line is the crate `minutehand-cli`; here is what needs the scheduler itself: `dev`,
//! a cluster's roles (feature `cluster`) and the settings behind `config show`. Simulator and
//! benchmarks are the program `minutehand-lab`.

#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "cluster")]
mod cluster;
mod commands;
mod descriptors;
mod dev;
mod executors;
mod lab;
mod lines;
mod observer;
mod output;
mod permission;
mod process_standing;
mod say;
mod service_manager;
mod settings;
mod signals;
mod telemetry;
mod tls;
mod traces;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long calls that block may still take when all is done: what waits for a server that does not
/// answer is left behind.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// The verbs that run long enough for lateness to matter.
const RUN_LONG: &[&str] = &["dev", "scheduler", "gateway", "worker"];

/// The verbs of these that also run where there is little memory.
const SMALL: &[&str] = &["dev"];

fn main() -> ExitCode {
    minutehand_standalone::delay_purge(RUN_LONG, SMALL);
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match minutehand_cli::parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => {
            return minutehand_cli::usage_error(
                &error,
                &words,
                &mut minutehand_cli::Console::of_process(),
            )
            .into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            say::error(&format!("minutehand: could not start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let exit = runtime.block_on(minutehand_cli::run(cli, &commands::Service));
    runtime.shutdown_timeout(LAST_CALLS);
    exit.into()
}
