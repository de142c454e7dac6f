//! The three daylight-saving rules, written out by hand.

use minutehand_calendar::{Calendar, Cron, CronExpression, DstRule, Recurrence, Zone};
use minutehand_model::Timestamp;

use DstRule::{Literal, Skip, Vixie};

/// The fires of one local day (and `hours` after its midnight), as local times with the
/// abbreviation in force.
fn fires(expression: &str, zone_name: &str, dst: DstRule, date: &str, hours: i64) -> Vec<String> {
    let expression = CronExpression::parse(expression).expect(expression);
    let zone = Zone::parse(zone_name).expect(zone_name);
    let calendar = Calendar::new(Recurrence::Cron(Cron::new(expression, zone, dst)));
    let rules = jiff::tz::TimeZone::get(zone_name).expect(zone_name);
    let date: jiff::civil::Date = date.parse().expect(date);
    let midnight = date
        .to_zoned(rules.clone())
        .expect("in range")
        .timestamp()
        .as_millisecond();
    let (from, to) = (
        Timestamp::from_millis(midnight),
        Timestamp::from_millis(midnight + hours * 3_600_000 - 1),
    );
    calendar
        .between(from, to)
        .map(|time| {
            let instant = jiff::Timestamp::from_millisecond(time.as_millis()).expect("in range");
            instant
                .to_zoned(rules.clone())
                .strftime("%H:%M %Z")
                .to_string()
        })
        .collect()
}

fn check(zone: &str, date: &str, hours: i64, table: &[(&str, DstRule, &[&str])]) {
    for (expression, dst, expected) in table {
        assert_eq!(
            fires(expression, zone, *dst, date, hours),
            *expected,
            "{expression} {dst} in {zone} on {date}"
        );
    }
}

/// 2027-03-14 in New York: 02:00 EST is followed by 03:00 EDT. The day has 23 hours.
#[test]
fn new_york_gap() {
    check(
        "America/New_York",
        "2027-03-14",
        5,
        &[
            ("30 2 * * *", Vixie, &["03:00 EDT"]),
            ("30 2 * * *", Skip, &[]),
            ("30 2 * * *", Literal, &[]),
            // A list of times is as fixed as a single one, and several in the gap are one fire.
            ("0,30 2 * * *", Vixie, &["03:00 EDT"]),
            ("0,30 2 * * *", Skip, &[]),
            (
                "10,40 1,2 * * *",
                Vixie,
                &["01:10 EST", "01:40 EST", "03:00 EDT"],
            ),
            ("10,40 1,2 * * *", Literal, &["01:10 EST", "01:40 EST"]),
            // A moved time and a regular one at the same instant are one fire.
            ("0 2,3 * * *", Vixie, &["03:00 EDT"]),
            ("0 2,3 * * *", Skip, &["03:00 EDT"]),
            ("30 2,3 * * *", Vixie, &["03:00 EDT", "03:30 EDT"]),
            ("0-59 2 * * *", Vixie, &["03:00 EDT"]),
            (
                "0-59/20 1-3 * * *",
                Vixie,
                &[
                    "01:00 EST",
                    "01:20 EST",
                    "01:40 EST",
                    "03:00 EDT",
                    "03:20 EDT",
                    "03:40 EDT",
                ],
            ),
            // A seconds field does not make a time less fixed.
            ("* 30 2 * * *", Vixie, &["03:00 EDT"]),
            (
                "*/20 59 1,2 * * *",
                Vixie,
                &["01:59 EST", "01:59 EST", "01:59 EST", "03:00 EDT"],
            ),
            // What begins with a star in minute or hour follows the clock.
            ("*/20 2 * * *", Vixie, &[]),
            (
                "30 * * * *",
                Vixie,
                &[
                    "00:30 EST",
                    "01:30 EST",
                    "03:30 EDT",
                    "04:30 EDT",
                    "05:30 EDT",
                ],
            ),
            ("0 */2 * * *", Vixie, &["00:00 EST", "04:00 EDT"]),
            (
                "*/30 1-3 * * *",
                Skip,
                &["01:00 EST", "01:30 EST", "03:00 EDT", "03:30 EDT"],
            ),
            (
                "@hourly",
                Vixie,
                &[
                    "00:00 EST",
                    "01:00 EST",
                    "03:00 EDT",
                    "04:00 EDT",
                    "05:00 EDT",
                ],
            ),
            // The same clock with every hour and minute written out is fixed.
            (
                "0 0-23 * * *",
                Vixie,
                &[
                    "00:00 EST",
                    "01:00 EST",
                    "03:00 EDT",
                    "04:00 EDT",
                    "05:00 EDT",
                ],
            ),
            // Outside the gap nothing changes.
            ("59 1 * * *", Vixie, &["01:59 EST"]),
            ("0 3 * * *", Vixie, &["03:00 EDT"]),
            ("30 2 15 3 *", Vixie, &[]),
            ("30 2 14 3 *", Vixie, &["03:00 EDT"]),
        ],
    );
}

