//! The conformance vectors of the Open Cron Pattern Specification, from `fixtures/ocps.txt`.

use minutehand_calendar::{Cron, CronExpression, DstRule, Zone};
use minutehand_model::Timestamp;

/// Patterns we refuse although the specification has a parser accept them, and why.
const REFUSED_ON_PURPOSE: [(&str, &str); 2] = [
    // OCPS leaves the discovery to whoever asks for the next run. A schedule that never runs is a
    // mistake its owner wants to hear of when it is made.
    ("* * 31 2 *", "never fires: February has no day 31"),
    // OCPS lets an implementation without a start-up event refuse it, but only later.
    (
        "@reboot",
        "@reboot is not a time: a schedule has no machine that starts",
    ),
];

fn cron(pattern: &str) -> Cron {
    let expression =
        CronExpression::parse(pattern).unwrap_or_else(|error| panic!("{}", error.render(pattern)));
    Cron::new(expression, Zone::utc(), DstRule::Vixie)
}

fn instant(text: &str) -> Timestamp {
    let civil: jiff::civil::DateTime = text.parse().expect(text);
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).expect("in range");
    Timestamp::from_millis(zoned.timestamp().as_millisecond())
}

fn check(pattern: &str, verdict: &str, values: &str) {
    match verdict {
        "match" | "no match" => {
            for time in values.split_whitespace() {
                let expected = verdict == "match";
                assert_eq!(
                    cron(pattern).is_nominal(instant(time)),
                    expected,
                    "{pattern} {verdict} {time}"
                );
            }
        }
        "refuse" => assert!(
            CronExpression::parse(pattern).is_err(),
            "{pattern} should be refused"
        ),
        "accept" => {
            let refused = CronExpression::parse(pattern)
                .err()
                .map(|error| error.message);
            let expected = REFUSED_ON_PURPOSE
                .iter()
                .find(|(known, _)| *known == pattern);
            assert_eq!(
                refused.as_deref(),
                expected.map(|(_, message)| *message),
                "{pattern}"
            );
        }
        "same as" => {
            let (one, other) = (cron(pattern), cron(values));
            let mut at = instant("2025-01-01T00:00");
            for _ in 0..1_000 {
                let next = one.next_after(at).expect("fires for ever");
                assert_eq!(Some(next), other.next_after(at), "{pattern} and {values}");
                at = next;
            }
        }
        other => panic!("unknown verdict {other}"),
    }
}

#[test]
fn vectors() {
    let mut checked = 0;
    for line in include_str!("fixtures/ocps.txt").lines() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut parts = line.split('|').map(str::trim);
        let (pattern, verdict) = (
            parts.next().expect("pattern"),
            parts.next().expect("verdict"),
        );
        check(pattern, verdict, parts.next().unwrap_or_default());
        checked += 1;
    }
    assert_eq!(checked, 59, "a line was lost");
}

/// OCPS 1.0, section 6.2: a step has `*` or a full range before it.
#[test]
fn a_step_needs_a_star_or_a_range() {
    for pattern in ["/30 * * * *", "0/15 * * * *", "10/10 * * * *"] {
        assert!(CronExpression::parse(pattern).is_err(), "{pattern}");
    }
}

/// OCPS 1.4, section 4.3.1, is our rule `skip` for fixed times.
#[test]
fn the_recommended_daylight_saving_rule_is_skip() {
    let zone = Zone::parse("America/New_York").expect("known");
    let mut cron = cron("30 2 * * *");
    cron.zone = zone;
    cron.dst = DstRule::Skip;
    let next = cron.next_after(instant("2027-03-13T12:00")).expect("fires");
    assert_eq!(
        next,
        instant("2027-03-15T06:30"),
        "02:30 of the 14th does not exist and is skipped"
    );
    cron.expression = CronExpression::parse("30 1 * * *").expect("valid");
    let first = cron.next_after(instant("2026-11-01T00:00")).expect("fires");
    assert_eq!(first, instant("2026-11-01T05:30"), "01:30 EDT");
    assert_eq!(
        cron.next_after(first),
        Some(instant("2026-11-02T06:30")),
        "not again at 01:30 EST"
    );
}
