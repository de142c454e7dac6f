//! RFC 3339 in and out.

use minutehand_model::Timestamp;
use minutehand_model::date::{day_of_date, days_in_month};
use minutehand_model::time::{DAY_MS, SECOND_MS};

use crate::InvalidField;

const LIMIT: &str =
    "RFC 3339 with a zone, such as 2027-01-31T08:00:00Z or 2027-01-31T09:00:00+01:00";
/// The first time that can be written.
const START_OF_YEAR_0: Timestamp = Timestamp::from_millis(-62_167_219_200_000);

/// A time in RFC 3339. Fractions below a millisecond are rounded up: nothing runs early.
///
/// # Errors
/// Any other text, times that do not exist, leap seconds, and years outside 0 to 9999 (in UTC).
pub fn parse_time(field: &str, text: &str) -> Result<Timestamp, InvalidField> {
    parse(text).map_err(|reason| InvalidField::new(field, reason, LIMIT, text))
}

/// A time in a minute: in RFC 3339, with or without its seconds.
///
/// # Errors
/// As of [`parse_time`].
pub fn parse_minute(field: &str, text: &str) -> Result<Timestamp, InvalidField> {
    // The seconds follow behind `2026-11-29T09:00`.
    let read = match (text.get(..16), text.get(16..)) {
        (Some(minute), Some(zone)) if zone.starts_with(['Z', 'z', '+', '-']) => {
            parse(&format!("{minute}:00{zone}"))
        }
        _ => parse(text),
    };
    read.map_err(|reason| InvalidField::new(field, reason, LIMIT, text))
}

/// A time as the API writes it: RFC 3339 in UTC with milliseconds.
pub fn time_text(at: Timestamp) -> String {
    let text = at.to_string();
    match text.strip_suffix('Z') {
        Some(whole) if !whole.contains('.') => format!("{whole}.000Z"),
        _ => text,
    }
}

fn parse(text: &str) -> Result<Timestamp, &'static str> {
    const SHAPE: &str = "is not RFC 3339";
    let bytes = text.as_bytes();
    if is_local(text) {
        return Err("names no time zone");
    }
    if bytes.len() < 20 || !bytes.is_ascii() {
        return Err(SHAPE);
    }
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let well_formed = separators
        .iter()
        .all(|(at, separator)| bytes[*at] == *separator);
    if !well_formed || !matches!(bytes[10], b'T' | b't' | b' ') {
        return Err(SHAPE);
    }
    let number = |from: usize, to: usize| digits(&bytes[from..to]).ok_or(SHAPE);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || day < 1 || day > i64::from(days_in_month(year, month as u8)) {
        return Err("names a day that does not exist");
    }
    if second == 60 {
        return Err("names a leap second, which cannot be scheduled");
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Err("names a time of day that does not exist");
    }
    let (fraction_ms, rest) = fraction(&bytes[19..]).ok_or(SHAPE)?;
    let offset_minutes = offset(rest).ok_or(SHAPE)?;
    let seconds = hour * 3_600 + minute * 60 + second - offset_minutes * 60;
    let at = Timestamp::from_millis(
        day_of_date(year, month as u8, day as u8) * DAY_MS + seconds * SECOND_MS + fraction_ms,
    );
    match at {
        _ if at < START_OF_YEAR_0 => Err("lies before the year 0"),
        _ if at > Timestamp::END_OF_YEAR_9999 => Err("lies beyond the year 9999"),
        _ => Ok(at),
    }
}

/// Whether a text is a date, or a date and a time of day, and leaves open where on earth.
fn is_local(text: &str) -> bool {
    let behind_the_date = text.get(10..).unwrap_or("");
    !behind_the_date.contains(['Z', 'z', '+', '-', '['])
        && text.parse::<jiff::civil::DateTime>().is_ok()
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// Milliseconds of a fraction, rounded up, and what follows it.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = bytes.strip_prefix(b".") else {
        return Some((0, bytes));
    };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > 18 {
        return None;
    }
    let (fraction, rest) = rest.split_at(length);
    let value = digits(fraction)?;
    let scale = 10_i64.pow(length as u32);
    // value * 1000 / scale, rounded up; with 18 digits the product needs more than 64 bits.
    let scaled = i128::from(value) * 1_000;
    let ms = (scaled + i128::from(scale) - 1) / i128::from(scale);
    Some((ms as i64, rest))
}

