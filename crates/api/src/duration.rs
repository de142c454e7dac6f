//! Durations: a number of seconds, `1h30m`, `1.5h`, `1h 30m`, or ISO 8601 (`PT5M`). One grammar for
//! the API, for records and for the command line.

use std::borrow::Cow;
use std::fmt;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::InvalidField;

/// Longest duration: ten thousand years of 366 days, beyond everything that can be scheduled.
const MS_MAX: f64 = 10_000.0 * 366.0 * 86_400_000.0;
/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 64;
const LIMIT: &str = "a number of seconds, a sum such as 90s, 5m or 1h30m (w, d, h, m, s, ms), or ISO 8601 such as PT5M";

/// A duration as it was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
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
        Ok(self.exact_ms(field)?.ceil() as i64)
    }

    /// Milliseconds with their fraction, where one was given; never negative.
    pub(crate) fn exact_ms(&self, field: &str) -> Result<f64, InvalidField> {
        let ms = match self {
            Duration::Seconds(seconds) => Some(seconds * 1_000.0),
            Duration::Text(text) => parse(text),
        };
        let refused = |reason: &str| Err(InvalidField::new(field, reason, LIMIT, self));
        match ms {
            None => refused("is not a duration"),
            Some(ms) if ms.is_sign_negative() => refused("is negative"),
            Some(ms) if ms.is_nan() || ms > MS_MAX => refused("is too long"),
            // A sum such as 0.1 s * 1000 must not become 101 ms.
            Some(ms) => Ok((ms * 1e6).round() / 1e6),
        }
    }
}

impl fmt::Display for Duration<'_> {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duration::Seconds(seconds) => write!(f, "{seconds}"),
            Duration::Text(text) => f.write_str(text),
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

/// A duration within limits, both in milliseconds.
pub(crate) fn within(
    field: &str,
    duration: &Duration<'_>,
    shortest: i64,
    longest: i64,
) -> Result<i64, InvalidField> {
    let ms = duration.as_ms(field)?;
    // As it was given: what is rounded up would pass.
    let given = duration.exact_ms(field)?;
    if (shortest..=longest).contains(&ms) && given >= shortest as f64 {
        return Ok(ms);
    }
    let limit = format!("{shortest} ms to {longest} ms");
    Err(InvalidField::new(
        field,
        "is out of range",
        limit,
        format!("{given} ms"),
    ))
}

/// A duration as the API writes it: `1h30m`, `90s`, `250ms`; every unit at most once.
pub fn duration_text(ms: i64) -> String {
    let mut rest = ms.max(0);
    let mut text = String::new();
    for (unit, unit_ms) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ] {
        if rest >= unit_ms {
            text.push_str(&format!("{}{unit}", rest / unit_ms));
            rest %= unit_ms;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// Milliseconds of a text. Months and years have no fixed length and are refused; a day has 24
/// hours.
fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return None;
    }
    if let Some(ms) = number(text)
        .map(|seconds| seconds * 1_000.0)
        .or_else(|| days(text))
    {
        return Some(ms);
    }
    let span: Span = text.parse().ok()?;
    let length: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Some(length.as_secs() as f64 * 1_000.0 + f64::from(length.subsec_nanos()) / 1e6)
}

/// A number of days or weeks with a fraction, which the general grammar has for hours and less
/// only.
fn days(text: &str) -> Option<f64> {
    const DAY_MS: f64 = 86_400_000.0;
    match text.strip_suffix('d') {
        Some(days) => number(days).map(|days| days * DAY_MS),
        None => number(text.strip_suffix('w')?).map(|weeks| weeks * 7.0 * DAY_MS),
    }
}

/// A decimal number without an exponent.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<i64, String> {
        let duration: Duration<'_> =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
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
            (r#""5""#, 5_000),
            (r#""1.5h""#, 5_400_000),
            (r#""1h 30m""#, 5_400_000),
            (r#""1.5d""#, 129_600_000),
            (r#""2w""#, 1_209_600_000),
            (r#""1d12h""#, 129_600_000),
            (r#""0.1s""#, 100),
            (r#""0.0001s""#, 1),
            (r#""PT1.5H""#, 5_400_000),
            (r#""pt5m""#, 300_000),
            (r#""2 days 3 hours""#, 183_600_000),
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
            (r#""-5m""#, "is negative"),
            (r#""-5""#, "is negative"),
            (r#""-PT5M""#, "is negative"),
            (r#""5m ago""#, "is negative"),
            (r#""""#, "is not a duration"),
            (r#""5x""#, "is not a duration"),
            (r#""1e3""#, "is not a duration"),
            (r#""soon""#, "is not a duration"),
            (r#""1mo""#, "is not a duration"),
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
            (r#""9999999w""#, "is too long"),
            ("1e300", "is too long"),
            ("9223372036854775807", "is too long"),
        ];
        for (json, reason) in cases {
            assert_eq!(read(json), Err(reason.to_owned()), "{json}");
        }
        assert!(
            read("1e400").is_err()
                && read("NaN").is_err()
                && read("true").is_err()
                && read("[1]").is_err()
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for ms in [
            0,
            1,
            250,
            90_000,
            300_000,
            5_400_000,
            86_400_000,
            31_622_461_001,
        ] {
            assert_eq!(
                Duration::Text(duration_text(ms).into()).as_ms("every"),
                Ok(ms),
                "{}",
                duration_text(ms)
            );
        }
    }
}
