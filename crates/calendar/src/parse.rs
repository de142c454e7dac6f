//! From text to [`CronExpression`].

use std::str::FromStr;

use crate::civil::{FIRST_YEAR, LAST_YEAR};
use crate::error::CronParseError;
use crate::expression::{CronExpression, DayLogic, Days, MonthDays, WeekDays};
use crate::field::{BitSet, YearSet};
use crate::items::{
    DAY_OF_MONTH, DAY_OF_WEEK, FieldKind, HOUR, MINUTE, MONTH, Piece, SECOND, YEAR, digits,
    shortened,
};
use crate::never;

/// Longest expression, in characters. Real ones have a few dozen.
pub(crate) const LENGTH_LIMIT: usize = 1_024;

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl CronExpression {
    /// Reads an expression; the syntax is described at [`CronExpression`].
    ///
    /// Takes time in proportion to the length of the text, which may have 1,024 characters.
    ///
    /// # Errors
    /// When the text is no expression, and when it is one that can never fire (`0 0 30 2 *`). The
    /// error points at the fault. `@every` (an interval) and the `TZ=` prefix are taken by
    /// [`Recurrence::parse`](crate::Recurrence::parse) only.
    pub fn parse(text: &str) -> Result<CronExpression, CronParseError> {
        CronExpression::parse_or(text, "")
    }

    /// The same for a caller that takes further words in the place of a nickname: `further` names
    /// them where one is not known, as the end of a list.
    ///
    /// # Errors
    /// As [`parse`](CronExpression::parse).
    pub fn parse_or(text: &str, further: &str) -> Result<CronExpression, CronParseError> {
        let whole = trimmed(text)?;
        if whole.text.starts_with('@') {
            return nickname(whole, further);
        }
        if whole.text.starts_with("TZ=") || whole.text.starts_with("CRON_TZ=") {
            return Err(
                whole.error("a time zone in front is not allowed here: give the zone by itself")
            );
        }
        let expression = from_fields(whole.text, &fields(whole))?;
        never::check(&expression, whole)?;
        Ok(expression)
    }
}

impl FromStr for CronExpression {
    type Err = CronParseError;

    fn from_str(text: &str) -> Result<CronExpression, CronParseError> {
        CronExpression::parse(text)
    }
}

/// The text without the blanks around it, once it is known to be short, printable ASCII and not
/// empty.
pub(crate) fn trimmed(text: &str) -> Result<Piece<'_>, CronParseError> {
    if text.len() > LENGTH_LIMIT && text.chars().nth(LENGTH_LIMIT).is_some() {
        let message = format!("an expression has at most {LENGTH_LIMIT} characters");
        return Err(CronParseError::new(LENGTH_LIMIT + 1, 1, message));
    }
    if let Some((index, strange)) = text
        .chars()
        .enumerate()
        .find(|(_, c)| !matches!(c, '\t' | ' '..='~'))
    {
        return Err(CronParseError::new(
            index + 1,
            1,
            format!("unexpected character {strange:?}"),
        ));
    }
    let blank = [' ', '\t'];
    let front = text.len() - text.trim_start_matches(blank).len();
    let whole = Piece {
        text: text.trim_matches(blank),
        column: front + 1,
    };
    if whole.text.is_empty() {
        return Err(CronParseError::new(1, 1, "the expression is empty"));
    }
    Ok(whole)
}

/// Reads a nickname; `further` is what else the caller takes in its place, as the end of a list.
fn nickname(whole: Piece<'_>, further: &str) -> Result<CronExpression, CronParseError> {
    let name = whole.text.split([' ', '\t']).next().unwrap_or_default();
    if let Some((_, fields_text)) = NICKNAMES.iter().find(|(known, _)| *known == name) {
        if whole.text.len() > name.len() {
            return Err(whole
                .skip(name.len())
                .error(format!("nothing may follow {name}")));
        }
        let fields_text = Piece {
            text: fields_text,
            column: whole.column,
        };
        return from_fields(whole.text, &fields(fields_text));
    }
    let piece = Piece {
        text: name,
        column: whole.column,
    };
    let lower = name.to_ascii_lowercase();
    Err(piece.error(match lower.as_str() {
        "@reboot" => "@reboot is not a time: a schedule has no machine that starts".to_owned(),
        "@every" => "@every is an interval, not a cron expression".to_owned(),
        _ if NICKNAMES.iter().any(|(known, _)| *known == lower) => {
            format!("nicknames are in lower case: {lower}")
        }
        _ => format!(
            "unknown nickname {}: use @yearly, @monthly, @weekly, @daily or @hourly{further}",
            shortened(name)
        ),
    }))
}

