//! The pieces of a field: values, ranges and steps, with the place each came from.

use crate::error::CronParseError;
use crate::field::BitSet;

/// What a field is called and which numbers and names it takes.
#[derive(Debug)]
pub(crate) struct FieldKind {
    pub(crate) name: &'static str,
    pub(crate) min: u16,
    pub(crate) max: u16,
    /// Names for `names_from`, `names_from + 1`, ...
    names: &'static [&'static str],
    names_from: u16,
    /// How the allowed values read in a message.
    allowed: &'static str,
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const fn numeric(name: &'static str, min: u16, max: u16, allowed: &'static str) -> FieldKind {
    FieldKind {
        name,
        min,
        max,
        names: &[],
        names_from: 0,
        allowed,
    }
}

pub(crate) const SECOND: FieldKind = numeric("second", 0, 59, "0-59");
pub(crate) const MINUTE: FieldKind = numeric("minute", 0, 59, "0-59");
pub(crate) const HOUR: FieldKind = numeric("hour", 0, 23, "0-23");
pub(crate) const DAY_OF_MONTH: FieldKind = numeric("day of month", 1, 31, "1-31");
pub(crate) const MONTH: FieldKind = FieldKind {
    name: "month",
    min: 1,
    max: 12,
    names: &MONTHS,
    names_from: 1,
    allowed: "1-12 or JAN-DEC",
};
pub(crate) const DAY_OF_WEEK: FieldKind = FieldKind {
    name: "day of week",
    min: 0,
    max: 7,
    names: &WEEKDAYS,
    names_from: 0,
    allowed: "0-7 or SUN-SAT",
};
pub(crate) const YEAR: FieldKind = numeric("year", 1970, 9999, "1970-9999");

/// A stretch of the expression and its column (1-based, in characters; the text is ASCII by now).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    pub(crate) column: usize,
}

impl<'a> Piece<'a> {
    /// An error that points at the whole piece.
    pub(crate) fn error(&self, message: impl Into<String>) -> CronParseError {
        CronParseError::new(self.column, self.text.len(), message)
    }

    /// The parts between separators, each with its column.
    pub(crate) fn split(self, separator: char) -> impl Iterator<Item = Piece<'a>> {
        let mut column = self.column;
        self.text.split(separator).map(move |text| {
            let piece = Piece { text, column };
            column += text.len() + 1;
            piece
        })
    }

    /// The piece without its first `count` characters.
    pub(crate) fn skip(self, count: usize) -> Piece<'a> {
        Piece {
            text: &self.text[count..],
            column: self.column + count,
        }
    }

    /// The piece without `suffix`, when it ends so.
    pub(crate) fn strip_suffix(self, suffix: &str) -> Option<Piece<'a>> {
        self.text.strip_suffix(suffix).map(|text| Piece {
            text,
            column: self.column,
        })
    }

    /// What lies before and after the first separator.
    pub(crate) fn split_once(self, separator: char) -> Option<(Piece<'a>, Piece<'a>)> {
        let (before, after) = self.text.split_once(separator)?;
        Some((
            Piece {
                text: before,
                column: self.column,
            },
            Piece {
                text: after,
                column: self.column + before.len() + 1,
            },
        ))
    }
}

/// `first..=last` in steps of `step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) step: u16,
}

impl Run {
    /// The run as a set; for fields whose values are below 64.
    pub(crate) fn bits(self) -> BitSet {
        BitSet::stepped(self.first as u8, self.last as u8, self.step as u8)
    }
}

