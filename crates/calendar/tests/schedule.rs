//! Properties of a whole calendar: order, bounds, exclusions, intervals, the way back, notes, and
//! hostile input.

#[path = "oracle/generate.rs"]
mod generate;

use generate::Generator;
use minutehand_calendar::{
    Calendar, Cron, CronExpression, DstNoteKind, DstRule, ExclusionError, Exclusions, Interval,
    IntervalError, Recurrence, Zone,
};
use minutehand_model::Timestamp;

const ZONES: [&str; 6] = [
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Antarctica/Troll",
    "Pacific/Chatham",
    "UTC",
];

fn zone(name: &str) -> Zone {
    Zone::parse(name).expect(name)
}

fn at(text: &str) -> Timestamp {
    let instant: jiff::Timestamp = text.parse().expect(text);
    Timestamp::from_millis(instant.as_millisecond())
}

fn calendar(text: &str, zone_name: &str, dst: DstRule) -> Calendar {
    let anchor = Timestamp::default();
    Calendar::new(Recurrence::parse(text, Some(&zone(zone_name)), dst, anchor).expect(text))
}

fn texts(times: impl Iterator<Item = Timestamp>) -> Vec<String> {
    times.map(|time| time.to_string()).collect()
}

/// Random expressions in zones with clock changes of all sorts, with and without exclusions.
fn random_calendars(seed: u64, count: usize) -> Vec<(String, Calendar)> {
    let mut generator = Generator::new(seed);
    let mut calendars = Vec::new();
    while calendars.len() < count {
        let with_seconds = calendars.len() % 4 == 0;
        let text = generator.pattern(with_seconds).to_string();
        let Ok(expression) = CronExpression::parse(&text) else {
            continue;
        };
        let zone = zone(ZONES[calendars.len() % ZONES.len()]);
        let dst = DstRule::ALL[calendars.len() % 3];
        let mut calendar =
            Calendar::new(Recurrence::Cron(Cron::new(expression, zone.clone(), dst)));
        if calendars.len() % 5 == 0 {
            let entries = [
                "2026-11-01",
                "2027-03-10..2027-03-20",
                "* 3 * * *",
                "*/7 * * * 1",
                "30 * * * * 6",
            ];
            calendar = calendar.with_exclusions(Exclusions::parse(zone, &entries).expect("valid"));
        }
        calendars.push((text, calendar));
    }
    calendars
}

#[test]
fn iterating_rises_strictly_and_between_is_iterating() {
    for (text, calendar) in random_calendars(1, 600) {
        let from = at("2026-10-25T00:00:00Z");
        let iterated: Vec<Timestamp> =
            std::iter::successors(calendar.next_after(from), |time| calendar.next_after(*time))
                .take(300)
                .collect();
        assert!(iterated.windows(2).all(|pair| pair[0] < pair[1]), "{text}");
        assert!(
            iterated.iter().all(|time| time.as_millis() % 1_000 == 0),
            "{text}"
        );
        let Some(last) = iterated.last() else {
            continue;
        };
        let between: Vec<Timestamp> = calendar.between(from.plus_millis(1), *last).collect();
        assert_eq!(between, iterated, "{text}");
        // From any instant the answer is the first of the list that is later.
        for (index, time) in iterated.iter().enumerate().take(20) {
            assert_eq!(
                calendar.next_after(time.plus_millis(-1)),
                Some(*time),
                "{text}"
            );
            assert_eq!(
                calendar.next_after(time.plus_millis(999)),
                iterated
                    .get(index + 1)
                    .copied()
                    .or_else(|| calendar.next_after(*time)),
                "{text}"
            );
        }
    }
}