/// The stretches between blanks.
fn fields(whole: Piece<'_>) -> Vec<Piece<'_>> {
    // The text is ASCII without line breaks, so a tab is a separator just like a space, of the same
    // length.
    let mut found = Vec::with_capacity(7);
    let mut rest = whole;
    loop {
        let blanks = rest.text.len() - rest.text.trim_start_matches([' ', '\t']).len();
        rest = rest.skip(blanks);
        if rest.text.is_empty() {
            return found;
        }
        let length = rest.text.find([' ', '\t']).unwrap_or(rest.text.len());
        found.push(Piece {
            text: &rest.text[..length],
            column: rest.column,
        });
        rest = rest.skip(length);
    }
}

fn from_fields(text: &str, fields: &[Piece<'_>]) -> Result<CronExpression, CronParseError> {
    let (second, [minute, hour, day_of_month, month, day_of_week], year) = match *fields {
        [a, b, c, d, e] => (None, [a, b, c, d, e], None),
        [second, a, b, c, d, e] => (Some(second), [a, b, c, d, e], None),
        [second, a, b, c, d, e, year] => (Some(second), [a, b, c, d, e], Some(year)),
        _ => return Err(wrong_count(fields)),
    };
    let seconds = second.map_or(Ok(BitSet::stepped(0, 0, 1)), |field| values(&SECOND, field))?;
    let minutes = values(&MINUTE, minute)?;
    let hours = values(&HOUR, hour)?;
    let of_month = days_of_month(day_of_month)?;
    let months = values(&MONTH, month)?;
    let of_week = days_of_week(day_of_week)?;
    let years = year.map_or(Ok(YearSet::All), years)?;
    let both = of_month.starred || of_week.starred || of_week.plus;
    let logic = if both {
        DayLogic::Both
    } else {
        DayLogic::Either
    };
    Ok(CronExpression {
        text: text.to_owned(),
        seconds,
        minutes,
        hours,
        days: Days {
            of_month,
            of_week,
            logic,
        },
        months,
        years,
        has_seconds_field: second.is_some(),
        follows_clock: minute.text.starts_with('*') || hour.text.starts_with('*'),
    })
}

fn wrong_count(fields: &[Piece<'_>]) -> CronParseError {
    const EXPECTED: &str = "expected 5 fields (minute, hour, day of month, month, day of week), or 6 with a second in front, or 7 with a year behind";
    match fields {
        [first, ..] if fields.len() < 5 => {
            let last = fields.last().unwrap_or(first);
            let end = last.column + last.text.len();
            CronParseError::new(
                first.column,
                end - first.column,
                format!("{EXPECTED}; got {}", fields.len()),
            )
        }
        _ => {
            let (extra, last) = (&fields[7], &fields[fields.len() - 1]);
            let length = last.column + last.text.len() - extra.column;
            CronParseError::new(
                extra.column,
                length,
                format!("{EXPECTED}; got {}", fields.len()),
            )
        }
    }
}

/// The items of a field's list; an empty one is an error.
fn items<'a>(kind: &FieldKind, field: Piece<'a>) -> Result<Vec<Piece<'a>>, CronParseError> {
    let items: Vec<Piece<'a>> = field.split(',').collect();
    match items.iter().find(|item| item.text.is_empty()) {
        Some(empty) => Err(empty.error(format!("the {} list has an empty item", kind.name))),
        None => Ok(items),
    }
}

/// A field of plain numbers and names.
fn values(kind: &FieldKind, field: Piece<'_>) -> Result<BitSet, CronParseError> {
    let mut set = BitSet::default();
    for item in items(kind, field)? {
        refuse_question_mark(kind, item)?;
        set.0 |= kind.run(item)?.bits().0;
    }
    Ok(set)
}

fn refuse_question_mark(kind: &FieldKind, item: Piece<'_>) -> Result<(), CronParseError> {
    if item.text != "?" {
        return Ok(());
    }
    Err(item.error(match kind.name {
        "day of month" | "day of week" => format!("? stands alone in the {} field", kind.name),
        name => format!("? is for the day of month and the day of week, not for the {name}"),
    }))
}

fn years(field: Piece<'_>) -> Result<YearSet, CronParseError> {
    let mut found = vec![false; usize::from(YEAR.max - YEAR.min) + 1];
    for item in items(&YEAR, field)? {
        refuse_question_mark(&YEAR, item)?;
        let run = YEAR.run(item)?;
        for year in (run.first..=run.last).step_by(usize::from(run.step)) {
            found[usize::from(year - YEAR.min)] = true;
        }
    }
    if found.iter().all(|listed| *listed) {
        return Ok(YearSet::All);
    }
    debug_assert_eq!(
        (i32::from(YEAR.min), i32::from(YEAR.max)),
        (FIRST_YEAR, LAST_YEAR)
    );
    Ok(YearSet::Listed(
        (YEAR.min..)
            .zip(found)
            .filter(|(_, listed)| *listed)
            .map(|(year, _)| year)
            .collect(),
    ))
}

fn days_of_month(field: Piece<'_>) -> Result<MonthDays, CronParseError> {
    let kind = &DAY_OF_MONTH;
    let starred = field.text.starts_with(['*', '?']);
    if field.text == "?" {
        return Ok(MonthDays {
            days: BitSet::stepped(1, 31, 1),
            starred,
            ..MonthDays::default()
        });
    }
    let mut found = MonthDays {
        starred,
        ..MonthDays::default()
    };
    for item in items(kind, field)? {
        refuse_question_mark(kind, item)?;
        if item.text == "L" {
            found.before_last.insert(0);
        } else if item.text == "LW" {
            found.last_weekday = true;
        } else if item.text.starts_with("L-") {
            let offset = item.skip(2);
            let days = digits(offset.text)
                .filter(|days| (1..=30).contains(days))
                .ok_or_else(|| {
                    offset.error(format!(
                        "days before the last must be 1-30, got {}",
                        shortened(offset.text)
                    ))
                })?;
            found.before_last.insert(days as u8);
        } else if let Some(day) = item.strip_suffix("W") {
            if day.text.contains(['-', '/', '*']) {
                return Err(
                    item.error("W goes with a single day such as 15W, not with a range or a step")
                );
            }
            found.nearest_weekday.insert(kind.value(day)? as u8);
        } else {
            refuse_small_modifier(item)?;
            found.days.0 |= kind.run(item)?.bits().0;
        }
    }
    Ok(found)
}

fn days_of_week(field: Piece<'_>) -> Result<WeekDays, CronParseError> {
    let kind = &DAY_OF_WEEK;
    let plus = field.text.starts_with('+');
    let field = if plus { field.skip(1) } else { field };
    let starred = field.text.starts_with(['*', '?']);
    let mut found = WeekDays {
        starred,
        plus,
        ..WeekDays::default()
    };
    if field.text == "?" {
        found.days = BitSet::stepped(0, 6, 1);
        return Ok(found);
    }
    for item in items(kind, field)? {
        refuse_question_mark(kind, item)?;
        if item.text == "L" {
            return Err(
                item.error("L needs a weekday before it: 5L is the last Friday of the month")
            );
        }
        if let Some((day, nth)) = item.split_once('#') {
            let n = match nth.text {
                "L" => 0,
                text => digits(text)
                    .filter(|n| (1..=5).contains(n))
                    .ok_or_else(|| {
                        nth.error(format!(
                            "which weekday of the month must be 1-5 or L, got {}",
                            shortened(text)
                        ))
                    })?,
            };
            found.nth[usize::from(single_weekday(day)?)].insert(n as u8);
        } else if let Some(day) = item.strip_suffix("L") {
            found.nth[usize::from(single_weekday(day)?)].insert(0);
        } else {
            refuse_small_modifier(item)?;
            let bits = kind.run(item)?.bits().0;
            // 7 is Sunday too.
            found.days.0 |= (bits | bits >> 7) & 0x7f;
        }
    }
    Ok(found)
}

fn single_weekday(day: Piece<'_>) -> Result<u16, CronParseError> {
    if day.text.contains(['-', '/', '*']) {
        return Err(day.error(
            "# and L go with a single weekday such as 5#3 or 5L, not with a range or a step",
        ));
    }
    DAY_OF_WEEK.value(day).map(|value| value % 7)
}

/// `15w`, `lw` and `5l` are typing slips worth a hint of their own.
fn refuse_small_modifier(item: Piece<'_>) -> Result<(), CronParseError> {
    let upper = item.text.to_ascii_uppercase();
    let number = item.text.strip_suffix(['l', 'w']);
    if number.is_some_and(|number| number.is_empty() || number == "l" || digits(number).is_some()) {
        return Err(item.error(format!(
            "the modifiers L and W are capitals: {}",
            shortened(&upper)
        )));
    }
    Ok(())
}
