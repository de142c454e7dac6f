//! Where a command reads and writes: the process's own streams, or a test's.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use minutehand_model::Timestamp;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::table;

/// The streams of a command, and what is known of them.
pub struct Console {
    /// Data goes here.
    pub stdout: Box<dyn Write + Send>,
    /// Everything said about the data goes here.
    pub stderr: Box<dyn Write + Send>,
    /// Input comes from here; taken by the verb that reads it.
    pub stdin: Box<dyn BufRead + Send>,
    /// Whether a person can be asked: standard input and standard error are a terminal.
    pub can_ask: bool,
    /// Whether a person looks at standard output.
    pub stdout_is_terminal: bool,
    /// Whether a person looks at standard error: progress bars.
    pub stderr_is_terminal: bool,
    /// Whether colour may be used on standard error.
    pub colour: bool,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
}

impl Console {
    /// The process's own streams. Colour is used on a terminal only, and not when `NO_COLOR` is
    /// set.
    #[must_use]
    pub fn of_process() -> Console {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let stderr_is_terminal = io::stderr().is_terminal();
        Console {
            stdout: Box::new(io::BufWriter::with_capacity(64 * 1024, io::stdout())),
            stderr: Box::new(io::stderr()),
            stdin: Box::new(BufReader::with_capacity(64 * 1024, io::stdin())),
            can_ask: stderr_is_terminal && io::stdin().is_terminal(),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal,
            colour: stderr_is_terminal && !no_colour,
            clock: system_now,
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Prints a line of data.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        let written = self
            .stdout
            .write_all(text.as_bytes())
            .and_then(|()| self.stdout.write_all(b"\n"));
        written.map_err(|error| write_failure(&error))
    }

    /// Prints help or the version, in colour where a person may want it.
    pub(crate) fn help(&mut self, text: &clap::builder::StyledStr) -> Result<(), Failure> {
        let written = match self.stdout_is_terminal && self.colour {
            true => write!(self.stdout, "{}", text.ansi()),
            false => write!(self.stdout, "{text}"),
        };
        written.map_err(|error| write_failure(&error))
    }

    /// Prints a value as one line of JSON.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("could not write the answer as JSON: {error}"),
            )
        })?;
        self.line(&text)
    }

    /// Prints a table, or a sentence when it has no rows.
    pub fn table(
        &mut self,
        head: &[&str],
        rows: Vec<Vec<String>>,
        none: &str,
    ) -> Result<(), Failure> {
        if rows.is_empty() {
            return self.note(none);
        }
        let text = table::render(head, rows, self.stdout_is_terminal);
        self.line(&text)
    }

    /// Says something about the data.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), Failure> {
        // What was printed before stands before it on a terminal.
        self.flush()?;
        // Nobody can be told that standard error is closed.
        let _ = writeln!(self.stderr, "{text}");
        Ok(())
    }

    /// Hands out what has been printed.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(|error| write_failure(&error))
    }

    /// Asks a person to confirm; without one there is nobody to ask, and the answer is yes.
    pub(crate) fn confirmed(&mut self, question: &str) -> Result<bool, Failure> {
        if !self.can_ask {
            return Ok(true);
        }
        self.flush()?;
        let _ = write!(self.stderr, "{question} [y/N] ");
        let _ = self.stderr.flush();
        let mut answer = String::new();
        let read = self.stdin.read_line(&mut answer);
        read.map_err(|error| {
            Failure::new(Exit::Failed, format!("could not read the answer: {error}"))
        })?;
        Ok(matches!(
            answer.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    }

    /// Takes standard input; a second call gets an empty one.
    pub(crate) fn take_stdin(&mut self) -> Box<dyn BufRead + Send> {
        std::mem::replace(&mut self.stdin, Box::new(io::empty()))
    }

    /// Everything in a file, or in standard input for `-`, up to so many bytes.
    pub(crate) fn read(&mut self, path: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        match path.as_os_str() == "-" {
            true => read_bounded(self.take_stdin(), path, bytes_max),
            false => read_file(path, bytes_max),
        }
    }

    /// Prints how a command failed: one line and a hint; with `json` the problem on standard
    /// output, too.
    pub fn failure(&mut self, failure: &Failure, json: bool) {
        if failure.message.is_empty() {
            return;
        }
        let (red, plain) = if self.colour {
            ("\x1b[31m", "\x1b[0m")
        } else {
            ("", "")
        };
        let _ = writeln!(self.stderr, "{red}error{plain}: {}", failure.message);
        if let Some(hint) = &failure.hint {
            let _ = writeln!(self.stderr, "hint: {hint}");
        }
        if json {
            let _ = self.json(&failure.as_problem());
        }
        let _ = self.flush();
    }
}

/// Everything in a file, up to so many bytes: one may be a device that never ends.
///
/// # Errors
/// A file that cannot be read, or is larger.
pub fn read_file(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let file = File::open(path).map_err(|error| unread(path, &error))?;
    read_bounded(file, path, bytes_max)
}

fn read_bounded(from: impl Read, path: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = from.take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| unread(path, &error))?;
    if bytes.len() > bytes_max {
        return Err(Failure::refused(format!(
            "{} is larger than {bytes_max} bytes, which is the most that is read of it",
            path.display()
        )));
    }
    Ok(bytes)
}

fn unread(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("could not read {}: {error}", path.display()),
    )
}

/// Whoever reads standard output has gone: end quietly, as other programs do.
fn write_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(Exit::Failed),
        _ => Failure::new(
            Exit::Failed,
            format!("could not write to standard output: {error}"),
        ),
    }
}

fn system_now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
