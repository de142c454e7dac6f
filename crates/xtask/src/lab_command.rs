//! `cargo xtask bench cluster` and `torture`: words that have moved to the program
//! `minutehand-lab`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::cargo::run;
use crate::{plain_cargo, root};

/// Builds the laboratory and the scheduler that it torments in release mode, and runs it with these
/// words.
pub fn run_lab(words: &[OsString]) -> ExitCode {
    let line: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let wants_help = wants_help(words);
    let mut lab = match laboratory(wants_help) {
        Ok(lab) => lab,
        Err(error) => return failed(&error),
    };
    let line = line.join(" ");
    eprintln!(
        "xtask: `cargo xtask {line}` is `minutehand-lab {line}` now; the old words go with the next release"
    );
    lab.args(words);
    if !wants_help
        && !words
            .iter()
            .any(|word| word.to_string_lossy().starts_with("--scheduler"))
    {
        lab.arg("--scheduler").arg(released("minutehand"));
    }
    status(&mut lab)
}

/// Builds the laboratory and the program whose roles it runs in release mode, and runs its rig.
pub fn run_rig(words: &[OsString]) -> ExitCode {
    match laboratory(wants_help(words)) {
        Ok(mut lab) => status(lab.args(words)),
        Err(error) => failed(&error),
    }
}

fn wants_help(words: &[OsString]) -> bool {
    words.iter().any(|word| word == "--help" || word == "-h")
}

fn laboratory(wants_help: bool) -> Result<Command, String> {
    match wants_help {
        true => Ok(without_cluster()),
        false => build(),
    }
}

fn status(lab: &mut Command) -> ExitCode {
    match lab.status() {
        // 1: a promise was not kept; 2: the run itself failed.
        Ok(status) => ExitCode::from(
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(FAILED),
        ),
        Err(error) => failed(&format!("could not run minutehand-lab: {error}")),
    }
}

/// The run itself failed.
const FAILED: u8 = 2;

fn failed(error: &str) -> ExitCode {
    eprintln!("xtask: {error}");
    ExitCode::from(FAILED)
}

/// The laboratory that builds soonest; its help is the same.
fn without_cluster() -> Command {
    let mut cargo = plain_cargo(&root());
    cargo.args(["run", "--quiet", "--package", "minutehand-lab", "--"]);
    cargo
}

/// The laboratory with the cluster, built now.
fn build() -> Result<Command, String> {
    let mut build = plain_cargo(&root());
    build.args([
        "build",
        "--release",
        "--package",
        "minutehand-lab",
        "--package",
        "minutehand",
    ]);
    run(build.args([
        "--features",
        "minutehand-lab/cluster,minutehand/cluster",
        "--bins",
    ]))?;
    Ok(Command::new(released("minutehand-lab")))
}

/// Where a program that was built so lies.
fn released(program: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    target.join("release").join(program)
}
