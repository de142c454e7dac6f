//! What is wrong with a line, and where.

use minutehand_calendar::{CronParseError, ZoneError};

/// Largest `RANDOM_DELAY`: a day, in minutes.
pub const RANDOM_DELAY_MINUTES_MAX: u16 = 24 * 60;

/// At most forty characters of a text, for a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Why a line was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The cron expression; its own column counts from the expression's first character.
    #[error("{}", .0.message)]
    Expression(CronParseError),
    /// Fewer than five fields.
    #[error("{found} of the five time fields; a line is: minute hour day month weekday{} command", user_word(*.system))]
    Fields {
        /// How many there are.
        found: usize,
        /// Whether the file has a user column.
        system: bool,
    },
    /// No user where the format wants one.
    #[error(
        "no user before the command; in a system crontab a line is: minute hour day month weekday user command"
    )]
    NoUser,
    /// What stands in the user column is not a user name.
    #[error("{given:?} is not a user name; a user's own crontab has no user column")]
    User {
        /// What stands there, cut to 40 characters.
        given: String,
    },
    /// Nothing to run.
    #[error("the command is missing")]
    NoCommand,
    /// What stands where the command begins is another time field.
    #[error(
        "the command begins with {given:?}, which looks like one more time field; a line is: minute hour day month \
         weekday{} command (a line with a delay and a name is one of an anacrontab)",
        user_word(*.system)
    )]
    FurtherField {
        /// What stands there, cut to 40 characters.
        given: String,
        /// Whether the file has a user column.
        system: bool,
    },
    /// An option before the command that is not known.
    #[error("the option {given:?} before the command is not known; the only one is -n")]
    Option {
        /// What stands there, cut to 40 characters.
        given: String,
    },
    /// The name of a variable.
    #[error("{given:?} is not the name of a variable; one begins with a letter or _")]
    VariableName {
        /// What stands there, cut to 40 characters.
        given: String,
    },
    /// A quoted value without its end.
    #[error("the value begins with {quote} but has no second {quote} at its end")]
    QuoteNotClosed {
        /// The quote it begins with.
        quote: char,
    },
    /// Something follows a quoted value.
    #[error("text after the closing quote of a value")]
    AfterQuote,
    /// `CRON_TZ` names no zone.
    #[error("{0}")]
    Zone(ZoneError),
    /// `RANDOM_DELAY` is no number of minutes, or a larger one than a day has.
    #[error(
        "RANDOM_DELAY is {given:?}; it must be a number of minutes from 0 to {RANDOM_DELAY_MINUTES_MAX}"
    )]
    RandomDelay {
        /// What stands there, cut to 40 characters.
        given: String,
    },
    /// A `CRON_TZ` above was refused, so the zone that is meant is not known.
    #[error("its time zone is not known, because CRON_TZ on line {line} was refused")]
    ZoneRefusedAbove {
        /// The line of the `CRON_TZ`.
        line: usize,
    },
    /// The line can be read, but no schedule can be made of it.
    #[error("no schedule can be made of it: {reason}")]
    NoSchedule {
        /// The limit that it does not keep to.
        reason: String,
    },
    /// Bytes that are no UTF-8.
    #[error("bytes that are not UTF-8")]
    NotUtf8,
    /// A zero byte.
    #[error("a zero byte")]
    ZeroByte,
}

fn user_word(system: bool) -> &'static str {
    if system { " user" } else { "" }
}

/// A line that was refused. The lines around it are read all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct LineError {
    /// The line, from 1.
    pub line: usize,
    /// The character at which the fault begins, from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: Reason,
}
