//! Standard output and standard error that are full or closed.

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use support::program;

/// A device without room.
fn full() -> Stdio {
    let device = File::options().write(true).open("/dev/full");
    device.expect("it can be opened").into()
}

/// A pipe whose reader has gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn what_cannot_be_written_is_no_success() {
    let folder = tempfile::tempdir().expect("a folder");
    for line in [
        "--help",
        "--version",
        "help task",
        "task --help",
        "task create --help",
        "explain @daily",
        "explain @daily --json",
        "config show",
        "config show --json",
        "man",
        "completion bash",
    ] {
        for (stdout, says) in [(full(), "No space left"), (closed(), "")] {
            let mut words = program(folder.path());
            let ran = words.args(line.split(' ')).stdout(stdout).output();
            let ran = ran.expect("it runs");
            let stderr = String::from_utf8(ran.stderr).expect("text");
            assert_eq!(ran.status.code(), Some(1), "{line}: {stderr}");
            assert!(stderr.contains(says), "{line}: {stderr}");
            // Whose reader has gone has nobody to tell.
            assert_eq!(stderr.is_empty(), says.is_empty(), "{line}: {stderr}");
        }
    }
}

#[test]
fn a_command_line_that_is_wrong_is_so_whoever_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    for (stdout, stderr) in [(full(), full()), (closed(), closed())] {
        let mut words = program(folder.path());
        let words = words.args(["--json", "task", "get"]).stdout(stdout);
        let ended = words.stderr(stderr).status().expect("it runs");
        assert_eq!(ended.code(), Some(2));
    }
}

/// Asks it to stop, and expects that it does so in order.
fn stops_in_order(mut dev: Child) {
    kill_process(Pid::from_child(&dev), Signal::INT).expect("it runs");
    assert_eq!(dev.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_dev_that_cannot_greet_runs_and_logs_that() {
    for stdout in [full(), closed()] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut words = program(folder.path());
        let words = words.arg("dev").stdout(stdout).stderr(Stdio::piped());
        let mut dev = words.spawn().expect("it starts");
        let mut log = BufReader::new(dev.stderr.take().expect("it is piped")).lines();
        let told = |line: &String| line.contains("could not write the greeting");
        let found = log.by_ref().map_while(Result::ok).find(told);
        assert!(found.is_some(), "it ended before it said so");
        let rest = std::thread::spawn(move || log.map_while(Result::ok).collect::<Vec<_>>());
        stops_in_order(dev);
        let rest = rest.join().expect("it was read");
        assert!(
            !rest.iter().any(|line| line.contains("panicked")),
            "{rest:?}"
        );
    }
}

#[test]
fn a_dev_whose_log_cannot_be_written_runs_tasks() {
    for stderr in [full(), closed()] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut words = program(folder.path());
        let words = words.arg("dev").stdout(Stdio::piped()).stderr(stderr);
        let mut dev = words.spawn().expect("it starts");
        let mut greeting = BufReader::new(dev.stdout.take().expect("it is piped")).lines();
        let first = greeting.next().expect("a line").expect("text");
        let mut parts = first.split_whitespace();
        let server = parts.find_map(|word| word.strip_suffix("/v1"));
        let client = |line: &str| {
            let mut words = program(folder.path());
            let words = words.args(line.split(' '));
            let words = words.env("MINUTEHAND_SERVER", server.expect("an address"));
            let ran = words.output().expect("it runs");
            assert!(ran.status.success(), "{line}: {ran:?}");
            String::from_utf8(ran.stdout).expect("text")
        };
        client("task create --queue q --in 0s --id x");
        support::eventually("the task runs and is told of", || {
            client("task get x --json").contains("succeeded")
        });
        stops_in_order(dev);
    }
}