#[test]
fn the_way_back_agrees_with_scanning() {
    let mut generator = Generator::new(2);
    for (text, calendar) in random_calendars(3, 400) {
        for origin in ["2026-11-01T00:00:00Z", "2027-03-13T18:00:00Z"] {
            let from = at(origin);
            let to = from.plus_millis(36 * 3_600_000);
            let scanned: Vec<Timestamp> = calendar.between(from, to).collect();
            for _ in 0..5 {
                let until = from.plus_millis(generator.number(0, 36 * 3_600_000));
                let expected = scanned.iter().rev().find(|time| **time <= until).copied();
                assert_eq!(
                    calendar.latest_at_or_before(until, from),
                    expected,
                    "{text} until {until}"
                );
            }
        }
    }
}

#[test]
fn the_way_back_reaches_far_and_stops_at_its_bound() {
    let leap_day = calendar("0 0 29 2 *", "UTC", DstRule::Vixie);
    let now = at("2027-06-01T12:00:00Z");
    assert_eq!(
        leap_day.latest_at_or_before(now, Timestamp::MIN),
        Some(at("2024-02-29T00:00:00Z"))
    );
    assert_eq!(
        leap_day.latest_at_or_before(now, at("2024-02-29T00:00:00Z")),
        Some(at("2024-02-29T00:00:00Z"))
    );
    assert_eq!(
        leap_day.latest_at_or_before(now, at("2024-02-29T00:00:00.001Z")),
        None
    );
    assert_eq!(
        leap_day.latest_at_or_before(at("2024-02-29T00:00:00Z"), Timestamp::MIN),
        Some(at("2024-02-29T00:00:00Z"))
    );
    assert_eq!(
        leap_day.latest_at_or_before(at("1971-01-01T00:00:00Z"), Timestamp::MIN),
        None
    );
    assert_eq!(leap_day.latest_at_or_before(now, now.plus_millis(1)), None);
    assert_eq!(
        leap_day.latest_at_or_before(Timestamp::MAX, Timestamp::MIN),
        Some(at("9996-02-29T00:00:00Z"))
    );
    assert_eq!(
        leap_day.latest_at_or_before(Timestamp::MIN, Timestamp::MIN),
        None
    );
    let every_second = calendar("* * * * * *", "UTC", DstRule::Vixie);
    assert_eq!(
        every_second.latest_at_or_before(now.plus_millis(999), Timestamp::MIN),
        Some(now)
    );
    let ended = calendar("* * * * *", "UTC", DstRule::Vixie).ending_at(at("2001-02-03T04:05:06Z"));
    assert_eq!(
        ended.latest_at_or_before(now, Timestamp::MIN),
        Some(at("2001-02-03T04:05:00Z"))
    );
}

#[test]
fn start_and_end_are_included() {
    let daily = calendar("0 0 * * *", "UTC", DstRule::Vixie)
        .starting_at(at("2027-01-02T00:00:00Z"))
        .ending_at(at("2027-01-04T00:00:00Z"));
    let expected = [
        "2027-01-02T00:00:00Z",
        "2027-01-03T00:00:00Z",
        "2027-01-04T00:00:00Z",
    ];
    assert_eq!(
        texts(daily.between(Timestamp::MIN, Timestamp::MAX)),
        expected
    );
    let late = daily.clone().starting_at(at("2027-01-02T00:00:00.001Z"));
    assert_eq!(
        texts(late.between(Timestamp::MIN, Timestamp::MAX)),
        expected[1..]
    );
    let early = daily.clone().ending_at(at("2027-01-03T23:59:59.999Z"));
    assert_eq!(
        texts(early.between(Timestamp::MIN, Timestamp::MAX)),
        expected[..2]
    );
    let empty = daily.starting_at(Timestamp::MAX);
    assert_eq!(empty.next_after(Timestamp::MIN), None);
    assert_eq!(
        empty.latest_at_or_before(Timestamp::MAX, Timestamp::MIN),
        None
    );
}

