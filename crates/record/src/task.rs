//! The task: a protobuf message, written and read by hand because everything carries it.
//!
//! What a partition must know of it stands in front; the payload, which only a worker looks at,
//! stands last.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use minutehand_model::limits::CHAIN_BYTES_MAX;
use minutehand_model::run::names_a_run;
use minutehand_model::{
    Branch, Chain, ChainedTask, GroupName, IdParts, Namespace, OrderKey, Origin, Priority,
    QueueName, RecordKey, ScheduleId, Task, TaskId, TaskKey, TaskRecord, Timestamp, Verbatim,
};
use prost::Message;

use crate::envelope::{
    check_head, check_headers, check_payload, check_version, civil_time, record_key,
};
use crate::error::{DecodeError, Fault};
use crate::names::QueueNames;
use crate::policy::{
    RetryMessage, guarantee, guarantee_number, precision, precision_number, priority,
    priority_number, retry, retry_message,
};
use crate::wire::{Reader, Value, put_bytes_field, put_number_field, to_zigzag};
use crate::{VERSION, chain, policy};

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
    pub(super) const RECORD_KEY: u32 = 14;
    pub(super) const RECORD_KEY_IS_NULL: u32 = 16;
    pub(super) const PAYLOAD_IS_NULL: u32 = 17;
    pub(super) const REPLAY_OF_MS: u32 = 18;
    pub(super) const ORDER_KEY: u32 = 19;
    pub(super) const PRIORITY: u32 = 20;
    pub(super) const ON_SUCCESS: u32 = 24;
    pub(super) const ON_FAILURE: u32 = 25;
    pub(super) const GROUP: u32 = 26;
}

/// The fields of what follows.
const CHAIN_FIELDS: [(u32, Branch); 2] = [
    (field::ON_SUCCESS, Branch::Success),
    (field::ON_FAILURE, Branch::Failure),
];

/// Field numbers of a header.
mod header_field {
    pub(super) const NAME: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    pub(super) const BYTES: u32 = 3;
    pub(super) const IS_NULL: u32 = 4;
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
    let headers_bytes: usize = task
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + 8)
        .sum();
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
    // Here whoever hands it out finds it without reading the rest.
    if let Some(group) = &task.group {
        put_bytes_field(buffer, field::GROUP, group.as_str().as_bytes());
    }
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
        put_number_field(
            buffer,
            field::FIRST_DUE_MS,
            to_zigzag(task.first_due.as_millis()),
        );
    }
    if let Some(replay_of) = task.replay_of {
        put_number_field(
            buffer,
            field::REPLAY_OF_MS,
            to_zigzag(replay_of.as_millis()),
        );
    }
    if let Some(origin) = &task.origin {
        let message = OriginMessage {
            schedule: origin.schedule.as_str().to_owned(),
            nominal_ms: origin.nominal.as_millis(),
            completion_wanted: origin.completion_wanted,
        };
        put_bytes_field(buffer, field::ORIGIN, &message.encode_to_vec());
    }
    if let Some(key) = &task.order_key {
        put_bytes_field(buffer, field::ORDER_KEY, key.as_str().as_bytes());
    }
    if let Some(number) = priority_number(task.priority) {
        put_number_field(buffer, field::PRIORITY, u64::from(number));
    }
    if let Some(message) = retry_message(&task.retry) {
        put_bytes_field(buffer, field::RETRY, &message.encode_to_vec());
    }
    for (name, value) in task.header_bytes() {
        put_bytes_field(buffer, field::HEADER, &header_message(name, value));
    }
    for (number, branch) in CHAIN_FIELDS {
        if let Some(next) = task.chain.on(branch) {
            put_bytes_field(buffer, number, &chain::encode(next));
        }
    }
    if let Some(verbatim) = &task.verbatim {
        put_verbatim(buffer, verbatim);
    }
    if !task.payload.is_empty() {
        put_bytes_field(buffer, field::PAYLOAD, &task.payload);
    }
}