/// 2026-11-01 in New York: 01:59 EDT is followed by 01:00 EST. The day has 25 hours.
#[test]
fn new_york_overlap() {
    check(
        "America/New_York",
        "2026-11-01",
        5,
        &[
            ("30 1 * * *", Vixie, &["01:30 EDT"]),
            ("30 1 * * *", Skip, &["01:30 EDT"]),
            ("30 1 * * *", Literal, &["01:30 EDT", "01:30 EST"]),
            ("15,45 1 * * *", Vixie, &["01:15 EDT", "01:45 EDT"]),
            ("15,45 1 * * *", Skip, &["01:15 EDT", "01:45 EDT"]),
            (
                "15,45 1 * * *",
                Literal,
                &["01:15 EDT", "01:45 EDT", "01:15 EST", "01:45 EST"],
            ),
            ("0 1,2 * * *", Vixie, &["01:00 EDT", "02:00 EST"]),
            ("0 2 * * *", Vixie, &["02:00 EST"]),
            (
                "0 0-3 * * *",
                Vixie,
                &["00:00 EDT", "01:00 EDT", "02:00 EST", "03:00 EST"],
            ),
            (
                "*/30 1 * * *",
                Vixie,
                &["01:00 EDT", "01:30 EDT", "01:00 EST", "01:30 EST"],
            ),
            (
                "*/30 1 * * *",
                Skip,
                &["01:00 EDT", "01:30 EDT", "01:00 EST", "01:30 EST"],
            ),
            (
                "0 * * * *",
                Vixie,
                &[
                    "00:00 EDT",
                    "01:00 EDT",
                    "01:00 EST",
                    "02:00 EST",
                    "03:00 EST",
                ],
            ),
            ("59 59 1 * * *", Vixie, &["01:59 EDT"]),
        ],
    );
}

/// Lord Howe moves by thirty minutes: 02:00 to 02:30 in October, 02:00 back to 01:30 in April.
#[test]
fn lord_howe_half_hour() {
    check(
        "Australia/Lord_Howe",
        "2026-10-04",
        4,
        &[
            ("10 2 * * *", Vixie, &["02:30 +11"]),
            ("10,30 2 * * *", Vixie, &["02:30 +11"]),
            ("10 2 * * *", Skip, &[]),
            ("45 2 * * *", Vixie, &["02:45 +11"]),
        ],
    );
    check(
        "Australia/Lord_Howe",
        "2027-04-04",
        4,
        &[
            ("20,40 1 * * *", Vixie, &["01:20 +11", "01:40 +11"]),
            (
                "20,40 1 * * *",
                Literal,
                &["01:20 +11", "01:40 +11", "01:40 +1030"],
            ),
        ],
    );
}

/// Midnight itself does not exist in Santiago (2026-09-06) and came twice (the last hour of
/// 2027-04-03).
#[test]
fn midnight_changes() {
    check(
        "America/Santiago",
        "2026-09-06",
        3,
        &[
            ("0 0 * * *", Vixie, &["01:00 -03"]),
            ("@daily", Vixie, &["01:00 -03"]),
            ("0 0 * * *", Skip, &[]),
            ("0 0 6 9 *", Vixie, &["01:00 -03"]),
        ],
    );
    check(
        "America/Santiago",
        "2027-04-03",
        26,
        &[
            ("30 23 * * *", Vixie, &["23:30 -03"]),
            ("30 23 * * *", Literal, &["23:30 -03", "23:30 -04"]),
            ("0 0 * * *", Literal, &["00:00 -03", "00:00 -04"]),
        ],
    );
    check(
        "America/Havana",
        "2025-03-09",
        3,
        &[
            ("0 0 * * *", Vixie, &["01:00 CDT"]),
            ("0 0 * * *", Literal, &[]),
        ],
    );
}

/// Dublin's winter is the exception in law, London's summer; the clocks are the same.
#[test]
fn dublin_is_like_london() {
    for date in ["2027-03-28", "2026-10-25"] {
        for dst in DstRule::ALL.iter().copied() {
            let times = |zone| -> Vec<String> {
                fires("30 1 * * *", zone, dst, date, 5)
                    .iter()
                    .map(|time| time[..5].to_owned())
                    .collect()
            };
            assert_eq!(
                times("Europe/Dublin"),
                times("Europe/London"),
                "{date} {dst}"
            );
        }
    }
}

