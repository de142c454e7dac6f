//! What the laboratory understands, from outside.

use std::fs::File;
use std::process::{Command, Output, Stdio};

fn run(line: &str) -> Output {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_minutehand-lab"));
    lab.args(line.split_whitespace()).output().expect("it runs")
}

fn stdout(line: &str) -> String {
    let ran = run(line);
    assert!(ran.status.success(), "{line}: {ran:?}");
    String::from_utf8(ran.stdout).expect("text")
}

#[test]
fn every_verb_has_help_and_runs_nothing_when_it_is_asked() {
    for line in [
        "--help",
        "sim --help",
        "bench --help",
        "bench cluster --help",
        "load --help",
        "load compare --help",
        "torture --help",
    ] {
        let help = stdout(line);
        assert!(help.contains("Usage: minutehand-lab"), "{line}: {help}");
    }
}

#[test]
fn unknown_words_are_refused() {
    for line in [
        "",
        "tortur",
        "sim --sed 3",
        "bench nothing",
        "bench cluster nothing",
        "torture --faults all,disks",
        "load --via pigeon",
        "load --for soon",
        "load compare one",
    ] {
        assert_eq!(run(line).status.code(), Some(2), "{line}");
    }
}

#[test]
fn what_cannot_be_written_is_no_success() {
    for line in [
        "--help",
        "load --help",
        "load list",
        "load list --json",
        "bench",
        "bench simulator --seconds 1 --json",
        "sim --break list",
        "sim --seeds 1 --json",
    ] {
        let full = File::options().write(true).open("/dev/full").expect("full");
        let (reader, nobody_reads) = std::io::pipe().expect("a pipe");
        drop(reader);
        for (stdout, says) in [
            (Stdio::from(full), "No space left"),
            (nobody_reads.into(), ""),
        ] {
            let mut lab = Command::new(env!("CARGO_BIN_EXE_minutehand-lab"));
            let words = lab.args(line.split_whitespace()).stdout(stdout);
            let ran = words.stderr(Stdio::piped()).output().expect("it runs");
            let stderr = String::from_utf8(ran.stderr).expect("text");
            // A load's 1 says that a promise was broken.
            let code = if line.starts_with("load list") { 2 } else { 1 };
            assert_eq!(ran.status.code(), Some(code), "{line}: {stderr}");
            assert!(stderr.contains(says), "{line}: {stderr}");
            assert_eq!(stderr.is_empty(), says.is_empty(), "{line}: {stderr}");
        }
    }
}

#[test]
fn a_load_that_fails_is_a_problem_in_json() {
    let ran = run("load --scenario nothing --json");
    assert_eq!(ran.status.code(), Some(2));
    let problem: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("an object");
    assert_eq!(problem["type"], "urn:minutehand:problem:failed");
    let detail = problem["detail"].as_str().expect("text");
    assert!(detail.contains("nothing"), "{detail}");
}

#[test]
fn benchmarks_are_listed_with_what_they_measure() {
    let listed = stdout("bench");
    assert!(
        listed.lines().any(|line| line.starts_with("engine  ")),
        "{listed}"
    );
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with("cluster steady  ")),
        "{listed}"
    );
    let json = stdout("bench --json");
    assert_eq!(json.lines().count(), listed.lines().count());
}

#[test]
fn planted_bugs_are_listed_and_misspelt_ones_corrected() {
    let listed = stdout("sim --break list --json");
    let first: serde_json::Value =
        serde_json::from_str(listed.lines().next().expect("a bug")).expect("an object");
    assert!(first["about"].as_str().expect("a sentence").ends_with('.'));
    let misspelt = run("sim --break lat");
    assert_eq!(misspelt.status.code(), Some(2));
    let stderr = String::from_utf8(misspelt.stderr).expect("text");
    assert!(
        stderr.contains("there is no rule \"lat\" to break"),
        "{stderr}"
    );
    assert!(stderr.contains("did you mean late?"), "{stderr}");
}

#[test]
fn seeds_answer_one_object_each_and_the_same_again() {
    let first = stdout("sim --seeds 2 --json");
    assert_eq!(first.lines().count(), 2);
    assert!(
        first.lines().all(|line| line.contains("\"ok\":true")),
        "{first}"
    );
    assert_eq!(stdout("sim --seeds 2 --json"), first);
}
