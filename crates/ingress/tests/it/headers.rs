//! Any record, delivered as it is by adding headers.

use minutehand_model::limits::{HEADER_VALUE_BYTES_MAX, PAYLOAD_BYTES_MAX, RECORD_KEY_BYTES_MAX};

use crate::support::{Record, check, record};

fn delayed<'a>() -> Record<'a> {
    record("v")
        .with("minutehand-queue", "mail")
        .with("minutehand-delay", "5s")
}

fn queued<'a>(name: &'a str, value: &'a str) -> Record<'a> {
    record("v")
        .with("minutehand-queue", "mail")
        .with(name, value)
}

#[test]
fn a_header_delays_any_record() {
    let created = "create default/kafka-3-17 -> mail at";
    check(
        &delayed(),
        &format!("{created} 2026-11-25T12:00:05Z, key k, value v"),
    );
    let times = [
        ("minutehand-delay", "PT5M", "2026-11-25T12:05:00Z"),
        ("minutehand-delay", "1h30m", "2026-11-25T13:30:00Z"),
        ("minutehand-delay", "0", "2026-11-25T12:00:00Z"),
        ("minutehand-delay", "2.5", "2026-11-25T12:00:02.500Z"),
        ("Minutehand-Delay", "250ms", "2026-11-25T12:00:00.250Z"),
        (
            "minutehand-due-at",
            "2027-01-31T09:00:00+01:00",
            "2027-01-31T08:00:00Z",
        ),
        ("minutehand-due-at", "1800000000000", "2027-01-15T08:00:00Z"),
        (
            "minutehand-due-at",
            "2038-01-19T03:14:08Z",
            "2038-01-19T03:14:08Z",
        ),
        (
            "minutehand-due-at",
            "2106-02-07T06:28:16Z",
            "2106-02-07T06:28:16Z",
        ),
        (
            "minutehand-due-at",
            "9999-12-31T23:59:59.999Z",
            "9999-12-31T23:59:59.999Z",
        ),
    ];
    for (name, value, due) in times {
        check(
            &queued(name, value),
            &format!("{created} {due}, key k, value v"),
        );
    }
}

#[test]
fn everything_about_the_task_can_be_said() {
    let asked = delayed()
        .with("minutehand-namespace", "shop")
        .with("minutehand-id", "order-1")
        .with("minutehand-key", "customer/7")
        .with("minutehand-guarantee", "exactly-once")
        .with("minutehand-precision", "high")
        .with("minutehand-retry-policy", "fixed")
        .with("minutehand-retry-delay-ms", "250")
        .with("minutehand-retry-max-attempts", "3")
        .with("minutehand-url", "https://example.com/hook");
    check(
        &asked,
        "create shop/order-1 [customer/7] -> mail at 2026-11-25T12:00:05Z retry Fixed { delay_ms: 250 }x3 exactly-once high, \
         key k, value v, minutehand-url=https://example.com/hook",
    );
}

