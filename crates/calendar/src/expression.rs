//! A parsed cron expression: which readings of a wall clock match it.
//!
//! No zone and no daylight saving here. Every field is a set of bits, so the next match is found
//! field by field with a handful of shifts, however sparse the expression is.

use std::fmt;

use crate::civil::{DAY_S, Date, FIRST_YEAR, LAST_YEAR, days_in_month, weekday};
use crate::field::{BitSet, YearSet};

/// Bits 0, 7, 14, 21 and 28: copies a week over a month.
const WEEKS: u64 = 1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28;
/// After this many years without a match there is none: dates and weekdays repeat every 400 years.
const PERIOD_YEARS: i32 = 400;

/// A cron expression: five fields, six with seconds in front, seven with a year behind, or a
/// nickname.
///
/// | field | values | also |
/// |---|---|---|
/// | second | 0-59 | |
/// | minute | 0-59 | |
/// | hour | 0-23 | |
/// | day of month | 1-31 | `L` last day, `L-3` three days before it, `LW` last weekday, `15W` weekday nearest the 15th, `?` |
/// | month | 1-12, `JAN`-`DEC` | |
/// | day of week | 0-7, `SUN`-`SAT`, 0 and 7 are Sunday | `5L` or `5#L` last Friday, `5#3` third Friday, `?`, `+` in front |
/// | year | 1970-9999 | |
///
/// Lists, ranges and steps (`*/5`, `10-50/10`) in every field. A step needs `*` or a range before
/// it: `5/15` is refused, because dialects disagree on it. Names may be in any case, the modifiers
/// `L` and `W` are capitals.
///
/// **Day of month and day of week.** When both are restricted, a day that matches *either* is a
/// match. When either begins with `*` (also `*/2`, as in Vixie cron) or with `?`, or the day of
/// week begins with `+`, *both* must match.
///
/// **Nicknames**: `@yearly` `@annually` `@monthly` `@weekly` `@daily` `@midnight` `@hourly`, in
/// lower case.
///
/// A value that exists has a match: an expression that can never fire is refused by the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronExpression {
    pub(crate) text: String,
    pub(crate) seconds: BitSet,
    pub(crate) minutes: BitSet,
    pub(crate) hours: BitSet,
    pub(crate) days: Days,
    pub(crate) months: BitSet,
    pub(crate) years: YearSet,
    pub(crate) has_seconds_field: bool,
    pub(crate) follows_clock: bool,
}

/// How the day of month and the day of week combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DayLogic {
    /// A day that matches one of them matches.
    Either,
    /// A day must match both.
    Both,
}

/// The day-of-month and day-of-week fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Days {
    pub(crate) of_month: MonthDays,
    pub(crate) of_week: WeekDays,
    pub(crate) logic: DayLogic,
}

/// The day-of-month field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MonthDays {
    /// Bits 1 to 31.
    pub(crate) days: BitSet,
    /// Bit n: the day n days before the last; bit 0 is the last day.
    pub(crate) before_last: BitSet,
    /// Bits 1 to 31: the weekday (Monday to Friday) nearest that day.
    pub(crate) nearest_weekday: BitSet,
    pub(crate) last_weekday: bool,
    /// The field begins with `*` or `?`.
    pub(crate) starred: bool,
}

/// The day-of-week field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WeekDays {
    /// Bits 0 (Sunday) to 6.
    pub(crate) days: BitSet,
    /// For each weekday: bits 1 to 5 for the nth one of the month, bit 0 for the last.
    pub(crate) nth: [BitSet; 7],
    /// The field begins with `*` or `?`.
    pub(crate) starred: bool,
    /// The field begins with `+`.
    pub(crate) plus: bool,
}

impl CronExpression {
    /// The expression as it was written, without the blanks around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the minute or the hour field begins with `*`, which makes daylight saving leave it
    /// alone.
    #[must_use]
    pub fn follows_clock(&self) -> bool {
        self.follows_clock
    }

    /// The first matching wall-clock reading at or after `from_s`, `None` when there is none to the
    /// year 9999.
    pub(crate) fn next_local(&self, from_s: i64) -> Option<i64> {
        let day_number = from_s.div_euclid(DAY_S);
        let day = self.next_day(day_number)?;
        if day == day_number
            && let Some(second_of_day) = self.next_second_of_day(from_s.rem_euclid(DAY_S))
        {
            return Some(day * DAY_S + second_of_day);
        }
        let day = if day == day_number {
            self.next_day(day_number + 1)?
        } else {
            day
        };
        Some(day * DAY_S + self.first_second_of_day())
    }

    /// Whether the minute of this wall-clock reading matches; with a seconds field, the second too.
    pub(crate) fn covers_local(&self, local_s: i64) -> bool {
        self.covers_time_of_day(local_s.rem_euclid(DAY_S))
            && self.covers_day(local_s.div_euclid(DAY_S))
    }

    /// Whether a day matches.
    pub(crate) fn covers_day(&self, day_number: i64) -> bool {
        let date = Date::from_day_number(day_number);
        let first_day_number = day_number + 1 - i64::from(date.day);
        self.covers_date(date, first_day_number, days_in_month(date.year, date.month))
    }

