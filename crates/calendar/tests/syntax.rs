//! What the parser takes and refuses, where it points, and how it puts an expression into words.

use minutehand_calendar::{Cron, CronExpression, CronParseError, DstRule, Recurrence, Zone};
use minutehand_model::Timestamp;

fn error(text: &str) -> CronParseError {
    CronExpression::parse(text).expect_err(text)
}

/// Column, length and message of the error in a text.
#[track_caller]
fn check(text: &str, column: usize, length: usize, message: &str) {
    let error = error(text);
    assert_eq!(
        (error.column, error.length, error.message.as_str()),
        (column, length, message),
        "{text}"
    );
}

#[test]
fn values_out_of_range_are_pointed_at() {
    check("60 * * * *", 1, 2, "minute must be 0-59, got 60");
    check("* 24 * * *", 3, 2, "hour must be 0-23, got 24");
    check("* * 0 * *", 5, 1, "day of month must be 1-31, got 0");
    check("* * 32 * *", 5, 2, "day of month must be 1-31, got 32");
    check("* * * 13 *", 7, 2, "month must be 1-12 or JAN-DEC, got 13");
    check("* * * 0 *", 7, 1, "month must be 1-12 or JAN-DEC, got 0");
    check(
        "* * * FOO *",
        7,
        3,
        "month must be 1-12 or JAN-DEC, got FOO",
    );
    check(
        "* * * * 8",
        9,
        1,
        "day of week must be 0-7 or SUN-SAT, got 8",
    );
    check(
        "* * * * MOON",
        9,
        4,
        "day of week must be 0-7 or SUN-SAT, got MOON",
    );
    check("60 * * * * *", 1, 2, "second must be 0-59, got 60");
    check(
        "0 0 0 1 1 * 1969",
        13,
        4,
        "year must be 1970-9999, got 1969",
    );
    check(
        "0 0 0 1 1 * 10000",
        13,
        5,
        "year must be 1970-9999, got 10000",
    );
    check("0,15,75 * * * *", 6, 2, "minute must be 0-59, got 75");
    check("  5  99 * * *", 6, 2, "hour must be 0-23, got 99");
    check("\t5\t99 * * *", 4, 2, "hour must be 0-23, got 99");
    check("-5 * * * *", 1, 1, "minute is missing: must be 0-59");
    check(
        "99999999999999999999999 * * * *",
        1,
        23,
        "minute must be 0-59, got 99999999999999999999999",
    );
    check("1.5 * * * *", 1, 3, "minute must be 0-59, got 1.5");
    check("** * * * *", 1, 2, "minute must be 0-59, got **");
}

#[test]
fn ranges_and_steps_are_pointed_at() {
    check(
        "5-1 * * * *",
        1,
        3,
        "minute range runs backwards: 5 is after 1",
    );
    check(
        "0 22-2 * * *",
        3,
        4,
        "hour range runs backwards: 22 is after 2",
    );
    check(
        "0 0 * * SAT-MON",
        9,
        7,
        "day of week range runs backwards: SAT is after MON",
    );
    check(
        "0 0 * DEC-FEB *",
        7,
        7,
        "month range runs backwards: DEC is after FEB",
    );
    check("5- * * * *", 3, 1, "minute is missing: must be 0-59");
    check("1-2-3 * * * *", 3, 3, "minute must be 0-59, got 2-3");
    check("*-5 * * * *", 1, 1, "minute must be 0-59, got *");
    check("*/0 * * * *", 3, 1, "a step must be at least 1, got 0");
    check("*/x * * * *", 3, 1, "a step must be a number, got x");
    check("*/ * * * *", 3, 1, "a step must be a number, got nothing");
    check("*/5/2 * * * *", 3, 3, "a step must be a number, got 5/2");
    check(
        "5/15 * * * *",
        1,
        4,
        "a step needs * or a range before it: write 5-59/15",
    );
    check(
        "0 0 * * 1/2",
        9,
        3,
        "a step needs * or a range before it: write 1-6/2",
    );
    check(
        "0 0 * * SUN/2",
        9,
        5,
        "a step needs * or a range before it: write 0-6/2",
    );
    check(
        "0 0 * * 7/2",
        9,
        3,
        "a step needs * or a range before it: write 7-7/2",
    );
    check(
        "0 0 * 2/3 *",
        7,
        3,
        "a step needs * or a range before it: write 2-12/3",
    );
    let spread = "; a random value (~, H) is not known here: write a fixed one, and let the schedule's jitter spread its runs";
    check(
        "0~59 * * * *",
        1,
        4,
        &format!("minute must be 0-59, got 0~59{spread}"),
    );
    check(
        "H * * * *",
        1,
        1,
        &format!("minute must be 0-59, got H{spread}"),
    );
    check(
        "H/15 * * * *",
        1,
        1,
        &format!("minute must be 0-59, got H{spread}"),
    );
    check(
        "H(0-29) * * * *",
        1,
        3,
        &format!("minute must be 0-59, got H(0{spread}"),
    );
    check(
        "/15 * * * *",
        1,
        3,
        "a step needs * or a range before it, such as */15",
    );
    check(", * * * *", 1, 1, "the minute list has an empty item");
    check("0 1,,2 * * *", 5, 1, "the hour list has an empty item");
}

