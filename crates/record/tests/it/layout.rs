//! The layout that other languages rely on: `schema/records.proto` and what is written agree.

use bytes::Bytes;
use minutehand_model::Task;
use minutehand_record::task;
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
}

#[derive(Clone, PartialEq, Message)]
struct GeneratedHeader {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

fn plain_task(seed: u64) -> Task {
    Task { origin: None, retry: minutehand_model::RetryPolicy::default(), ..Values(seed).task() }
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
    let task = schema.split("message Task {").nth(1).unwrap().split("\n}").next().unwrap();
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
    ];
    for (name, number) in fields {
        assert!(task.contains(&format!(" {name} = {number};")), "{name} = {number}");
    }
}