    /// Whether a date matches; its month begins with that day number and has so many days.
    pub(crate) fn covers_date(&self, date: Date, first_day_number: i64, length: u8) -> bool {
        self.months.contains(date.month)
            && self.years.next(date.year) == Some(date.year)
            && self
                .days
                .in_month(first_day_number, length)
                .contains(date.day)
    }

    /// Whether the minute of a day matches; with a seconds field, the second too.
    pub(crate) fn covers_time_of_day(&self, second_of_day: i64) -> bool {
        let (hour, minute, second) = split(second_of_day);
        self.hours.contains(hour)
            && self.minutes.contains(minute)
            && (!self.has_seconds_field || self.seconds.contains(second))
    }

    fn first_second_of_day(&self) -> i64 {
        join(
            self.hours.first(),
            self.minutes.first(),
            self.seconds.first(),
        )
    }

    /// The first matching second of a day at or after `from`.
    fn next_second_of_day(&self, from: i64) -> Option<i64> {
        let (hour, minute, second) = split(from);
        if self.hours.contains(hour) {
            if self.minutes.contains(minute)
                && let Some(second) = self.seconds.next(second)
            {
                return Some(join(hour, minute, second));
            }
            if let Some(minute) = self.minutes.next(minute + 1) {
                return Some(join(hour, minute, self.seconds.first()));
            }
        }
        let hour = self.hours.next(hour + 1)?;
        Some(join(hour, self.minutes.first(), self.seconds.first()))
    }

    /// The first matching day at or after `from`.
    fn next_day(&self, from: i64) -> Option<i64> {
        let mut date = Date::from_day_number(from);
        if date.year < FIRST_YEAR {
            date = Date {
                year: FIRST_YEAR,
                month: 1,
                day: 1,
            };
        }
        let last_year = LAST_YEAR.min(self.years.horizon(date.year, PERIOD_YEARS));
        loop {
            let year = self.years.next(date.year)?;
            if year > last_year {
                return None;
            }
            if year != date.year {
                date = Date {
                    year,
                    month: 1,
                    day: 1,
                };
            }
            let Some(month) = self.months.next(date.month) else {
                date = Date {
                    year: year + 1,
                    month: 1,
                    day: 1,
                };
                continue;
            };
            if month != date.month {
                date = Date {
                    year,
                    month,
                    day: 1,
                };
            }
            let first_day_number = Date { day: 1, ..date }.day_number();
            let matching = self
                .days
                .in_month(first_day_number, days_in_month(year, month));
            if let Some(day) = matching.next(date.day) {
                return Some(first_day_number + i64::from(day) - 1);
            }
            date = match month {
                12 => Date {
                    year: year + 1,
                    month: 1,
                    day: 1,
                },
                _ => Date {
                    year,
                    month: month + 1,
                    day: 1,
                },
            };
        }
    }
}

impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Days {
    /// The matching days of a month of `length` days whose first has the number `first_day_number`:
    /// bits 1 to 31.
    pub(crate) fn in_month(&self, first_day_number: i64, length: u8) -> BitSet {
        let first_weekday = weekday(first_day_number);
        let of_month = self.of_month.in_month(first_weekday, length);
        let of_week = self.of_week.in_month(first_weekday, length);
        let both = match self.logic {
            DayLogic::Either => of_month.0 | of_week.0,
            DayLogic::Both => of_month.0 & of_week.0,
        };
        BitSet(both & month_mask(length))
    }
}

impl MonthDays {
    fn in_month(&self, first_weekday: u8, length: u8) -> BitSet {
        let mut found = self.days;
        for days_before in self
            .before_last
            .iter()
            .take_while(|days_before| *days_before < length)
        {
            found.insert(length - days_before);
        }
        for day in self.nearest_weekday.iter().take_while(|day| *day <= length) {
            found.insert(nearest_weekday(day, first_weekday, length));
        }
        if self.last_weekday {
            // The weekday nearest the last day never lies after it and never before the last
            // Friday.
            found.insert(nearest_weekday(length, first_weekday, length));
        }
        found
    }
}

impl WeekDays {
    fn in_month(&self, first_weekday: u8, length: u8) -> BitSet {
        let first = u64::from(first_weekday);
        let turned = (self.days.0 >> first | self.days.0 << (7 - first)) & 0x7f;
        let mut found = BitSet((turned * WEEKS) << 1);
        for (weekday, nth) in (0u8..7).zip(self.nth) {
            let first_such_day = 1 + (7 + weekday - first_weekday) % 7;
            for n in nth.iter() {
                found.insert(match n {
                    0 => first_such_day + (length - first_such_day) / 7 * 7,
                    n => first_such_day + (n - 1) * 7,
                });
            }
        }
        found
    }
}

/// The day of Monday to Friday nearest `day`, within its month.
fn nearest_weekday(day: u8, first_weekday: u8, length: u8) -> u8 {
    match (first_weekday + day - 1) % 7 {
        6 if day == 1 => 3,
        6 => day - 1,
        0 if day == length => day - 2,
        0 => day + 1,
        _ => day,
    }
}

/// Bits 1 to `length`.
fn month_mask(length: u8) -> u64 {
    (1 << (length + 1)) - 2
}

fn split(second_of_day: i64) -> (u8, u8, u8) {
    (
        (second_of_day / 3_600) as u8,
        (second_of_day / 60 % 60) as u8,
        (second_of_day % 60) as u8,
    )
}

fn join(hour: u8, minute: u8, second: u8) -> i64 {
    i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second)
}
