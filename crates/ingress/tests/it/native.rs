//! Commands in protobuf.

use bytes::Bytes;
use minutehand_ingress::{Understood, understand};
use minutehand_model::{Command, TaskKey, Timestamp};
use minutehand_record::command;

use crate::support::{Record, check, record};

fn cancel() -> Bytes {
    command::encode(&Command::Cancel {
        key: TaskKey(7),
        due: Timestamp::from_millis(5),
    })
}

#[test]
fn a_command_passes_as_it_is() {
    let bytes = cancel();
    let plain = Record {
        value: Some(&bytes),
        ..record(None)
    };
    assert_eq!(understand(&plain.input()), Ok(Understood::AsItIs));
    for content_type in [
        "application/x-protobuf",
        "application/protobuf",
        "application/vnd.minutehand.command",
        "Application/X-Protobuf; version=1",
    ] {
        let named = plain
            .clone()
            .with("traceparent", "00-1-2-3")
            .with("Content-Type", content_type);
        assert_eq!(
            understand(&named.input()),
            Ok(Understood::AsItIs),
            "{content_type}"
        );
    }
}

#[test]
fn a_lone_task_is_taken_for_a_creation() {
    let json = record(r#"{"id":"a","queue":"q","due_at":"2027-01-01T00:00:00Z"}"#)
        .with("content-type", "application/json");
    let creation = json.bytes().unwrap();
    let lone = Record {
        value: Some(&creation[2..]),
        ..record(None)
    };
    assert_eq!(
        understand(&lone.input()),
        Ok(Understood::Command(creation.clone()))
    );
}

#[test]
fn what_is_no_command_is_refused_with_advice() {
    let accepted = "a command as schema/records.proto describes it, or JSON with content-type: application/json, or the \
                    headers minutehand-queue and minutehand-due-at, -delay or -cron";
    check(
        &record(None),
        &format!("refused: value: is null (a tombstone); {accepted}, given null"),
    );
    check(
        &record(""),
        &format!("refused: value: is empty; {accepted}, given nothing"),
    );
    let json = "refused: value: looks like JSON; JSON needs the header content-type: application/json, given no \
                content-type";
    check(&record(r#"{"queue":"q"}"#), json);
    check(&record("[1]"), json);
    let unknown = [
        (
            &b"\x01\x00"[..],
            "refused: value: has an unknown kind of command; 1 to 11, given kind 0",
        ),
        (
            b"\x01\x0c",
            "refused: value: has an unknown kind of command; 1 to 11, given kind 12",
        ),
        (
            b"\x01\xff",
            "refused: value: has an unknown kind of command; 1 to 11, given kind 255",
        ),
    ];
    for (value, reason) in unknown {
        check(
            &Record {
                value: Some(value),
                ..record(None)
            },
            reason,
        );
    }
    for value in [
        &b"\x02\x01"[..],
        b"\x01",
        b"\xff\xff",
        b"hello",
        b"\x08\x02\x12",
    ] {
        let reason = Record {
            value: Some(value),
            ..record(None)
        }
        .command()
        .unwrap_err();
        assert!(
            reason.starts_with("value: does not begin as a command of a known version"),
            "{reason}"
        );
    }
}

#[test]
fn other_content_types_are_refused() {
    let reason = record("x")
        .with("content-type", "text/plain")
        .command()
        .unwrap_err();
    assert!(
        reason.starts_with("content-type: is not understood; one of application/json"),
        "{reason}"
    );
    assert!(reason.ends_with("given text/plain"), "{reason}");
    for value in [None, Some(&b"\xff"[..])] {
        let reason = record("x")
            .with_raw("content-type", value)
            .command()
            .unwrap_err();
        assert!(
            reason.starts_with("content-type: is not valid UTF-8"),
            "{reason}"
        );
    }
}

#[test]
fn a_refusal_can_stand_in_the_place_of_its_command() {
    let refusal = understand(&record("x").input()).unwrap_err();
    let error = command::decode(refusal.stand_in()).unwrap_err();
    assert_eq!(error.reason, refusal.reason);
}