/// Minutes east of UTC.
fn offset(bytes: &[u8]) -> Option<i64> {
    match bytes {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let size = (hours <= 23 && minutes <= 59).then_some(hours * 60 + minutes)?;
            Some(if *sign == b'-' { -size } else { size })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rfc_3339() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2038-01-19T03:14:08z", 2_147_483_648_000),
            ("2106-02-07T06:28:16Z", 4_294_967_296_000),
            ("2026-11-23t17:00:00+01:00", 1_795_449_600_000),
            ("2026-11-23 10:30:00-05:30", 1_795_449_600_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
            ("1970-01-01T00:00:00.0000001Z", 1),
            ("1970-01-01T00:00:00.001000000Z", 1),
            ("1970-01-01T00:00:00.999999999999999999Z", 1_000),
        ];
        for (text, ms) in cases {
            assert_eq!(
                parse_time("due_at", text).map(Timestamp::as_millis),
                Ok(ms),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        let cases = [
            ("", "is not RFC 3339"),
            ("tomorrow", "is not RFC 3339"),
            ("1700000000000", "is not RFC 3339"),
            ("2026-11-23T16:00:00", "names no time zone"),
            ("2026-11-23 16:00", "names no time zone"),
            ("2026-11-23", "names no time zone"),
            ("2026-11-23T16:00", "names no time zone"),
            ("2026-11-23T16:00:00.Z", "is not RFC 3339"),
            ("2026-11-23T16:00:00+0100", "is not RFC 3339"),
            ("2026-11-23T16:00:00+24:00", "is not RFC 3339"),
            ("2026-11-23T16:00:00Zjunk", "is not RFC 3339"),
            ("10000-01-01T00:00:00Z", "is not RFC 3339"),
            ("+2026-11-23T16:00:00Z", "is not RFC 3339"),
            ("２０２６-11-23T16:00:00Z", "is not RFC 3339"),
            ("2026-02-30T00:00:00Z", "names a day that does not exist"),
            ("2100-02-29T00:00:00Z", "names a day that does not exist"),
            ("2026-13-01T00:00:00Z", "names a day that does not exist"),
            (
                "2026-11-23T24:00:00Z",
                "names a time of day that does not exist",
            ),
            (
                "2016-12-31T23:59:60Z",
                "names a leap second, which cannot be scheduled",
            ),
            ("9999-12-31T23:59:59-01:00", "lies beyond the year 9999"),
            ("0000-01-01T00:00:00+23:59", "lies before the year 0"),
        ];
        for (text, reason) in cases {
            let error = parse_time("due_at", text).unwrap_err();
            let given = if text.is_empty() { "nothing" } else { text };
            assert_eq!(
                (error.reason.as_str(), error.given.as_str()),
                (reason, given)
            );
        }
    }

    #[test]
    fn a_minute_needs_no_seconds() {
        for text in [
            "2026-11-29T09:00Z",
            "2026-11-29T09:00:00Z",
            "2026-11-29T10:00+01:00",
            "2026-11-29 09:00z",
        ] {
            let read = parse_minute("minute", text).map(Timestamp::as_millis);
            assert_eq!(read, Ok(1_795_942_800_000), "{text}");
        }
        for text in [
            "",
            "09:00",
            "2026-11-29T09:00",
            "2026-11-29T9:00Z",
            "-19223372036854775807",
            "0000-01-01T00:00+23:59",
        ] {
            let refused = parse_minute("minute", text).unwrap_err();
            let given = if text.is_empty() { "nothing" } else { text };
            assert_eq!(refused.given, given);
        }
    }

    #[test]
    fn every_time_read_is_written_again() {
        for ms in [
            0,
            -1,
            1,
            951_782_400_000,
            1_795_449_600_123,
            253_402_300_799_999,
            -62_167_219_200_000,
        ] {
            let text = time_text(Timestamp::from_millis(ms));
            assert_eq!(
                parse_time("t", &text).map(Timestamp::as_millis),
                Ok(ms),
                "{text}"
            );
            assert_eq!(text.len(), "1970-01-01T00:00:00.000Z".len());
        }
    }
}
