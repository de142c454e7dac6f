//! How the program ends: a code for scripts, one line and a hint for people.

use std::fmt;

/// The exit codes. They are part of the interface and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// 0: done.
    Ok = 0,
    /// 1: something failed that is none of the below.
    Failed = 1,
    /// 2: the command line was not understood.
    Usage = 2,
    /// 3: what was asked for does not exist.
    NotFound = 3,
    /// 4: it conflicts with what exists (already there, or changed meanwhile).
    Conflict = 4,
    /// 5: the input was refused for what it says.
    Refused = 5,
    /// 6: the server cannot be reached.
    Unreachable = 6,
}

impl Exit {
    /// The code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> std::process::ExitCode {
        std::process::ExitCode::from(exit.code())
    }
}

/// The table of codes at the end of `--help` and of the manual page.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line was not understood
  3  not found
  4  conflict: already exists, or changed meanwhile
  5  the input was refused
  6  the server cannot be reached";

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// One line for people, without a full stop; may have further lines that show the input.
    pub message: String,
    /// What to try, in one line.
    pub hint: Option<String>,
    /// The whole answer, when it came from a server as a problem document; printed with `--json`.
    pub problem: Option<serde_json::Value>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), hint: None, problem: None }
    }

    /// The same with something to try.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Ends with a code and says nothing: all has been said.
    #[must_use]
    pub fn silent(exit: Exit) -> Failure {
        Failure::new(exit, "")
    }

    /// The input was refused.
    pub(crate) fn refused(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Refused, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