/// Before the payload, so that it stays the last.
fn put_verbatim(buffer: &mut BytesMut, verbatim: &Verbatim) {
    match &verbatim.key {
        RecordKey::TaskId => {}
        RecordKey::Null => put_number_field(buffer, field::RECORD_KEY_IS_NULL, 1),
        RecordKey::Bytes(key) => put_bytes_field(buffer, field::RECORD_KEY, key),
    }
    if verbatim.value_is_null {
        put_number_field(buffer, field::PAYLOAD_IS_NULL, 1);
    }
}

/// A value that is UTF-8 stands in the field for text, whoever wrote it.
fn header_message(name: &str, value: Option<&[u8]>) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(name.len() + value.map_or(0, <[u8]>::len) + 8);
    put_bytes_field(&mut buffer, header_field::NAME, name.as_bytes());
    match value {
        None => put_number_field(&mut buffer, header_field::IS_NULL, 1),
        Some(value) if std::str::from_utf8(value).is_ok() => {
            put_bytes_field(&mut buffer, header_field::VALUE, value);
        }
        Some(value) => put_bytes_field(&mut buffer, header_field::BYTES, value),
    }
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
pub fn read_record_sharing(
    encoded: Bytes,
    names: &mut QueueNames,
) -> Result<TaskRecord, DecodeError> {
    record_from(encoded, names).map_err(|fault| fault.of(WHAT))
}

pub(crate) fn record_from(encoded: Bytes, names: &mut QueueNames) -> Result<TaskRecord, Fault> {
    let head = Head::read(&encoded)?;
    Namespace::check(head.namespace)?;
    TaskId::check(head.id)?;
    if !head.has_origin && names_a_run(head.id) {
        return Err(format!(
            "id is {:?}; ids of this form are those of schedules' runs",
            head.id
        )
        .into());
    }
    let order_key = order_key(head.order_key)?;
    let key = TaskKey::of_keyed(head.namespace, head.id, order_key);
    let queue = names.parse(head.queue)?;
    let (due, guarantee, precision) = (
        head.due,
        guarantee(head.guarantee)?,
        precision(head.precision)?,
    );
    Ok(TaskRecord {
        key,
        queue,
        due,
        guarantee,
        precision,
        encoded,
    })
}

/// The name of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name space of the id.
    pub namespace: Namespace,
    /// The id.
    pub id: TaskId,
    /// Its key, where it has one.
    pub order_key: Option<OrderKey>,
}

/// The name of an encoded task, without reading the rest.
pub fn name(encoded: &Bytes) -> Result<Name, DecodeError> {
    let parse = || -> Result<Name, Fault> {
        let head = Head::read(encoded)?;
        Ok(Name {
            namespace: Namespace::parse(head.namespace)?,
            id: TaskId::parse(head.id)?,
            order_key: order_key(head.order_key)?
                .map(OrderKey::parse)
                .transpose()?,
        })
    };
    parse().map_err(|fault| fault.of(WHAT))
}

/// What decides on an execution's turn among those that wait in its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Whose it is.
    pub namespace: &'a str,
    /// The key that it keeps an order by, where it has one.
    pub order_key: Option<&'a str>,
    /// How urgent it is.
    pub priority: Priority,
}

/// What decides on the turn of an encoded task, without reading the rest.
pub fn standing(encoded: &[u8]) -> Result<Standing<'_>, DecodeError> {
    let parse = || -> Result<Standing<'_>, Fault> {
        let head = Head::read(encoded)?;
        Namespace::check(head.namespace)?;
        Ok(Standing {
            namespace: head.namespace,
            order_key: order_key(head.order_key)?,
            priority: priority(head.priority)?,
        })
    };
    parse().map_err(|fault| fault.of(WHAT))
}

/// Whether a worker group has to do with an encoded task: what another group goes on with is that
/// group's alone. One that cannot be read is everybody's, who finds that out.
pub fn is_for(encoded: &[u8], group: &str) -> bool {
    group_of(encoded).is_none_or(|only| only == group)
}

