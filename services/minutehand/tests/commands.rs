//! Commands are run by permission only.

mod support;

use support::{Dev, eventually};

/// Ways in which a caller may ask for a command, as words of the command line.
const REQUESTS: [(&str, &[&str]); 4] = [
    (
        "header",
        &[
            "--queue",
            "hello",
            "--header",
            "minutehand-command=id > pwned",
        ],
    ),
    (
        "crontab",
        &[
            "--queue",
            "crontab",
            "--header",
            "minutehand-command=id > pwned",
        ],
    ),
    (
        "argv",
        &[
            "--queue",
            "crontab",
            "--payload",
            r#"{"argv": ["/bin/sh", "-c", "id > pwned"]}"#,
        ],
    ),
    (
        "process",
        &[
            "--queue",
            "process",
            "--payload",
            r#"{"argv": ["/bin/sh", "-c", "id > pwned"]}"#,
        ],
    ),
];

#[test]
fn no_task_runs_a_command_unless_the_setting_allows_it() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("own.crontab"),
        "@reboot echo started > line-ran\n",
    )
    .expect("written");
    let mut dev = Dev::start(folder.path(), &["dev", "--crontab", "own.crontab"]);
    for (name, words) in REQUESTS {
        let id = ["task", "create", "--in", "0s", "--id", name];
        dev.client(folder.path(), &[&id[..], words].concat());
    }
    for name in ["header", "crontab", "process"] {
        dev.logged(&["gave a task up", name, "process_executor is false"]);
    }
    // Neither queue nor payload makes a task a command here.
    dev.logged(&["ran a task", "argv"]);
    eventually("the crontab's own line runs", || {
        folder.path().join("line-ran").exists()
    });
    assert!(!folder.path().join("pwned").exists());
}

#[test]
fn a_command_is_run_where_the_setting_allows_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dev = Dev::start(
        folder.path(),
        &["dev", "--set", "worker.process_executor=true"],
    );
    let words = [
        "task", "create", "--in", "0s", "--id", "mine", "--queue", "hello", "--header",
    ];
    dev.client(
        folder.path(),
        &[&words[..], &["minutehand-command=echo done"]].concat(),
    );
    dev.logged(&["ran a task", "mine", "done"]);
    let stranger = [
        "minutehand-command=id > pwned",
        "--header",
        "minutehand-user=nobody",
    ];
    let words = [
        "task", "create", "--in", "0s", "--id", "theirs", "--queue", "hello", "--header",
    ];
    dev.client(folder.path(), &[&words[..], &stranger].concat());
    dev.logged(&["gave a task up", "theirs", "minutehand-user is", "nobody"]);
    assert!(!folder.path().join("pwned").exists());
}

#[test]
fn a_command_and_its_children_die_with_a_process_that_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(
        folder.path(),
        &["dev", "--set", "worker.process_executor=true"],
    );
    // Neither heeds SIGTERM.
    let line = "minutehand-command=trap '' TERM; sleep 600 & echo $$ $! > pids.new; mv pids.new pids; wait";
    let words = [
        "task", "create", "--in", "0s", "--queue", "hello", "--header", line,
    ];
    dev.client(folder.path(), &words);
    dev.dies_with_its_children(folder.path());
}
