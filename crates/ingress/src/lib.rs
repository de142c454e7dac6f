//! Kafka records in and out: what a producer wrote to the topic `minutehand.commands`, understood;
//! and what an execution is as a record.
//!
//! [`understand`] takes a raw record to an encoded command or says why it cannot. It is a function
//! of the record alone: an owner that reads the log again after a crash comes to the same command.
//! Ids and due times that a producer left out therefore come from the record's place and its
//! timestamp, never from a clock.
//!
//! | what makes it that | form |
//! |---|---|
//! | `minutehand-due-at`, `-delay`, `-cron` or `-queue` among the headers | any record: delivered as it is when due |
//! | a `ce_specversion` header, or `content-type: application/cloudevents+json` | a CloudEvent: the same, asked for by its attributes |
//! | `content-type: application/json` | a command in the words of the HTTP API |
//! | no `content-type`, or one of protobuf | a command as `schema/records.proto` describes it |
//!
//! [`egress`] is the way out. `docs/PRODUCERS.md` has an example of every form.

mod control;
pub mod egress;
mod event;
mod json;
mod native;
mod refusal;
mod verbatim;

use bytes::Bytes;
use minutehand_model::{LogGeneration, LogOffset, PartitionId, TaskId, Timestamp};

pub use refusal::Refusal;

/// A header of a record: its name, and its value or null.
pub type Header<'a> = (&'a str, Option<&'a [u8]>);

/// A record of the command topic.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The topic's partition it stands in.
    pub partition: PartitionId,
    /// Its offset there, with the log that the topic is.
    pub offset: LogOffset,
    /// The time the log gave it (`message.timestamp.type=LogAppendTime`); negative when it has
    /// none.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order.
    pub headers: &'a [Header<'a>],
}

impl Input<'_> {
    /// The id of what the record asks for when it names none: the same whenever it is read again.
    fn derived_id(&self) -> TaskId {
        let (partition, position) = (self.partition.number(), self.offset.position());
        let id = match self.offset.generation() {
            LogGeneration::FIRST => format!("kafka-{partition}-{position}"),
            generation => format!("kafka-{partition}-{generation}.{position}"),
        };
        TaskId::parse(&id).expect("letters, digits, '.' and '-' are allowed in ids")
    }

    /// The time that stands for the present: never before 1970.
    fn now(&self) -> Timestamp {
        self.timestamp.max(Timestamp::from_millis(0))
    }
}

/// A record that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Understood {
    /// The value itself is the encoded command; not copied.
    AsItIs,
    /// This is the encoded command.
    Command(Bytes),
}

/// What a record asks for, in the encoding of [`minutehand_record::command`].
///
/// A native record is only looked at: whether it can be decoded, its reader finds out.
///
/// # Errors
/// What is no command, with the reason in one sentence.
pub fn understand(input: &Input<'_>) -> Result<Understood, Refusal> {
    if input.headers.is_empty() {
        return native::understand(input.value);
    }
    match Form::of(input.headers)? {
        Form::Native => native::understand(input.value),
        Form::Json => json::understand(input).map(Understood::Command),
        Form::Verbatim => verbatim::understand(input, None).map(Understood::Command),
        Form::BinaryEvent => {
            let event = event::binary(input.headers)?;
            verbatim::understand(input, Some(event)).map(Understood::Command)
        }
        Form::StructuredEvent => {
            let event = event::structured(input.value)?;
            verbatim::understand(input, Some(event)).map(Understood::Command)
        }
    }
}

/// How a record says what it wants.
enum Form {
    Native,
    Json,
    Verbatim,
    BinaryEvent,
    StructuredEvent,
}

impl Form {
    fn of(headers: &[Header<'_>]) -> Result<Form, Refusal> {
        let (mut content_type, mut asks, mut is_event) = (None, false, false);
        for (name, value) in headers {
            match name.len() {
                12 if content_type.is_none() && name.eq_ignore_ascii_case("content-type") => {
                    content_type = Some(*value);
                }
                14 if *name == event::SPECVERSION_HEADER => is_event = true,
                15..=17 => asks |= control::asks_for_delivery(name),
                _ => {}
            }
        }
        let content_type =
            content_type.map(|value| value.and_then(|value| std::str::from_utf8(value).ok()));
        // What a header asks for goes before what the value is.
        match content_type {
            _ if is_event => Ok(Form::BinaryEvent),
            Some(Some(text)) if event::is_structured(text) => Ok(Form::StructuredEvent),
            _ if asks => Ok(Form::Verbatim),
            None => Ok(Form::Native),
            Some(Some(text)) => Form::of_content_type(text),
            Some(None) => Err(Refusal::of(
                "content-type",
                "is not valid UTF-8",
                CONTENT_TYPES,
                "bytes or null",
            )),
        }
    }

    fn of_content_type(text: &str) -> Result<Form, Refusal> {
        let media = text
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match media.as_str() {
            "application/json" => Ok(Form::Json),
            "application/x-protobuf"
            | "application/protobuf"
            | "application/vnd.google.protobuf" => Ok(Form::Native),
            other if other.starts_with("application/vnd.minutehand") => {
                Ok(if other.ends_with("+json") {
                    Form::Json
                } else {
                    Form::Native
                })
            }
            _ => Err(Refusal::of(
                "content-type",
                "is not understood",
                CONTENT_TYPES,
                text,
            )),
        }
    }
}

const CONTENT_TYPES: &str = "one of application/json, application/x-protobuf and application/cloudevents+json, or any \
     with the headers minutehand-queue and minutehand-due-at, -delay or -cron";