/// The group that an encoded task is of, where it is one's alone. It stands behind the version, or
/// nowhere.
fn group_of(encoded: &[u8]) -> Option<&str> {
    let mut reader = Reader::new(encoded);
    let (field::VERSION, _) = reader.field().ok()?? else {
        return None;
    };
    match reader.field().ok()?? {
        (field::GROUP, value) => value.text("group").ok(),
        _ => None,
    }
}

/// An encoded task as one of a worker group alone.
///
/// # Errors
/// When it is no task that this build understands.
pub fn only_for(encoded: &Bytes, group: &GroupName) -> Result<Bytes, DecodeError> {
    if group_of(encoded) == Some(group.as_str()) {
        return Ok(encoded.clone());
    }
    let task = Task {
        group: Some(group.clone()),
        ..decode(encoded)?
    };
    Ok(encode(&task))
}

/// A key as it stands in a message, where an empty one is none.
pub(crate) fn order_key(text: &str) -> Result<Option<&str>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    OrderKey::check(text)?;
    Ok(Some(text))
}

/// The whole task; its payload is a slice of `encoded`.
pub fn decode(encoded: &Bytes) -> Result<Task, DecodeError> {
    task_from(encoded).map_err(|fault| fault.of(WHAT))
}

fn task_from(encoded: &Bytes) -> Result<Task, Fault> {
    let head = Head::read(encoded)?;
    let tail = Tail::read(encoded)?;
    check_headers(&tail.headers, Some(&tail.verbatim))?;
    Ok(Task {
        namespace: Namespace::parse(head.namespace)?,
        id: TaskId::parse(head.id)?,
        order_key: order_key(head.order_key)?
            .map(OrderKey::parse)
            .transpose()?,
        queue: QueueName::parse(head.queue)?,
        due: head.due,
        payload: tail.payload,
        headers: tail.headers,
        retry: retry(tail.retry)?,
        guarantee: policy::guarantee(head.guarantee)?,
        precision: policy::precision(head.precision)?,
        priority: priority(head.priority)?,
        attempt: tail.attempt,
        first_due: tail.first_due.unwrap_or(head.due),
        replay_of: tail.replay_of,
        origin: tail.origin,
        group: head.group.map(GroupName::parse).transpose()?,
        chain: head.chain,
        verbatim: tail.verbatim.boxed(),
    })
}

/// The fields that a partition looks at.
struct Head<'a> {
    namespace: &'a str,
    id: &'a str,
    /// Empty where it has none.
    order_key: &'a str,
    group: Option<&'a str>,
    queue: &'a str,
    due: Timestamp,
    guarantee: u32,
    precision: u32,
    priority: Option<u32>,
    has_origin: bool,
    /// What follows may be read years later: it is refused now, or never.
    chain: Chain,
}

