//! Exclusions held against a walk over the recurrence that asks about each of its times, and
//! against themselves: how an exclusion is cut into expressions must not matter.

#[path = "oracle/generate.rs"]
#[allow(dead_code, reason = "the oracle uses the rest")]
mod generate;

use generate::Generator;
use minutehand_calendar::{
    Calendar, DstRule, Exclusions, Recurrence, SearchBudget, SearchExhausted, Zone,
};
use minutehand_model::Timestamp;
use minutehand_model::limits::{REQUEST_SEARCH_STEPS_MAX, SEARCH_STEPS_MAX};

const ZONES: [&str; 6] = [
    "UTC",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Antarctica/Troll",
    "Pacific/Chatham",
];

fn at(text: &str) -> Timestamp {
    let instant: jiff::Timestamp = text.parse().expect(text);
    Timestamp::from_millis(instant.as_millisecond())
}

/// 2026-11-23T00:00:00Z, a Monday.
fn now() -> Timestamp {
    at("2026-11-23T00:00:00Z")
}

fn calendar<S: AsRef<str>>(text: &str, zone: &str, dst: DstRule, exclude: &[S]) -> Calendar {
    let zone = Zone::parse(zone).expect(zone);
    let recurrence = Recurrence::parse(text, Some(&zone), dst, Timestamp::default()).expect(text);
    Calendar::new(recurrence).with_exclusions(Exclusions::parse(zone, exclude).expect("valid"))
}

fn next(text: &str, exclude: &[&str]) -> Option<String> {
    calendar(text, "UTC", DstRule::Vixie, exclude)
        .next_after(now())
        .map(|at| at.to_string())
}

/// The next time by asking about one after another; `None` when more than so many are excluded in a
/// row.
fn walked(calendar: &Calendar, after: Timestamp, times_max: usize) -> Option<Timestamp> {
    std::iter::successors(calendar.recurrence.next_after(after), |at| {
        calendar.recurrence.next_after(*at)
    })
    .take(times_max)
    .find(|at| !calendar.exclusions.excludes(*at))
}

#[test]
fn what_is_excluded_in_parts_is_excluded_as_a_whole() {
    let august = Some("2026-09-01T00:00:00Z".to_owned());
    let minutely = |exclude: &[&str]| {
        let calendar = calendar("* * * * *", "UTC", DstRule::Vixie, exclude);
        calendar
            .next_after(at("2026-07-31T23:59:00Z"))
            .map(|at| at.to_string())
    };
    assert_eq!(minutely(&["* * * 8 *"]), august);
    assert_eq!(minutely(&["0-29 * * 8 *", "30-59 * * 8 *"]), august);
    assert_eq!(
        minutely(&["* 0-11 * 8 *", "*/2 12-23 * 8 *", "1-59/2 12-23 * 8 *"]),
        august
    );
    assert_eq!(
        next("@every 1s", &["*/2 * 0-5 * * *", "1-59/2 * 0-5 * * *"]).as_deref(),
        Some("2026-11-23T06:00:00Z")
    );
    assert_eq!(
        next("* * * * * *", &["*/2 * * * 11 *", "1-59/2 * * * 11 *"]).as_deref(),
        Some("2026-12-01T00:00:00Z")
    );
}

