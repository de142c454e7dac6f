//! Expressions and intervals in English words.

use crate::expression::{CronExpression, DayLogic, MonthDays, WeekDays};
use crate::field::{BitSet, YearSet};
use crate::interval::Interval;

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Most times of day that are spelt out.
const SPELT_OUT: u32 = 6;

impl CronExpression {
    /// The expression in English: `every hour from 09:00 through 17:00, Monday through Friday`.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut parts = vec![times(self)];
        parts.extend(days(self));
        if self.months.len() < 12 {
            parts.push(format!(
                "in {}",
                list(&runs(self.months), |month| MONTHS[usize::from(month) - 1]
                    .to_owned())
            ));
        }
        if let YearSet::Listed(years) = &self.years {
            parts.push(format!("in {}", year_list(years)));
        }
        parts.join(", ")
    }
}

impl Interval {
    /// The interval in English: `every 1 hour 30 minutes`.
    #[must_use]
    pub fn describe(&self) -> String {
        let seconds = self.every_ms() / 1_000;
        let units = [
            ("day", 86_400, i64::MAX),
            ("hour", 3_600, 24),
            ("minute", 60, 60),
            ("second", 1, 60),
        ];
        let parts: Vec<String> = units
            .into_iter()
            .map(|(name, length, modulus)| (name, seconds / length % modulus))
            .filter(|(_, amount)| *amount > 0)
            .map(|(name, amount)| plural(amount, name))
            .collect();
        match parts.as_slice() {
            [one] if one.starts_with("1 ") => format!("every {}", &one[2..]),
            many => format!("every {}", many.join(" ")),
        }
    }
}

fn plural(amount: i64, name: &str) -> String {
    if amount == 1 {
        format!("1 {name}")
    } else {
        format!("{amount} {name}s")
    }
}

/// The time of day.
fn times(expression: &CronExpression) -> String {
    let (seconds, minutes, hours) = (expression.seconds, expression.minutes, expression.hours);
    let on_the_minute = seconds == BitSet::stepped(0, 0, 1);
    if seconds.len() * minutes.len() * hours.len() <= SPELT_OUT {
        return format!("at {}", spelt_out(expression));
    }
    if on_the_minute && minutes.len() == 1 {
        return single_minute(minutes.first(), hours);
    }
    let mut parts = Vec::new();
    if !on_the_minute {
        parts.push(unit(seconds, 60, "second"));
    }
    if on_the_minute || minutes.len() < 60 {
        parts.push(unit(minutes, 60, "minute"));
    }
    if hours.len() < 24 {
        parts.push(format!("during {}", hour_list(hours)));
    } else if minutes.len() < 60 && every_nth(minutes, 60).is_none() {
        parts.push("of every hour".to_owned());
    }
    parts.join(" ")
}

/// `every hour from 09:30 through 17:30`, `at minute 30 of every hour`.
fn single_minute(minute: u8, hours: BitSet) -> String {
    let clock = |hour: u8| format!("{hour:02}:{minute:02}");
    if hours.len() == 24 {
        return match minute {
            0 => "every hour".to_owned(),
            _ => format!("at minute {minute} of every hour"),
        };
    }
    if let Some(n) = every_nth(hours, 24) {
        return format!("every {n} hours from {}", clock(0));
    }
    match runs(hours).as_slice() {
        [(first, last)] => format!("every hour from {} through {}", clock(*first), clock(*last)),
        _ => format!("at minute {minute} during {}", hour_list(hours)),
    }
}

fn hour_list(hours: BitSet) -> String {
    match every_nth(hours, 24) {
        Some(n) => format!("every {} hour", ordinal(n)),
        None => {
            let name = if hours.len() == 1 { "hour" } else { "hours" };
            format!("{name} {}", list(&runs(hours), |hour| hour.to_string()))
        }
    }
}

fn spelt_out(expression: &CronExpression) -> String {
    let mut clocks = Vec::new();
    for hour in expression.hours.iter() {
        for minute in expression.minutes.iter() {
            for second in expression.seconds.iter() {
                clocks.push(match second {
                    0 => format!("{hour:02}:{minute:02}"),
                    _ => format!("{hour:02}:{minute:02}:{second:02}"),
                });
            }
        }
    }
    joined(&clocks)
}

/// `every minute`, `every 5 minutes`, `minutes 5, 20 and 35`.
fn unit(set: BitSet, size: u8, name: &str) -> String {
    if set.len() == u32::from(size) {
        return format!("every {name}");
    }
    if let Some(n) = every_nth(set, size) {
        return format!("every {n} {name}s");
    }
    let plural = if set.len() == 1 { "" } else { "s" };
    format!(
        "at {name}{plural} {}",
        list(&runs(set), |value| value.to_string())
    )
}