impl<'a> Head<'a> {
    /// Reads the fields in front and checks the shape of the others.
    fn read(bytes: &'a [u8]) -> Result<Head<'a>, Fault> {
        let mut head = Head {
            namespace: "",
            id: "",
            order_key: "",
            group: group_of(bytes),
            queue: "",
            due: Timestamp::MIN,
            guarantee: 0,
            precision: 0,
            priority: None,
            has_origin: false,
            chain: Chain::default(),
        };
        let (mut version, mut due_ms, mut payload_bytes, mut chain_bytes) = (0, None, 0, 0);
        let mut reader = Reader::new(bytes);
        while let Some((number, value)) = reader.field()? {
            match number {
                field::VERSION => version = value.number("version")?,
                field::NAMESPACE => head.namespace = value.text("namespace")?,
                field::ID => head.id = value.text("id")?,
                field::ORDER_KEY => head.order_key = value.text("order_key")?,
                field::QUEUE => head.queue = value.text("queue")?,
                field::DUE_MS => due_ms = Some(value.signed("due_ms")?),
                field::GUARANTEE => head.guarantee = value.number_u32("guarantee")?,
                field::PRECISION => head.precision = value.number_u32("precision")?,
                field::PRIORITY => head.priority = Some(value.number_u32("priority")?),
                field::ATTEMPT => drop(value.number_u32("attempt")?),
                field::FIRST_DUE_MS => drop(value.signed("first_due_ms")?),
                field::REPLAY_OF_MS => drop(value.signed("replay_of_ms")?),
                field::ORIGIN => head.has_origin = !value.bytes("origin")?.is_empty(),
                field::RETRY => drop(value.bytes("retry")?),
                field::ON_SUCCESS => {
                    head.chain.on_success = next(Branch::Success, value, &mut chain_bytes)?;
                }
                field::ON_FAILURE => {
                    head.chain.on_failure = next(Branch::Failure, value, &mut chain_bytes)?;
                }
                field::HEADER => drop(value.bytes("header")?),
                field::PAYLOAD => {
                    let payload = value.bytes("payload")?;
                    check_payload(payload)?;
                    payload_bytes = payload.len();
                }
                field::GROUP => check_group(value.text("group")?, head.group)?,
                field::RECORD_KEY => drop(value.bytes("record_key")?),
                field::RECORD_KEY_IS_NULL => drop(value.number("record_key_is_null")?),
                field::PAYLOAD_IS_NULL => drop(value.number("payload_is_null")?),
                _ => {}
            }
        }
        check_version(Some(u8::try_from(version).unwrap_or(u8::MAX)))?;
        check_chain(chain_bytes)?;
        check_head(bytes.len() - payload_bytes)?;
        head.due = civil_time("due_ms", due_ms.ok_or("due_ms is missing")?)?;
        Ok(head)
    }
}

/// The fields that only a worker looks at.
struct Tail {
    attempt: u32,
    first_due: Option<Timestamp>,
    replay_of: Option<Timestamp>,
    origin: Option<Origin>,
    retry: Option<RetryMessage>,
    headers: Vec<(String, String)>,
    payload: Bytes,
    verbatim: Verbatim,
}

impl Tail {
    fn read(bytes: &Bytes) -> Result<Tail, Fault> {
        let mut tail = Tail {
            attempt: 1,
            first_due: None,
            replay_of: None,
            origin: None,
            retry: None,
            headers: Vec::new(),
            payload: Bytes::new(),
            verbatim: Verbatim::default(),
        };
        let (mut key, mut key_is_null) = (None, false);
        let mut reader = Reader::new(bytes);
        while let Some((number, value)) = reader.field()? {
            match number {
                field::ATTEMPT => tail.attempt = value.number_u32("attempt")?,
                field::FIRST_DUE_MS => {
                    tail.first_due =
                        Some(civil_time("first_due_ms", value.signed("first_due_ms")?)?);
                }
                field::REPLAY_OF_MS => {
                    tail.replay_of =
                        Some(civil_time("replay_of_ms", value.signed("replay_of_ms")?)?);
                }
                field::ORIGIN => tail.origin = Some(origin(value.bytes("origin")?)?),
                field::RETRY => tail.retry = Some(RetryMessage::decode(value.bytes("retry")?)?),
                field::HEADER => tail.push_header(bytes, value.bytes("header")?)?,
                field::PAYLOAD => tail.payload = bytes.slice_ref(value.bytes("payload")?),
                field::RECORD_KEY => key = Some(bytes.slice_ref(value.bytes("record_key")?)),
                field::RECORD_KEY_IS_NULL => key_is_null = value.number("record_key_is_null")? != 0,
                field::PAYLOAD_IS_NULL => {
                    tail.verbatim.value_is_null = value.number("payload_is_null")? != 0;
                }
                _ => {}
            }
        }
        if tail.attempt == 0 {
            return Err("attempt is 0; attempts count from 1".into());
        }
        tail.verbatim.key = record_key(key, key_is_null)?;
        tail.verbatim.value_is_null &= tail.payload.is_empty();
        Ok(tail)
    }