#[test]
fn exclusions_by_date_stretch_and_expression() {
    let berlin = || zone("Europe/Berlin");
    let entries = [
        "2026-12-25",
        "2026-12-28 .. 2026-12-31",
        "* 9 * * 6",
        "0 12 * * 0",
    ];
    let exclusions = Exclusions::parse(berlin(), &entries).expect("valid");
    assert!(
        exclusions.excludes(at("2026-12-24T23:00:00Z")),
        "25 December begins at 23:00 UTC in Berlin"
    );
    assert!(!exclusions.excludes(at("2026-12-25T23:00:00Z")));
    let calendar =
        calendar("0 9,12 * * *", "Europe/Berlin", DstRule::Vixie).with_exclusions(exclusions);
    let found = texts(calendar.between(at("2026-12-24T00:00:00Z"), at("2027-01-01T23:00:00Z")));
    assert_eq!(
        found,
        [
            "2026-12-24T08:00:00Z",
            "2026-12-24T11:00:00Z",
            // Friday 25 by date, Saturday 26 at nine and Sunday 27 at noon by expression, 28 to 31
            // by stretch.
            "2026-12-26T11:00:00Z",
            "2026-12-27T08:00:00Z",
            "2027-01-01T08:00:00Z",
            "2027-01-01T11:00:00Z",
        ]
    );
    assert_eq!(Exclusions::none().zone(), &Zone::utc());
    assert!(Exclusions::none().is_empty());
}

#[test]
fn an_exclusion_covers_minutes_or_with_six_fields_seconds() {
    let calendar = calendar("*/15 * * * * *", "UTC", DstRule::Vixie);
    let without = |entry: &str| {
        let exclusions = Exclusions::parse(Zone::utc(), &[entry]).expect(entry);
        let calendar = calendar.clone().with_exclusions(exclusions);
        texts(calendar.between(at("2027-01-01T00:00:00Z"), at("2027-01-01T00:01:15Z"))).len()
    };
    assert_eq!(
        (
            without("0 0 2 1 *"),
            without("0 0 1 1 *"),
            without("30 0 0 1 1 *")
        ),
        (6, 2, 5)
    );
}

#[test]
fn an_interval_skips_excluded_days_too() {
    let exclusions = Exclusions::parse(Zone::utc(), &["2027-01-02..2027-01-03"]).expect("valid");
    let calendar = calendar("@every 9h", "UTC", DstRule::Vixie).with_exclusions(exclusions);
    let found = texts(calendar.between(at("2027-01-01T00:00:00Z"), at("2027-01-04T12:00:00Z")));
    // 00:00 of the 2nd would be next; the 4th goes on in the same phase.
    assert_eq!(
        found,
        [
            "2027-01-01T06:00:00Z",
            "2027-01-01T15:00:00Z",
            "2027-01-04T06:00:00Z"
        ]
    );
}

#[test]
fn stretches_may_overlap_and_touch() {
    let entries = [
        "2027-01-05..2027-01-09",
        "2027-01-06",
        "2027-01-02..2027-01-05",
        "2027-01-10",
        "2027-01-12",
    ];
    let exclusions = Exclusions::parse(Zone::utc(), &entries).expect("valid");
    let calendar = calendar("0 0 * * *", "UTC", DstRule::Vixie).with_exclusions(exclusions);
    let found = texts(calendar.between(at("2027-01-01T00:00:00Z"), at("2027-01-13T00:00:00Z")));
    assert_eq!(
        found,
        [
            "2027-01-01T00:00:00Z",
            "2027-01-11T00:00:00Z",
            "2027-01-13T00:00:00Z"
        ]
    );
}

/// A fire moved to the end of a gap counts where it was moved to.
#[test]
fn a_moved_fire_is_excluded_by_its_new_time() {
    let moved = |entry: &str| {
        let new_york = zone("America/New_York");
        calendar("30 2 * * *", "America/New_York", DstRule::Vixie)
            .with_exclusions(Exclusions::parse(new_york, &[entry]).expect(entry))
            .between(at("2027-03-14T05:00:00Z"), at("2027-03-15T04:00:00Z"))
            .count()
    };
    assert_eq!(
        (moved("* 2 * * *"), moved("* 3 * * *"), moved("2027-03-14")),
        (1, 0, 0)
    );
}

