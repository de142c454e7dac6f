//! The search for the next fire, held against a walk over every minute around clock changes.
//!
//! The oracle shares nothing with the crate but the expression's text: it converts every instant
//! with jiff, matches fields value by value on the structure the text was printed from, and states
//! the daylight-saving rules by what a clock shows ("an instant repeats a reading when an earlier
//! one showed the same").

mod decades;
mod generate;
mod matching;
mod walk;

use std::fmt::Write as _;

use generate::{Generator, Pattern};
use matching::Times;
use minutehand_calendar::{Calendar, Cron, CronExpression, DstRule, Recurrence, Zone};
use minutehand_model::Timestamp;
use walk::Walk;

/// Zone and a date shortly before the clock change that is walked.
const CHANGES: [(&str, &str); 48] = [
    ("America/New_York", "2027-03-10"),
    ("America/New_York", "2026-10-20"),
    ("America/New_York", "2499-02-20"),
    ("America/Vancouver", "2026-01-10"),
    ("America/St_Johns", "2006-03-20"),
    ("America/St_Johns", "2006-10-10"),
    ("Europe/Berlin", "2027-03-10"),
    ("Europe/Berlin", "2026-10-10"),
    ("Europe/London", "2027-03-10"),
    ("Europe/Dublin", "2027-03-10"),
    ("Europe/Dublin", "2026-10-10"),
    ("Europe/Moscow", "2011-03-10"),
    ("Europe/Moscow", "2014-10-10"),
    ("Europe/Volgograd", "2020-12-10"),
    ("Australia/Lord_Howe", "2026-09-10"),
    ("Australia/Lord_Howe", "2027-03-20"),
    ("Pacific/Chatham", "2026-09-10"),
    ("Pacific/Chatham", "2027-03-20"),
    ("Pacific/Norfolk", "2015-09-20"),
    ("America/Santiago", "2026-08-20"),
    ("America/Santiago", "2027-03-20"),
    ("America/Havana", "2025-03-01"),
    ("America/Havana", "2025-10-10"),
    ("America/Sao_Paulo", "2018-10-10"),
    ("America/Sao_Paulo", "2019-02-01"),
    ("Asia/Beirut", "2027-03-10"),
    ("Asia/Beirut", "2026-10-10"),
    ("Africa/Cairo", "2027-04-10"),
    ("Africa/Cairo", "2026-10-10"),
    ("Asia/Tehran", "2022-03-10"),
    ("Asia/Gaza", "2040-10-15"),
    ("Africa/Casablanca", "2025-02-01"),
    ("Africa/Casablanca", "2025-03-20"),
    ("Antarctica/Troll", "2027-03-10"),
    ("Antarctica/Troll", "2026-10-10"),
    ("Antarctica/Casey", "2020-02-20"),
    ("Antarctica/Casey", "2020-09-20"),
    ("Antarctica/Vostok", "1994-01-10"),
    ("Antarctica/Vostok", "1994-10-10"),
    ("Asia/Pyongyang", "2015-08-01"),
    ("Asia/Pyongyang", "2018-05-01"),
    ("America/Caracas", "2007-12-01"),
    ("America/Guyana", "1975-07-20"),
    ("Asia/Kathmandu", "1985-12-20"),
    ("Africa/Monrovia", "1972-01-02"),
    ("Pacific/Apia", "2011-12-10"),
    ("Pacific/Kwajalein", "1993-08-10"),
    ("Pacific/Kiritimati", "1994-12-10"),
];

/// Expressions of one shard; eight shards make 10,000.
const SHARD: usize = 1_250;

/// Above so many fires in four days the comparison keeps to the hours around the change.
const DENSE: usize = 400;
const DENSE_REACH_S: i64 = 9 * 3_600;

/// A pattern, as the oracle and as the crate see it.
struct Subject {
    pattern: Pattern,
    times: Times,
    /// `None` when the crate refuses it because it can never fire.
    expression: Option<CronExpression>,
}

impl Subject {
    fn new(pattern: Pattern) -> Subject {
        Subject {
            times: Times::of(&pattern),
            expression: parsed(&pattern),
            pattern,
        }
    }
}

/// The pattern as the crate reads it; `None` when it is refused because it can never fire.
fn parsed(pattern: &Pattern) -> Option<CronExpression> {
    let text = pattern.to_string();
    CronExpression::parse(&text)
        .inspect_err(|error| {
            assert!(
                error.message.starts_with("never fires"),
                "{}",
                error.render(&text)
            )
        })
        .ok()
}

