//! The README's quick start, run word for word.
//!
//! Only where things lie differs: the built program stands in for `cargo run --release --`, and environment variables
//! give it a free port and a folder of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const README: &str = include_str!("../../../README.md");

/// The lines of all code blocks below a heading.
fn code_lines(heading: &str) -> Vec<String> {
    let section =
        README.split("\n## ").find(|section| section.starts_with(heading)).expect("the heading exists");
    let blocks = section.split("```").skip(1).step_by(2);
    let text: String = blocks.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// A process that is stopped when the test ends, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_minutehand"));
    command
        .current_dir(folder)
        .env("MINUTEHAND_HTTP", "127.0.0.1:0")
        .env("MINUTEHAND_DATA_DIR", folder.join("data"));
    command
}

/// Starts `dev` and reads its greeting; answers the process and the API's address.
fn start(folder: &Path, words: &[String]) -> (Running, String, Vec<String>) {
    let child = program(folder).args(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut running = Running(child.expect("the program starts"));
    let output = BufReader::new(running.0.stdout.take().expect("its output is piped"));
    let mut greeting = Vec::new();
    for line in output.lines() {
        greeting.push(line.expect("the greeting is text"));
        if greeting.last().is_some_and(|line| line.starts_with("try:")) {
            break;
        }
    }
    let address =
        greeting[0].split_whitespace().find_map(|word| word.strip_suffix("/v1")).expect("the API's address");
    (running, address.to_owned(), greeting)
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
    std::fs::write(folder.path().join("my.crontab"), "*/5 * * * * echo hello\n").expect("written");
    let lines = code_lines("Start");
    let dev = lines
        .iter()
        .find_map(|line| line.strip_prefix("cargo run --release -- "))
        .expect("the first command");
    let (_running, address, greeting) = start(folder.path(), &words(dev));
    assert!(greeting.len() <= 6, "{greeting:?}");

    let commands: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("minutehand ")).collect();
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let words = words(command);
        if words[0] == "dev" {
            let other = tempfile::tempdir().expect("a folder");
            std::fs::copy(folder.path().join("my.crontab"), other.path().join("my.crontab")).expect("copied");
            start(other.path(), &words);
            continue;
        }
        let output = program(folder.path()).args(&words).env("MINUTEHAND_SERVER", &address).output();
        let output = output.expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "minutehand {command}: {said}");
    }
}

#[test]
fn the_command_of_the_greeting_makes_a_task_that_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_running, address, greeting) = start(folder.path(), &["dev".to_owned()]);
    let command =
        greeting.last().and_then(|line| line.strip_prefix("try: minutehand ")).expect("a command to try");
    let created = program(folder.path()).args(words(command)).output().expect("the program runs");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let arguments = ["queue", "show", "hello", "--json", "--server", &address];
        let shown = program(folder.path()).args(arguments).output().expect("the program runs");
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        if text.replace(' ', "").contains("\"settled\":1") {
            break;
        }
        assert!(Instant::now() < deadline, "the task did not run: {text}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
