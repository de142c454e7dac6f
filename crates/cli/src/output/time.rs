//! Times: RFC 3339 in, UTC and "in 4 min" out.

use minutehand_api::InvalidField;
use minutehand_model::Timestamp;

use super::duration::human;

/// Checks an RFC 3339 time and writes it in UTC.
pub(crate) fn parse_time(text: &str) -> Result<String, String> {
    timestamp(text).map(|at| at.to_string())
}

/// The same of a time that may leave its seconds out: `2026-11-29T09:00Z`.
pub(crate) fn parse_minute(text: &str) -> Result<String, String> {
    let minute = minutehand_api::parse_minute("time", text.trim());
    let minute = minute.map_err(|refused| in_words(text, &refused))?;
    Ok(minute.to_string())
}

/// Reads an RFC 3339 time as the API does.
pub(crate) fn timestamp(text: &str) -> Result<Timestamp, String> {
    minutehand_api::parse_time("time", text.trim()).map_err(|refused| in_words(text, &refused))
}

fn in_words(text: &str, InvalidField { reason, limit, .. }: &InvalidField) -> String {
    format!("{:?} {reason}; write {limit}", text.trim())
}

/// How far a time lies from now: `in 4 min`, `12 s ago`, `now`.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let ms = at.millis_since(now);
    match ms {
        -499..=499 => "now".to_owned(),
        500.. => format!("in {}", human(ms.unsigned_abs())),
        _ => format!("{} ago", human(ms.unsigned_abs())),
    }
}

/// A time in UTC with how far it lies from now: `2026-11-24T09:00:00Z (in 4 min)`; text that is no
/// time stays as it is.
pub(crate) fn with_relative(text: &str, now: Timestamp) -> String {
    match timestamp(text) {
        Ok(at) => format!("{at} ({})", relative(at, now)),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_any_offset_and_written_in_utc() {
        assert_eq!(
            parse_time("2026-11-24T09:00:00+01:00"),
            Ok("2026-11-24T08:00:00Z".to_owned())
        );
        assert_eq!(
            parse_time("2026-11-24 09:00:00.25Z"),
            Ok("2026-11-24T09:00:00.250Z".to_owned())
        );
        for text in [
            "",
            "tomorrow",
            "2026-11-24",
            "2026-11-24T09:00:00",
            "2026-13-01T00:00:00Z",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_minute_needs_no_seconds() {
        for text in [
            "2026-11-29T09:00Z",
            "2026-11-29T09:00:00Z",
            " 2026-11-29T10:00+01:00 ",
        ] {
            assert_eq!(parse_minute(text), Ok("2026-11-29T09:00:00Z".to_owned()));
        }
        for text in [
            "2026-11-29T09:00",
            "-19223372036854775807",
            "0000-01-01T00:00+23:59",
        ] {
            let error = parse_minute(text).unwrap_err();
            assert!(error.starts_with(&format!("{text:?} ")), "{error}");
        }
    }

    #[test]
    fn distances_are_words() {
        let now = Timestamp::from_millis(1_000_000);
        for (ms, words) in [
            (0, "now"),
            (499, "now"),
            (960, "in 1 s"),
            (240_000, "in 4 min"),
            (-12_000, "12 s ago"),
        ] {
            assert_eq!(relative(now.plus_millis(ms), now), words);
        }
        assert_eq!(with_relative("never", now), "never");
        let error = parse_time("2026-12-01 09:00").expect_err("no zone");
        assert!(
            error
                .starts_with("\"2026-12-01 09:00\" names no time zone; write RFC 3339 with a zone"),
            "{error}"
        );
        assert_eq!(
            parse_time("9999-12-31T00:00:00Z"),
            Ok("9999-12-31T00:00:00Z".to_owned())
        );
    }
}