#[test]
fn modifiers_are_pointed_at() {
    check(
        "0 0 1-15W * *",
        5,
        5,
        "W goes with a single day such as 15W, not with a range or a step",
    );
    check("0 0 32W * *", 5, 2, "day of month must be 1-31, got 32");
    check("0 0 W * *", 5, 1, "day of month is missing: must be 1-31");
    check(
        "0 0 L-31 * *",
        7,
        2,
        "days before the last must be 1-30, got 31",
    );
    check(
        "0 0 L-0 * *",
        7,
        1,
        "days before the last must be 1-30, got 0",
    );
    check(
        "0 0 L-3W * *",
        7,
        2,
        "days before the last must be 1-30, got 3W",
    );
    check(
        "0 0 15w * *",
        5,
        3,
        "the modifiers L and W are capitals: 15W",
    );
    check("0 0 l * *", 5, 1, "the modifiers L and W are capitals: L");
    check("0 0 lw * *", 5, 2, "the modifiers L and W are capitals: LW");
    check("0 0 * * 5l", 9, 2, "the modifiers L and W are capitals: 5L");
    check(
        "0 0 * * L",
        9,
        1,
        "L needs a weekday before it: 5L is the last Friday of the month",
    );
    check(
        "0 0 * * 5#6",
        11,
        1,
        "which weekday of the month must be 1-5 or L, got 6",
    );
    check(
        "0 0 * * 5#",
        11,
        1,
        "which weekday of the month must be 1-5 or L, got nothing",
    );
    check(
        "0 0 * * 1-5#2",
        9,
        3,
        "# and L go with a single weekday such as 5#3 or 5L, not with a range or a step",
    );
    check(
        "0 0 * * 8L",
        9,
        1,
        "day of week must be 0-7 or SUN-SAT, got 8",
    );
    check("0 12 +1 * MON", 6, 2, "day of month must be 1-31, got +1");
    check(
        "0 12 1 * MON,+TUE",
        14,
        4,
        "day of week must be 0-7 or SUN-SAT, got +TUE",
    );
    check(
        "0 12 1 * +",
        11,
        1,
        "the day of week list has an empty item",
    );
    check(
        "? 12 * * *",
        1,
        1,
        "? is for the day of month and the day of week, not for the minute",
    );
    check(
        "0 12 ?,1 * *",
        6,
        1,
        "? stands alone in the day of month field",
    );
    check("0 L * * *", 3, 1, "hour must be 0-23, got L");
}

