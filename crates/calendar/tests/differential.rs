//! The crate held against two others, where those are right.
//!
//! Known differences, left out of the comparison:
//! - `croner` 4 reads `*/2` in a day field as restricted (either day field may match); Vixie cron,
//!   and we, take the leading star to mean that both must.
//! - `croner` 4 refuses a star within a list, and `+*`.
//! - `croner` 4 takes a list or range of fixed times for an interval: it loses them in a gap and
//!   runs them twice in an overlap. Single times it treats as we do under `vixie`.
//! - `cron` 0.17 counts Sunday as 1, wants a seconds field, has no `L`, `W`, `#` or `+`, asks both
//!   day fields always, and knows only the literal reading of wall time; its iterator is out of
//!   order in an overlap.
//! - `chrono-tz` 0.10 carries an older tzdb than jiff; the zones used with it here have not changed
//!   since.

#[path = "oracle/generate.rs"]
mod generate;

use std::str::FromStr as _;

use generate::{Generator, Item, Pattern};
use minutehand_calendar::{Cron, CronExpression, DstRule, Zone};
use minutehand_model::Timestamp;

/// 2026-10-20T00:00:00Z and 2027-03-01T00:00:00Z.
const AUTUMN_S: i64 = 1_792_454_400;
const SPRING_S: i64 = 1_803_859_200;

/// Our next fires from a second on, as seconds.
fn ours(text: &str, zone: &str, dst: DstRule, from_s: i64, count: usize) -> Option<Vec<i64>> {
    let expression = CronExpression::parse(text).ok()?;
    let cron = Cron::new(expression, Zone::parse(zone).expect(zone), dst);
    let first = cron.next_after(Timestamp::from_millis(from_s * 1_000));
    let times = std::iter::successors(first, |time| cron.next_after(*time));
    Some(
        times
            .take(count)
            .map(|time| time.as_millis() / 1_000)
            .collect(),
    )
}

/// What croner says, `None` when it refuses the text.
fn croners(text: &str, zone: &str, from_s: i64, count: usize) -> Option<Vec<i64>> {
    let parser = croner::parser::CronParser::builder()
        .seconds(croner::parser::Seconds::Optional)
        .build();
    let cron = parser.parse(text).ok()?;
    let zone = jiff::tz::TimeZone::get(zone).expect(zone);
    let from = jiff::Timestamp::from_second(from_s)
        .expect("in range")
        .to_zoned(zone);
    Some(
        cron.iter_after(from)
            .take(count)
            .map(|time| time.timestamp().as_second())
            .collect(),
    )
}

fn cron_crates(text: &str, zone: chrono_tz::Tz, from_s: i64, count: usize) -> Vec<i64> {
    let schedule = cron::Schedule::from_str(text)
        .unwrap_or_else(|error| panic!("cron refuses {text}: {error}"));
    let from = chrono::DateTime::from_timestamp(from_s, 0)
        .expect("in range")
        .with_timezone(&zone);
    schedule
        .after(&from)
        .take(count)
        .map(|time| time.timestamp())
        .collect()
}

fn is_star_step(items: &[Item]) -> bool {
    matches!(items[0], Item::EveryStep(_)) || matches!(items, [Item::Every, _, ..])
}

/// Whether a day field begins with a star and says more than "every day".
fn has_starred_day_field(pattern: &Pattern) -> bool {
    is_star_step(&pattern.day) || is_star_step(&pattern.weekday)
}

#[test]
fn croner_without_clock_changes() {
    let mut generator = Generator::new(0x6372_6f6e_6572);
    let mut compared = 0;
    for round in 0..4_000 {
        let pattern = generator.pattern(round % 3 == 0);
        if has_starred_day_field(&pattern) {
            continue;
        }
        let text = pattern.to_string();
        let Some(ours) = ours(&text, "UTC", DstRule::Vixie, AUTUMN_S, 12) else {
            continue;
        };
        let Some(theirs) = croners(&text, "UTC", AUTUMN_S, 12) else {
            continue;
        };
        assert_eq!(ours, theirs, "{text}");
        compared += 1;
    }
    assert!(compared > 2_000, "{compared}");
}

