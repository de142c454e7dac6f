//! `cargo xtask fuzz`: every target of `crates/fuzz` under libFuzzer, for a while each.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use crate::cargo::{in_words, plain_cargo, run};
use crate::root;

/// How long each target runs unless it is said, in seconds.
const SECONDS_DEFAULT: u32 = 60;
/// Longest input, in bytes: longer ones find little more, slowly.
const INPUT_BYTES_MAX: u32 = 4_096;
/// One input that takes longer counts as a hang, in seconds.
const HANG_SECONDS: u32 = 10;
/// Most memory of a target, in MiB.
const MEMORY_MIB_MAX: u32 = 2_048;
/// Lines of a failed target that are shown.
const LINES_SHOWN: usize = 40;
/// What the compiler adds so that libFuzzer sees where an input goes.
const COVERAGE: &str = "--cfg fuzzing -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// What is fuzzed, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuzzOptions {
    /// How long each target runs, in seconds.
    pub seconds: u32,
    /// The names of targets; empty for all.
    pub targets: Vec<String>,
}

impl Default for FuzzOptions {
    fn default() -> FuzzOptions {
        FuzzOptions {
            seconds: SECONDS_DEFAULT,
            targets: Vec::new(),
        }
    }
}

impl FuzzOptions {
    /// Reads the words behind `fuzz`.
    ///
    /// # Errors
    /// A word that is not a target, and a duration that is not a number of seconds.
    pub fn parse(words: &[&str]) -> Result<FuzzOptions, String> {
        let known = targets(&root())?;
        let mut options = FuzzOptions::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if *word == "--seconds" {
                let given = words.next().copied().unwrap_or_default();
                options.seconds = given.parse().map_err(|_| {
                    format!("--seconds is {given:?}; it must be a whole number of seconds")
                })?;
            } else if known.iter().any(|name| name == word) {
                options.targets.push((*word).to_owned());
            } else {
                return Err(format!(
                    "fuzz has no target {word:?}; there are {}",
                    known.join(", ")
                ));
            }
        }
        Ok(options)
    }
}

/// The targets: each has a folder of inputs (a test in `crates/fuzz` holds the two together).
fn targets(root: &Path) -> Result<Vec<String>, String> {
    let corpus = root.join("crates/fuzz/corpus");
    let failed = |error| format!("could not read {}: {error}", corpus.display());
    let mut names = Vec::new();
    for folder in fs::read_dir(&corpus).map_err(failed)? {
        names.push(
            folder
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(names)
}

/// Builds the fuzzer and runs the targets, one for each core at a time; answers how many there
/// were.
///
/// # Errors
/// In words: what could not be built or run, and the targets that failed, with where the input is
/// that did it.
pub fn fuzz(options: &FuzzOptions) -> Result<u64, String> {
    let root = root();
    let all = if options.targets.is_empty() {
        targets(&root)?
    } else {
        options.targets.clone()
    };
    let fuzzer = build(&root)?;
    let left: Mutex<VecDeque<&String>> = Mutex::new(all.iter().collect());
    let failures = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let next = left
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front();
                    let Some(name) = next else { break };
                    if let Err(error) = run_target(&root, &fuzzer, name, options.seconds) {
                        failures
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(error);
                    }
                }
            });
        }
    });
    let failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if failures.is_empty() {
        Ok(all.len() as u64)
    } else {
        Err(failures.join("; "))
    }
}

/// Where the fuzzer, and what it finds, lies.
fn folder(root: &Path) -> PathBuf {
    root.join("target/fuzz")
}

/// The compiler's flags go to what is built for the target only, and not to build scripts: so the
/// target is named.
fn build(root: &Path) -> Result<PathBuf, String> {
    let host = host(root)?;
    let mut cargo = plain_cargo(root);
    cargo.args([
        "build",
        "--release",
        "--package",
        "minutehand-fuzz",
        "--features",
        "minutehand-fuzz/fuzzer",
    ]);
    cargo
        .args(["--bin", "fuzz", "--target", &host, "--target-dir"])
        .arg(folder(root));
    run(cargo.env("RUSTFLAGS", COVERAGE))?;
    Ok(folder(root).join(host).join("release/fuzz"))
}

fn host(root: &Path) -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").current_dir(root).output();
    let output = output.map_err(|error| format!("could not run `rustc -vV`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(ToOwned::to_owned)
        .ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

fn run_target(root: &Path, fuzzer: &Path, name: &str, seconds: u32) -> Result<(), String> {
    let grown = folder(root).join("corpus").join(name);
    fs::create_dir_all(&grown)
        .map_err(|error| format!("could not make {}: {error}", grown.display()))?;
    let found = folder(root).join(format!("found-{name}-"));
    let mut command = Command::new(fuzzer);
    command
        .current_dir(root)
        .env("MINUTEHAND_FUZZ_TARGET", name);
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={INPUT_BYTES_MAX}"),
        format!("-timeout={HANG_SECONDS}"),
        format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        format!("-artifact_prefix={}", found.display()),
    ]);
    command
        .arg(&grown)
        .arg(root.join("crates/fuzz/corpus").join(name));
    let output = command
        .output()
        .map_err(|error| format!("could not run `{}`: {error}", in_words(&command)))?;
    tell(name, &output);
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "fuzz target {name} failed; the input is named above: mend the fault, and move the input to crates/fuzz/corpus/{name}/"
    ))
}

/// A line for a target that passed; the end of its output for one that failed.
fn tell(name: &str, output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let shown = if output.status.success() {
        1
    } else {
        LINES_SHOWN
    };
    for line in &lines[lines.len().saturating_sub(shown)..] {
        println!("{name}: {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_takes_targets_and_seconds_and_refuses_the_rest() {
        let parsed = FuzzOptions::parse(&["cron", "--seconds", "5"]);
        assert_eq!(
            parsed,
            Ok(FuzzOptions {
                seconds: 5,
                targets: vec!["cron".to_owned()]
            })
        );
        assert!(FuzzOptions::parse(&["crom"]).is_err_and(|error| error.contains("crontab")));
        assert!(
            FuzzOptions::parse(&["--seconds", "soon"]).is_err_and(|error| error.contains("soon"))
        );
    }
}
