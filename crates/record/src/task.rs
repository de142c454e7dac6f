//! The task: a protobuf message, written and read by hand because everything carries it.
//!
//! What a partition must know of it stands in front; the payload, which only a worker looks at, stands last.

use bytes::{Bytes, BytesMut};
use minutehand_model::{
    Namespace, Origin, QueueName, ScheduleId, Task, TaskId, TaskKey, TaskRecord, Timestamp,
};
use prost::Message;

use crate::envelope::{check_headers, check_payload, check_version, civil_time};
use crate::error::{DecodeError, Fault};
use crate::names::QueueNames;
use crate::policy::{
    RetryMessage, guarantee, guarantee_number, precision, precision_number, retry, retry_message,
};
use crate::wire::{Reader, put_bytes_field, put_number_field, to_zigzag};
use crate::{VERSION, policy};

/// Field numbers of the message, as in `schema/records.proto`.
mod field {
    pub(super) const VERSION: u32 = 1;
    pub(super) const NAMESPACE: u32 = 2;
    pub(super) const ID: u32 = 3;
    pub(super) const QUEUE: u32 = 4;
    pub(super) const DUE_MS: u32 = 5;
    pub(super) const GUARANTEE: u32 = 6;
    pub(super) const PRECISION: u32 = 7;
    pub(super) const ATTEMPT: u32 = 8;
    pub(super) const FIRST_DUE_MS: u32 = 9;
    pub(super) const ORIGIN: u32 = 10;
    pub(super) const RETRY: u32 = 11;
    pub(super) const HEADER: u32 = 12;
    pub(super) const PAYLOAD: u32 = 13;
}

const WHAT: &str = "task";

/// The occurrence a task stems from, on the wire.
#[derive(Clone, PartialEq, Eq, Message)]
struct OriginMessage {
    #[prost(string, tag = "1")]
    schedule: String,
    #[prost(sint64, tag = "2")]
    nominal_ms: i64,
    #[prost(bool, tag = "3")]
    completion_wanted: bool,
}

/// The bytes of a task.
pub fn encode(task: &Task) -> Bytes {
    let headers_bytes: usize = task.headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    let mut buffer = BytesMut::with_capacity(
        96 + task.namespace.as_str().len()
            + task.id.as_str().len()
            + task.queue.as_str().len()
            + headers_bytes
            + task.payload.len(),
    );
    encode_to(&mut buffer, task);
    buffer.freeze()
}

fn encode_to(buffer: &mut BytesMut, task: &Task) {
    put_number_field(buffer, field::VERSION, u64::from(VERSION));
    put_bytes_field(buffer, field::NAMESPACE, task.namespace.as_str().as_bytes());
    put_bytes_field(buffer, field::ID, task.id.as_str().as_bytes());
    put_bytes_field(buffer, field::QUEUE, task.queue.as_str().as_bytes());
    put_number_field(buffer, field::DUE_MS, to_zigzag(task.due.as_millis()));
    let choices = [
        (field::GUARANTEE, guarantee_number(task.guarantee)),
        (field::PRECISION, precision_number(task.precision)),
    ];
    for (number, choice) in choices {
        if choice != 0 {
            put_number_field(buffer, number, u64::from(choice));
        }
    }
    if task.attempt != 1 {
        put_number_field(buffer, field::ATTEMPT, u64::from(task.attempt));
    }
    if task.first_due != task.due {
        put_number_field(buffer, field::FIRST_DUE_MS, to_zigzag(task.first_due.as_millis()));
    }
    if let Some(origin) = &task.origin {
        let message = OriginMessage {
            schedule: origin.schedule.as_str().to_owned(),
            nominal_ms: origin.nominal.as_millis(),
            completion_wanted: origin.completion_wanted,
        };
        put_bytes_field(buffer, field::ORIGIN, &message.encode_to_vec());
    }
    if let Some(message) = retry_message(&task.retry) {
        put_bytes_field(buffer, field::RETRY, &message.encode_to_vec());
    }
    for (name, value) in &task.headers {
        put_bytes_field(buffer, field::HEADER, &header_bytes(name, value));
    }
    if !task.payload.is_empty() {
        put_bytes_field(buffer, field::PAYLOAD, &task.payload);
    }
}

fn header_bytes(name: &str, value: &str) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(name.len() + value.len() + 8);
    put_bytes_field(&mut buffer, 1, name.as_bytes());
    put_bytes_field(&mut buffer, 2, value.as_bytes());
    buffer
}

/// A task with its encoded form, as the engine carries it.
pub fn record(task: &Task) -> TaskRecord {
    TaskRecord {
        key: task.key(),
        queue: task.queue.clone(),
        due: task.due,
        guarantee: task.guarantee,
        precision: task.precision,
        encoded: encode(task),
    }
}

/// What a partition must know of an encoded task, which is kept as it is.
pub fn read_record(encoded: Bytes) -> Result<TaskRecord, DecodeError> {
    read_record_sharing(encoded, &mut QueueNames::new())
}

/// The same as [`read_record`], sharing the texts of queue names.
pub fn read_record_sharing(encoded: Bytes, names: &mut QueueNames) -> Result<TaskRecord, DecodeError> {
    record_from(encoded, names).map_err(|fault| fault.of(WHAT))
}

pub(crate) fn record_from(encoded: Bytes, names: &mut QueueNames) -> Result<TaskRecord, Fault> {
    let head = Head::read(&encoded)?;
    Namespace::check(head.namespace)?;
    TaskId::check(head.id)?;
    let key = TaskKey::of(head.namespace, head.id);
    let queue = names.parse(head.queue)?;
    let (due, guarantee, precision) = (head.due, guarantee(head.guarantee)?, precision(head.precision)?);
    Ok(TaskRecord { key, queue, due, guarantee, precision, encoded })
}

