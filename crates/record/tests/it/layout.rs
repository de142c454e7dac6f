//! The layout that other languages rely on: `schema/records.proto` and what is written agree.

use bytes::{Bytes, BytesMut};
use minutehand_model::{Command, GroupName, Task, TaskKey, Timestamp};
use minutehand_record::{command, task};
use prost::Message;

use crate::values::Values;

/// The task as a program in another language would have it generated from the schema.
#[derive(Clone, PartialEq, Message)]
struct Generated {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(string, tag = "2")]
    namespace: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(string, tag = "4")]
    queue: String,
    #[prost(sint64, tag = "5")]
    due_ms: i64,
    #[prost(uint32, tag = "6")]
    guarantee: u32,
    #[prost(uint32, tag = "7")]
    precision: u32,
    #[prost(uint32, tag = "8")]
    attempt: u32,
    #[prost(sint64, tag = "9")]
    first_due_ms: i64,
    #[prost(message, repeated, tag = "12")]
    headers: Vec<GeneratedHeader>,
    #[prost(bytes = "bytes", tag = "13")]
    payload: Bytes,
    #[prost(string, tag = "19")]
    order_key: String,
    #[prost(uint32, optional, tag = "20")]
    priority: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct GeneratedHeader {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

fn plain_task(seed: u64) -> Task {
    Task {
        replay_of: None,
        origin: None,
        chain: minutehand_model::Chain::default(),
        retry: minutehand_model::RetryPolicy::default(),
        order_key: Some(Values(seed).order_key()),
        ..Values(seed).urgent_task()
    }
}

#[test]
fn a_task_is_the_message_that_the_schema_describes() {
    for seed in 0..100 {
        let task = plain_task(seed);
        let generated = Generated::decode(task::encode(&task)).unwrap();
        assert_eq!(generated.namespace, task.namespace.as_str());
        assert_eq!(generated.due_ms, task.due.as_millis());
        assert_eq!(generated.headers.len(), task.headers.len());
        let written_elsewhere = Bytes::from(generated.encode_to_vec());
        assert_eq!(task::decode(&written_elsewhere).unwrap(), task);
    }
}

#[test]
fn the_schema_names_the_fields_by_their_numbers() {
    let schema = include_str!("../../../../schema/records.proto");
    let task = schema
        .split("message Task {")
        .nth(1)
        .unwrap()
        .split("\n}")
        .next()
        .unwrap();
    let fields = [
        ("version", 1),
        ("namespace", 2),
        ("id", 3),
        ("queue", 4),
        ("due_ms", 5),
        ("guarantee", 6),
        ("precision", 7),
        ("attempt", 8),
        ("first_due_ms", 9),
        ("origin", 10),
        ("retry", 11),
        ("headers", 12),
        ("payload", 13),
        ("record_key", 14),
        ("record_key_is_null", 16),
        ("payload_is_null", 17),
        ("replay_of_ms", 18),
        ("order_key", 19),
        ("priority", 20),
        ("group", 26),
    ];
    for (name, number) in fields {
        assert!(
            task.contains(&format!(" {name} = {number};")),
            "{name} = {number}"
        );
    }
}

#[test]
fn what_a_group_goes_on_with_is_for_that_group_alone() {
    let first = Values(7).task();
    let group = GroupName::parse("blue, né red").unwrap();
    let (due, attempt) = (first.due.plus_millis(1), first.attempt);
    let next = first.clone().continued(&group, due, attempt);
    let encoded = task::encode(&next);
    assert_eq!(task::decode(&encoded).unwrap().group, Some(group.clone()));
    for (name, is_its) in [(group.as_str(), true), ("blue", false), ("default", false)] {
        assert_eq!(task::is_for(&encoded, name), is_its, "{name}");
        assert!(task::is_for(&task::encode(&first), name), "of nobody alone");
        assert!(task::is_for(b"no task at all", name), "nobody can tell");
    }
    let ours = task::only_for(&task::encode(&first), &group).unwrap();
    assert_eq!(
        task::decode(&ours).unwrap(),
        Task {
            group: Some(group),
            ..first
        }
    );
}

#[test]
fn a_group_that_would_not_be_found_is_refused() {
    let mut encoded = BytesMut::from(&task::encode(&Values(7).task())[..]);
    encoded.extend_from_slice(b"\xd2\x01\x04blue");
    let error = task::decode(&encoded.freeze()).unwrap_err();
    assert!(error.reason.contains("behind version"), "{error}");
}

/// A change as a program without the fingerprint would write it.
#[derive(Clone, PartialEq, Message)]
struct GeneratedChange {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(sint64, tag = "2")]
    due_ms: i64,
    #[prost(bytes = "bytes", tag = "3")]
    task: Bytes,
    #[prost(string, tag = "4")]
    namespace: String,
    #[prost(string, tag = "5")]
    id: String,
    #[prost(string, tag = "6")]
    order_key: String,
}

