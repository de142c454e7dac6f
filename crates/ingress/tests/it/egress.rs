//! From a publication to a record and back.

use bytes::{BufMut, Bytes, BytesMut};
use minutehand_ingress::Header;
use minutehand_ingress::egress::{
    Envelope, Incoming, ReadError, Received, StopReceived, Writer, names, read,
};
use minutehand_model::{
    Epoch, GroupName, Guarantee, LogOffset, Namespace, Origin, PartitionId, Publication, QueueName,
    RecordKey, ScheduleId, StopRequest, Task, TaskId, TaskKey, Timestamp, Verbatim,
};
use minutehand_record::{QueueNames, task};
use proptest::prelude::*;

use crate::support::{NOW_MS, offset, partition};

fn plain(id: &str) -> Task {
    let due = Timestamp::from_millis(NOW_MS);
    Task {
        payload: Bytes::from_static(b"hello"),
        headers: vec![("x".to_owned(), "1".to_owned())],
        ..Task::new(
            Namespace::parse("shop").unwrap(),
            TaskId::parse(id).unwrap(),
            QueueName::parse("mail").unwrap(),
            due,
        )
    }
}

fn writer() -> Writer {
    Writer::new(
        PartitionId::own(3),
        Epoch(9),
        Timestamp::from_millis(NOW_MS + 7),
    )
}

fn published(task: &Task) -> Publication {
    Publication {
        offset: LogOffset::at(17),
        task: task::record(task),
    }
}

/// A record as `name=value` lines, the encoded task left out.
fn told(task: &Task, envelope: Envelope) -> Vec<String> {
    let (mut writer, publication) = (writer(), published(task));
    let outgoing = writer.publication(&publication, envelope).unwrap();
    let show = |bytes: Option<&[u8]>| {
        bytes.map_or("null".to_owned(), |bytes| bytes.escape_ascii().to_string())
    };
    let own = [("key", outgoing.key), ("value", outgoing.value)].into_iter();
    own.chain(outgoing.headers.iter().copied())
        .filter(|(name, _)| *name != names::TASK)
        .map(|(name, value)| format!("{name}={}", show(value)))
        .collect()
}

const OWN: [&str; 8] = [
    "minutehand-namespace=shop",
    "minutehand-id=order-1",
    "minutehand-due-at=2026-11-25T12:00:00.000Z",
    "minutehand-attempt=1",
    "minutehand-partition=3",
    "minutehand-offset=17",
    "minutehand-epoch=9",
    "minutehand-published-at=2026-11-25T12:00:00.007Z",
];

#[test]
fn an_execution_has_its_payload_its_headers_and_the_schedulers() {
    let task = plain("order-1");
    let id = format!(
        "minutehand-execution-id={}",
        minutehand_model::ExecutionId::of(&task)
    );
    let mut expected = vec!["key=order-1", "value=hello", &id];
    expected.extend(OWN);
    expected.push("x=1");
    assert_eq!(told(&task, Envelope::Plain), expected);
}

#[test]
fn what_a_group_goes_on_with_names_the_group() {
    let group = GroupName::parse("blue").unwrap();
    let first = plain("order-1");
    let due = first.due.plus_millis(1);
    let lines = told(&first.clone().continued(&group, due, 2), Envelope::Plain);
    assert!(lines.contains(&"minutehand-group=blue".to_owned()));
    let of_all = told(&first, Envelope::Plain);
    assert!(!of_all.iter().any(|line| line.contains(names::GROUP)));
}

#[test]
fn a_record_comes_out_with_the_key_and_value_it_went_in_with() {
    let parts = |key, value_is_null| {
        Verbatim {
            key,
            value_is_null,
            header_values: Vec::new(),
        }
        .boxed()
    };
    let key = RecordKey::Bytes(Bytes::from_static(b"\xfe"));
    let keyed = Task {
        verbatim: parts(key, false),
        ..plain("order-1")
    };
    assert_eq!(
        told(&keyed, Envelope::Plain)[..2],
        ["key=\\xfe", "value=hello"]
    );
    let null = Task {
        verbatim: parts(RecordKey::Null, true),
        payload: Bytes::new(),
        ..plain("order-1")
    };
    assert_eq!(
        told(&null, Envelope::Plain)[..2],
        ["key=null", "value=null"]
    );
    let empty = Task {
        payload: Bytes::new(),
        ..plain("order-1")
    };
    assert_eq!(told(&empty, Envelope::Plain)[1], "value=");
}

