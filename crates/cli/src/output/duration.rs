//! Durations as people write them: `250ms`, `90s`, `1h30m`, `2d`.

/// Units, longest first, in milliseconds.
const UNITS: [(&str, i64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a sum of amounts with units; the answer is in milliseconds.
pub(crate) fn parse_ms(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no duration; write a sum such as 250ms, 90s, 1h30m or 2d");
    let mut total_ms: i64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let amount: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit_length = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let unit = &rest[digits..digits + unit_length];
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let part_ms = amount.checked_mul(*unit_ms).ok_or_else(wrong)?;
        total_ms = total_ms.checked_add(part_ms).ok_or_else(wrong)?;
        rest = &rest[digits + unit_length..];
    }
    Ok(total_ms)
}

/// Reads a duration and writes it as the API takes it: every unit at most once, the longest first.
pub(crate) fn checked(text: &str) -> Result<String, String> {
    let mut rest = parse_ms(text)?;
    let mut canonical = String::new();
    for (unit, unit_ms) in &UNITS[1..] {
        if rest >= *unit_ms {
            canonical.push_str(&format!("{}{unit}", rest / unit_ms));
            rest %= unit_ms;
        }
    }
    Ok(if canonical.is_empty() { "0s".to_owned() } else { canonical })
}

/// A duration in at most two units, rounded down: `1 h 30 min`, `4 min`, `12 s`, `250 ms`.
pub(crate) fn human(ms: u64) -> String {
    const NAMES: [(&str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];
    let Some(index) = NAMES.iter().position(|(_, unit_ms)| ms >= *unit_ms) else { return "0 s".to_owned() };
    let (name, unit_ms) = NAMES[index];
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
    fn sums_are_read_and_nonsense_is_refused() {
        for (text, ms) in
            [("250ms", 250), ("90s", 90_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("0s", 0)]
        {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "5", "m", "5 m", "-5m", "5y", "9999999999999999999s", "9223372036854775807d", "5m3"]
        {
            assert!(parse_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_api_gets_every_unit_once() {
        for (text, canonical) in
            [("90m", "1h30m"), ("30m1h", "1h30m"), ("1w", "7d"), ("0s", "0s"), ("1500ms", "1s500ms")]
        {
            assert_eq!(checked(text).as_deref(), Ok(canonical));
        }
    }

    #[test]
    fn two_units_at_most() {
        let cases = [
            (0, "0 s"),
            (250, "250 ms"),
            (12_900, "12 s"),
            (240_000, "4 min"),
            (245_000, "4 min"),
            (5_400_000, "1 h 30 min"),
            (90_000_000, "1 d 1 h"),
            (86_400_000 * 400, "400 d"),
        ];
        for (ms, text) in cases {
            assert_eq!(human(ms), text);
        }
    }
}