impl FieldKind {
    /// Reads one item of a list: `*`, a value, a range, each of the first and last with a step.
    pub(crate) fn run(&self, item: Piece<'_>) -> Result<Run, CronParseError> {
        let Some((base, step)) = item.split_once('/') else {
            return self.base(item).map(|(first, last)| Run {
                first,
                last,
                step: 1,
            });
        };
        if base.text.is_empty() {
            return Err(item.error(format!(
                "a step needs * or a range before it, such as */{}",
                step.text
            )));
        }
        if base.text != "*" && !base.text.contains('-') {
            // Only a value that is one by itself has a clear meaning to suggest.
            let from = self.value(base)?;
            let suggestion = format!("{from}-{}/{}", self.last_from(from), step.text);
            return Err(item.error(format!(
                "a step needs * or a range before it: write {suggestion}"
            )));
        }
        let (first, last) = self.base(base)?;
        Ok(Run {
            first,
            last,
            step: self.step(step)?,
        })
    }

    fn base(&self, base: Piece<'_>) -> Result<(u16, u16), CronParseError> {
        if base.text == "*" {
            return Ok((self.min, self.max));
        }
        let Some((from, to)) = base.split_once('-') else {
            return self.value(base).map(|value| (value, value));
        };
        let first = self.value(from)?;
        let last = self.value(to)?;
        // Sunday by name ends a week as well as it begins one: FRI-SUN.
        let sunday_by_name = to.text.eq_ignore_ascii_case(WEEKDAYS[0]);
        let last = if sunday_by_name && first > 0 {
            self.max
        } else {
            last
        };
        if first > last {
            return Err(base.error(format!(
                "{} range runs backwards: {} is after {}",
                self.name, from.text, to.text
            )));
        }
        Ok((first, last))
    }

    /// Reads a single number or name.
    pub(crate) fn value(&self, piece: Piece<'_>) -> Result<u16, CronParseError> {
        if piece.text.is_empty() {
            return Err(piece.error(format!(
                "{} is missing: must be {}",
                self.name, self.allowed
            )));
        }
        let by_name = (self.names_from..)
            .zip(self.names)
            .find(|(_, name)| name.eq_ignore_ascii_case(piece.text));
        if let Some((value, _)) = by_name {
            return Ok(value);
        }
        match digits(piece.text) {
            Some(value) if (u64::from(self.min)..=u64::from(self.max)).contains(&value) => {
                Ok(value as u16)
            }
            _ => Err(piece.error(format!(
                "{} must be {}, got {}{}",
                self.name,
                self.allowed,
                shortened(piece.text),
                foreign_hint(piece.text)
            ))),
        }
    }

    /// The last value of a range from `from` that names nothing twice: 7 is Sunday, as 0 is.
    fn last_from(&self, from: u16) -> u16 {
        match self.names.len() as u16 {
            0 => self.max,
            names => (self.names_from + names - 1).max(from),
        }
    }

    /// A step beyond the field leaves the first value of its range, as in cron: as much as one of
    /// the field's size.
    fn step(&self, piece: Piece<'_>) -> Result<u16, CronParseError> {
        let values = self.max - self.min + 1;
        match digits(piece.text) {
            Some(0) => Err(piece.error("a step must be at least 1, got 0")),
            Some(step) => Ok(u16::try_from(step).unwrap_or(values).min(values)),
            None => Err(piece.error(format!(
                "a step must be a number, got {}",
                shortened(piece.text)
            ))),
        }
    }
}

/// What to write instead of another program's word for "any time, spread out".
fn foreign_hint(text: &str) -> &'static str {
    let is_hash = text == "H" || text.starts_with("H(");
    if text.contains('~') || is_hash {
        "; a random value (~, H) is not known here: write a fixed one, and let the schedule's jitter spread its runs"
    } else {
        ""
    }
}

/// A number of decimal digits only; very long ones stay at the largest value.
pub(crate) fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.bytes().fold(0u64, |sum, byte| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(byte - b'0'))
    }))
}

/// At most 24 characters of a text, for a message.
pub(crate) fn shortened(text: &str) -> String {
    match text {
        "" => "nothing".to_owned(),
        short if short.len() <= 24 => short.to_owned(),
        long => format!("{}...", long.chars().take(24).collect::<String>()),
    }
}
