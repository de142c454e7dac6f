//! The programs of `examples/pull`, run as anybody would against `dev`: they take what there is and
//! answer it.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::Dev;

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/pull")
        .join(name)
}

/// Runs an example until it has answered what was there: a task that it can do, and one that it
/// cannot.
fn answers(interpreter: &Path, file: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(folder.path(), &["dev", "--set", "worker.unclaimed=keep"]);
    for (id, payload) in [("easy", "simple"), ("hard", "impossible")] {
        dev.create(folder.path(), "jobs", id, payload);
    }
    let mut command = Command::new(interpreter);
    command
        .arg(example(file))
        .arg("jobs")
        .env("MINUTEHAND_SERVER", &dev.address);
    let started = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut program = Program(started.unwrap_or_else(|error| panic!("{interpreter:?}: {error}")));
    let output = program.0.stdout.take().expect("its output is piped");
    let mut lines: Vec<String> = BufReader::new(output)
        .lines()
        .take(2)
        .map(|line| line.expect("text"))
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        ["ack easy attempt 1 done", "nack hard attempt 1 done"],
        "{file}"
    );
    let task = dev.client(folder.path(), &["task", "get", "easy", "--json"]);
    assert!(task.contains("succeeded"), "{task}");
    let task = dev.client(folder.path(), &["task", "get", "hard", "--json"]);
    assert!(task.contains("retried"), "{task}");
}

#[test]
fn a_python_program_leases_and_answers() {
    answers(Path::new("python3"), "pull.py");
}

#[test]
fn a_node_program_leases_and_answers() {
    answers(Path::new("node"), "pull.mjs");
}

#[test]
fn a_java_program_leases_and_answers() {
    answers(&minutehand_testkit::java().expect("Java 17"), "Pull.java");
}
