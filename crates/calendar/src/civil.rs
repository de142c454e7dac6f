//! Dates of the proleptic Gregorian calendar, as whole days since 1970-01-01.
//!
//! A *local second* in this crate is the reading of a wall clock as seconds since
//! 1970-01-01T00:00:00 on that clock: `instant + offset`. It has no zone and is compared only with
//! readings of the same clock.

use minutehand_model::date::{date_of_day, day_of_date};

/// Seconds in a day of 24 hours.
pub(crate) const DAY_S: i64 = 86_400;
/// First year a schedule can name.
pub(crate) const FIRST_YEAR: i32 = 1970;
/// Last year a schedule can name.
pub(crate) const LAST_YEAR: i32 = 9999;

/// A calendar date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i32,
    /// 1 to 12.
    pub(crate) month: u8,
    /// 1 to 31.
    pub(crate) day: u8,
}

impl Date {
    /// The date `day_number` days after 1970-01-01.
    pub(crate) fn from_day_number(day_number: i64) -> Date {
        let (year, month, day) = date_of_day(day_number);
        Date {
            year: year as i32,
            month,
            day,
        }
    }

    /// Days from 1970-01-01 to this date.
    pub(crate) fn day_number(self) -> i64 {
        day_of_date(i64::from(self.year), self.month, self.day)
    }

    /// The date a local second lies in.
    pub(crate) fn of_local(local_s: i64) -> Date {
        Date::from_day_number(local_s.div_euclid(DAY_S))
    }

    /// Reads `YYYY-MM-DD`; `None` for any other text, for a day that does not exist and for a year
    /// out of range.
    pub(crate) fn parse_iso(text: &str) -> Option<Date> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let number = |range: std::ops::Range<usize>| {
            let part = bytes.get(range)?;
            part.iter().try_fold(0, |sum: i32, byte| {
                byte.is_ascii_digit()
                    .then(|| sum * 10 + i32::from(byte - b'0'))
            })
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let in_range = (FIRST_YEAR..=LAST_YEAR).contains(&year)
            && (1..=12).contains(&month)
            && (1..=i32::from(days_in_month(year, month as u8))).contains(&day);
        in_range.then_some(Date {
            year,
            month: month as u8,
            day: day as u8,
        })
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Day of the week of a day number: 0 is Sunday, 6 is Saturday.
pub(crate) fn weekday(day_number: i64) -> u8 {
    (day_number + 4).rem_euclid(7) as u8
}

/// Days in a month, 28 to 31.
pub(crate) fn days_in_month(year: i32, month: u8) -> u8 {
    minutehand_model::date::days_in_month(i64::from(year), month)
}

/// `HH:MM`, or `HH:MM:SS` when the seconds are not zero, of a local second.
pub(crate) fn clock_text(local_s: i64) -> String {
    let second_of_day = local_s.rem_euclid(DAY_S);
    let (hour, minute, second) = (
        second_of_day / 3_600,
        second_of_day / 60 % 60,
        second_of_day % 60,
    );
    if second == 0 {
        format!("{hour:02}:{minute:02}")
    } else {
        format!("{hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_day_numbers_are_inverse_over_four_centuries() {
        for day_number in -800..146_097 {
            let date = Date::from_day_number(day_number);
            assert_eq!(date.day_number(), day_number);
            assert!(date.day <= days_in_month(date.year, date.month), "{date}");
        }
        assert_eq!(
            Date {
                year: 9999,
                month: 12,
                day: 31
            }
            .day_number(),
            2_932_896
        );
        assert_eq!(weekday(0), 4, "1970-01-01 was a Thursday");
    }

    #[test]
    fn only_real_iso_dates_are_read() {
        assert_eq!(
            Date::parse_iso("2028-02-29"),
            Some(Date {
                year: 2028,
                month: 2,
                day: 29
            })
        );
        for bad in [
            "2027-02-29",
            "2027-13-01",
            "2027-00-10",
            "2027-1-01",
            "1969-12-31",
            "27-01-01",
            "2027-01-0x",
            "2027/01/01",
            "",
            "２０２７-01-01",
        ] {
            assert_eq!(Date::parse_iso(bad), None, "{bad}");
        }
    }
}
