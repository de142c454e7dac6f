//! The examples, run as anybody would, and what they print.

use std::process::Command;

/// What a program prints, when it ends well.
fn printed(program: &str) -> String {
    let output = Command::new(program).output().expect("the example starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{program} ended with {}: {errors}",
        output.status
    );
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_embedded_scheduler_runs_its_task_and_stops() {
    let printed = printed(env!("CARGO_BIN_EXE_embedded"));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(
        lines,
        ["created; due in 300 ms", "hello, world", "stopped in order"]
    );
}

#[test]
fn the_handler_answers_in_every_way() {
    let lines = [
        "1250: paid 1250",
        "1250: was paid before",
        "busy: the bank is busy, again after 60000 ms",
        "a lot: dead letter, \"a lot\" is not an amount",
    ];
    assert_eq!(
        printed(env!("CARGO_BIN_EXE_handler"))
            .lines()
            .collect::<Vec<_>>(),
        lines
    );
}