    fn push_header(&mut self, whole: &Bytes, message: &[u8]) -> Result<(), Fault> {
        let HeaderParts { name, value } = HeaderParts::read(message)?;
        let text = match value.map(std::str::from_utf8) {
            Some(Ok(text)) => text,
            Some(Err(_)) | None => {
                let raw = value.map(|value| whole.slice_ref(value));
                self.verbatim.header_values.push((self.headers.len(), raw));
                ""
            }
        };
        self.headers.push((name.to_owned(), text.to_owned()));
        Ok(())
    }
}

/// What follows on a branch, its bytes counted.
fn next(
    branch: Branch,
    value: Value<'_>,
    chain_bytes: &mut usize,
) -> Result<Option<Box<ChainedTask>>, Fault> {
    let bytes = value.bytes(branch.field())?;
    *chain_bytes += bytes.len();
    let next = chain::decode(branch, bytes)?;
    Ok(Some(Box::new(next)))
}

/// Refuses a group that stands elsewhere than where it is looked for.
fn check_group(given: &str, found: Option<&str>) -> Result<(), Fault> {
    if found != Some(given) {
        return Err("group stands elsewhere than behind version; write it there".into());
    }
    Ok(GroupName::check(given)?)
}

/// Refuses a chain above the limit: both its branches together.
fn check_chain(bytes: usize) -> Result<(), Fault> {
    if bytes > CHAIN_BYTES_MAX {
        return Err(format!(
            "on_success and on_failure are {bytes} bytes long together; at most {CHAIN_BYTES_MAX} are allowed"
        )
        .into());
    }
    Ok(())
}

fn origin(bytes: &[u8]) -> Result<Origin, Fault> {
    let message = OriginMessage::decode(bytes)?;
    Ok(Origin {
        schedule: ScheduleId::parse(&message.schedule)?,
        nominal: civil_time("origin.nominal_ms", message.nominal_ms)?,
        completion_wanted: message.completion_wanted,
    })
}

/// A header as it stands in an encoded task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderParts<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value; `None`: null.
    pub value: Option<&'a [u8]>,
}

