//! Minutehand: a task scheduler in one binary.
//!
//! The command line is the crate `minutehand-cli`; here is what needs the scheduler itself: `dev`, `bench`, `sim`,
//! a cluster's roles (feature `cluster`) and the settings behind `config show`.

mod bench;
mod cluster;
mod commands;
mod dev;
mod executors;
mod memory;
mod output;
mod settings;
mod shutdown;
mod sim;
mod telemetry;
mod tls;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    memory::keep_what_was_needed();
    let cli = match minutehand_cli::parse_from(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("minutehand: could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(minutehand_cli::run(cli, &commands::Service)).into()
}