#[test]
fn texts_that_are_no_expression_at_all() {
    let expected = "expected 5 fields (minute, hour, day of month, month, day of week), or 6 with a second in front, \
                    or 7 with a year behind";
    check("", 1, 1, "the expression is empty");
    check("   ", 1, 1, "the expression is empty");
    check("* * * *", 1, 7, &format!("{expected}; got 4"));
    check(" hello ", 2, 5, &format!("{expected}; got 1"));
    check("* * * * * * * * *", 15, 3, &format!("{expected}; got 9"));
    check("* * * * \u{661}", 9, 1, "unexpected character '١'");
    check("é * * * *", 1, 1, "unexpected character 'é'");
    check("* *\u{a0}* * *", 4, 1, "unexpected character '\\u{a0}'");
    check("0 0 * * *\n", 10, 1, "unexpected character '\\n'");
    check(
        &",".repeat(10_240),
        1_025,
        1,
        "an expression has at most 1024 characters",
    );
    check(
        &"é".repeat(1_025),
        1_025,
        1,
        "an expression has at most 1024 characters",
    );
    check("@Daily", 1, 6, "nicknames are in lower case: @daily");
    check("@daily 0 0 * * *", 7, 10, "nothing may follow @daily");
    check(
        "@reboot",
        1,
        7,
        "@reboot is not a time: a schedule has no machine that starts",
    );
    check(
        "@every 5m",
        1,
        6,
        "@every is an interval, not a cron expression",
    );
    check(
        "@noon",
        1,
        5,
        "unknown nickname @noon: use @yearly, @monthly, @weekly, @daily or @hourly",
    );
    let either = Recurrence::parse("TZ=UTC @noon", None, DstRule::Vixie, NOW).expect_err("unknown");
    assert_eq!(
        either.to_string(),
        "column 8: unknown nickname @noon: use @yearly, @monthly, @weekly, @daily or @hourly, or @every with a duration"
    );
    check(
        "TZ=UTC 0 0 * * *",
        1,
        16,
        "a time zone in front is not allowed here: give the zone by itself",
    );
}

/// cron takes a step beyond its field; only the first value of the range remains.
#[test]
fn steps_beyond_the_field_leave_its_first_value() {
    for (text, same) in [
        ("*/90 * * * *", "*/60 * * * *"),
        ("*/61 * * * *", "*/60 * * * *"),
        ("* */30 * * *", "* */24 * * *"),
        ("0 0 */40 * *", "0 0 */31 * *"),
        ("0 0 1 */13 *", "0 0 1 */12 *"),
        ("0 0 * * */9", "0 0 * * */8"),
        ("10-20/4000000000 * * * *", "10-20/60 * * * *"),
        ("0-30/99999999999999999999999 * * * *", "0-30/60 * * * *"),
        ("*/75 * * * * *", "*/60 * * * * *"),
    ] {
        assert_eq!(times(text, 20), times(same, 20), "{text}");
    }
    assert_eq!(
        CronExpression::parse("*/90 * * * *")
            .expect("valid")
            .describe(),
        "every hour"
    );
    let once = Cron::new(
        CronExpression::parse("0 0 0 1 1 * 2000-2050/9000").expect("valid"),
        Zone::utc(),
        DstRule::Vixie,
    );
    assert_eq!(
        once.next_after(Timestamp::MIN)
            .map(|at| at.to_string())
            .as_deref(),
        Some("2000-01-01T00:00:00Z")
    );
    assert_eq!(once.next_after(NOW), None);
}

/// The longest texts that are read to their end: time in proportion to the length, whatever is in
/// them.
#[test]
fn long_texts_are_read() {
    let minutes = format!("{} * * * *", vec!["0-59/1"; 140].join(","));
    let years = format!("0 0 0 1 1 * {}", vec!["1970-9999"; 100].join(","));
    for _ in 0..100 {
        assert!(CronExpression::parse(&minutes).is_ok());
        assert!(CronExpression::parse(&years).is_ok());
        assert!(CronExpression::parse(&",".repeat(1_000)).is_err());
    }
}

#[test]
fn errors_have_a_line_and_a_picture() {
    let text = "0 25 * * *";
    let error = error(text);
    assert_eq!(error.to_string(), "column 3: hour must be 0-23, got 25");
    assert_eq!(
        error.render(text),
        "0 25 * * *\n  ^^ hour must be 0-23, got 25"
    );
    let long = format!("{},99 * * * *", vec!["0"; 100].join(","));
    let picture = CronExpression::parse(&long).expect_err("99").render(&long);
    let (shown, carets) = picture.split_once('\n').expect("two lines");
    let at = carets.find('^').expect("a caret");
    assert_eq!(&shown[at..at + 2], "99");
    assert!(picture.len() < 250, "{picture}");
}

