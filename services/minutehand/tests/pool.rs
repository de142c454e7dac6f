//! The programs of `examples/pool`, as children of a worker's pool.

mod support;

use std::path::Path;

use support::Dev;

/// Runs an example below `dev`: a task that it can do, and one that it cannot.
fn runs(interpreter: &str, file: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/pool")
        .join(file);
    let command = format!("pool.command={interpreter},{}", program.display());
    let words = ["dev", "--set", "pool.queues=jobs", "--set", &command];
    let mut dev = Dev::start(folder.path(), &words);
    for (id, payload) in [("easy", "simple"), ("hard", "impossible")] {
        dev.create(folder.path(), "jobs", id, payload);
    }
    dev.logged(&["ran a task", "easy", "did easy"]);
    dev.logged(&["gave a task up", "hard", "it cannot be done"]);
}

#[test]
fn a_python_program_is_a_child_of_a_pool() {
    runs("python3", "pool.py");
}

#[test]
fn a_node_program_is_a_child_of_a_pool() {
    runs("node", "pool.mjs");
}

#[test]
fn a_child_and_what_it_started_die_with_a_killed_worker() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "trap '' TERM; echo '{\"ready\": 1}'; sleep 600 & echo $$ $! > pids.new; mv pids.new pids; read -r line; wait";
    std::fs::write(folder.path().join("child.sh"), script).expect("written");
    let words = [
        "dev",
        "--set",
        "pool.queues=jobs",
        "--set",
        "pool.command=/bin/sh,child.sh",
    ];
    let dev = Dev::start(folder.path(), &words);
    dev.client(
        folder.path(),
        &["task", "create", "--queue", "jobs", "--in", "0s"],
    );
    dev.dies_with_its_children(folder.path());
}