fn change(kind: u8, change: &GeneratedChange) -> Result<Command, String> {
    let bytes: Bytes = [1, kind]
        .into_iter()
        .chain(change.encode_to_vec())
        .collect();
    command::decode(bytes).map_err(|error| error.reason)
}

#[test]
fn a_producer_names_the_task_to_cancel_and_needs_no_fingerprint() {
    let key = TaskKey::of("shop", "order-1");
    let named = GeneratedChange {
        namespace: "shop".into(),
        id: "order-1".into(),
        due_ms: 5,
        ..GeneratedChange::default()
    };
    let due = Timestamp::from_millis(5);
    assert_eq!(change(2, &named), Ok(Command::Cancel { key, due }));
    let both = GeneratedChange {
        key: Bytes::copy_from_slice(&key.0.to_be_bytes()),
        ..named.clone()
    };
    assert_eq!(change(2, &both), Ok(Command::Cancel { key, due }));
    let keyed = GeneratedChange {
        order_key: "customer-7".into(),
        ..named.clone()
    };
    let key = TaskKey::of_keyed("shop", "order-1", Some("customer-7"));
    assert_eq!(change(2, &keyed), Ok(Command::Cancel { key, due }));
    let refused = [
        (
            GeneratedChange::default(),
            "it has neither namespace and id nor a key",
        ),
        (
            GeneratedChange {
                id: String::new(),
                ..named.clone()
            },
            "id is empty",
        ),
        (
            GeneratedChange {
                key: Bytes::from_static(&[7; 16]),
                ..named.clone()
            },
            "its key is not that of",
        ),
        (
            GeneratedChange {
                order_key: "customer 7".into(),
                ..named.clone()
            },
            "key has ' ' at position 9",
        ),
        (
            GeneratedChange {
                key: Bytes::from_static(&[7; 3]),
                ..named
            },
            "key is 3 bytes long",
        ),
    ];
    for (given, reason) in refused {
        let found = change(2, &given).unwrap_err();
        assert!(found.starts_with(reason), "{found}");
    }
}

#[test]
fn a_move_is_named_by_its_task() {
    let whole = plain_task(3);
    let moved = GeneratedChange {
        task: task::encode(&whole),
        due_ms: 5,
        ..GeneratedChange::default()
    };
    let (key, due, record) = (whole.key(), Timestamp::from_millis(5), task::record(&whole));
    assert_eq!(
        change(3, &moved),
        Ok(Command::Move {
            key,
            due,
            task: record.clone()
        })
    );
    assert_eq!(
        change(4, &moved),
        Ok(Command::Replace {
            key,
            due,
            task: record
        })
    );
    let another = GeneratedChange {
        namespace: "shop".into(),
        id: "another".into(),
        ..moved
    };
    assert!(change(4, &another).unwrap_err().contains("another one"));
}

#[test]
fn a_note_in_the_place_of_a_command_says_its_reason() {
    let bytes = command::refused("minutehand-queue is missing");
    assert_eq!(
        command::decode(bytes).unwrap_err().reason,
        "minutehand-queue is missing"
    );
}
