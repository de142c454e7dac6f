//! An entry: one line of a crontab that runs something.

use minutehand_calendar::Zone;

use crate::environment::Environment;

/// What a line runs, and as whom, as one text.
#[must_use]
pub fn content(user: Option<&str>, command: &str, stdin: Option<&str>) -> String {
    let stdin = stdin.map_or_else(String::new, |text| format!("%{text}"));
    [user.unwrap_or(""), command, stdin.as_str()].join("\0")
}

/// When an entry runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Once, when the scheduler starts (`@reboot`).
    AtStart,
    /// At the times of a cron expression: five fields or a nickname, as written, known to be valid.
    Cron(String),
}

/// One line that runs something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line it stands on, from 1.
    pub line: usize,
    /// When it runs.
    pub timing: Timing,
    /// Whose clock is meant, when a `CRON_TZ=` above it says so; otherwise the machine's.
    pub zone: Option<Zone>,
    /// As whom it runs; `None` in a user's own crontab.
    pub user: Option<String>,
    /// What is given to the shell: the text before the first unescaped `%`, with `\%` read as `%`.
    pub command: String,
    /// What the command reads from standard input: the text after the first unescaped `%`, with
    /// every further one read as a line end. `None` when there is no such `%`.
    pub stdin: Option<String>,
    /// The variables set above it.
    pub environment: Environment,
    /// Whether the line begins with `-`, which asks cron not to log its runs.
    pub quiet: bool,
    /// Longest delay of a run, in minutes, from a `RANDOM_DELAY=` above it; 0 without one.
    pub random_delay_minutes: u16,
}

impl Entry {
    /// What the line runs, and as whom, as one text: lines of the same text run the same.
    #[must_use]
    pub fn content(&self) -> String {
        content(self.user.as_deref(), &self.command, self.stdin.as_deref())
    }

    /// The program and arguments that run the command: the shell that `SHELL=` names, else
    /// `/bin/sh`, with `-c`.
    #[must_use]
    pub fn argv(&self) -> [String; 3] {
        let shell = self
            .environment
            .get("SHELL")
            .filter(|shell| !shell.is_empty())
            .unwrap_or("/bin/sh");
        [shell.to_owned(), "-c".to_owned(), self.command.clone()]
    }
}