#[test]
fn what_can_never_fire_is_refused() {
    for (text, reason) in [
        ("0 0 30 2 *", "February has no day 30"),
        ("0 0 31 2 *", "February has no day 31"),
        ("0 0 30,31 2 *", "February has no day 30"),
        ("0 0 31 4 *", "April has no day 31"),
        ("0 0 31 4,6 *", "April and June have no day 31"),
        (
            "0 0 31 2,4,6,9,11 *",
            "February, April, June, September and November have no day 31",
        ),
        ("0 0 30W 2 *", "February has no day 30"),
        ("0 0 31 2 +1", "February has no day 31"),
        ("0 0 30-31 2 */2", "February has no day 30"),
        (
            "0 0 0 29 2 * 2027",
            "February has no day 29 in the years given",
        ),
        (
            "0 0 0 29 2 * 2025-2027",
            "February has no day 29 in the years given",
        ),
        (
            "0 0 0 29 2 * 2100,2200,2300",
            "February has no day 29 in the years given",
        ),
        ("0 0 L-29 2 *", "no such day exists in these months"),
        ("0 0 L-30 2 *", "no such day exists in these months"),
        ("0 0 L-30 2,4 ?", "no such day exists in these months"),
        (
            "0 0 1 * +1#2",
            "no day of these months is both that day of the month and that day of the week",
        ),
        (
            "0 0 LW * +SAT",
            "no day of these months is both that day of the month and that day of the week",
        ),
        ("0 0 */2 2 +1#5,2#5", ""),
    ] {
        match (CronExpression::parse(text), reason) {
            (Ok(_), "") => {}
            (parsed, _) => {
                let message = parsed.expect_err(text).message;
                assert_eq!(message, format!("never fires: {reason}"), "{text}");
            }
        }
    }
}

/// Near misses: rare, but they do fire; each with its first time after 2026-11-23.
#[test]
fn what_fires_rarely_is_taken() {
    for (text, first) in [
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("0 0 31 2 1", "2027-02-01T00:00:00Z"),
        ("0 0 29 2 +1", "2044-02-29T00:00:00Z"),
        ("0 0 L-28 2 *", "2028-02-01T00:00:00Z"),
        ("0 0 29 2 +1#5", "2044-02-29T00:00:00Z"),
        ("0 0 0 29 2 * 2100-2104", "2104-02-29T00:00:00Z"),
        ("59 59 23 31 12 * 9999", "9999-12-31T23:59:59Z"),
        ("0 0 13 * +5", "2027-08-13T00:00:00Z"),
    ] {
        assert_eq!(times(text, 1), [first], "{text}");
    }
    let past = Cron::new(
        CronExpression::parse("0 0 0 1 1 * 1999").expect("valid"),
        Zone::utc(),
        DstRule::Vixie,
    );
    assert_eq!(
        past.next_after(NOW),
        None,
        "a year that is over ends the schedule"
    );
}

/// 2026-11-23T10:00:00Z, a Monday.
const NOW: Timestamp = Timestamp::from_millis(1_795_428_000_000);

fn times(text: &str, count: usize) -> Vec<String> {
    let expression =
        CronExpression::parse(text).unwrap_or_else(|error| panic!("{}", error.render(text)));
    let cron = Cron::new(expression, Zone::utc(), DstRule::Vixie);
    let first = cron.next_after(NOW);
    std::iter::successors(first, |time| cron.next_after(*time))
        .take(count)
        .map(|time| time.to_string())
        .collect()
}

#[test]
fn the_common_expressions() {
    assert_eq!(
        times("0 0 * * *", 3),
        [
            "2026-11-24T00:00:00Z",
            "2026-11-25T00:00:00Z",
            "2026-11-26T00:00:00Z"
        ]
    );
    assert_eq!(
        times("*/5 * * * *", 3),
        [
            "2026-11-23T10:05:00Z",
            "2026-11-23T10:10:00Z",
            "2026-11-23T10:15:00Z"
        ]
    );
    let office = times("0 9-17 * * 1-5", 60);
    assert_eq!(
        office[..2],
        ["2026-11-23T11:00:00Z", "2026-11-23T12:00:00Z"]
    );
    assert_eq!(
        office[7..9],
        ["2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z"],
        "Monday 17:00 was the one before"
    );
    // Four more days of nine, then the weekend is left out.
    assert_eq!(
        office[42..44],
        ["2026-11-27T17:00:00Z", "2026-11-30T09:00:00Z"]
    );
}

