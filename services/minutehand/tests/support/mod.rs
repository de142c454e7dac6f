//! The real program as `dev`, on a free port and a folder of its own.
#![allow(dead_code, reason = "every test uses what it needs")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for anything: a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, with a free port and the folder given by the environment.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_minutehand"));
    command
        .current_dir(folder)
        .env("MINUTEHAND_HTTP", "127.0.0.1:0")
        .env("MINUTEHAND_DATA_DIR", folder.join("data"));
    command
}

/// A `dev` that is stopped when the test ends, however it ends.
pub(crate) struct Dev {
    child: Child,
    /// Where the API is.
    pub(crate) address: String,
    pub(crate) greeting: Vec<String>,
    /// Lines of standard error.
    log: Receiver<String>,
    logged: Vec<String>,
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Dev {
    /// Starts it with these words and reads its greeting.
    pub(crate) fn start<W: AsRef<std::ffi::OsStr>>(folder: &Path, words: &[W]) -> Dev {
        let child = program(folder)
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the program starts");
        let (sender, log) = channel();
        let errors = BufReader::new(child.stderr.take().expect("its errors are piped"));
        std::thread::spawn(move || {
            errors
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line).map_err(drop))
                .ok()
        });
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut greeting = Vec::new();
        for line in output.lines() {
            greeting.push(line.expect("the greeting is text"));
            if greeting.last().is_some_and(|line| line.starts_with("try:")) {
                break;
            }
        }
        let first = greeting
            .first()
            .unwrap_or_else(|| panic!("it ended: {:?}", log.iter().collect::<Vec<_>>()));
        let address = first
            .split_whitespace()
            .find_map(|word| word.strip_suffix("/v1"))
            .map(str::to_owned);
        Dev {
            child,
            address: address.expect("the API's address"),
            greeting,
            log,
            logged: Vec::new(),
        }
    }

    /// Waits for a line of the log that holds all of these, and answers it.
    pub(crate) fn logged(&mut self, parts: &[&str]) -> String {
        let holds = |line: &&String| parts.iter().all(|part| line.contains(part));
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.logged.iter().find(holds) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => self.logged.push(line),
                Err(error) => panic!("{parts:?} was not logged ({error}): {:#?}", self.logged),
            }
        }
    }

    /// Runs the program as a client of this one; answers what it printed.
    pub(crate) fn client(&self, folder: &Path, words: &[&str]) -> String {
        let output = program(folder)
            .args(words)
            .env("MINUTEHAND_SERVER", &self.address)
            .output();
        let output = output.expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "minutehand {words:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Creates a task that is due at once.
    pub(crate) fn create(&self, folder: &Path, queue: &str, id: &str, payload: &str) {
        let words = [
            "task",
            "create",
            "--queue",
            queue,
            "--in",
            "0s",
            "--id",
            id,
            "--payload",
            payload,
        ];
        self.client(folder, &words);
    }

    /// Kills it: two processes that it has started, whose numbers are in a file `pids`, end too.
    pub(crate) fn dies_with_its_children(self, folder: &Path) {
        let pids = folder.join("pids");
        eventually("both run", || pids.exists());
        let pids = std::fs::read_to_string(pids).expect("two numbers");
        let is_alive = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // One that nobody has waited for yet is dead all the same.
            !stat.is_empty() && !stat.contains(") Z ")
        };
        assert_eq!(
            pids.split_whitespace().filter(|pid| is_alive(pid)).count(),
            2,
            "{pids}"
        );
        self.kill();
        eventually("both have ended", || !pids.split_whitespace().any(is_alive));
    }

    /// From now on no file of its may grow beyond so many bytes: its disk is full.
    pub(crate) fn allow_files_of(&self, bytes: u64) {
        use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
        let limit = Rlimit {
            current: Some(bytes),
            ..getrlimit(Resource::Fsize)
        };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, limit).expect("it runs");
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_some()
    }

    /// Ends it as kill -9 does, and waits until it has ended.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

/// Waits until a condition holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
