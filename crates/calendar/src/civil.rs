//! Dates of the proleptic Gregorian calendar, as whole days since 1970-01-01.
//!
//! A *local second* in this crate is the reading of a wall clock as seconds since
//! 1970-01-01T00:00:00 on that clock: `instant + offset`. It has no zone and is compared only with
//! readings of the same clock.

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
    /// The date `day_number` days after 1970-01-01 (Howard Hinnant's `civil_from_days`).
    pub(crate) fn from_day_number(day_number: i64) -> Date {
        let z = day_number + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Date {
            year: year as i32,
            month: month as u8,
            day: day as u8,
        }
    }

    /// Days from 1970-01-01 to this date.
    pub(crate) fn day_number(self) -> i64 {
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
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
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year(year) => 29,
        2 => 28,
        _ => 31,
    }
}

fn is_leap_year(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
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