#[test]
fn an_execution_can_be_a_cloud_event() {
    let with = |name: &str, value: &str| {
        let mut task = plain("order-1");
        task.headers.push((name.to_owned(), value.to_owned()));
        task
    };
    let asked = told(&with(names::ENVELOPE, "CloudEvents"), Envelope::Plain);
    let event = [
        "ce_source=/minutehand/shop",
        "ce_type=minutehand.execution.v1",
        "ce_specversion=1.0",
        "ce_time=2026-11-25T12:00:00.007Z",
        "ce_subject=order-1",
    ];
    for line in event {
        assert!(
            asked.iter().any(|found| found == line),
            "{line} in {asked:#?}"
        );
    }
    let id = |lines: &[String], name: &str| {
        lines
            .iter()
            .find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned))
    };
    assert_eq!(
        id(&asked, "ce_id"),
        Some(minutehand_model::MessageId::of(&plain("order-1")).to_string())
    );
    let is_event = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.starts_with("ce_specversion="))
            .count()
    };
    assert_eq!(
        is_event(&told(&plain("a"), Envelope::CloudEvents)),
        1,
        "the queue asks for it"
    );
    assert_eq!(
        is_event(&told(
            &with(names::ENVELOPE, "plain"),
            Envelope::CloudEvents
        )),
        0,
        "the task knows better"
    );
    let already = told(&with("ce_specversion", "1.0"), Envelope::CloudEvents);
    assert_eq!(
        (is_event(&already), id(&already, "ce_id")),
        (1, None),
        "an event stays the one it is"
    );
    let structured = with("content-type", "application/cloudevents+json");
    assert_eq!(is_event(&told(&structured, Envelope::CloudEvents)), 0);
}