#[test]
fn wrong_exclusions_are_named() {
    let error = |entries: &[&str]| {
        Exclusions::parse(Zone::utc(), entries)
            .expect_err("refused")
            .to_string()
    };
    let form = "is not a date: write YYYY-MM-DD or YYYY-MM-DD..YYYY-MM-DD";
    assert_eq!(
        error(&["2027-02-29"]),
        format!("exclusion 0: \"2027-02-29\" {form}")
    );
    assert_eq!(
        error(&["* * * * *", "2027-02-02..2027-02-01"]),
        format!("exclusion 1: \"2027-02-02..2027-02-01\" {form}")
    );
    assert_eq!(
        error(&["0 25 * * *"]),
        "exclusion 0: column 3: hour must be 0-23, got 25"
    );
    let many = vec!["2027-01-01"; 1_001];
    assert_eq!(
        Exclusions::parse(Zone::utc(), &many),
        Err(ExclusionError::TooMany { count: 1_001 })
    );
    let many = vec!["0 0 * * *"; 101];
    assert_eq!(
        Exclusions::parse(Zone::utc(), &many),
        Err(ExclusionError::TooManyExpressions { count: 101 })
    );
}

#[test]
fn searches_end_whatever_is_excluded() {
    let everything = Exclusions::parse(Zone::utc(), &["* * * * *"]).expect("valid");
    let all_but_one_second =
        Exclusions::parse(Zone::utc(), &["* * * * *", "1970-01-01..9999-12-30"]).expect("valid");
    for text in [
        "* * * * * *",
        "0 0 * * *",
        "0 0 29 2 *",
        "@every 1s",
        "@every 7d",
    ] {
        let calendar = calendar(text, "America/New_York", DstRule::Vixie);
        let nothing = calendar.clone().with_exclusions(everything.clone());
        assert_eq!(
            nothing.next_after(at("2026-11-23T00:00:00Z")),
            None,
            "{text}"
        );
        assert_eq!(
            calendar
                .with_exclusions(all_but_one_second.clone())
                .next_after(Timestamp::default()),
            None,
            "{text}"
        );
    }
    // A year of excluded working hours, walked hour by hour.
    let evenings =
        Exclusions::parse(Zone::utc(), &["* 0-22 * * *", "2026-01-01..2099-12-31"]).expect("valid");
    let calendar = calendar("* * * * * *", "UTC", DstRule::Vixie).with_exclusions(evenings);
    assert_eq!(
        calendar.next_after(at("2026-11-23T00:00:00Z")),
        Some(at("2100-01-01T23:00:00Z"))
    );
}

#[test]
fn intervals_count_from_their_anchor() {
    let anchor = at("2027-01-01T00:00:10.999Z");
    let interval = Interval::new(90_000, anchor).expect("valid");
    assert_eq!(
        interval.anchor(),
        at("2027-01-01T00:00:10Z"),
        "whole seconds"
    );
    let mut time = at("2026-12-31T23:58:00Z");
    for expected in [
        "2026-12-31T23:58:40Z",
        "2027-01-01T00:00:10Z",
        "2027-01-01T00:01:40Z",
        "2027-01-01T00:03:10Z",
    ] {
        time = interval.next_after(time).expect("goes on");
        assert_eq!(time.to_string(), expected);
    }
    assert_eq!(interval.next_after(Timestamp::END_OF_YEAR_9999), None);
    assert_eq!(interval.next_after(Timestamp::MAX), None);
    assert!(
        interval
            .next_after(Timestamp::MIN)
            .is_some_and(|first| first >= Timestamp::default())
    );
    for anchor in [Timestamp::MIN, Timestamp::MAX] {
        let interval = Interval::new(3_660 * 86_400_000, anchor).expect("valid");
        assert!(interval.next_after(at("2027-01-01T00:00:00Z")).is_some());
        let _ = interval.anchor();
    }
}

