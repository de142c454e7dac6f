//! `cargo xtask torture`: builds the rig and the scheduler that is tortured, and runs it.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::cargo::run;
use crate::{plain_cargo, root};

/// Builds everything in release mode and tortures `minutehand scheduler`; the words are the rig's own (`--help`).
pub fn run_torture(words: &[OsString]) -> ExitCode {
    let packages = [("minutehand-loadtest", "minutehand-torture"), ("minutehand", "minutehand")];
    for (package, binary) in packages {
        let mut build = plain_cargo(&root());
        build.args(["build", "--release", "--package", package, "--features", "cluster", "--bin", binary]);
        if let Err(error) = run(&mut build) {
            eprintln!("xtask: {error}");
            return ExitCode::from(2);
        }
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let built = target.join("release");
    let mut torture = Command::new(built.join("minutehand-torture"));
    torture.arg("--scheduler").arg(built.join("minutehand")).args(words);
    match torture.status() {
        // 1: a promise was not kept; 2: the rig failed.
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2)),
        Err(error) => {
            eprintln!("xtask: could not run the torture: {error}");
            ExitCode::from(2)
        }
    }
}
