//! The words that have moved to the laboratory's program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program as it lies in a folder.
fn run(folder: &Path, words: &[&str]) -> Output {
    let program = folder.join("minutehand");
    if !program.exists() {
        let built = env!("CARGO_BIN_EXE_minutehand");
        // Beside a link the program looks for the laboratory; elsewhere a copy has to do.
        fs::hard_link(built, &program)
            .or_else(|_| fs::copy(built, &program).map(drop))
            .expect("a program");
    }
    Command::new(program).args(words).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn sim_and_bench_run_the_laboratory_that_lies_beside() {
    let folder = tempfile::tempdir().expect("a folder");
    let lab = folder.path().join("minutehand-lab");
    fs::write(&lab, "#!/bin/sh\necho \"$@\"\nexit 5\n").expect("a program");
    fs::set_permissions(&lab, fs::Permissions::from_mode(0o755)).expect("it can be run");
    for words in [
        &["sim", "--seeds", "3", "--json"][..],
        &["bench", "paced", "--rate", "5"],
    ] {
        let ran = run(folder.path(), words);
        assert_eq!(text(&ran.stdout), format!("{}\n", words.join(" ")));
        assert_eq!(ran.status.code(), Some(5), "the laboratory's own code");
        let moved = format!("is `minutehand-lab {}` now", words.join(" "));
        assert!(text(&ran.stderr).contains(&moved), "{}", text(&ran.stderr));
    }
}

#[test]
fn without_a_laboratory_the_command_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = run(folder.path(), &["sim", "--seeds", "3"]);
    assert_eq!(
        (ran.status.code(), text(&ran.stdout).as_str()),
        (Some(1), "")
    );
    let stderr = text(&ran.stderr);
    assert!(
        stderr.contains("cargo run --release --package minutehand-lab -- sim --seeds 3"),
        "{stderr}"
    );
}
