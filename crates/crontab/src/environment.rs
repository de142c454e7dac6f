//! The environment lines of a crontab: `NAME=value`, in force for the lines below them.

use crate::error::{Reason, shown};

/// Variables in the order in which they were first set; a later value replaces an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    variables: Vec<(String, String)>,
}

impl Environment {
    /// The value of a variable; `Some("")` when it was set to nothing, as `MAILTO=""` is.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// All variables, in the order in which they were first set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether nothing was set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }

    pub(crate) fn set(&mut self, assignment: Assignment) {
        match self
            .variables
            .iter_mut()
            .find(|(known, _)| *known == assignment.name)
        {
            Some((_, value)) => *value = assignment.value,
            None => self.variables.push((assignment.name, assignment.value)),
        }
    }
}

/// A `NAME=value` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Byte at which the value begins in the line.
    pub(crate) value_at: usize,
}

/// Reads a line as an assignment: `None` when it is none, an error (with its byte in the line) when
/// it is a bad one.
///
/// As in Vixie cron: blanks around the equals sign mean nothing; name and value may stand in
/// matching quotes; an unquoted value goes to the end of the line without the blanks there; nothing
/// is expanded.
pub(crate) fn assignment(line: &str) -> Option<Result<Assignment, (usize, Reason)>> {
    let start = line.len() - line.trim_start().len();
    let (name, after_name) = match quoted(line, start) {
        Some(Ok((name, end))) => (name, end),
        Some(Err(_)) => return None,
        None => {
            let rest = &line[start..];
            let length = rest
                .find(|c: char| c == '=' || c.is_whitespace())
                .unwrap_or(rest.len());
            (&rest[..length], start + length)
        }
    };
    let blanks = line[after_name..].len() - line[after_name..].trim_start().len();
    let value = line[after_name + blanks..].strip_prefix('=')?;
    let is_quoted = line[start..].starts_with(['"', '\'']);
    if let Err(reason) = check_name(name, is_quoted) {
        return Some(Err((start, reason)));
    }
    let value_at = line.len() - value.trim_start().len();
    Some(
        read_value(line, value_at).map(|(value, value_at)| Assignment {
            name: name.to_owned(),
            value: value.to_owned(),
            value_at,
        }),
    )
}

fn check_name(name: &str, is_quoted: bool) -> Result<(), Reason> {
    let first_fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if name.is_empty() || name.contains('=') || (!first_fits && !is_quoted) {
        return Err(Reason::VariableName { given: shown(name) });
    }
    Ok(())
}

/// The value that begins at a byte of the line, and the byte at which its text begins.
fn read_value(line: &str, at: usize) -> Result<(&str, usize), (usize, Reason)> {
    match quoted(line, at) {
        None => Ok((line[at..].trim_end(), at)),
        Some(Err(quote)) => Err((at, Reason::QuoteNotClosed { quote })),
        Some(Ok((value, end))) => {
            let rest = line[end..].trim_start();
            if rest.is_empty() {
                Ok((value, at + 1))
            } else {
                Err((line.len() - rest.len(), Reason::AfterQuote))
            }
        }
    }
}

/// The text in quotes that begins at a byte and the byte after the closing quote; the quote when it
/// is not closed.
fn quoted(line: &str, at: usize) -> Option<Result<(&str, usize), char>> {
    let quote = line[at..]
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\''))?;
    let inner = &line[at + 1..];
    Some(match inner.find(quote) {
        Some(length) => Ok((&inner[..length], at + 1 + length + 1)),
        None => Err(quote),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Result<(String, String), (usize, String)>> {
        assignment(line).map(|result| {
            result
                .map(|a| (a.name, a.value))
                .map_err(|(at, reason)| (at, reason.to_string()))
        })
    }

    #[test]
    fn assignments_are_read_as_vixie_cron_reads_them() {
        let cases = [
            ("SHELL=/bin/sh", "SHELL", "/bin/sh"),
            ("  PATH = /bin:/usr/bin  ", "PATH", "/bin:/usr/bin"),
            ("MAILTO=", "MAILTO", ""),
            ("MAILTO=\"\"", "MAILTO", ""),
            ("A=' two words '", "A", " two words "),
            ("\"B\" = 'it \"is\"'  ", "B", "it \"is\""),
            ("C=$HOME # no comment", "C", "$HOME # no comment"),
            ("D=x=y", "D", "x=y"),
            ("E=it's", "E", "it's"),
        ];
        for (line, name, value) in cases {
            assert_eq!(
                read(line),
                Some(Ok((name.to_owned(), value.to_owned()))),
                "{line}"
            );
        }
        for line in [
            "* * * * * X=1 env",
            "@reboot A=b c",
            "0 5 * * 1 tar -zcf a.tgz /home",
            "\"a b",
            "",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn bad_assignments_point_at_the_fault() {
        let cases = [
            (
                "A='open",
                2,
                "the value begins with ' but has no second ' at its end",
            ),
            ("A=\"a\" b", 6, "text after the closing quote of a value"),
            (
                "*/5=x",
                0,
                "\"*/5\" is not the name of a variable; one begins with a letter or _",
            ),
            (
                "=x",
                0,
                "\"\" is not the name of a variable; one begins with a letter or _",
            ),
        ];
        for (line, at, message) in cases {
            assert_eq!(read(line), Some(Err((at, message.to_owned()))), "{line}");
        }
    }
}
