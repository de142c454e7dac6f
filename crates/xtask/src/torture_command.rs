//! `cargo xtask torture`: builds the rig and the scheduler that is tortured, and runs it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::cargo::run;
use crate::{plain_cargo, root};

/// Builds everything in release mode and tortures `minutehand scheduler`; the words are the rig's own (`--help`).
pub fn run_torture(words: &[OsString]) -> ExitCode {
    if let Err(error) = build_release() {
        eprintln!("xtask: {error}");
        return ExitCode::from(2);
    }
    let mut torture = Command::new(released("minutehand-torture"));
    torture.arg("--scheduler").arg(released("minutehand")).args(words);
    match torture.status() {
        // 1: a promise was not kept; 2: the rig failed.
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2)),
        Err(error) => {
            eprintln!("xtask: could not run the torture: {error}");
            ExitCode::from(2)
        }
    }
}

/// Builds the scheduler with its cluster, the rig that tortures it and the benchmarks of the cluster.
pub(crate) fn build_release() -> Result<(), String> {
    let mut build = plain_cargo(&root());
    build.args(["build", "--release", "--package", "minutehand-loadtest", "--package", "minutehand"]);
    run(build.args(["--features", "minutehand-loadtest/cluster,minutehand/cluster", "--bins"]))
}

/// Where a program that was built so lies.
pub(crate) fn released(program: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    target.join("release").join(program)
}
