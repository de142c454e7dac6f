//! One line that runs something, taken apart.

use minutehand_calendar::CronExpression;

use crate::entry::Timing;
use crate::error::{Reason, shown};
use crate::format::Format;
use crate::percent;

/// The time fields of a line: bytes `start..end`, without a leading `-`.
pub(crate) struct Fields {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) quiet: bool,
}

/// What a line says, without what stands above it.
pub(crate) struct Parts {
    pub(crate) timing: Timing,
    pub(crate) user: Option<String>,
    pub(crate) command: String,
    pub(crate) stdin: Option<String>,
    pub(crate) quiet: bool,
}

/// Longest name taken for a user's, in bytes: what `useradd` accepts at most is half of it.
const USER_BYTES_MAX: usize = 64;

/// The five time fields, or the nickname, at the beginning of a line; `None` when there are fewer.
pub(crate) fn split_fields(line: &str) -> Option<Fields> {
    let start = line.len() - line.trim_start_matches(BLANKS).len();
    // What follows the dash follows it at once: `- 0 1 * * * x` has a dash for its minute.
    let quiet = line[start..].strip_prefix('-').is_some_and(|rest| !rest.starts_with(BLANKS));
    let start = start + usize::from(quiet);
    let wanted = if line[start..].starts_with('@') { 1 } else { 5 };
    let mut end = start;
    for _ in 0..wanted {
        let begin = end + (line[end..].len() - line[end..].trim_start_matches(BLANKS).len());
        let length = line[begin..].find(BLANKS).unwrap_or(line.len() - begin);
        if length == 0 {
            return None;
        }
        end = begin + length;
    }
    Some(Fields { start, end, quiet })
}

/// What separates the fields of a line.
const BLANKS: [char; 2] = [' ', '\t'];

/// Takes a line apart; an error comes with the byte of the line at which the fault begins, and the characters beyond it.
pub(crate) fn parts(line: &str, format: Format) -> Result<Parts, (usize, usize, Reason)> {
    let system = format == Format::System;
    let Some(Fields { start, end, quiet }) = split_fields(line) else {
        let found = line.split_whitespace().count();
        return Err((line.len() - line.trim_start().len(), 0, Reason::Fields { found, system }));
    };
    let text = &line[start..end];
    let timing = match text {
        "@reboot" => Timing::AtStart,
        _ => match CronExpression::parse_or(text, ", or @reboot for a start") {
            Ok(_) => Timing::Cron(text.to_owned()),
            Err(error) => return Err((start, error.column.saturating_sub(1), Reason::Expression(error))),
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
    Ok(Parts { timing, user, command, stdin, quiet })
}

/// The byte behind the options of the command: `-n` asks for mail when it fails only, and nobody sends any here. A shell
/// would take any other for an option of its own.
fn skip_options(line: &str, mut at: usize) -> Result<usize, (usize, usize, Reason)> {
    while line[at..].starts_with('-') {
        let length = line[at..].find(BLANKS).unwrap_or(line.len() - at);
        match &line[at..at + length] {
            "-n" => at = skip_blanks(line, at + length),
            other => return Err((at, 0, Reason::Option { given: shown(other) })),
        }
    }
    Ok(at)
}

fn check_command(command: &str, system: bool) -> Result<(), Reason> {
    let word = command.split(BLANKS).next().unwrap_or_default();
    match word {
        "" => Err(Reason::NoCommand),
        word if looks_like_time(word) => Err(Reason::FurtherField { given: shown(word), system }),
        _ => Ok(()),
    }
}

/// Whether a word could stand in a time field and hardly names a program: `*`, `*/5`, `1-5`, `45`.
pub(crate) fn looks_like_time(word: &str) -> bool {
    word.starts_with('*')
        || word == "?"
        || word.starts_with(|c: char| c.is_ascii_digit())
            && word.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '/' | ',' | '-'))
}

fn skip_blanks(line: &str, at: usize) -> usize {
    at + (line[at..].len() - line[at..].trim_start_matches(BLANKS).len())
}

fn check_user(word: &str) -> Result<(), Reason> {
    if word.is_empty() {
        return Err(Reason::NoUser);
    }
    if is_user_name(word) { Ok(()) } else { Err(Reason::User { given: shown(word) }) }
}

/// Whether a word can be a user's name; those of a directory may have a domain (`user@corp.example`, `CORP\user`).
pub(crate) fn is_user_name(word: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@' | '\\');
    let name = word.strip_suffix('$').unwrap_or(word);
    word.len() <= USER_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().all(is_inner)
        && !looks_like_time(name)
}
