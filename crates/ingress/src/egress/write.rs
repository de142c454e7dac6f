//! Executions and stop requests on their way out.

use std::borrow::Cow;
use std::ops::Range;

use minutehand_model::{Epoch, LogOffset, PartitionId, Publication, StopRequest, Timestamp};
use minutehand_record::DecodeError;
use minutehand_record::task::Parts;
use smallvec::SmallVec;

use super::names;
use super::text::{put_hex, put_number, put_offset, put_time};
use crate::{Header, event};

/// The type of the event that an execution is.
const EVENT_TYPE: &str = "minutehand.execution.v1";
/// What the source of such an event begins with; the namespace follows.
const EVENT_SOURCE: &str = "/minutehand/";

/// What the record of an execution is to be, unless its task says so itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// A record with the scheduler's headers.
    #[default]
    Plain,
    /// The same, and a CloudEvent 1.0 in binary mode. A record that is an event already stays the
    /// one it is.
    CloudEvents,
}

/// A record on its way out. It borrows from the writer and from what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers: the scheduler's own first.
    pub headers: SmallVec<[Header<'a>; 20]>,
}

/// Writes the records of one tick, using its buffers again for every one.
#[derive(Clone, Debug)]
pub struct Writer {
    partition: String,
    epoch: String,
    published_at: String,
    buffer: Vec<u8>,
}

impl Writer {
    /// A writer for what a partition publishes under an epoch in one tick.
    pub fn new(partition: PartitionId, epoch: Epoch, published_at: Timestamp) -> Writer {
        let mut text = Vec::with_capacity(24);
        put_time(&mut text, published_at);
        Writer {
            partition: partition.to_string(),
            epoch: epoch.0.to_string(),
            published_at: String::from_utf8_lossy(&text).into_owned(),
            buffer: Vec::with_capacity(256),
        }
    }