/// Single times and wildcards through gaps and overlaps, half-hour and midnight changes among them.
#[test]
fn croner_through_clock_changes() {
    for zone in [
        "America/New_York",
        "Europe/Dublin",
        "Australia/Lord_Howe",
        "America/Santiago",
        "Africa/Cairo",
    ] {
        for from_s in [AUTUMN_S, SPRING_S] {
            let single = (0..1_440)
                .step_by(10)
                .map(|minute| format!("{} {} * * *", minute % 60, minute / 60));
            let starred = [
                "*/15 * * * *",
                "30 * * * *",
                "*/20 2 * * *",
                "* 1 * * *",
                "0 */2 * * *",
            ];
            for text in single.chain(starred.map(str::to_owned)) {
                let count = if text.contains("* *") && !text.starts_with('*') {
                    45
                } else {
                    200
                };
                let ours = ours(&text, zone, DstRule::Vixie, from_s, count).expect("valid");
                assert_eq!(
                    Some(ours),
                    croners(&text, zone, from_s, count),
                    "{text} in {zone}"
                );
            }
        }
    }
}

/// The pattern in the dialect of the `cron` crate, when it has a form there.
fn in_cron_dialect(pattern: &Pattern) -> Option<String> {
    let every_day = |items: &[Item]| matches!(items, [Item::Every]);
    // The crate asks both day fields; that is the same when one of them has every day.
    if pattern.plus || !(every_day(&pattern.day) || every_day(&pattern.weekday)) {
        return None;
    }
    let plain = |item: &Item| {
        !matches!(
            item,
            Item::BeforeLast(_) | Item::LastWeekday | Item::NearestWeekday(_)
        )
    };
    if !pattern.day.iter().all(plain) {
        return None;
    }
    let weekday = |item: &Item| match *item {
        Item::Every => Some("*".to_owned()),
        Item::Value(day) => Some((day % 7 + 1).to_string()),
        Item::Range(first, last) if last < 7 => Some(format!("{}-{}", first + 1, last + 1)),
        Item::RangeStep(first, last, step) if last < 7 => {
            Some(format!("{}-{}/{step}", first + 1, last + 1))
        }
        _ => None,
    };
    let weekdays: Option<Vec<String>> = pattern.weekday.iter().map(weekday).collect();
    let list = |items: &[Item]| {
        items
            .iter()
            .map(Item::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    let second = pattern
        .second
        .as_ref()
        .map_or("0".to_owned(), |items| list(items));
    let [minute, hour, day, month] =
        [&pattern.minute, &pattern.hour, &pattern.day, &pattern.month].map(|items| list(items));
    Some(format!(
        "{second} {minute} {hour} {day} {month} {}",
        weekdays?.join(",")
    ))
}

#[test]
fn cron_without_clock_changes() {
    let mut generator = Generator::new(0x6372_6f6e);
    let mut compared = 0;
    for round in 0..6_000 {
        let pattern = generator.pattern(round % 3 == 0);
        let Some(theirs) = in_cron_dialect(&pattern) else {
            continue;
        };
        let text = pattern.to_string();
        let Some(ours) = ours(&text, "Asia/Tokyo", DstRule::Vixie, AUTUMN_S, 12) else {
            continue;
        };
        assert_eq!(
            ours,
            cron_crates(&theirs, chrono_tz::Asia::Tokyo, AUTUMN_S, 12),
            "{text}, {theirs}"
        );
        compared += 1;
    }
    assert!(compared > 2_000, "{compared}");
}

/// A single time a day is in order in that crate too: our `literal` rule on every time of day.
#[test]
fn cron_through_clock_changes_is_literal() {
    for (name, zone) in [
        ("America/New_York", chrono_tz::America::New_York),
        ("Europe/Berlin", chrono_tz::Europe::Berlin),
        ("Australia/Lord_Howe", chrono_tz::Australia::Lord_Howe),
        ("America/Santiago", chrono_tz::America::Santiago),
    ] {
        for from_s in [AUTUMN_S, SPRING_S] {
            for minute in (0..1_440).step_by(10) {
                let text = format!("{} {} * * *", minute % 60, minute / 60);
                let ours = ours(&text, name, DstRule::Literal, from_s, 45).expect("valid");
                assert_eq!(
                    ours,
                    cron_crates(&format!("0 {text}"), zone, from_s, 45),
                    "{text} in {name}"
                );
            }
        }
    }
}