fn read_back(headers: &[Header<'_>], value: Option<&[u8]>) -> Result<Incoming, ReadError> {
    read(value, headers.iter().copied(), &mut QueueNames::new())
}

#[test]
fn a_stop_request_is_read_as_it_was_written() {
    for kill in [false, true] {
        let queue = QueueName::parse("q").unwrap();
        let stop = StopRequest {
            queue,
            key: TaskKey(7),
            due: Timestamp::from_millis(5),
            kill,
        };
        let mut writer = writer();
        let outgoing = writer.stop(&stop);
        let found = read_back(&outgoing.headers, outgoing.value);
        let (partition, epoch) = (PartitionId::own(3), Epoch(9));
        let expected = StopReceived {
            partition,
            epoch,
            key: stop.key,
            due: stop.due,
            kill,
        };
        assert_eq!(found, Ok(Incoming::Stop(expected)));
    }
}

#[test]
fn a_record_of_no_scheduler_is_refused_with_a_reason() {
    let (mut writer, publication) = (writer(), published(&plain("a")));
    let outgoing = writer.publication(&publication, Envelope::Plain).unwrap();
    let changed = |name: &str, value: Option<&'static [u8]>| {
        let headers: Vec<Header<'_>> = outgoing
            .headers
            .iter()
            .filter(|(known, _)| *known != name || value.is_some())
            .map(|(known, old)| (*known, if *known == name { value } else { *old }))
            .collect();
        read_back(&headers, outgoing.value)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let cases: [(&str, Option<&[u8]>, &str); 6] = [
        (
            names::TASK,
            None,
            "minutehand-task is missing; the scheduler did not publish this record",
        ),
        (
            names::TASK,
            Some(b"\x08\x02"),
            "minutehand-task: task: unknown version 2 (this build knows 1)",
        ),
        (
            names::EPOCH,
            Some(b"x"),
            "minutehand-epoch is \"x\"; it must be a whole number",
        ),
        (
            names::PARTITION,
            Some(b"4294967296"),
            "minutehand-partition is \"4294967296\"; it must be a whole number",
        ),
        (
            names::OFFSET,
            Some(b"\xff"),
            "minutehand-offset is \"\u{fffd}\"; it must be text",
        ),
        (
            names::PUBLISHED_AT,
            Some(b"noon"),
            "minutehand-published-at is \"noon\"; it must be a time in RFC 3339",
        ),
    ];
    for (name, value, reason) in cases {
        assert_eq!(changed(name, value), Err(reason.to_owned()));
    }
    assert!(read_back(&[], None).is_err());
}

#[test]
fn headers_of_the_task_cannot_pass_for_the_schedulers() {
    let mut task = plain("a");
    task.headers
        .push((names::EPOCH.to_owned(), "1000".to_owned()));
    task.headers
        .push((names::TASK.to_owned(), "forged".to_owned()));
    let (mut writer, publication) = (writer(), published(&task));
    let outgoing = writer.publication(&publication, Envelope::Plain).unwrap();
    let Ok(Incoming::Execution(received)) = read_back(&outgoing.headers, outgoing.value) else {
        panic!("an execution")
    };
    assert_eq!(
        (received.epoch, received.task),
        (Epoch(9), publication.task.clone())
    );
}

prop_compose! {
    fn any_task()(
        id in "[a-z0-9@:/~-]{1,40}",
        due_ms in -62_167_219_200_000_i64..=253_402_300_799_999,
        payload in prop::collection::vec(any::<u8>(), 0..80),
        headers in prop::collection::vec((".{0,10}", prop::option::of(prop::collection::vec(any::<u8>(), 0..8))), 0..6),
        attempt in 1_u32..,
        key in prop::option::of(prop::collection::vec(any::<u8>(), 0..8)),
        is_keyed in any::<bool>(),
        value_is_null in any::<bool>(),
        origin in prop::option::of("[a-z]{1,8}"),
        guarantee in prop::sample::select(Guarantee::ALL),
    ) -> Task {
        let mut verbatim = Verbatim::default();
        if is_keyed {
            verbatim.key = key.map_or(RecordKey::Null, |key| RecordKey::Bytes(key.into()));
        }
        verbatim.value_is_null = value_is_null && payload.is_empty();
        let headers = headers.into_iter().enumerate().map(|(place, (name, value))| match value {
            None => {
                verbatim.header_values.push((place, None));
                (name, String::new())
            }
            Some(value) => match String::from_utf8(value) {
                Ok(text) => (name, text),
                Err(error) => {
                    verbatim.header_values.push((place, Some(error.into_bytes().into())));
                    (name, String::new())
                }
            },
        }).collect();
        let due = Timestamp::from_millis(due_ms);
        let origin = origin.map(|schedule| Origin {
            schedule: ScheduleId::parse(&schedule).unwrap(),
            nominal: due,
            completion_wanted: true,
        });
        Task { due, first_due: due, payload: payload.into(), headers, attempt, origin, guarantee,
            verbatim: verbatim.boxed(), ..plain(&id) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_out_is_read_again_byte_for_byte(
        tasks in prop::collection::vec((any_task(), offset()), 1..4),
        partition in partition(),
        epoch in any::<u64>(),
        published_ms in any::<i64>(),
        is_event in any::<bool>(),
    ) {
        let epoch = Epoch(epoch);
        let published_at = Timestamp::from_millis(published_ms);
        let mut writer = Writer::new(partition, epoch, published_at);
        let envelope = if is_event { Envelope::CloudEvents } else { Envelope::Plain };
        for (task, offset) in tasks {
            let publication = Publication { offset, task: task::record(&task) };
            let outgoing = writer.publication(&publication, envelope).unwrap();
            let found = read_back(&outgoing.headers, outgoing.value).unwrap();
            let expected =
                Received { partition, epoch, offset, published_at, task: publication.task.clone() };
            prop_assert_eq!(found, Incoming::Execution(expected));
            let own = outgoing.headers.len() - task.headers.len();
            let users: Vec<Header<'_>> = task.header_bytes().collect();
            prop_assert_eq!(&outgoing.headers[own..], &users[..]);
        }
    }

    #[test]
    fn a_task_written_elsewhere_survives_in_any_order_of_its_fields(task in any_task()) {
        let encoded = task::encode(&task);
        let head = task::Parts::read(&encoded).unwrap().head().into_owned();
        let mut turned = BytesMut::from(&encoded[head.len()..]);
        turned.put_slice(&head);
        let turned = turned.freeze();
        let publication = Publication { offset: LogOffset::at(1), task: task::read_record(turned).unwrap() };
        let mut writer = writer();
        let outgoing = writer.publication(&publication, Envelope::Plain).unwrap();
        let Incoming::Execution(found) = read_back(&outgoing.headers, outgoing.value).unwrap() else {
            panic!("an execution")
        };
        prop_assert_eq!(task::decode(&found.task.encoded).unwrap(), task);
    }

    #[test]
    fn any_record_of_an_executions_topic_is_survived(
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..30)),
        headers in prop::collection::vec((prop::sample::select(vec![names::TASK, names::STOP, names::EPOCH, "x"]),
            prop::option::of(prop::collection::vec(any::<u8>(), 0..30))), 0..6),
    ) {
        let headers: Vec<Header<'_>> = headers.iter().map(|(name, value)| (*name, value.as_deref())).collect();
        let _ = read_back(&headers, value.as_deref());
    }
}
