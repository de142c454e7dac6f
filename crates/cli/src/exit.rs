//! How the program ends: a code for scripts, one line and a hint for people.

use std::error::Error;
use std::fmt;

use minutehand_settings::SettingsError;

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
    /// 6: the server cannot be reached, or cannot do it now (a full disk, too many requests, no
    /// owner yet).
    Unreachable = 6,
    /// 7: the server refuses the token, or does not let it do this.
    Denied = 7,
}

impl Exit {
    /// The code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The word for it in the type of a problem.
    const fn kind(self) -> &'static str {
        match self {
            Exit::Ok => "ok",
            Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::NotFound => "not-found",
            Exit::Conflict => "conflict",
            Exit::Refused => "refused",
            Exit::Unreachable => "unreachable",
            Exit::Denied => "denied",
        }
    }

    /// What it means, in words.
    const fn title(self) -> &'static str {
        match self {
            Exit::Ok => "Done",
            Exit::Failed => "Failed",
            Exit::Usage => "The command line was not understood",
            Exit::NotFound => "Not found",
            Exit::Conflict => "Conflict",
            Exit::Refused => "The input was refused",
            Exit::Unreachable => "The server cannot be reached, or cannot do it now",
            Exit::Denied => "The token was refused",
        }
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
  6  the server cannot be reached, or cannot do it now
  7  the token was refused, or may not do this";

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// One line for people, without a full stop; may have further lines that show the input.
    pub message: String,
    /// What to try, in one line.
    pub hint: Option<String>,
    /// The answer of a server, or more than the message says: members of the problem document that
    /// `--json` prints.
    pub problem: Option<serde_json::Value>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure {
            exit,
            message: message.into(),
            hint: None,
            problem: None,
        }
    }

    /// The same with something to try.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The failure as a problem document (RFC 9457): the server's own where it sent one, always
    /// with `exit`, and with `hint` where there is one.
    #[must_use]
    pub fn as_problem(&self) -> serde_json::Value {
        let mut problem = serde_json::Map::new();
        let kind = format!("urn:minutehand:problem:{}", self.exit.kind());
        problem.insert("type".to_owned(), kind.into());
        problem.insert("title".to_owned(), self.exit.title().into());
        problem.insert("detail".to_owned(), self.message.clone().into());
        if let Some(hint) = &self.hint {
            problem.insert("hint".to_owned(), hint.clone().into());
        }
        if let Some(serde_json::Value::Object(members)) = self.problem.clone() {
            problem.extend(members);
        }
        problem.insert("exit".to_owned(), self.exit.code().into());
        problem.into()
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

impl Error for Failure {}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Failure {
        let message = match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        let failure = Failure::new(Exit::Usage, message);
        match error {
            SettingsError::Unknown { .. }
            | SettingsError::Section { .. }
            | SettingsError::Outside { .. } => {
                failure.with_hint("minutehand config show lists all settings")
            }
            _ => failure,
        }
    }
}