#[test]
fn each_modifier() {
    for (text, expected) in [
        (
            "0 0 L * *",
            ["2026-11-30", "2026-12-31", "2027-01-31", "2027-02-28"],
        ),
        (
            "0 0 L-3 * *",
            ["2026-11-27", "2026-12-28", "2027-01-28", "2027-02-25"],
        ),
        (
            "0 0 LW * *",
            ["2026-11-30", "2026-12-31", "2027-01-29", "2027-02-26"],
        ),
        (
            "0 0 1W * *",
            ["2026-12-01", "2027-01-01", "2027-02-01", "2027-03-01"],
        ),
        (
            "0 0 1W 5 *",
            ["2027-05-03", "2028-05-01", "2029-05-01", "2030-05-01"],
        ),
        (
            "0 0 15W * *",
            ["2026-12-15", "2027-01-15", "2027-02-15", "2027-03-15"],
        ),
        (
            "0 0 31W * *",
            ["2026-12-31", "2027-01-29", "2027-03-31", "2027-05-31"],
        ),
        (
            "0 0 15W,LW * *",
            ["2026-11-30", "2026-12-15", "2026-12-31", "2027-01-15"],
        ),
        (
            "0 0 * * 5L",
            ["2026-11-27", "2026-12-25", "2027-01-29", "2027-02-26"],
        ),
        (
            "0 0 * * FRI#L",
            ["2026-11-27", "2026-12-25", "2027-01-29", "2027-02-26"],
        ),
        (
            "0 0 * * friL",
            ["2026-11-27", "2026-12-25", "2027-01-29", "2027-02-26"],
        ),
        (
            "0 0 * * MON#2",
            ["2026-12-14", "2027-01-11", "2027-02-08", "2027-03-08"],
        ),
        (
            "0 0 * * 7#5",
            ["2026-11-29", "2027-01-31", "2027-05-30", "2027-08-29"],
        ),
        (
            "0 0 * * 7",
            ["2026-11-29", "2026-12-06", "2026-12-13", "2026-12-20"],
        ),
        (
            "0 0 * * 0",
            ["2026-11-29", "2026-12-06", "2026-12-13", "2026-12-20"],
        ),
        (
            "0 0 * * fri-Sun",
            ["2026-11-27", "2026-11-28", "2026-11-29", "2026-12-04"],
        ),
        (
            "0 0 * * 5-7",
            ["2026-11-27", "2026-11-28", "2026-11-29", "2026-12-04"],
        ),
        (
            "0 0 * JAN-mar/2 ?",
            ["2027-01-01", "2027-01-02", "2027-01-03", "2027-01-04"],
        ),
        (
            "0 0 ? * 1",
            ["2026-11-30", "2026-12-07", "2026-12-14", "2026-12-21"],
        ),
        // Either day field, both, and the star that makes "either" into "both".
        (
            "0 0 13 * 5",
            ["2026-11-27", "2026-12-04", "2026-12-11", "2026-12-13"],
        ),
        (
            "0 0 13 * +5",
            ["2027-08-13", "2028-10-13", "2029-04-13", "2029-07-13"],
        ),
        (
            "0 0 */2 * 1",
            ["2026-12-07", "2026-12-21", "2027-01-11", "2027-01-25"],
        ),
        (
            "0 0 1-31/2 * 1",
            ["2026-11-25", "2026-11-27", "2026-11-29", "2026-11-30"],
        ),
    ] {
        let expected = expected.map(|date| format!("{date}T00:00:00Z"));
        assert_eq!(times(text, 4), expected, "{text}");
    }
    assert_eq!(
        times("30 15 10 * * *", 2),
        ["2026-11-23T10:15:30Z", "2026-11-24T10:15:30Z"]
    );
    assert_eq!(
        times("*/20 * * * * *", 2),
        ["2026-11-23T10:00:20Z", "2026-11-23T10:00:40Z"]
    );
    assert_eq!(
        times("0 0 0 1 1 * */10", 2),
        ["2030-01-01T00:00:00Z", "2040-01-01T00:00:00Z"]
    );
}

