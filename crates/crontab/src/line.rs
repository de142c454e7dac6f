//! One line that runs something, taken apart.

use minutehand_calendar::CronExpression;

use crate::entry::Timing;
use crate::error::Reason;
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
    let quiet = line[start..].starts_with('-');
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
        _ => match CronExpression::parse(text) {
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
    let (command, stdin) = percent::split(&line[rest_at..]);
    let command = command.trim_end().to_owned();
    if command.is_empty() {
        return Err((rest_at, 0, Reason::NoCommand));
    }
    Ok(Parts { timing, user, command, stdin, quiet })
}

fn skip_blanks(line: &str, at: usize) -> usize {
    at + (line[at..].len() - line[at..].trim_start_matches(BLANKS).len())
}

fn check_user(word: &str) -> Result<(), Reason> {
    if word.is_empty() {
        return Err(Reason::NoUser);
    }
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let name = word.strip_suffix('$').unwrap_or(word);
    let fits = word.len() <= USER_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().all(is_inner);
    if fits { Ok(()) } else { Err(Reason::User { given: word.chars().take(40).collect() }) }
}