/// Samoa had no 30 December 2011. More than 180 minutes is a correction of the clock, not daylight
/// saving.
#[test]
fn a_skipped_day_is_not_caught_up() {
    for dst in DstRule::ALL.iter().copied() {
        assert_eq!(
            fires("0 12 * * *", "Pacific/Apia", dst, "2011-12-29", 48),
            ["12:00 -10", "12:00 +14"],
            "{dst}"
        );
        assert_eq!(
            fires("0 12 30 12 *", "Pacific/Apia", dst, "2011-12-29", 48),
            [""; 0],
            "{dst}"
        );
    }
}

/// Vostok set its clocks back by seven hours in 1994: a correction under `vixie`, an overlap under
/// `skip`.
#[test]
fn a_long_overlap_counts_once_only_under_skip() {
    let day = |dst| fires("0 18 * * *", "Antarctica/Vostok", dst, "1994-01-31", 30);
    assert_eq!(day(Vixie), ["18:00 +07", "18:00 -00"]);
    assert_eq!(day(Literal), ["18:00 +07", "18:00 -00"]);
    assert_eq!(day(Skip), ["18:00 +07"]);
}

/// Three hours back are still daylight saving, three hours forward are a correction of the clock,
/// as in cronie (Casey).
#[test]
fn three_hours_are_the_limit() {
    assert_eq!(
        fires("30 1 * * *", "Antarctica/Casey", Vixie, "2020-10-04", 12),
        [""; 0]
    );
    assert_eq!(
        fires("30 0 * * *", "Antarctica/Casey", Vixie, "2020-03-08", 12),
        ["00:30 +11"]
    );
    assert_eq!(
        fires("30 0 * * *", "Antarctica/Casey", Literal, "2020-03-08", 12),
        ["00:30 +11", "00:30 +08"]
    );
}

/// Liberia left an offset of 44 minutes and 30 seconds in 1972: gaps and times to the second.
#[test]
fn offsets_with_seconds() {
    let zone = Zone::parse("Africa/Monrovia").expect("known");
    let next = |text: &str, dst, after_s: i64| {
        let cron = Cron::new(CronExpression::parse(text).expect(text), zone.clone(), dst);
        cron.next_after(Timestamp::from_millis(after_s * 1_000))
            .map(|time| time.to_string())
    };
    let day_before = 63_504_000; // 1972-01-06T00:00:00Z
    assert_eq!(
        next("0 12 6 1 *", Vixie, day_before).as_deref(),
        Some("1972-01-06T12:44:30Z")
    );
    assert_eq!(
        next("30 0 7 1 *", Vixie, day_before).as_deref(),
        Some("1972-01-07T00:44:30Z")
    );
    assert_eq!(
        next("30 0 7 1 *", Skip, day_before).as_deref(),
        Some("1973-01-07T00:30:00Z")
    );
    assert_eq!(
        next("45 0 7 1 *", Vixie, day_before).as_deref(),
        Some("1972-01-07T00:45:00Z")
    );
}

/// What can only ever happen in a gap never happens without `vixie`, and the search ends.
#[test]
fn a_time_that_is_always_in_the_gap() {
    let zone = Zone::parse("America/New_York").expect("known");
    let second_sunday_of_march = CronExpression::parse("30 2 8-14 3 +SUN").expect("valid");
    let now = Timestamp::from_millis(1_795_000_000_000);
    let next = |dst| Cron::new(second_sunday_of_march.clone(), zone.clone(), dst).next_after(now);
    assert_eq!(
        next(Vixie).map(|time| time.to_string()).as_deref(),
        Some("2027-03-14T07:00:00Z")
    );
    assert_eq!((next(Skip), next(Literal)), (None, None));
    let listed = CronExpression::parse("0 30 2 8-14 3 +SUN 2027-9999").expect("valid");
    assert_eq!(Cron::new(listed, zone, Skip).next_after(now), None);
}

/// The last day that can be scheduled, from either side of the date line.
#[test]
fn the_end_of_the_year_9999() {
    let next = |zone: &str, text: &str| {
        let zone = Zone::parse(zone).expect("known");
        let cron = Cron::new(CronExpression::parse(text).expect(text), zone, Vixie);
        let first = cron.next_after(Timestamp::from_millis(253_402_214_400_000)); // 9999-12-31T00:00:00Z
        (
            first.map(|time| time.to_string()),
            first.and_then(|first| cron.next_after(first)),
        )
    };
    assert_eq!(
        next("UTC", "59 59 23 31 12 *"),
        (Some("9999-12-31T23:59:59Z".to_owned()), None)
    );
    assert_eq!(
        next("Pacific/Auckland", "0 23 31 12 *"),
        (Some("9999-12-31T10:00:00Z".to_owned()), None)
    );
    assert_eq!(
        next("America/New_York", "0 19 31 12 *"),
        (None, None),
        "that is in the year 10000 of UTC"
    );
    assert_eq!(
        next("America/New_York", "59 18 31 12 *"),
        (Some("9999-12-31T23:59:00Z".to_owned()), None)
    );
}