#[test]
fn far_times_are_found_and_what_never_comes_is_known() {
    for (text, exclude, expected) in [
        // Sixty years, by the second.
        (
            "* * * * * *",
            &["*/2 * * * * * 2026-2085", "1-59/2 * * * * * 2026-2085"][..],
            Some("2086-01-01T00:00:00Z"),
        ),
        (
            "30 12 * * *",
            &["* * * 2-12 *", "* * 1-30 1 *", "* * 31 1 +0-5"],
            Some("2032-01-31T12:30:00Z"),
        ),
        ("0 0 29 2 *", &["* * * * 0-5"], Some("2048-02-29T00:00:00Z")),
        (
            "* * * * *",
            &["* * * * * * 1970-9998"],
            Some("9999-01-01T00:00:00Z"),
        ),
        (
            "* * * * *",
            &["1970-01-01..9999-12-30"],
            Some("9999-12-31T00:00:00Z"),
        ),
        (
            "* * * * *",
            &["1970-01-01..9999-12-30", "0-58 * * * *", "59 0-22 * * *"],
            Some("9999-12-31T23:59:00Z"),
        ),
        (
            "* * * * * *",
            &["*/3 * * * * *", "1-59/3 * * * * *", "2-59/3 * * * * *"],
            None,
        ),
        ("0 9 * * 1-5", &["* 9 * * 1,3,5", "* 9 * * 2,4"], None),
        ("@every 2s", &["*/2 * * * * *"], None),
        (
            "@every 7s",
            &["* * * * * * 1970-9998"],
            Some("9999-01-01T00:00:01Z"),
        ),
        ("@every 7s", &["*/2 * * * * *", "1-59/2 * * * * *"], None),
        ("@every 36h", &["* * * * *"], None),
        (
            "@every 90m",
            &["* 0-11 * * *", "30 12-23 * * *"],
            Some("2026-11-23T12:00:00Z"),
        ),
        ("@every 7s", &["* * * 11 *"], Some("2026-12-01T00:00:05Z")),
    ] {
        assert_eq!(
            next(text, exclude).as_deref(),
            expected,
            "{text} without {exclude:?}"
        );
    }
}

/// Times that a gap moves to its end are all that is left, once a year.
#[test]
fn a_moved_time_is_found_in_years_that_are_covered() {
    let calendar = calendar(
        "30 2 * * *",
        "America/New_York",
        DstRule::Vixie,
        &["* 2 * * *"],
    );
    let times = calendar
        .first_times(
            now(),
            Timestamp::MAX,
            3,
            &mut SearchBudget::of_one_request(),
        )
        .expect("few steps");
    let expected = [
        "2027-03-14T07:00:00Z",
        "2028-03-12T07:00:00Z",
        "2029-03-11T07:00:00Z",
    ];
    assert_eq!(
        times.iter().map(ToString::to_string).collect::<Vec<_>>(),
        expected
    );
}

/// One to five exclusions that cover a good part of the year.
fn random_exclusions(generator: &mut Generator) -> Vec<String> {
    let count = generator.number(1, 5);
    let field = |generator: &mut Generator, min: i64, max: i64| match generator.number(0, 5) {
        0 | 1 => "*".to_owned(),
        2 => format!("*/{}", generator.number(2, 4)),
        3 => format!(
            "{}-{max}/{}",
            generator.number(min, min + 1),
            generator.number(2, 3)
        ),
        _ => {
            let first = generator.number(min, max);
            format!("{first}-{}", generator.number(first, max))
        }
    };
    (0..count)
        .map(|_| match generator.number(0, 5) {
            0 => format!(
                "2026-{:02}-01..2026-12-{:02}",
                generator.number(11, 12),
                generator.number(1, 31)
            ),
            1 => {
                let [second, minute, hour] =
                    [(0, 59), (0, 59), (0, 23)].map(|(min, max)| field(generator, min, max));
                format!("{second} {minute} {hour} * * *")
            }
            _ => {
                let [minute, hour, day, month] = [(0, 59), (0, 23), (1, 31), (1, 12)]
                    .map(|(min, max)| field(generator, min, max));
                format!("{minute} {hour} {day} {month} *")
            }
        })
        .collect()
}

fn random_recurrence(generator: &mut Generator, round: usize) -> String {
    match round % 4 {
        0 => format!("@every {}s", generator.number(1, 400)),
        1 => format!("@every {}m", generator.number(1, 3_000)),
        _ => generator.pattern(round % 8 == 2).to_string(),
    }
}