    /// The record of an execution.
    ///
    /// # Errors
    /// When the task in it cannot be understood; it could be when it was published.
    pub fn publication<'a>(
        &'a mut self,
        publication: &'a Publication,
        envelope: Envelope,
    ) -> Result<Outgoing<'a>, DecodeError> {
        let parts = Parts::read(&publication.task.encoded)?;
        let is_event = wants_event(&parts, envelope);
        let texts = self.put_texts(&parts, publication.offset, is_event);
        let text = |range: &Range<usize>| Some(&self.buffer[range.clone()]);
        let head = match parts.head() {
            Cow::Borrowed(head) => head,
            Cow::Owned(_) => &self.buffer[texts.head.clone()],
        };
        let mut headers: SmallVec<[Header<'a>; 20]> = SmallVec::new();
        headers.extend([
            (names::EXECUTION_ID, text(&texts.execution)),
            (names::NAMESPACE, Some(parts.namespace.as_bytes())),
            (names::ID, Some(parts.id.as_bytes())),
            (names::DUE_AT, text(&texts.due)),
            (names::ATTEMPT, text(&texts.attempt)),
            (names::PARTITION, Some(self.partition.as_bytes())),
            (names::OFFSET, text(&texts.offset)),
            (names::EPOCH, Some(self.epoch.as_bytes())),
            (names::PUBLISHED_AT, Some(self.published_at.as_bytes())),
            (names::TASK, Some(head)),
        ]);
        headers.extend(
            parts
                .order_key
                .map(|key| (names::KEY, Some(key.as_bytes()))),
        );
        headers.extend(
            parts
                .group
                .map(|group| (names::GROUP, Some(group.as_bytes()))),
        );
        if is_event {
            headers.extend([
                (
                    event::SPECVERSION_HEADER,
                    Some(event::SPECVERSION.as_bytes()),
                ),
                ("ce_id", text(&texts.message)),
                ("ce_source", text(&texts.source)),
                ("ce_type", Some(EVENT_TYPE.as_bytes())),
                ("ce_time", Some(self.published_at.as_bytes())),
                ("ce_subject", Some(parts.id.as_bytes())),
            ]);
        }
        headers.extend(
            parts
                .headers
                .iter()
                .map(|header| (header.name, header.value)),
        );
        let key = match parts.record_key {
            Some(key) => Some(key),
            None if parts.record_key_is_null => None,
            None => Some(parts.id.as_bytes()),
        };
        let value = if parts.payload_is_null {
            None
        } else {
            Some(parts.payload)
        };
        Ok(Outgoing {
            key,
            value,
            headers,
        })
    }

    /// The record of a stop request. Its place is the partition of the queue that the task's
    /// executions go to.
    pub fn stop<'a>(&'a mut self, stop: &StopRequest) -> Outgoing<'a> {
        self.buffer.clear();
        put_hex(&mut self.buffer, stop.key.0);
        let key_ends = self.buffer.len();
        put_time(&mut self.buffer, stop.due);
        let (key, due) = self.buffer.split_at(key_ends);
        let kind: &[u8] = if stop.kill { b"kill" } else { b"ask" };
        let headers = [
            (names::STOP, Some(kind)),
            (names::TASK_KEY, Some(key)),
            (names::DUE_AT, Some(due)),
            (names::PARTITION, Some(self.partition.as_bytes())),
            (names::EPOCH, Some(self.epoch.as_bytes())),
            (names::PUBLISHED_AT, Some(self.published_at.as_bytes())),
        ];
        Outgoing {
            key: Some(key),
            value: Some(b""),
            headers: headers.into_iter().collect(),
        }
    }

    /// Writes what is no text yet into the buffer.
    fn put_texts(&mut self, parts: &Parts<'_>, offset: LogOffset, is_event: bool) -> Texts {
        let buffer = &mut self.buffer;
        buffer.clear();
        let mut put = |write: &mut dyn FnMut(&mut Vec<u8>)| {
            let begins_at = buffer.len();
            write(buffer);
            begins_at..buffer.len()
        };
        let ids = parts.ids();
        Texts {
            execution: put(&mut |buffer| {
                buffer.extend_from_slice(b"x-");
                put_hex(buffer, ids.execution().0);
            }),
            message: put(&mut |buffer| {
                if is_event {
                    buffer.extend_from_slice(b"m-");
                    put_hex(buffer, ids.message().0);
                }
            }),
            due: put(&mut |buffer| put_time(buffer, parts.due)),
            attempt: put(&mut |buffer| put_number(buffer, u64::from(parts.attempt))),
            offset: put(&mut |buffer| put_offset(buffer, offset)),
            source: put(&mut |buffer| {
                if is_event {
                    buffer.extend_from_slice(EVENT_SOURCE.as_bytes());
                    buffer.extend_from_slice(parts.namespace.as_bytes());
                }
            }),
            head: put(&mut |buffer| {
                if let Cow::Owned(head) = parts.head() {
                    buffer.extend_from_slice(&head);
                }
            }),
        }
    }
}

/// Where texts stand in the buffer.
struct Texts {
    execution: Range<usize>,
    /// Of an event only.
    message: Range<usize>,
    due: Range<usize>,
    attempt: Range<usize>,
    offset: Range<usize>,
    source: Range<usize>,
    /// The task without its payload, when it is no slice of the task.
    head: Range<usize>,
}

/// Whether the record becomes an event: the task's own word goes first, and an event stays the one
/// it is.
fn wants_event(parts: &Parts<'_>, envelope: Envelope) -> bool {
    let mut wanted = envelope == Envelope::CloudEvents;
    for header in &parts.headers {
        let value = header.value.unwrap_or_default();
        if header.name.eq_ignore_ascii_case(names::ENVELOPE) {
            wanted = value.eq_ignore_ascii_case(b"cloudevents");
        }
        let is_structured = header.name.eq_ignore_ascii_case("content-type")
            && std::str::from_utf8(value).is_ok_and(event::is_structured);
        if header.name == event::SPECVERSION_HEADER || is_structured {
            return false;
        }
    }
    wanted
}
