//! Sparse expressions over decades: every date by value, its time resolved by jiff.
//!
//! The walk over minutes sees no more than a few days around a change; here the search has to leap
//! over months and years of them, also beyond 2500, where the crate folds the zone's rules back by
//! 400 years.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use minutehand_calendar::{Calendar, Cron, CronExpression, DstRule, Recurrence, Zone};

use crate::generate::{Generator, Item, Pattern};
use crate::matching::Day;

/// The fires of a wall-clock reading under one rule.
fn instants(zone: &TimeZone, reading: DateTime, dst: DstRule) -> Vec<i64> {
    let at = |offset: jiff::tz::Offset| offset.to_timestamp(reading).expect("in range").as_second();
    match zone.to_ambiguous_timestamp(reading).offset() {
        AmbiguousOffset::Unambiguous { offset } => vec![at(offset)],
        AmbiguousOffset::Gap { before, after } => {
            // Read with the later offset, the reading is an instant before the change.
            let earlier = Timestamp::from_second(at(after) - 1).expect("in range");
            let change = zone
                .following(earlier)
                .find(|change| change.offset() == after)
                .expect("the gap's end");
            assert!(after.seconds() > before.seconds());
            if dst == DstRule::Vixie {
                vec![change.timestamp().as_second()]
            } else {
                Vec::new()
            }
        }
        AmbiguousOffset::Fold { before, after } => match dst {
            DstRule::Literal => vec![at(before), at(after)],
            _ => vec![at(before)],
        },
    }
}

/// One fixed time on sparse days.
fn sparse(generator: &mut Generator) -> Pattern {
    let mut pattern = generator.pattern(false);
    pattern.minute = vec![Item::Value(generator.number(0, 3) * 15)];
    pattern.hour = vec![Item::Value(generator.number(0, 4))];
    pattern
}

fn compare(pattern: &Pattern, name: &str, days: &[(Date, Day)]) -> usize {
    let Ok(expression) = CronExpression::parse(&pattern.to_string()) else {
        return 0;
    };
    let (zone, rules) = (
        Zone::parse(name).expect(name),
        TimeZone::get(name).expect(name),
    );
    let ([Item::Value(minute)], [Item::Value(hour)]) = (&pattern.minute[..], &pattern.hour[..])
    else {
        panic!("a fixed time");
    };
    let bound = |date: Date| {
        date.to_zoned(rules.clone())
            .expect("in range")
            .timestamp()
            .as_millisecond()
    };
    let (from, to) = (bound(days[0].0), bound(days[days.len() - 1].0) - 1);
    let [from, to] = [from, to].map(minutehand_model::Timestamp::from_millis);
    let mut compared = 0;
    for dst in DstRule::ALL.iter().copied() {
        let expected: Vec<i64> = days[..days.len() - 1]
            .iter()
            .filter(|(_, day)| pattern.has_day(*day))
            .flat_map(|(date, _)| instants(&rules, date.at(*hour as i8, *minute as i8, 0, 0), dst))
            .collect();
        let calendar = Calendar::new(Recurrence::Cron(Cron::new(
            expression.clone(),
            zone.clone(),
            dst,
        )));
        let actual: Vec<i64> = calendar
            .between(from, to)
            .map(|time| time.as_millis() / 1_000)
            .collect();
        assert!(actual == expected, "{pattern} in {name} under {dst}");
        compared += actual.len();
    }
    compared
}

#[test]
fn sparse_expressions_over_decades() {
    let mut generator = Generator::new(0x7370_6172_7365);
    let mut compared = 0;
    for (first_year, last_year) in [(2020, 2050), (2490, 2510), (9970, 9990)] {
        let first: Date = jiff::civil::date(first_year, 1, 1);
        let days: Vec<(Date, Day)> =
            std::iter::successors(Some(first), |date| date.checked_add(1.day()).ok())
                .take_while(|date| date.year() < last_year)
                .map(|date| (date, Day::of(date)))
                .collect();
        for name in [
            "America/New_York",
            "Australia/Lord_Howe",
            "America/Santiago",
            "Antarctica/Troll",
            "Asia/Gaza",
        ] {
            for _ in 0..60 {
                compared += compare(&sparse(&mut generator), name, &days);
            }
        }
    }
    assert!(compared > 500_000, "{compared}");
}