#[test]
fn interval_lengths_have_limits() {
    let refused =
        |every_ms| Interval::new(every_ms, Timestamp::default()).map_err(|error| error.to_string());
    for every_ms in [
        0,
        -1,
        -60_000,
        999,
        i64::MIN,
        i64::MAX,
        3_660 * 86_400_000 + 1,
    ] {
        let expected = format!(
            "every_ms must be between 1000 (1 s) and 316224000000 (3,660 days), got {every_ms}"
        );
        assert_eq!(refused(every_ms), Err(expected));
    }
    assert_eq!(
        refused(1_500),
        Err("every_ms must be a whole number of seconds, got 1500".to_owned())
    );
    assert_eq!(
        Interval::new(1_500, Timestamp::default()),
        Err(IntervalError::NotWholeSeconds { every_ms: 1_500 })
    );
    assert!(refused(1_000).is_ok() && refused(3_660 * 86_400_000).is_ok());
}

#[test]
fn times_before_1970_and_after_9999_are_no_trouble() {
    let daily = calendar("0 0 * * *", "America/New_York", DstRule::Vixie);
    for after in [
        Timestamp::MIN,
        Timestamp::from_millis(-1),
        at("1900-01-01T00:00:00Z"),
    ] {
        assert_eq!(daily.next_after(after), Some(at("1970-01-01T05:00:00Z")));
    }
    let last_midnight = Timestamp::from_millis(253_402_232_400_000); // 9999-12-31T05:00:00Z
    assert_eq!(
        daily.next_after(last_midnight.plus_millis(-1)),
        Some(last_midnight)
    );
    assert_eq!(daily.next_after(last_midnight), None);
    assert_eq!(daily.next_after(Timestamp::MAX), None);
    let tokyo = calendar("0 9 1 1 *", "Asia/Tokyo", DstRule::Vixie);
    assert_eq!(
        tokyo.next_after(Timestamp::from_millis(-1)),
        Some(Timestamp::default())
    );
}

#[test]
fn notes_name_what_the_clock_changes_do() {
    let from = at("2026-10-01T00:00:00Z");
    let notes = |text: &str, zone: &str, dst, n| -> Vec<String> {
        calendar(text, zone, dst)
            .notes(from, n)
            .into_iter()
            .map(|note| note.message)
            .collect()
    };
    assert_eq!(
        notes("30 2 * * *", "America/New_York", DstRule::Vixie, 2),
        [
            "2027-03-14: 02:30 does not exist in America/New_York (clocks go 02:00 -> 03:00); runs once, at 03:00 EDT",
            "2028-03-12: 02:30 does not exist in America/New_York (clocks go 02:00 -> 03:00); runs once, at 03:00 EDT",
        ]
    );
    assert_eq!(
        notes("15,45 1,2 * * *", "America/New_York", DstRule::Skip, 2),
        [
            "2026-11-01: 01:15 and 01:45 come twice in America/New_York (clocks go 02:00 -> 01:00); runs in the first pass only (EDT)",
            "2027-03-14: 02:15 and 02:45 do not exist in America/New_York (clocks go 02:00 -> 03:00); does not run",
        ]
    );
    assert_eq!(
        notes("*/10 * * * *", "America/New_York", DstRule::Vixie, 1),
        [
            "2026-11-01: 01:00, 01:10, 01:20 and others come twice in America/New_York (clocks go 02:00 -> 01:00); runs in both passes (EDT and EST)"
        ]
    );
    assert_eq!(
        notes("0 0 * * *", "America/Santiago", DstRule::Vixie, 1),
        [
            "2027-09-05: 00:00 does not exist in America/Santiago (clocks go 00:00 -> 01:00); runs once, at 01:00 -03"
        ]
    );
    assert_eq!(
        notes("0 12 * * *", "America/New_York", DstRule::Vixie, 9),
        [""; 0]
    );
    assert_eq!(notes("30 2 * * *", "UTC", DstRule::Vixie, 9), [""; 0]);
    assert_eq!(
        notes("@every 1h", "America/New_York", DstRule::Vixie, 9),
        [""; 0]
    );
    let kinds: Vec<DstNoteKind> = calendar("0 * * * *", "America/New_York", DstRule::Literal)
        .notes(from, 2)
        .iter()
        .map(|note| note.kind)
        .collect();
    assert_eq!(kinds, [DstNoteKind::OverlapTwice, DstNoteKind::GapSkipped]);
}