/// The first difference between two lists of seconds, as local times.
fn difference(walk: &Walk, expected: &[i64], actual: &[i64]) -> String {
    let mut text = String::new();
    for (name, these, those) in [
        ("missing", expected, actual),
        ("too many", actual, expected),
    ] {
        for second in these
            .iter()
            .filter(|second| !those.contains(second))
            .take(5)
        {
            let _ = write!(text, "\n  {name}: {}", walk.show(*second));
        }
    }
    text
}

/// Compares one pattern on one walk under the three rules; the number of fires compared.
fn compare(subject: &Subject, walk: &Walk, zone: &Zone) -> usize {
    let pattern = &subject.pattern;
    let mut expected = walk.fires(pattern, &subject.times);
    let Some(expression) = &subject.expression else {
        assert!(
            expected.iter().all(Vec::is_empty),
            "refused as never firing: {pattern}"
        );
        return 0;
    };
    let (mut first_s, mut last_s) = (walk.first_s(), walk.last_s());
    if expected[2].len() > DENSE {
        first_s = first_s.max(walk.change_s() - DENSE_REACH_S);
        last_s = last_s.min(walk.change_s() + DENSE_REACH_S);
        for fires in &mut expected {
            fires.retain(|at_s| (first_s..=last_s).contains(at_s));
        }
    }
    let [from, to] = [first_s, last_s].map(|second| Timestamp::from_millis(second * 1_000));
    for (dst, expected) in DstRule::ALL.iter().copied().zip(&expected) {
        let calendar = Calendar::new(Recurrence::Cron(Cron::new(
            expression.clone(),
            zone.clone(),
            dst,
        )));
        let actual: Vec<i64> = calendar
            .between(from, to)
            .map(|time| time.as_millis() / 1_000)
            .collect();
        assert!(
            actual == *expected,
            "{pattern} in {} under {dst}:{}",
            zone.name(),
            difference(walk, expected, &actual)
        );
    }
    expected.iter().map(Vec::len).sum()
}

/// `SHARD` random expressions on every change: 10,000 x 48 in the eight shards together, under
/// three rules.
fn shard(number: u64) {
    let walks: Vec<(Zone, Walk)> = CHANGES
        .iter()
        .map(|(name, before)| {
            (
                Zone::parse(name).expect(name),
                Walk::around(name, before, 2 * 86_400, None),
            )
        })
        .collect();
    let mut generator = Generator::new(0x6d69_6e75_7465 + number);
    let mut fires = 0;
    for _ in 0..SHARD {
        let subject = Subject::new(generator.pattern(false));
        for (zone, walk) in &walks {
            fires += compare(&subject, walk, zone);
        }
    }
    assert!(fires > 100_000, "the expressions hardly ever fire: {fires}");
}

#[test]
fn every_minute_shard_1() {
    shard(1);
}

#[test]
fn every_minute_shard_2() {
    shard(2);
}

#[test]
fn every_minute_shard_3() {
    shard(3);
}

#[test]
fn every_minute_shard_4() {
    shard(4);
}

#[test]
fn every_minute_shard_5() {
    shard(5);
}

#[test]
fn every_minute_shard_6() {
    shard(6);
}

#[test]
fn every_minute_shard_7() {
    shard(7);
}

#[test]
fn every_minute_shard_8() {
    shard(8);
}

/// Expressions with a seconds field, every second of the hours around each change.
#[test]
fn every_second_around_the_changes() {
    let mut generator = Generator::new(0x7365_636f_6e64);
    for (name, before) in CHANGES {
        let zone = Zone::parse(name).expect(name);
        // Long enough to see both passes of the longest overlap, Vostok's seven hours.
        let hours = if name == "Antarctica/Vostok" { 9 } else { 4 };
        let walk = Walk::around(name, before, hours * 3_600, Some(1));
        for _ in 0..60 {
            compare(&Subject::new(generator.pattern(true)), &walk, &zone);
        }
    }
}

/// What `M H * * *` does on every change, without chance.
#[test]
fn fixed_times_of_day() {
    for (name, before) in CHANGES {
        let zone = Zone::parse(name).expect(name);
        let walk = Walk::around(name, before, 2 * 86_400, None);
        for minute_of_day in (0..1_440).step_by(5) {
            let pattern = Pattern::daily(minute_of_day / 60, minute_of_day % 60);
            compare(&Subject::new(pattern), &walk, &zone);
        }
    }
}