/// The name of an encoded task, without reading the rest.
pub fn namespace_and_id(encoded: &Bytes) -> Result<(Namespace, TaskId), DecodeError> {
    let parse = || -> Result<(Namespace, TaskId), Fault> {
        let head = Head::read(encoded)?;
        Ok((Namespace::parse(head.namespace)?, TaskId::parse(head.id)?))
    };
    parse().map_err(|fault| fault.of(WHAT))
}

/// The whole task; its payload is a slice of `encoded`.
pub fn decode(encoded: &Bytes) -> Result<Task, DecodeError> {
    task_from(encoded).map_err(|fault| fault.of(WHAT))
}

fn task_from(encoded: &Bytes) -> Result<Task, Fault> {
    let head = Head::read(encoded)?;
    let tail = Tail::read(encoded)?;
    check_headers(&tail.headers)?;
    Ok(Task {
        namespace: Namespace::parse(head.namespace)?,
        id: TaskId::parse(head.id)?,
        queue: QueueName::parse(head.queue)?,
        due: head.due,
        payload: tail.payload,
        headers: tail.headers,
        retry: retry(tail.retry)?,
        guarantee: policy::guarantee(head.guarantee)?,
        precision: policy::precision(head.precision)?,
        attempt: tail.attempt,
        first_due: tail.first_due.unwrap_or(head.due),
        origin: tail.origin,
    })
}

/// The fields that a partition looks at.
struct Head<'a> {
    namespace: &'a str,
    id: &'a str,
    queue: &'a str,
    due: Timestamp,
    guarantee: u32,
    precision: u32,
}

impl<'a> Head<'a> {
    /// Reads the fields in front and checks the shape of the others.
    fn read(bytes: &'a [u8]) -> Result<Head<'a>, Fault> {
        let mut head =
            Head { namespace: "", id: "", queue: "", due: Timestamp::MIN, guarantee: 0, precision: 0 };
        let (mut version, mut due_ms) = (0, None);
        let mut reader = Reader::new(bytes);
        while let Some((number, value)) = reader.field()? {
            match number {
                field::VERSION => version = value.number("version")?,
                field::NAMESPACE => head.namespace = value.text("namespace")?,
                field::ID => head.id = value.text("id")?,
                field::QUEUE => head.queue = value.text("queue")?,
                field::DUE_MS => due_ms = Some(value.signed("due_ms")?),
                field::GUARANTEE => head.guarantee = value.number_u32("guarantee")?,
                field::PRECISION => head.precision = value.number_u32("precision")?,
                field::ATTEMPT => drop(value.number_u32("attempt")?),
                field::FIRST_DUE_MS => drop(value.signed("first_due_ms")?),
                field::ORIGIN => drop(value.bytes("origin")?),
                field::RETRY => drop(value.bytes("retry")?),
                field::HEADER => drop(value.bytes("header")?),
                field::PAYLOAD => check_payload(value.bytes("payload")?)?,
                _ => {}
            }
        }
        check_version(Some(u8::try_from(version).unwrap_or(u8::MAX)))?;
        head.due = civil_time("due_ms", due_ms.ok_or("due_ms is missing")?)?;
        Ok(head)
    }
}

/// The fields that only a worker looks at.
struct Tail {
    attempt: u32,
    first_due: Option<Timestamp>,
    origin: Option<Origin>,
    retry: Option<RetryMessage>,
    headers: Vec<(String, String)>,
    payload: Bytes,
}

impl Tail {
    fn read(bytes: &Bytes) -> Result<Tail, Fault> {
        let mut tail = Tail {
            attempt: 1,
            first_due: None,
            origin: None,
            retry: None,
            headers: Vec::new(),
            payload: Bytes::new(),
        };
        let mut reader = Reader::new(bytes);
        while let Some((number, value)) = reader.field()? {
            match number {
                field::ATTEMPT => tail.attempt = value.number_u32("attempt")?,
                field::FIRST_DUE_MS => {
                    tail.first_due = Some(civil_time("first_due_ms", value.signed("first_due_ms")?)?);
                }
                field::ORIGIN => tail.origin = Some(origin(value.bytes("origin")?)?),
                field::RETRY => tail.retry = Some(RetryMessage::decode(value.bytes("retry")?)?),
                field::HEADER => tail.headers.push(header(value.bytes("header")?)?),
                field::PAYLOAD => tail.payload = bytes.slice_ref(value.bytes("payload")?),
                _ => {}
            }
        }
        if tail.attempt == 0 {
            return Err("attempt is 0; attempts count from 1".into());
        }
        Ok(tail)
    }
}

fn origin(bytes: &[u8]) -> Result<Origin, Fault> {
    let message = OriginMessage::decode(bytes)?;
    Ok(Origin {
        schedule: ScheduleId::parse(&message.schedule)?,
        nominal: civil_time("origin.nominal_ms", message.nominal_ms)?,
        completion_wanted: message.completion_wanted,
    })
}

fn header(bytes: &[u8]) -> Result<(String, String), Fault> {
    let (mut name, mut text) = ("", "");
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.field()? {
        match number {
            1 => name = value.text("a header's name")?,
            2 => text = value.text("a header's value")?,
            _ => {}
        }
    }
    Ok((name.to_owned(), text.to_owned()))
}
