//! Runs that die with the process: what waits for them goes on.

mod support;

use support::{Dev, eventually};

/// How many lines a file has.
fn lines(path: &std::path::Path) -> usize {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .count()
}

/// The run's own time limit is two hours; nothing of this waits for it.
#[test]
fn a_schedule_goes_on_after_its_at_most_once_run_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let begun = folder.path().join("begun");
    let setting = ["dev", "--set", "worker.process_executor=true"];
    let dev = Dev::start(folder.path(), &setting);
    let schedule = [
        "schedule",
        "create",
        "s",
        "--every",
        "1s",
        "--overlap",
        "skip",
        "--guarantee",
        "at-most-once",
    ];
    let action = [
        "--queue",
        "hello",
        "--header",
        "minutehand-command=echo one >> begun; sleep 600",
    ];
    dev.client(folder.path(), &[&schedule[..], &action].concat());
    eventually("the first run begins", || lines(&begun) == 1);
    dev.kill();
    let dev = Dev::start(folder.path(), &setting);
    eventually("the second run begins", || lines(&begun) == 2);
    let shown = dev.client(folder.path(), &["schedule", "show", "s", "--json"]);
    assert!(shown.contains("lost"), "{shown}");
}

#[test]
fn a_task_that_was_lost_is_told_as_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let begun = folder.path().join("begun");
    let setting = ["dev", "--set", "worker.process_executor=true"];
    let dev = Dev::start(folder.path(), &setting);
    let task = [
        "task",
        "create",
        "--in",
        "0s",
        "--id",
        "t",
        "--guarantee",
        "at-most-once",
        "--queue",
        "hello",
    ];
    let action = [
        "--header",
        "minutehand-command=echo one >> begun; sleep 600",
    ];
    dev.client(folder.path(), &[&task[..], &action].concat());
    eventually("it begins", || lines(&begun) == 1);
    dev.kill();
    let dev = Dev::start(folder.path(), &setting);
    eventually("it is known to be lost", || {
        dev.client(folder.path(), &["task", "get", "t", "--json"])
            .contains("lost")
    });
    assert_eq!(lines(&begun), 1, "it does not run again");
}
