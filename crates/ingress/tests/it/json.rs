//! Commands in the words of the HTTP API.

use minutehand_model::TaskKey;

use crate::support::{Record, check, record};

fn json(text: &str) -> Record<'_> {
    record(text).with("content-type", "application/json; charset=utf-8")
}

#[test]
fn a_task_is_the_body_of_the_api() {
    check(
        &json(r#"{"queue":"mail","delay":"5s"}"#),
        "create default/kafka-3-17 -> mail at 2026-11-25T12:00:05Z, value ",
    );
    let full = r#"{"namespace":"shop","id":"a","queue":"mail","due_at":"2027-01-01T00:00:00Z","payload":{"b":1,"a":1.50},
        "headers":{"x":"1"},"retry":{"policy":"none"},"guarantee":"at-most-once","precision":"low"}"#;
    let told = "create shop/a -> mail at 2027-01-01T00:00:00Z retry Nonex1 at-most-once low, \
                value {\\\"b\\\":1,\\\"a\\\":1.50}, x=1";
    check(&json(full), told);
    check(&json(&format!(r#"{{"create":{full}}}"#)), told);
    check(
        &json(r#"{"queue":"q","delay":5,"payload_base64":"/wA="}"#),
        "create default/kafka-3-17 -> q at 2026-11-25T12:00:05Z, value \\xff\\x00",
    );
    let followed = r#"{"queue":"q","delay":5,"on_success":{"queue":"next","delay":"1s"},"on_failure":{"queue":"alerts"}}"#;
    check(
        &json(followed),
        "create default/kafka-3-17 -> q at 2026-11-25T12:00:05Z on_success next after 1000 ms on_failure alerts after 0 ms, value ",
    );
    let vendor = record(r#"{"queue":"q","delay":5}"#)
        .with("content-type", "application/vnd.minutehand.v1+json");
    check(
        &vendor,
        "create default/kafka-3-17 -> q at 2026-11-25T12:00:05Z, value ",
    );
}

#[test]
fn the_other_commands_are_wrapped_in_their_names() {
    let key = TaskKey::of("shop", "a").0;
    check(
        &json(r#"{"cancel":{"namespace":"shop","id":"a","due_at":"2027-01-01T00:00:00Z"}}"#),
        &format!("cancel {key:032x} 2027-01-01T00:00:00Z"),
    );
    let keyed = TaskKey::of_keyed("shop", "a", Some("c-7")).0;
    check(
        &json(
            r#"{"cancel":{"namespace":"shop","id":"a","key":"c-7","due_at":"2027-01-01T00:00:00Z"}}"#,
        ),
        &format!("cancel {keyed:032x} 2027-01-01T00:00:00Z"),
    );
    check(
        &json(r#"{"id":"a","key":"c-7","queue":"q","delay":"1h"}"#),
        "create default/a [c-7] -> q at 2026-11-25T13:00:00Z, value ",
    );
    let moved =
        r#""id":"a","queue":"q","from_due_at":"2027-01-01T00:00:00Z","delay":"1h","payload":"x""#;
    check(
        &json(&format!(r#"{{"reschedule":{{{moved}}}}}"#)),
        "replace from 2027-01-01T00:00:00Z: default/a -> q at 2026-11-25T13:00:00Z, value x",
    );
    check(
        &json(&format!(
            r#"{{"reschedule":{{{moved},"mode":"only-if-not-published"}}}}"#
        )),
        "move from 2027-01-01T00:00:00Z: default/a -> q at 2026-11-25T13:00:00Z, value x",
    );
    check(
        &json(
            r#"{"schedule":{"id":"r","cron":"@daily","tz":"Asia/Tokyo","queue":"q","payload":[1]}}"#,
        ),
        "revise default/r #1 [@daily Asia/Tokyo vixie] -> q, value [1]",
    );
    check(
        &json(r#"{"schedule":{"namespace":"n","revision":4,"every":"5m","queue":"q"}}"#),
        "revise n/kafka-3-17 #4 [every 300000 ms] -> q, value ",
    );
    check(
        &json(r#"{"delete_schedule":{"id":"r","revision":2}}"#),
        "delete default/r #2",
    );
    check(
        &json(r#"{"trigger":{"id":"r","overlap":"skip"}}"#),
        "trigger default/r Some(Skip)",
    );
    check(
        &json(r#"{"trigger":{"id":"r","overlap":null}}"#),
        "trigger default/r None",
    );
    check(
        &json(
            r#"{"backfill":{"namespace":"n","id":"r","from":"2026-10-01T00:00:00+02:00","to":"2026-10-07T00:00:00Z"}}"#,
        ),
        "backfill n/r 2026-09-30T22:00:00Z to 2026-10-07T00:00:00Z",
    );
    // A revision says whether it is paused: so is a schedule paused, and resumed by the next one.
    let written = |paused| {
        format!(r#"{{"schedule":{{"id":"r","revision":2,"cron":"@daily","queue":"q"{paused}}}}}"#)
    };
    check(
        &json(&written(r#","paused":true"#)),
        "revise default/r #2 paused [@daily UTC vixie] -> q, value ",
    );
    check(
        &json(&written("")),
        "revise default/r #2 [@daily UTC vixie] -> q, value ",
    );
}

#[test]
fn a_refused_body_says_which_field_and_why() {
    let deep = format!(
        r#"{{"queue":"q","delay":1,"payload":{}1{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let large = format!(
        r#"{{"queue":"q","delay":1,"payload":"{}"}}"#,
        "x".repeat(262_145)
    );
    let cases = [
        ("", "the body is empty; a JSON object is expected"),
        ("{", "the body is not JSON: EOF"),
        ("[]", "the body is not a JSON object but an array"),
        (
            "{\"queue\":\"\u{1}\"}",
            "the body is not JSON: control character",
        ),
        (r#"{"delay":1}"#, "queue: missing field `queue`"),
        (
            r#"{"queue":"q","delay":1,"dely":2}"#,
            "dely: unknown field `dely`",
        ),
        (
            r#"{"queue":"q","delay":1,"delay":2}"#,
            "delay: duplicate field `delay`",
        ),
        (
            r#"{"create":{"queue":"q","queue":"r"}}"#,
            "create: queue: duplicate field `queue`",
        ),
        (
            r#"{"queue":"q"}"#,
            "due_at: is missing; one of due_at and delay, given neither",
        ),
        (r#"{"queue":"q","delay":NaN}"#, "the body is not JSON: "),
        (
            r#"{"queue":"q","delay":1e400}"#,
            "delay: number out of range",
        ),
        (r#"{"queue":"q","delay":-0}"#, "delay: is negative"),
        (r#"{"queue":"q","delay":"-1s"}"#, "delay: is negative"),
        (
            r#"{"queue":"q","due_at":"10000-01-01T00:00:00Z"}"#,
            "due_at: is not RFC 3339",
        ),
        (
            r#"{"queue":"q","due_at":5}"#,
            "due_at: invalid type: integer `5`, expected a string",
        ),
        (
            r#"{"queue":"a b","delay":1}"#,
            "queue: has ' ' at position 2",
        ),
        (
            r#"{"queue":"q","delay":1,"namespace":"a b"}"#,
            "namespace: has ' ' at position 2",
        ),
        (
            r#"{"queue":"q","delay":1,"namespace":5}"#,
            "namespace: invalid type",
        ),
        (
            r#"{"queue":"q","delay":1,"headers":{"minutehand-task":"x"}}"#,
            "headers: has a reserved name",
        ),
        (
            r#"{"queue":"q","delay":1,"retry":{"base_ms":0}}"#,
            "retry.base_ms: is out of range",
        ),
        (
            r#"{"queue":"q","delay":1,"retry":[]}"#,
            "retry: invalid type: sequence, expected an object",
        ),
        (
            &deep,
            "payload: is nested too deeply; at most 128 levels, given 10000 levels",
        ),
        (
            &large,
            "payload: is too large; at most 262144 bytes (256 KiB), given 262145 bytes",
        ),
        (
            r#"{"create":{},"cancel":{}}"#,
            "cancel: does not belong here; nothing beside create, given cancel",
        ),
        (
            r#"{"cancel":5}"#,
            "cancel: the body is not a JSON object but something else",
        ),
        (
            r#"{"cancel":{"due_at":"2027-01-01T00:00:00Z"}}"#,
            "cancel: id: is missing; required, given nothing",
        ),
        (
            r#"{"cancel":{"id":"a"}}"#,
            "cancel: due_at: is missing; required, given nothing",
        ),
        (
            r#"{"cancel":{"id":"a","due_at":"2027-01-01T00:00:00Z","x":1}}"#,
            "cancel: x: is not a field; one of namespace, id, key, due_at, given x",
        ),
        (
            r#"{"reschedule":{"id":"a","queue":"q","delay":1}}"#,
            "reschedule: from_due_at: is missing",
        ),
        (
            r#"{"reschedule":{"queue":"q","delay":1,"from_due_at":"2027-01-01T00:00:00Z"}}"#,
            "reschedule: id: is missing",
        ),
        (
            r#"{"schedule":{"cron":"0 0 30 2 *","queue":"q"}}"#,
            "schedule: cron: ",
        ),
        (
            r#"{"schedule":{"every":0,"queue":"q"}}"#,
            "schedule: every: ",
        ),
        (
            r#"{"schedule":{"every":0.001,"queue":"q"}}"#,
            "schedule: every: ",
        ),
        (
            r#"{"schedule":{"cron":"@daily","queue":"q","max_runs":0}}"#,
            "schedule: max_runs: is out of range",
        ),
        (
            r#"{"schedule":{"cron":"@daily","queue":"q","start_at":"2028-01-01T00:00:00Z","end_at":"2027-01-01T00:00:00Z"}}"#,
            "schedule: end_at: lies before start_at",
        ),
        (
            r#"{"schedule":{"cron":"@daily","queue":"q","end_at":"2026-01-01T00:00:00Z"}}"#,
            "schedule: end_at: leaves nothing to run",
        ),
        (
            r#"{"schedule":{"cron":"@daily","queue":"q","revision":0}}"#,
            "schedule: revision: is out of range",
        ),
        (
            r#"{"schedule":{"cron":"@daily","queue":"q","revision":-1}}"#,
            "schedule: revision: invalid value",
        ),
        (
            r#"{"delete_schedule":{"id":"r"}}"#,
            "delete_schedule: revision: is missing",
        ),
        (
            r#"{"trigger":{"id":"r","overlap":"maybe"}}"#,
            "trigger: overlap: is not a choice",
        ),
        (
            r#"{"backfill":{"id":"r","to":"2026-10-07T00:00:00Z"}}"#,
            "backfill: from: is missing",
        ),
        (
            r#"{"backfill":{"id":"r","from":"2026-10-08T00:00:00Z","to":"2026-10-07T00:00:00Z"}}"#,
            "backfill: from: lies after to; at or before 2026-10-07T00:00:00Z, given 2026-10-08T00:00:00Z",
        ),
    ];
    for (body, reason) in cases {
        let found = json(body).command().unwrap_err();
        assert!(
            found.starts_with(reason),
            "{}\n{found}",
            &body[..body.len().min(200)]
        );
    }
    let invalid = Record {
        value: Some(b"{\"queue\":\"\xff\"}"),
        ..json("")
    };
    assert!(
        invalid
            .command()
            .unwrap_err()
            .starts_with("the body is not JSON: ")
    );
    let null = Record {
        value: None,
        ..json("")
    };
    check(
        &null,
        "refused: value: is null (a tombstone); a command in JSON, given null",
    );
    let timeless = Record {
        timestamp_ms: -1,
        ..json(r#"{"queue":"q","delay":1}"#)
    };
    check(
        &timeless,
        "refused: delay: cannot be counted; a delay counts from the record's timestamp, given a record without a timestamp",
    );
}