#[test]
fn random_exclusions_agree_with_asking_about_each_time() {
    let mut generator = Generator::new(0x756e_696f);
    let (mut excluded, mut compared) = (0, 0);
    for round in 0..1_500 {
        let text = random_recurrence(&mut generator, round);
        let exclude = random_exclusions(&mut generator);
        let zone = Zone::parse(ZONES[round % ZONES.len()]).expect("known");
        let dst = DstRule::ALL[round % 3];
        let Ok(recurrence) = Recurrence::parse(&text, Some(&zone), dst, Timestamp::default())
        else {
            continue;
        };
        // Now and then the exclusions follow another clock than the recurrence.
        let other = if round % 7 == 0 {
            Zone::parse("Asia/Kolkata").expect("known")
        } else {
            zone
        };
        let exclusions = Exclusions::parse(other, &exclude).expect("valid");
        let calendar = Calendar::new(recurrence).with_exclusions(exclusions);
        let mut after = now().plus_millis(generator.number(0, 400 * 86_400_000));
        for _ in 0..8 {
            let Some(expected) = walked(&calendar, after, 20_000) else {
                break;
            };
            let found = calendar.next_after(after);
            assert_eq!(
                found,
                Some(expected),
                "{text} in {} without {exclude:?} after {after}",
                ZONES[round % 6]
            );
            compared += 1;
            excluded += usize::from(calendar.recurrence.next_after(after) != found);
            after = expected;
        }
    }
    assert!(
        compared > 5_000 && excluded > 1_000,
        "{compared}, {excluded}"
    );
}

/// An expression, and two or three others that cover together what it covers.
fn in_parts(generator: &mut Generator) -> (String, Vec<String>) {
    let month = generator.number(1, 12);
    let day = if generator.number(0, 1) == 0 {
        "*".to_owned()
    } else {
        format!("1-{}", generator.number(5, 31))
    };
    let cut = generator.number(1, 58);
    let whole = format!("* * {day} {month} *");
    let parts = match generator.number(0, 3) {
        0 => vec![
            format!("0-{cut} * {day} {month} *"),
            format!("{}-59 * {day} {month} *", cut + 1),
        ],
        1 => {
            let hour = generator.number(0, 22);
            vec![
                format!("* 0-{hour} {day} {month} *"),
                format!("* {}-23 {day} {month} *", hour + 1),
            ]
        }
        2 => vec![
            format!("*/2 * * {day} {month} *"),
            format!("1-59/2 * * {day} {month} *"),
        ],
        _ => vec![
            format!("*/2 * {day} {month} *"),
            format!("0-{cut} 1-59/2 * {day} {month} *"),
            format!("{}-59 1-59/2 * {day} {month} *", cut + 1),
        ],
    };
    (whole, parts)
}

#[test]
fn how_an_exclusion_is_cut_does_not_matter() {
    let mut generator = Generator::new(0x7061_7274);
    let mut compared = 0;
    for round in 0..400 {
        let text = random_recurrence(&mut generator, round);
        let (whole, parts) = in_parts(&mut generator);
        let (zone, dst) = (ZONES[round % ZONES.len()], DstRule::ALL[round % 3]);
        let zone_known = Zone::parse(zone).expect("known");
        if Recurrence::parse(&text, Some(&zone_known), dst, Timestamp::default()).is_err() {
            continue;
        }
        let [whole, parts] = [
            calendar(&text, zone, dst, &[whole]),
            calendar(&text, zone, dst, &parts),
        ];
        let mut after = now().plus_millis(generator.number(0, 400 * 86_400_000));
        for _ in 0..6 {
            let found = whole.next_after(after);
            assert_eq!(
                found,
                parts.next_after(after),
                "{text} in {zone} after {after}"
            );
            let Some(found) = found else { break };
            compared += 1;
            after = found.plus_millis(generator.number(0, 40 * 86_400_000));
        }
    }
    assert!(compared > 1_500, "{compared}");
}