/// `n` when the set is `0, n, 2n, ...` and that goes on evenly over the turn.
fn every_nth(set: BitSet, size: u8) -> Option<u8> {
    let n = set.next(1)?;
    (n > 1 && size.is_multiple_of(n) && set == BitSet::stepped(0, size - 1, n)).then_some(n)
}

fn days(expression: &CronExpression) -> Option<String> {
    let of_month = month_days(&expression.days.of_month);
    let of_week = week_days(&expression.days.of_week);
    match (of_month, of_week, expression.days.logic) {
        (None, None, _) => None,
        (Some(of_month), None, DayLogic::Both) => Some(format!("on {of_month}")),
        (None, Some(of_week), DayLogic::Both) => Some(of_week),
        (Some(of_month), Some(of_week), DayLogic::Either) => {
            Some(format!("on {of_month} or {of_week}"))
        }
        (Some(of_month), Some(of_week), DayLogic::Both) => {
            Some(format!("on {of_month} that is also {of_week}"))
        }
        // One of the two covers every day (1-31, 0-6), so either is always true.
        (_, _, DayLogic::Either) => None,
    }
}

/// The day-of-month field, `None` when it has every day.
fn month_days(field: &MonthDays) -> Option<String> {
    if field.days.len() == 31 {
        return None;
    }
    let mut parts = Vec::new();
    if !field.days.is_empty() {
        let name = if field.days.len() == 1 { "day" } else { "days" };
        parts.push(format!(
            "{name} {}",
            list(&runs(field.days), |day| day.to_string())
        ));
    }
    parts.extend(
        field
            .nearest_weekday
            .iter()
            .map(|day| format!("the weekday nearest day {day}")),
    );
    if field.last_weekday {
        parts.push("the last weekday".to_owned());
    }
    parts.extend(field.before_last.iter().map(|days| match days {
        0 => "the last day".to_owned(),
        days => format!("the day {} before the last", plural(i64::from(days), "day")),
    }));
    Some(format!("{} of the month", joined(&parts)))
}

/// The day-of-week field, `None` when it has every day.
fn week_days(field: &WeekDays) -> Option<String> {
    if field.days.len() == 7 {
        return None;
    }
    let mut parts = Vec::new();
    if !field.days.is_empty() {
        parts.push(list(&runs(field.days), |day| {
            WEEKDAYS[usize::from(day)].to_owned()
        }));
    }
    for (name, nth) in WEEKDAYS.iter().zip(field.nth) {
        parts.extend(nth.iter().map(|n| match n {
            0 => format!("the last {name} of the month"),
            n => format!("the {} {name} of the month", ordinal(n)),
        }));
    }
    Some(joined(&parts))
}

fn ordinal(n: u8) -> String {
    match n {
        1 => "first".to_owned(),
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        4 => "fourth".to_owned(),
        5 => "fifth".to_owned(),
        n => format!("{n}th"),
    }
}

/// Neighbouring members as (first, last); two neighbours count as two.
fn runs(set: BitSet) -> Vec<(u8, u8)> {
    let mut found: Vec<(u8, u8)> = Vec::new();
    for value in set.iter() {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => found.push((value, value)),
        }
    }
    let split = |(first, last)| {
        if last == first + 1 {
            vec![(first, first), (last, last)]
        } else {
            vec![(first, last)]
        }
    };
    found.into_iter().flat_map(split).collect()
}

fn list(runs: &[(u8, u8)], name: impl Fn(u8) -> String) -> String {
    let parts: Vec<String> = runs
        .iter()
        .map(|(first, last)| match first == last {
            true => name(*first),
            false => format!("{} through {}", name(*first), name(*last)),
        })
        .collect();
    joined(&parts)
}

fn joined(parts: &[String]) -> String {
    match parts.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// At most a dozen stretches of years, then an ellipsis.
fn year_list(years: &[u16]) -> String {
    let mut stretches: Vec<(u16, u16)> = Vec::new();
    for year in years {
        match stretches.last_mut() {
            Some((_, last)) if *last + 1 == *year => *last = *year,
            _ => stretches.push((*year, *year)),
        }
    }
    let parts: Vec<String> = stretches
        .iter()
        .take(12)
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first} through {last}")
            }
        })
        .collect();
    if stretches.len() > parts.len() {
        format!("{}, ...", parts.join(", "))
    } else {
        joined(&parts)
    }
}
