//! One line that runs something, taken apart.

use minutehand_calendar::CronExpression;

use crate::entry::Timing;
use crate::error::{Reason, shown};
use crate::fields::{BLANKS, Fields, is_user_name, looks_like_time, split_fields};
use crate::format::Format;
use crate::percent;

/// What a line says, without what stands above it.
pub(crate) struct Parts {
    pub(crate) timing: Timing,
    pub(crate) user: Option<String>,
    pub(crate) command: String,
    pub(crate) stdin: Option<String>,
    pub(crate) quiet: bool,
}

/// Takes a line apart; an error comes with the byte of the line at which the fault begins, and the
/// characters beyond it.
pub(crate) fn parts(line: &str, format: Format) -> Result<Parts, (usize, usize, Reason)> {
    let system = format == Format::System;
    let Some(Fields { start, end, quiet }) = split_fields(line) else {
        let found = line.split_whitespace().count();
        return Err((
            line.len() - line.trim_start().len(),
            0,
            Reason::Fields { found, system },
        ));
    };
    let text = &line[start..end];
    let timing = match text {
        "@reboot" => Timing::AtStart,
        _ => match CronExpression::parse_or(text, ", or @reboot for a start") {
            Ok(_) => Timing::Cron(text.to_owned()),
            Err(error) => {
                return Err((
                    start,
                    error.column.saturating_sub(1),
                    Reason::Expression(error),
                ));
            }
        },
    };
    let mut rest_at = skip_blanks(line, end);
    let mut user = None;
    if system {
        let length = line[rest_at..].find(BLANKS).unwrap_or(line.len() - rest_at);
        let word = &line[rest_at..rest_at + length];
        check_user(word).map_err(|reason| (rest_at, 0, reason))?;
        user = Some(word.to_owned());
        rest_at = skip_blanks(line, rest_at + length);
    }
    rest_at = skip_options(line, rest_at)?;
    let (command, stdin) = percent::split(&line[rest_at..]);
    let command = command.trim_end().to_owned();
    check_command(&command, system).map_err(|reason| (rest_at, 0, reason))?;
    Ok(Parts {
        timing,
        user,
        command,
        stdin,
        quiet,
    })
}

/// The byte behind the options of the command: `-n` asks for mail when it fails only, and nobody
/// sends any here. A shell would take any other for an option of its own.
fn skip_options(line: &str, mut at: usize) -> Result<usize, (usize, usize, Reason)> {
    while line[at..].starts_with('-') {
        let length = line[at..].find(BLANKS).unwrap_or(line.len() - at);
        match &line[at..at + length] {
            "-n" => at = skip_blanks(line, at + length),
            other => {
                return Err((
                    at,
                    0,
                    Reason::Option {
                        given: shown(other),
                    },
                ));
            }
        }
    }
    Ok(at)
}

fn check_command(command: &str, system: bool) -> Result<(), Reason> {
    let word = command.split(BLANKS).next().unwrap_or_default();
    match word {
        "" => Err(Reason::NoCommand),
        word if looks_like_time(word) => Err(Reason::FurtherField {
            given: shown(word),
            system,
        }),
        _ => Ok(()),
    }
}

fn skip_blanks(line: &str, at: usize) -> usize {
    at + (line[at..].len() - line[at..].trim_start_matches(BLANKS).len())
}

fn check_user(word: &str) -> Result<(), Reason> {
    if word.is_empty() {
        return Err(Reason::NoUser);
    }
    if is_user_name(word) {
        Ok(())
    } else {
        Err(Reason::User { given: shown(word) })
    }
}
