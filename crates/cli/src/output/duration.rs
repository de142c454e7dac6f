//! Durations: read as the API reads them, and shown to people.

use minutehand_api::{Duration, duration_text};

/// Reads a duration; the answer is in milliseconds.
pub(crate) fn parse_ms(text: &str) -> Result<i64, String> {
    let read = Duration::Text(text.into()).as_ms("duration");
    read.map_err(|refused| format!("{}; write {}", refused.reason, refused.limit))
}

/// Reads a duration and writes it as the API does: every unit at most once, the longest first.
pub(crate) fn checked(text: &str) -> Result<String, String> {
    parse_ms(text).map(duration_text)
}

/// A duration in at most two units, rounded to the nearest: `1 h 30 min`, `4 min`, `12 s`, `250
/// ms`.
pub(crate) fn human(ms: u64) -> String {
    const NAMES: [(&str, u64); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("min", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    // Rounding may carry into a longer unit: 59 min 59.9 s are 1 h.
    let rounded = |index: usize| {
        let (_, smallest_ms) = NAMES[if index < 2 { index + 1 } else { index }];
        ms.saturating_add(smallest_ms / 2) / smallest_ms * smallest_ms
    };
    let shown = (0..NAMES.len()).find(|index| rounded(*index) >= NAMES[*index].1);
    let Some(index) = shown else {
        return "0 s".to_owned();
    };
    let (ms, (name, unit_ms)) = (rounded(index), NAMES[index]);
    let first = format!("{} {name}", ms / unit_ms);
    match NAMES.get(index + 1) {
        Some((next, next_ms)) if index < 2 && ms % unit_ms / next_ms > 0 => {
            format!("{first} {} {next}", ms % unit_ms / next_ms)
        }
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_the_api() {
        for (text, ms) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("PT5M", 300_000),
            ("5", 5_000),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
        }
        for (text, reason) in [
            ("", "is not a duration; write "),
            ("m", "is not a duration; write "),
            ("5y", "is not a duration; write "),
            ("5m3", "is not a duration; write "),
            ("-5m", "is negative; write "),
            ("9999999999999999999", "is too long; write "),
        ] {
            let error = parse_ms(text).expect_err(text);
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }

    #[test]
    fn the_api_gets_every_unit_once() {
        for (text, canonical) in [
            ("90m", "1h30m"),
            ("1w", "7d"),
            ("0s", "0s"),
            ("1500ms", "1s500ms"),
        ] {
            assert_eq!(checked(text).as_deref(), Ok(canonical));
        }
    }

    #[test]
    fn two_units_at_most_and_rounded() {
        let cases = [
            (0, "0 s"),
            (250, "250 ms"),
            (4_960, "5 s"),
            (12_499, "12 s"),
            (59_700, "1 min"),
            (240_000, "4 min"),
            (299_900, "5 min"),
            (3_599_900, "1 h"),
            (5_400_000, "1 h 30 min"),
            (86_399_900, "1 d"),
            (90_000_000, "1 d 1 h"),
            (86_400_000 * 400, "400 d"),
        ];
        for (ms, text) in cases {
            assert_eq!(human(ms), text, "{ms}");
        }
    }
}
