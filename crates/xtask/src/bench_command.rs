//! `cargo xtask bench cluster`: builds the benchmarks against real servers, starts servers where none are given, and runs
//! what was asked for.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use minutehand_testkit::{Available, with_causes};

use crate::torture_command::{build_release, released};

/// Benchmarks that bring servers and schedulers of their own, because they break them; named `faults`, the torture as well.
const WITH_OWN_SERVERS: &[&str] = &["take-over", "hand-over", "placement", "faults"];

/// Runs the benchmarks with these names, all but the long ones when there are none; words with dashes are passed on.
pub fn run_bench(words: &[OsString]) -> ExitCode {
    match bench(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(words: &[OsString]) -> Result<(), String> {
    build_release()?;
    let (options, names): (Vec<&OsString>, Vec<&OsString>) =
        words.iter().partition(|word| word.to_string_lossy().starts_with("--"));
    let (own, shared): (Vec<&OsString>, Vec<&OsString>) =
        names.iter().partition(|name| WITH_OWN_SERVERS.contains(&name.to_string_lossy().as_ref()));
    if names.is_empty() || !shared.is_empty() {
        let servers = Available::find().map_err(|error| with_causes(&error))?;
        let mut command = Command::new(released("minutehand-cluster-bench"));
        command.args(&shared).args(&options).envs(servers.endpoints().variables());
        succeed(command)?;
    }
    let own: Vec<OsString> = match names.is_empty() {
        true => WITH_OWN_SERVERS[..3].iter().map(OsString::from).collect(),
        false => own.into_iter().cloned().collect(),
    };
    for name in own {
        let mut command = Command::new(released("minutehand-torture"));
        command.arg("--scheduler").arg(released("minutehand")).arg("--measure").arg(name).args(&options);
        succeed(command)?;
    }
    Ok(())
}

fn succeed(mut command: Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("could not run {program}: {error}")),
    }
}
