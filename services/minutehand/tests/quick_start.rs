//! The README's quick start, run word for word.
//!
//! Only where things lie differs: the built program stands in for `cargo run --release --`, and
//! environment variables give it a free port and a folder of its own.

mod support;

use std::process::Command;

use support::{Dev, program};

const README: &str = include_str!("../../../README.md");

/// The lines of all code blocks below a heading.
fn code_lines(heading: &str) -> Vec<String> {
    let section = README
        .split("\n## ")
        .find(|section| section.starts_with(heading))
        .expect("the heading exists");
    let blocks = section.split("```").skip(1).step_by(2);
    let text: String = blocks.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Splits a line as a shell does, as far as the README needs it.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.push(String::new()),
            (c, _) => words.last_mut().expect("there is always a word").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn the_quick_start_runs_word_for_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = code_lines("Start");
    let dev = lines
        .iter()
        .find_map(|line| line.strip_prefix("cargo run --release -- "))
        .expect("the first command");
    let mut dev = Dev::start(folder.path(), &words(dev));
    assert!(dev.greeting.len() <= 6, "{:?}", dev.greeting);

    let commands: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("minutehand "))
        .collect();
    let (first, second): (Vec<&str>, Vec<&str>) =
        commands.iter().partition(|line| !line.starts_with("dev "));
    assert!(first.len() >= 4, "{commands:?}");
    for command in first {
        let words = words(command);
        dev.client(
            folder.path(),
            &words.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
    // "Five seconds later the log says that the task ran."
    dev.logged(&["ran a task", "queue=hello", "hi"]);

    dev.kill();
    for line in lines.iter().filter(|line| line.starts_with("printf ")) {
        let written = Command::new("/bin/sh")
            .args(["-c", line])
            .current_dir(folder.path())
            .status();
        assert!(written.expect("a shell").success(), "{line}");
    }
    for command in second {
        let dev = Dev::start(folder.path(), &words(command));
        assert!(
            dev.greeting
                .iter()
                .any(|line| line.ends_with("crontab  1 schedule")),
            "{:?}",
            dev.greeting
        );
    }
}

#[test]
fn the_command_of_the_greeting_makes_a_task_that_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dev = Dev::start(folder.path(), &["dev"]);
    let command = dev
        .greeting
        .last()
        .and_then(|line| line.strip_prefix("try: minutehand "))
        .map(words);
    let created = program(folder.path())
        .args(command.expect("a command to try"))
        .output();
    let created = created.expect("the program runs");
    assert!(
        created.status.success(),
        "{}",
        String::from_utf8_lossy(&created.stderr)
    );
    dev.logged(&["ran a task", "queue=hello"]);
}
