//! Durations: a number of seconds, `1h30m`, or ISO 8601 (`PT5M`).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::InvalidField;

/// Longest duration: ten thousand years of 366 days, beyond everything that can be scheduled.
const MS_MAX: f64 = 10_000.0 * 366.0 * 86_400_000.0;
const LIMIT: &str =
    "a number of seconds, a sum such as 90s, 5m or 1h30m (w, d, h, m, s, ms), or ISO 8601 such as PT5M";

/// A duration as it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Duration<'a> {
    /// A number of seconds.
    Seconds(f64),
    /// `1h30m` or `PT5M`, not yet looked at.
    Text(Cow<'a, str>),
}

impl Duration<'_> {
    /// Milliseconds, rounded up; never negative.
    ///
    /// # Errors
    /// Negative durations (minus zero included), other texts, and what no due time could hold.
    pub fn as_ms(&self, field: &str) -> Result<i64, InvalidField> {
        let (ms, given) = match self {
            Duration::Seconds(seconds) => (Some(seconds * 1_000.0), format!("{seconds}")),
            Duration::Text(text) => (parse(text), text.to_string()),
        };
        let refused = |reason: &str| Err(InvalidField::new(field, reason, LIMIT, &given));
        match ms {
            None => refused("is not a duration"),
            Some(ms) if ms.is_sign_negative() => refused("is negative"),
            Some(ms) if ms.is_nan() || ms > MS_MAX => refused("is too long"),
            // A sum such as 0.1 s * 1000 must not become 101 ms.
            Some(ms) => Ok((ms - 1e-6).ceil().max(0.0) as i64),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Duration<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duration<'a>, D::Error> {
        struct DurationVisitor;
        impl<'de> Visitor<'de> for DurationVisitor {
            type Value = Duration<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(LIMIT)
            }
            fn visit_u64<E: Error>(self, seconds: u64) -> Result<Self::Value, E> {
                Ok(Duration::Seconds(seconds as f64))
            }
            fn visit_i64<E: Error>(self, seconds: i64) -> Result<Self::Value, E> {
                Ok(Duration::Seconds(seconds as f64))
            }
            fn visit_f64<E: Error>(self, seconds: f64) -> Result<Self::Value, E> {
                Ok(Duration::Seconds(seconds))
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Duration::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Duration::Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_any(DurationVisitor)
    }
}

/// A duration as the API writes it: `1h30m`, `90s`, `250ms`; every unit at most once.
pub fn duration_text(ms: i64) -> String {
    let mut rest = ms.max(0);
    let mut text = String::new();
    for (unit, unit_ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest >= unit_ms {
            text.push_str(&format!("{}{unit}", rest / unit_ms));
            rest %= unit_ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn parse(text: &str) -> Option<f64> {
    match text.strip_prefix(['P', 'p']) {
        Some(rest) => iso(rest),
        None => sum(text, &["w", "d", "h", "m", "s", "ms"]),
    }
}

/// `1W`, or days, `T` and a time. Years and months have no fixed length and are refused.
fn iso(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let (date, time) = match lower.split_once('t') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, Some(time)),
        None => (lower.as_str(), None),
    };
    let date_ms = if date.is_empty() { None } else { Some(sum(date, &["w", "d"])?) };
    let time_ms = match time {
        Some(time) => Some(sum(time, &["h", "m", "s"])?),
        None => None,
    };
    match (date_ms, time_ms) {
        (None, None) => None,
        (date, time) => Some(date.unwrap_or(0.0) + time.unwrap_or(0.0)),
    }
}

/// Numbers with units, in falling order of the units; only the last may have a fraction.
fn sum(text: &str, units: &[&str]) -> Option<f64> {
    let mut rest = text;
    let mut units_left = units;
    let mut total_ms = 0.0;
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let place = units_left.iter().position(|known| *known == unit)?;
        units_left = &units_left[place + 1..];
        if number.contains('.') && !after.is_empty() {
            return None;
        }
        total_ms += number.parse::<f64>().ok()? * unit_ms(unit)?;
        rest = after;
    }
    Some(total_ms)
}

fn unit_ms(unit: &str) -> Option<f64> {
    Some(match unit {
        "w" => 604_800_000.0,
        "d" => 86_400_000.0,
        "h" => 3_600_000.0,
        "m" => 60_000.0,
        "s" => 1_000.0,
        "ms" => 1.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<i64, String> {
        let duration: Duration<'_> = serde_json::from_str(json).map_err(|error| error.to_string())?;
        duration.as_ms("delay").map_err(|error| error.reason)
    }

    #[test]
    fn reads_every_form() {
        let cases = [
            ("0", 0),
            ("5", 5_000),
            ("0.1", 100),
            ("0.0001", 1),
            ("1.5", 1_500),
            (r#""PT5M""#, 300_000),
            (r#""PT0.5S""#, 500),
            (r#""P1DT12H""#, 129_600_000),
            (r#""P2W""#, 1_209_600_000),
            (r#""5m""#, 300_000),
            (r#""90s""#, 90_000),
            (r#""1h30m""#, 5_400_000),
            (r#""250ms""#, 250),
            (r#""1d""#, 86_400_000),
            (r#""0s""#, 0),
        ];
        for (json, ms) in cases {
            assert_eq!(read(json), Ok(ms), "{json}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        let cases = [
            ("-1", "is negative"),
            ("-0", "is negative"),
            ("-0.0", "is negative"),
            (r#""-5m""#, "is not a duration"),
            (r#""""#, "is not a duration"),
            (r#""5""#, "is not a duration"),
            (r#""5 m""#, "is not a duration"),
            (r#""30m1h""#, "is not a duration"),
            (r#""1h1h""#, "is not a duration"),
            (r#""1.5h30m""#, "is not a duration"),
            (r#""..s""#, "is not a duration"),
            (r#""P1M""#, "is not a duration"),
            (r#""P1Y""#, "is not a duration"),
            (r#""P""#, "is not a duration"),
            (r#""PT""#, "is not a duration"),
            (r#""P1DT""#, "is not a duration"),
            (r#""NaN""#, "is not a duration"),
            (r#""inf s""#, "is not a duration"),
            ("1e300", "is too long"),
            ("9223372036854775807", "is too long"),
        ];
        for (json, reason) in cases {
            assert_eq!(read(json), Err(reason.to_owned()), "{json}");
        }
        assert!(
            read("1e400").is_err() && read("NaN").is_err() && read("true").is_err() && read("[1]").is_err()
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for ms in [0, 1, 250, 90_000, 300_000, 5_400_000, 86_400_000, 31_622_461_001] {
            assert_eq!(
                Duration::Text(duration_text(ms).into()).as_ms("every"),
                Ok(ms),
                "{}",
                duration_text(ms)
            );
        }
    }
}