#[test]
fn nicknames() {
    for (nickname, fields) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ] {
        assert_eq!(times(nickname, 5), times(fields, 5), "{nickname}");
        assert_eq!(
            CronExpression::parse(nickname).expect("known").as_str(),
            nickname
        );
    }
    assert!(
        CronExpression::parse("@hourly")
            .expect("known")
            .follows_clock()
    );
    assert_eq!(
        CronExpression::parse(" \t0 0  * * *  ")
            .expect("valid")
            .as_str(),
        "0 0  * * *"
    );
}

#[test]
fn words() {
    for (text, words) in [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        (
            "*/7 * * * *",
            "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour",
        ),
        ("0 * * * *", "every hour"),
        ("30 * * * *", "at minute 30 of every hour"),
        ("0 0 * * *", "at 00:00"),
        ("30 2,14 * * *", "at 02:30 and 14:30"),
        ("0 */6 * * *", "at 00:00, 06:00, 12:00 and 18:00"),
        ("15 */2 * * *", "every 2 hours from 00:15"),
        (
            "0 9-17 * * 1-5",
            "every hour from 09:00 through 17:00, Monday through Friday",
        ),
        (
            "0 0-6,18-23 * * *",
            "at minute 0 during hours 0 through 6 and 18 through 23",
        ),
        (
            "*/10 9-17 * * 1,3",
            "every 10 minutes during hours 9 through 17, Monday and Wednesday",
        ),
        ("0-10 * * * *", "at minutes 0 through 10 of every hour"),
        ("* * * * * *", "every second"),
        ("*/15 * * * * *", "every 15 seconds"),
        (
            "*/15 0-9 8 * * *",
            "every 15 seconds at minutes 0 through 9 during hour 8",
        ),
        ("30 0 8 * * *", "at 08:00:30"),
        ("0 0 1,15 * *", "at 00:00, on days 1 and 15 of the month"),
        ("0 0 L * *", "at 00:00, on the last day of the month"),
        (
            "0 0 L-3,15W,LW * *",
            "at 00:00, on the weekday nearest day 15, the last weekday and the day 3 days before the last of the month",
        ),
        ("0 0 * * 5L", "at 00:00, the last Friday of the month"),
        (
            "0 0 * * MON#1,3",
            "at 00:00, Wednesday and the first Monday of the month",
        ),
        ("0 0 13 * 5", "at 00:00, on day 13 of the month or Friday"),
        (
            "0 0 13 * +5",
            "at 00:00, on day 13 of the month that is also Friday",
        ),
        (
            "0 0 1 1,6-8 *",
            "at 00:00, on day 1 of the month, in January and June through August",
        ),
        (
            "0 0 0 1 1 * 2027-2030,2040",
            "at 00:00, on day 1 of the month, in January, in 2027 through 2030 and 2040",
        ),
        ("@weekly", "at 00:00, Sunday"),
    ] {
        assert_eq!(
            CronExpression::parse(text).expect(text).describe(),
            words,
            "{text}"
        );
    }
}

fn recurrence(text: &str, zone: Option<&str>) -> Result<Recurrence, CronParseError> {
    let zone = zone.map(|name| Zone::parse(name).expect("known"));
    Recurrence::parse(
        text,
        zone.as_ref(),
        DstRule::Vixie,
        Timestamp::from_millis(1_500),
    )
}