#[test]
fn notes_keep_to_the_bounds_and_exclusions() {
    let calendar = calendar("30 2 * * *", "America/New_York", DstRule::Vixie);
    let from = at("2027-03-14T07:00:00Z");
    assert_eq!(
        calendar.notes(from, 1)[0].at,
        from,
        "a change at `from` itself counts"
    );
    assert_eq!(
        calendar.notes(from, 100).len(),
        20,
        "forty changes are looked at"
    );
    assert_eq!(calendar.notes(Timestamp::MAX, 5), []);
    assert_eq!(
        calendar
            .clone()
            .ending_at(from.plus_millis(-1))
            .notes(from, 5),
        []
    );
    let later = calendar
        .clone()
        .starting_at(at("2028-01-01T00:00:00Z"))
        .notes(from, 1);
    assert_eq!(later[0].at, at("2028-03-12T07:00:00Z"));
    let new_york = zone("America/New_York");
    let excluded =
        calendar.with_exclusions(Exclusions::parse(new_york, &["2027-03-14"]).expect("valid"));
    assert_eq!(excluded.notes(from, 1)[0].at, at("2028-03-12T07:00:00Z"));
}

/// 10,000 texts of the alphabet of expressions, of any characters, and of good expressions with a
/// fault.
#[test]
fn no_text_makes_the_parser_panic() {
    const ALPHABET: &[u8] = b"0123456789*/,-?#LW+@ \tMONJANTZ=everyhmsd.";
    let mut generator = Generator::new(4);
    let mut taken = 0;
    for round in 0..10_000 {
        let length = generator.number(0, 40);
        let text: String = match round % 3 {
            0 => (0..length)
                .map(|_| char::from(ALPHABET[generator.number(0, 39) as usize]))
                .collect(),
            1 => (0..length)
                .filter_map(|_| char::from_u32(generator.number(0, 0x11_0000) as u32))
                .collect(),
            _ => {
                let mut text: Vec<char> = generator
                    .pattern(length % 2 == 0)
                    .to_string()
                    .chars()
                    .collect();
                let place = generator.number(0, text.len() as i64 - 1) as usize;
                text[place] = char::from(ALPHABET[generator.number(0, 39) as usize]);
                text.into_iter().collect()
            }
        };
        match Recurrence::parse(&text, None, DstRule::Vixie, Timestamp::default()) {
            Ok(recurrence) => {
                taken += 1;
                let _ = recurrence.describe();
                let _ = recurrence.next_after(at("2026-11-23T00:00:00Z"));
            }
            Err(error) => {
                let characters = text.chars().count();
                assert!(
                    error.column >= 1 && error.length >= 1 && error.column <= characters + 1,
                    "{text:?}: {error}"
                );
                assert!(
                    error.column - 1 + error.length <= characters.max(error.column),
                    "{text:?}: {error}"
                );
                assert_eq!(error.render(&text).lines().count(), 2, "{text:?}");
            }
        }
        let _ = Zone::parse(&text);
        let _ = Exclusions::parse(Zone::utc(), &[&text]);
    }
    assert!(taken > 300, "too few texts were expressions: {taken}");
}