#[test]
fn what_follows_its_end_can_be_said() {
    check(
        &delayed()
            .with(
                "minutehand-on-success",
                r#"{"queue":"invoices","delay":"5m"}"#,
            )
            .with(
                "minutehand-on-failure",
                r#"{"queue":"alerts","payload":"late"}"#,
            ),
        "create default/kafka-3-17 -> mail at 2026-11-25T12:00:05Z on_success invoices after 300000 ms \
         on_failure alerts after 0 ms, key k, value v",
    );
    let mut deep = r#"{"queue":"q"}"#.to_owned();
    for _ in 0..8 {
        deep = format!(r#"{{"queue":"q","on_failure":{deep}}}"#);
    }
    for (name, value, reason) in [
        (
            "minutehand-on-success",
            "{}",
            "minutehand-on-success: queue: missing field `queue` (accepted: required",
        ),
        (
            "minutehand-on-failure",
            r#"{"queue":"a b"}"#,
            "minutehand-on-failure: queue: has ' ' at position 2",
        ),
        (
            "minutehand-on-success",
            &deep,
            "minutehand-on-success: is nested too deeply; at most 8 tasks follow one after the other, given 9",
        ),
    ] {
        let Err(refused) = delayed().with(name, value).command() else {
            panic!("{value} is taken");
        };
        assert!(refused.contains(reason), "{refused}");
    }
    let again =
        queued("minutehand-cron", "@daily").with("minutehand-on-success", r#"{"queue":"q"}"#);
    let Err(refused) = again.command() else {
        panic!("a run of a schedule is followed");
    };
    assert!(
        refused.starts_with("minutehand-on-success: does not belong here"),
        "{refused}"
    );
}

#[test]
fn what_is_not_text_survives() {
    let odd = delayed()
        .with("a", "1")
        .with_raw("b", Some(b"\xff\x00"))
        .with("a", "2")
        .with_raw("e", Some(b""))
        .with_raw("n", None)
        .with("control", "\u{1}\n");
    let odd = Record {
        key: Some(b"\xfe"),
        value: Some(b"\x00\xff"),
        ..odd
    };
    check(
        &odd,
        "create default/kafka-3-17 -> mail at 2026-11-25T12:00:05Z, key \\xfe, value \\x00\\xff, a=1, b=\\xff\\x00, a=2, \
         e=, n null, control=\\x01\\n",
    );
    let nothing = Record {
        key: None,
        value: None,
        ..delayed()
    };
    check(
        &nothing,
        "create default/kafka-3-17 -> mail at 2026-11-25T12:00:05Z, null key, null value",
    );
    let empty = Record {
        key: Some(b""),
        value: Some(b""),
        ..delayed()
    };
    check(
        &empty,
        "create default/kafka-3-17 -> mail at 2026-11-25T12:00:05Z, key , value ",
    );
}

#[test]
fn a_content_type_is_delivered_and_changes_nothing() {
    check(
        &delayed().with("content-type", "application/json"),
        "create default/kafka-3-17 -> mail at 2026-11-25T12:00:05Z, key k, value v, content-type=application/json",
    );
}

#[test]
fn a_cron_header_makes_a_schedule_unless_it_exists() {
    check(
        &queued("minutehand-cron", "0 9 * * 1-5")
            .with("minutehand-tz", "Europe/Berlin")
            .with("minutehand-schedule-id", "report")
            .with("kind", "daily"),
        "revise default/report #1 [0 9 * * 1-5 Europe/Berlin vixie] -> mail, key k, value v, kind=daily",
    );
    check(
        &queued("minutehand-cron", "@hourly")
            .with("minutehand-revision", "7")
            .with("minutehand-dst", "skip"),
        "revise default/kafka-3-17 #7 [@hourly UTC skip] -> mail, key k, value v",
    );
    // No clock is asked, so a record without a timestamp will do.
    let timeless = Record {
        timestamp_ms: -1,
        ..queued("minutehand-cron", "@daily")
    };
    check(
        &timeless,
        "revise default/kafka-3-17 #1 [@daily UTC vixie] -> mail, key k, value v",
    );
}

#[test]
fn a_refused_record_says_which_header_and_why() {
    let range =
        "must lie between 2016-11-24T12:00:00Z (ten years ago) and 9999-12-31T23:59:59.999Z";
    let past = "not before 2016-11-24T12:00:00Z (ten years ago)";
    let ways = "one of minutehand-due-at, minutehand-delay and minutehand-cron";
    let rfc = "RFC 3339 with a zone, such as 2027-01-31T08:00:00Z or 2027-01-31T09:00:00+01:00";
    let duration = "a number of seconds, a sum such as 90s, 5m or 1h30m (w, d, h, m, s, ms), or ISO 8601 such as PT5M";
    let cases = [
        (
            "minutehand-due-at",
            "tomorrow",
            format!("minutehand-due-at: is not RFC 3339; {rfc}, given tomorrow"),
        ),
        (
            "minutehand-due-at",
            "",
            format!("minutehand-due-at: is not RFC 3339; {rfc}, given nothing"),
        ),
        (
            "minutehand-due-at",
            "1969-12-31T00:00:00Z",
            format!("minutehand-due-at: is too long ago; {past}, given 1969-12-31T00:00:00Z"),
        ),
        (
            "minutehand-due-at",
            "2026-11-25T23:59:60Z",
            format!(
                "minutehand-due-at: names a leap second, which cannot be scheduled; {rfc}, given 2026-11-25T23:59:60Z"
            ),
        ),
        // Seconds where milliseconds are meant.
        (
            "minutehand-due-at",
            "1800000000",
            format!("minutehand-due-at: is out of range; {range}, given 1970-01-21T20:00:00Z"),
        ),
        (
            "minutehand-due-at",
            "-9223372036854775808",
            format!("minutehand-due-at: is out of range; {range}, given -9223372036854775808ms"),
        ),
        (
            "minutehand-due-at",
            "99999999999999999999",
            format!("minutehand-due-at: is out of range; {range}, given 9223372036854775807ms"),
        ),
        (
            "minutehand-due-at",
            "253402300800000",
            format!("minutehand-due-at: is out of range; {range}, given 253402300800000ms"),
        ),
        (
            "minutehand-delay",
            "NaN",
            format!("minutehand-delay: is not a duration; {duration}, given NaN"),
        ),
        (
            "minutehand-delay",
            "-5s",
            format!("minutehand-delay: is negative; {duration}, given -5s"),
        ),
        (
            "minutehand-delay",
            "1e3",
            format!("minutehand-delay: is not a duration; {duration}, given 1e3"),
        ),
        (
            "minutehand-delay",
            "10000000000000000",
            format!("minutehand-delay: is too long; {duration}, given 10000000000000000"),
        ),
        (
            "minutehand-cron",
            "0 0 30 2 *",
            "minutehand-cron: ".to_owned(),
        ),
        (
            "minutehand-cron",
            "60 * * * *",
            "minutehand-cron: ".to_owned(),
        ),
        ("minutehand-cron", "@reboot", "minutehand-cron: ".to_owned()),
    ];
    for (name, value, reason) in cases {
        let found = queued(name, value).command().unwrap_err();
        let matches = if reason.ends_with(": ") {
            found.starts_with(&reason)
        } else {
            found == reason
        };
        assert!(matches, "{name}={value}\n{found}\n{reason}");
    }
    check(
        &record("v").with("minutehand-delay", "5s"),
        "refused: minutehand-queue: is missing; required of a record that is to be delivered, given nothing",
    );
    check(
        &record("v").with("minutehand-queue", "q"),
        &format!("refused: minutehand-due-at: is missing; {ways}, given neither"),
    );
    check(
        &delayed().with("minutehand-due-at", "1800000000000"),
        &format!("refused: minutehand-delay: is given beside a due time; {ways}, given 5s"),
    );
    check(
        &delayed().with("minutehand-cron", "@daily"),
        &format!("refused: minutehand-delay: does not belong here; {ways}, given 5s"),
    );
    check(
        &delayed().with("minutehand-tz", "UTC"),
        "refused: minutehand-tz: does not belong here; it is a setting of minutehand-cron, given UTC",
    );
    check(
        &delayed().with("minutehand-id", "nightly@2027-01-01T00:00:00Z"),
        "refused: minutehand-id: has the form of a schedule's run; an id that does not end with @ and a time, as those \
         of schedules' runs do, given nightly@2027-01-01T00:00:00Z",
    );
    check(
        &queued("minutehand-cron", "@daily").with("minutehand-id", "x"),
        "refused: minutehand-id: does not belong here; a record with minutehand-cron has a minutehand-schedule-id, \
         given x",
    );
    check(
        &queued("minutehand-cron", "@daily").with("minutehand-revision", "0"),
        "refused: minutehand-revision: is out of range; at least 1, given 0",
    );
    check(
        &queued("minutehand-cron", "@daily").with("minutehand-tz", "../../etc/passwd"),
        "refused: minutehand-tz: unknown time zone \"../../etc/passwd\"; use an IANA name such as Europe/Berlin; an IANA \
         time zone name, given ../../etc/passwd",
    );
    check(
        &delayed().with("MINUTEHAND-DELAY", "6s"),
        "refused: MINUTEHAND-DELAY: is given twice; at most once, given \"5s\" and \"6s\"",
    );
    check(
        &delayed().with_raw("minutehand-id", Some(b"\xffx")),
        "refused: minutehand-id: is not valid UTF-8; text, given 2 bytes, the one at 1 is wrong",
    );
    check(
        &delayed().with_raw("minutehand-id", None),
        "refused: minutehand-id: is null; text, given null",
    );
    check(
        &delayed().with("minutehand-guarantee", "maybe"),
        "refused: minutehand-guarantee: is not a choice; one of at-most-once, at-least-once, exactly-once, given maybe",
    );
    check(
        &delayed().with("minutehand-retry-base-ms", "0"),
        "refused: minutehand-retry-base-ms: is out of range; 1 to 2592000000, given 0",
    );
    check(
        &delayed().with("minutehand-retry-max-attempts", "many"),
        "refused: minutehand-retry-max-attempts: is not a whole number; digits, given many",
    );
    let timeless = Record {
        timestamp_ms: -1,
        ..delayed()
    };
    check(
        &timeless,
        "refused: minutehand-delay: cannot be counted; a delay counts from the record's timestamp, given a record \
         without a timestamp",
    );
}

#[test]
fn names_that_are_misspelt_or_the_schedulers_own_are_refused() {
    for name in [
        "minutehand-dueat",
        "minutehand-",
        "minutehand-task",
        "minutehand-execution-id",
    ] {
        let reason = delayed().with(name, "x").command().unwrap_err();
        assert!(
            reason.starts_with(&format!("{name}: is not a header that producers may set")),
            "{reason}"
        );
    }
}

#[test]
fn sizes_are_limited_as_in_the_api() {
    let many = (0..50_000).fold(delayed(), |record, _| record.with("x", "y"));
    check(
        &many,
        "refused: headers: are too many; at most 64 headers, given 50000",
    );
    let value = vec![b'x'; PAYLOAD_BYTES_MAX + 1];
    let large = Record {
        value: Some(&value),
        ..delayed()
    };
    check(
        &large,
        "refused: value: is too large; at most 262144 bytes (256 KiB), given 262145 bytes",
    );
    let fits = Record {
        value: Some(&value[1..]),
        ..delayed()
    };
    assert!(fits.command().is_ok());
    let long = Record {
        key: Some(&value[..RECORD_KEY_BYTES_MAX + 1]),
        ..delayed()
    };
    check(
        &long,
        "refused: key: is too long; at most 4096 bytes, given 4097 bytes",
    );
    let long = delayed().with_raw("x", Some(&value[..HEADER_VALUE_BYTES_MAX + 1]));
    check(
        &long,
        "refused: headers.x: is too long; at most 4096 bytes, given 4097 bytes",
    );
    let long = "n".repeat(129);
    for name in [&long, "a b", "\u{e4}", "", "a:b"] {
        let reason = delayed().with(name, "x").command().unwrap_err();
        assert!(
            reason
                .contains("headers: has a name that is not accepted; a name has 1 to 128 letters"),
            "{reason}"
        );
    }
    let id = "x".repeat(65_536);
    let reason = delayed().with("minutehand-id", &id).command().unwrap_err();
    assert!(
        reason.starts_with("minutehand-id: id is 65536 bytes long; at most 200 are allowed"),
        "{reason}"
    );
    for id in ["a\nb", "a\0b", "<script>", "оrder", ""] {
        let reason = delayed().with("minutehand-id", id).command().unwrap_err();
        assert!(reason.starts_with("minutehand-id: "), "{reason}");
    }
}