impl<'a> HeaderParts<'a> {
    fn read(message: &'a [u8]) -> Result<HeaderParts<'a>, Fault> {
        let mut header = HeaderParts {
            name: "",
            value: Some(b""),
        };
        let mut is_null = false;
        let mut reader = Reader::new(message);
        while let Some((number, value)) = reader.field()? {
            match number {
                header_field::NAME => header.name = value.text("a header's name")?,
                header_field::VALUE => {
                    header.value = Some(value.text("a header's value")?.as_bytes())
                }
                header_field::BYTES => header.value = Some(value.bytes("a header's bytes")?),
                header_field::IS_NULL => is_null = value.number("a header's is_null")? != 0,
                _ => {}
            }
        }
        if is_null {
            header.value = None;
        }
        Ok(header)
    }
}

/// An encoded task taken apart without copying: what its Kafka record is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The name space of the id.
    pub namespace: &'a str,
    /// The id.
    pub id: &'a str,
    /// The key that it keeps an order by, where it has one.
    pub order_key: Option<&'a str>,
    /// The worker group that it is of, where it is one's alone.
    pub group: Option<&'a str>,
    /// When it is due.
    pub due: Timestamp,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// The due time of the first attempt, where it is another one.
    first_due: Option<Timestamp>,
    replay_of: Option<Timestamp>,
    is_occurrence: bool,
    /// The key of the record it came as; `None`: it has none of its own, the id takes its place.
    pub record_key: Option<&'a [u8]>,
    /// The record it came as had a null key.
    pub record_key_is_null: bool,
    /// The record it came as had a null value.
    pub payload_is_null: bool,
    /// Its headers, in order.
    pub headers: Vec<HeaderParts<'a>>,
    /// Its payload.
    pub payload: &'a [u8],
    /// Where the payload's field begins; the end of the bytes when there is none.
    head_end: usize,
    /// Nothing stands behind the payload, and nothing else is one.
    payload_is_last: bool,
    encoded: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes an encoded task apart.
    ///
    /// # Errors
    /// When it is no task that this build understands.
    pub fn read(encoded: &'a [u8]) -> Result<Parts<'a>, DecodeError> {
        Parts::read_fields(encoded).map_err(|fault| fault.of(WHAT))
    }

    fn read_fields(encoded: &'a [u8]) -> Result<Parts<'a>, Fault> {
        let mut parts = Parts {
            namespace: "",
            id: "",
            order_key: None,
            group: group_of(encoded),
            due: Timestamp::MIN,
            attempt: 1,
            first_due: None,
            replay_of: None,
            is_occurrence: false,
            record_key: None,
            record_key_is_null: false,
            payload_is_null: false,
            headers: Vec::new(),
            payload: b"",
            head_end: encoded.len(),
            payload_is_last: true,
            encoded,
        };
        let (mut version, mut payloads) = (0, 0);
        let mut reader = Reader::new(encoded);
        loop {
            let begins_at = encoded.len() - reader.remaining();
            let Some((number, value)) = reader.field()? else {
                break;
            };
            match number {
                field::VERSION => version = value.number("version")?,
                field::NAMESPACE => parts.namespace = value.text("namespace")?,
                field::ID => parts.id = value.text("id")?,
                field::ORDER_KEY => parts.order_key = order_key(value.text("order_key")?)?,
                field::DUE_MS => parts.due = civil_time("due_ms", value.signed("due_ms")?)?,
                field::ATTEMPT => parts.attempt = value.number_u32("attempt")?,
                field::FIRST_DUE_MS => {
                    parts.first_due =
                        Some(civil_time("first_due_ms", value.signed("first_due_ms")?)?);
                }
                field::REPLAY_OF_MS => {
                    parts.replay_of =
                        Some(civil_time("replay_of_ms", value.signed("replay_of_ms")?)?);
                }
                field::ORIGIN => {
                    value.bytes("origin")?;
                    parts.is_occurrence = true;
                }
                field::HEADER => parts
                    .headers
                    .push(HeaderParts::read(value.bytes("header")?)?),
                field::RECORD_KEY => parts.record_key = Some(value.bytes("record_key")?),
                field::RECORD_KEY_IS_NULL => {
                    parts.record_key_is_null = value.number("record_key_is_null")? != 0;
                }
                field::PAYLOAD_IS_NULL => {
                    parts.payload_is_null = value.number("payload_is_null")? != 0
                }
                field::PAYLOAD => {
                    parts.payload = value.bytes("payload")?;
                    parts.head_end = begins_at;
                    parts.payload_is_last = reader.remaining() == 0;
                    payloads += 1;
                }
                _ => {}
            }
        }
        parts.payload_is_last &= payloads <= 1;
        parts.payload_is_null &= parts.payload.is_empty();
        check_version(Some(u8::try_from(version).unwrap_or(u8::MAX)))?;
        Ok(parts)
    }

    /// What its ids are made of.
    pub fn ids(&self) -> IdParts<'a> {
        IdParts {
            namespace: self.namespace,
            id: self.id,
            order_key: self.order_key,
            is_occurrence: self.is_occurrence,
            due: self.due,
            attempt: self.attempt,
            message_due: self.replay_of.or(self.first_due).unwrap_or(self.due),
        }
    }

    /// The encoded task without its payload: a slice of it, unless somebody else wrote the payload
    /// elsewhere than last.
    pub fn head(&self) -> Cow<'a, [u8]> {
        if self.payload_is_last {
            return Cow::Borrowed(&self.encoded[..self.head_end]);
        }
        let mut head = Vec::with_capacity(self.encoded.len());
        let mut reader = Reader::new(self.encoded);
        let mut begins_at = 0;
        while let Ok(Some((number, _))) = reader.field() {
            let ends_at = self.encoded.len() - reader.remaining();
            if number != field::PAYLOAD {
                head.extend_from_slice(&self.encoded[begins_at..ends_at]);
            }
            begins_at = ends_at;
        }
        Cow::Owned(head)
    }
}

/// The encoded task of a head ([`Parts::head`]) and a payload.
pub fn with_payload(head: &[u8], payload: &[u8]) -> Bytes {
    if payload.is_empty() {
        return Bytes::copy_from_slice(head);
    }
    let mut buffer = BytesMut::with_capacity(head.len() + payload.len() + 12);
    buffer.extend_from_slice(head);
    put_bytes_field(&mut buffer, field::PAYLOAD, payload);
    buffer.freeze()
}