#[test]
fn lists_of_times_are_the_times_one_by_one() {
    let calendar = calendar(
        "*/20 * * * * *",
        "Europe/Berlin",
        DstRule::Skip,
        &["* 8-20 * * *", "2026-11-24"],
    );
    let mut budget = SearchBudget::of_one_request();
    let listed = calendar
        .first_times(now(), Timestamp::MAX, 5_000, &mut budget)
        .expect("few steps");
    let first = calendar.next_after(now().plus_millis(-1));
    let singly: Vec<Timestamp> = std::iter::successors(first, |at| calendar.next_after(*at))
        .take(5_000)
        .collect();
    assert_eq!(listed, singly);
    assert_eq!(
        calendar.between(now(), listed[4_999]).collect::<Vec<_>>(),
        listed
    );
    assert!(
        budget.steps_left() > REQUEST_SEARCH_STEPS_MAX / 2,
        "{budget:?}"
    );
}

/// A hundred exclusions, each different, that leave five seconds of a day.
#[test]
fn a_thousand_times_past_a_hundred_exclusions_take_few_steps() {
    let mut exclude: Vec<String> = [
        "1-59 * * * * *",
        "0 1-59 * * * *",
        "0 0 1-4,6-9,11-14,16-19,21-23 * * *",
    ]
    .map(str::to_owned)
    .into();
    exclude.extend((0..97).map(|n| format!("{} {} {} 1-31 * *", n % 60, n % 59, n % 23)));
    let calendar = calendar("* * * * * *", "UTC", DstRule::Vixie, &exclude);
    let mut budget = SearchBudget::of_one_request();
    let times = calendar
        .first_times(now(), Timestamp::MAX, 1_000, &mut budget)
        .expect("the budget suffices");
    assert_eq!(
        (times.len(), times[1].to_string().as_str()),
        (1_000, "2026-11-23T10:00:00Z")
    );
    assert!(
        budget.steps_left() > REQUEST_SEARCH_STEPS_MAX / 2,
        "{budget:?}"
    );
}

/// Ten thousand times that together take far more than the budget: one budget bounds all of them,
/// and what it sufficed for is the beginning of what there is.
#[test]
fn the_last_of_many_times_is_found_within_one_budget() {
    let daily = calendar::<&str>("0 9 * * *", "UTC", DstRule::Vixie, &[]);
    let all = daily.first_times(
        now(),
        Timestamp::MAX,
        400,
        &mut SearchBudget::of_one_request(),
    );
    let all = all.expect("the budget suffices");
    let last = |count: usize, steps: u64| {
        let mut budget = SearchBudget::of_steps(steps);
        let last = daily.last_of_first(now(), Timestamp::MAX, count, &mut budget);
        (last, budget.steps_left())
    };
    assert_eq!(last(400, REQUEST_SEARCH_STEPS_MAX).0, all.last().copied());
    let (_, left) = last(400, REQUEST_SEARCH_STEPS_MAX);
    let half = (REQUEST_SEARCH_STEPS_MAX - left) / 2;
    let (cut, left) = last(10_000, half);
    assert_eq!(left, 0);
    let cut = cut.expect("some are found");
    assert!(all.contains(&cut) && all.last() > Some(&cut), "{cut}");
    assert_eq!(last(400, 1).0, None);
}

/// Sixty expressions for the sixty seconds, and forty that make every day another one.
#[test]
fn a_search_made_to_last_is_given_up() {
    let mut exclude: Vec<String> = (0..60)
        .map(|second| format!("{second} * * 1-31 * *"))
        .collect();
    exclude.extend(
        (0..40).map(|n| format!("0 {} {} {},{} * *", n, n % 24, n % 31 + 1, (n * 7) % 31 + 1)),
    );
    let calendar = calendar("*/5 * * * * *", "UTC", DstRule::Vixie, &exclude);
    assert_eq!(calendar.next_after(now()), None);
    let mut budget = SearchBudget::of_one_time();
    assert!(matches!(
        calendar.first_times(now(), Timestamp::MAX, 1, &mut budget),
        Err(SearchExhausted) | Ok(_)
    ));
    assert!(budget.steps_left() <= SEARCH_STEPS_MAX);
    let tiny = &mut SearchBudget::of_steps(1_000);
    assert_eq!(
        calendar.first_times(now(), Timestamp::MAX, 1, tiny),
        Err(SearchExhausted)
    );
    assert_eq!(tiny.steps_left(), 0);
}
