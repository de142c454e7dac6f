//! Points in time, in milliseconds of UTC.

use std::fmt;

use crate::date::date_of_day;

/// Milliseconds in a second.
pub const SECOND_MS: i64 = 1_000;
/// Milliseconds in a minute: the length of a timetable bucket.
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
/// An hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Milliseconds in a day without leap seconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// An own type instead of [`std::time::Instant`], so that the logic can be run in virtual time and
/// a trace can be reproduced by value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Before every other time.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// After every other time.
    pub const MAX: Timestamp = Timestamp(i64::MAX);
    /// 9999-12-31T23:59:59.999Z, the last time that can be scheduled.
    pub const END_OF_YEAR_9999: Timestamp = Timestamp(253_402_300_799_999);

    /// The time `ms` milliseconds after the epoch (before it when negative).
    pub const fn from_millis(ms: i64) -> Timestamp {
        Timestamp(ms)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This time moved by `ms` milliseconds; stays at the ends of the range instead of wrapping.
    #[must_use]
    pub const fn plus_millis(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; negative when this time is the earlier one.
    pub const fn millis_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// RFC 3339 in UTC with milliseconds, as ASCII: `2026-11-23T16:00:00.000Z`. `None` outside the
    /// years 0 to 9999.
    pub fn to_rfc3339(self) -> Option<[u8; 24]> {
        let civil = Civil::from_millis(self.0)?;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let fields = [
            (0, 4, civil.year),
            (5, 2, civil.month),
            (8, 2, civil.day),
            (11, 2, civil.hour()),
            (14, 2, civil.minute()),
            (17, 2, civil.second()),
            (20, 3, civil.millis),
        ];
        for (at, digits, value) in fields {
            let mut rest = value;
            for place in text[at..at + digits].iter_mut().rev() {
                *place = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        Some(text)
    }

    /// The start of the UTC minute this time lies in.
    #[must_use]
    pub const fn floor_to_minute(self) -> Timestamp {
        Timestamp(self.0.saturating_sub(self.0.rem_euclid(MINUTE_MS)))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds when there are any; the bare number of milliseconds
    /// outside the years 0 to 9999.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(civil) = Civil::from_millis(self.0) else {
            return write!(f, "{}ms", self.0);
        };
        let Civil {
            year,
            month,
            day,
            millis,
            ..
        } = civil;
        let (hour, minute, second) = (civil.hour(), civil.minute(), civil.second());
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if millis != 0 {
            write!(f, ".{millis:03}")?;
        }
        f.write_str("Z")
    }
}

/// A UTC date and time of day, as [`Timestamp`]'s display needs it.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    second_of_day: i64,
    millis: i64,
}

impl Civil {
    fn from_millis(ms: i64) -> Option<Civil> {
        if !(-62_167_219_200_000..=253_402_300_799_999).contains(&ms) {
            return None;
        }
        let (year, month, day) = date_of_day(ms.div_euclid(DAY_MS));
        let in_day = ms.rem_euclid(DAY_MS);
        Some(Civil {
            year,
            month: i64::from(month),
            day: i64::from(day),
            second_of_day: in_day / SECOND_MS,
            millis: in_day % SECOND_MS,
        })
    }

    const fn hour(&self) -> i64 {
        self.second_of_day / 3600
    }

    const fn minute(&self) -> i64 {
        self.second_of_day / 60 % 60
    }

    const fn second(&self) -> i64 {
        self.second_of_day % 60
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_as_rfc_3339() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (2_147_483_648_000, "2038-01-19T03:14:08Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "253402300800000ms"),
        ];
        for (ms, text) in cases {
            assert_eq!(Timestamp::from_millis(ms).to_string(), text);
        }
    }

    #[test]
    fn bytes_say_what_the_text_says() {
        for ms in [
            0,
            -1,
            951_782_400_000,
            1_795_449_600_123,
            253_402_300_799_999,
            -62_167_219_200_000,
        ] {
            let bytes = Timestamp::from_millis(ms).to_rfc3339().unwrap();
            let text = Timestamp::from_millis(ms).to_string();
            let whole = if ms % 1_000 == 0 {
                text.replace('Z', ".000Z")
            } else {
                text
            };
            assert_eq!(std::str::from_utf8(&bytes), Ok(whole.as_str()));
        }
        assert_eq!(
            Timestamp::from_millis(253_402_300_800_000).to_rfc3339(),
            None
        );
    }

    #[test]
    fn minutes_floor_towards_the_past() {
        assert_eq!(
            Timestamp::from_millis(-1).floor_to_minute(),
            Timestamp::from_millis(-MINUTE_MS)
        );
        assert_eq!(
            Timestamp::from_millis(59_999).floor_to_minute(),
            Timestamp::from_millis(0)
        );
    }
}