#[test]
fn zones_in_front_of_an_expression() {
    let zone_of = |text: &str, zone| match recurrence(text, zone).expect(text) {
        Recurrence::Cron(cron) => (cron.zone.name(), cron.expression.as_str().to_owned()),
        Recurrence::Interval(_) => panic!("{text} is no interval"),
    };
    let daily = || "0 0 * * *".to_owned();
    assert_eq!(zone_of("0 0 * * *", None), ("UTC", daily()));
    assert_eq!(
        zone_of("0 0 * * *", Some("Europe/Berlin")),
        ("Europe/Berlin", daily())
    );
    assert_eq!(
        zone_of("TZ=Europe/Berlin 0 0 * * *", None),
        ("Europe/Berlin", daily())
    );
    assert_eq!(
        zone_of(" CRON_TZ=asia/tokyo \t 0 0 * * *", None),
        ("Asia/Tokyo", daily())
    );
    assert_eq!(
        zone_of("TZ=Europe/Kiev 0 0 * * *", Some("Europe/Kyiv")),
        ("Europe/Kyiv", daily()),
        "an alias agrees"
    );
    for (text, zone, column, length, message) in [
        (
            "TZ=Europe/Berlin 0 0 * * *",
            Some("UTC"),
            4,
            13,
            "the expression says Europe/Berlin, the schedule says UTC",
        ),
        (
            "TZ=Berlin 0 0 * * *",
            None,
            4,
            6,
            "unknown time zone \"Berlin\"; did you mean Europe/Berlin?",
        ),
        (
            "CRON_TZ=UTC 0 25 * * *",
            None,
            15,
            2,
            "hour must be 0-23, got 25",
        ),
        ("  TZ=UTC", None, 3, 6, "nothing follows TZ=UTC"),
        (
            "TZ= 0 0 * * *",
            None,
            4,
            1,
            "unknown time zone \"\"; use an IANA name such as Europe/Berlin",
        ),
        (
            "TZ=UTC TZ=UTC 0 0 * * *",
            None,
            8,
            16,
            "a time zone in front is not allowed here: give the zone by itself",
        ),
    ] {
        let error = recurrence(text, zone).expect_err(text);
        assert_eq!(
            (error.column, error.length, error.message.as_str()),
            (column, length, message),
            "{text}"
        );
    }
}

#[test]
fn every_so_often() {
    for (text, every_ms, words) in [
        ("@every 90s", 90_000, "every 1 minute 30 seconds"),
        ("@every 5m", 300_000, "every 5 minutes"),
        ("@every 1h30m", 5_400_000, "every 1 hour 30 minutes"),
        ("@every  1d", 86_400_000, "every day"),
        (
            "TZ=Europe/Berlin @every 3660d",
            316_224_000_000,
            "every 3660 days",
        ),
    ] {
        let parsed = recurrence(text, None).expect(text);
        assert_eq!(parsed.describe(), words);
        let Recurrence::Interval(interval) = parsed else {
            panic!("{text} is an interval")
        };
        assert_eq!(
            (interval.every_ms(), interval.anchor().as_millis()),
            (every_ms, 1_000),
            "{text}"
        );
    }
    let wrong = "a duration is a sum such as 90s, 5m or 1h30m (units d, h, m, s), got";
    let limit = "every_ms must be between 1000 (1 s) and 316224000000 (3,660 days), got";
    for (text, column, message) in [
        ("@every", 1, "@every needs a duration, such as @every 5m".to_owned()),
        ("@every 5", 8, format!("{wrong} 5")),
        ("@every m", 8, format!("{wrong} m")),
        ("@every 1.5h", 8, format!("{wrong} 1.5h")),
        ("@every 100ms", 8, format!("{wrong} 100ms")),
        ("@every -5m", 8, format!("{wrong} -5m")),
        ("@every 0s", 8, format!("{limit} 0")),
        ("@every 3661d", 8, format!("{limit} 316310400000")),
        ("@every 99999999999999999999d", 8, format!("{limit} {}", i64::MAX)),
        (
            "@every5m",
            1,
            "unknown nickname @every5m: use @yearly, @monthly, @weekly, @daily or @hourly, or @every with a duration"
                .to_owned(),
        ),
    ] {
        let error = recurrence(text, None).expect_err(text);
        assert_eq!((error.column, error.message), (column, message), "{text}");
    }
}

#[test]
fn rules_by_name() {
    for dst in DstRule::ALL.iter().copied() {
        assert_eq!(dst.to_string().parse(), Ok(dst));
    }
    assert_eq!(DstRule::default(), DstRule::Vixie);
    let error = "Vixie"
        .parse::<DstRule>()
        .expect_err("names are in lower case");
    assert_eq!(
        error.to_string(),
        "daylight-saving rule is \"Vixie\"; choose one of vixie, skip, literal"
    );
}
