//! Executions and stop requests as a worker finds them.

use bytes::Bytes;
use minutehand_model::{Epoch, LogOffset, PartitionId, TaskKey, TaskRecord, Timestamp};
use minutehand_record::{DecodeError, QueueNames, task};

use super::names;
use super::text::{hex, time};
use crate::Header;

/// A record of an executions topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Run this.
    Execution(Received),
    /// Stop that.
    Stop(StopReceived),
}

/// An execution as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The partition that published it: its retry and its completion belong there.
    pub partition: PartitionId,
    /// The owner that published it.
    pub epoch: Epoch,
    /// The log offset of the command behind it.
    pub offset: LogOffset,
    /// When its tick was built.
    pub published_at: Timestamp,
    /// The task, its payload included, as it was published.
    pub task: TaskRecord,
}

/// A request to stop a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopReceived {
    /// The partition that asks.
    pub partition: PartitionId,
    /// Its owner.
    pub epoch: Epoch,
    /// Which task.
    pub key: TaskKey,
    /// Its due time.
    pub due: Timestamp,
    /// Kill it, instead of asking.
    pub kill: bool,
}

/// Why a record of an executions topic was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It lacks a header that every execution has.
    #[error("{name} is missing; the scheduler did not publish this record")]
    Missing {
        /// The header.
        name: &'static str,
    },
    /// A header has a value that the scheduler does not write.
    #[error("{name} is {given:?}; it must be {expected}")]
    Header {
        /// The header.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
        /// Its value, shortened.
        given: String,
    },
    /// The task in it cannot be understood.
    #[error("{}: {}", names::TASK, .0)]
    Task(#[from] DecodeError),
}

/// The scheduler's own headers; where one stands twice, the first is the scheduler's.
#[derive(Default)]
struct Own<'a> {
    partition: Option<&'a [u8]>,
    epoch: Option<&'a [u8]>,
    offset: Option<&'a [u8]>,
    published_at: Option<&'a [u8]>,
    task: Option<&'a [u8]>,
    stop: Option<&'a [u8]>,
    task_key: Option<&'a [u8]>,
    due_at: Option<&'a [u8]>,
}

/// What a record of an executions topic says. `queue_names` are shared between the many that have
/// the same few.
///
/// # Errors
/// When the scheduler did not publish it, or its task cannot be understood.
pub fn read<'a>(
    value: Option<&[u8]>,
    headers: impl IntoIterator<Item = Header<'a>>,
    queue_names: &mut QueueNames,
) -> Result<Incoming, ReadError> {
    let own = Own::of(headers);
    let partition = placed(names::PARTITION, own.partition, PartitionId::parse)?;
    let epoch = Epoch(number(names::EPOCH, own.epoch)?);
    if let Some(kind) = own.stop {
        return own.stop(partition, epoch, kind).map(Incoming::Stop);
    }
    let head = own.task.ok_or(ReadError::Missing { name: names::TASK })?;
    let encoded: Bytes = task::with_payload(head, value.unwrap_or_default());
    Ok(Incoming::Execution(Received {
        partition,
        epoch,
        offset: placed(names::OFFSET, own.offset, LogOffset::parse)?,
        published_at: instant(names::PUBLISHED_AT, own.published_at)?,
        task: task::read_record_sharing(encoded, queue_names)?,
    }))
}

impl<'a> Own<'a> {
    fn of(headers: impl IntoIterator<Item = Header<'a>>) -> Own<'a> {
        let mut own = Own::default();
        for (name, value) in headers {
            let slot = match name {
                names::PARTITION => &mut own.partition,
                names::EPOCH => &mut own.epoch,
                names::OFFSET => &mut own.offset,
                names::PUBLISHED_AT => &mut own.published_at,
                names::TASK => &mut own.task,
                names::STOP => &mut own.stop,
                names::TASK_KEY => &mut own.task_key,
                names::DUE_AT => &mut own.due_at,
                _ => continue,
            };
            if slot.is_none() {
                *slot = value;
            }
        }
        own
    }

    fn stop(
        &self,
        partition: PartitionId,
        epoch: Epoch,
        kind: &[u8],
    ) -> Result<StopReceived, ReadError> {
        let kill = match kind {
            b"ask" => false,
            b"kill" => true,
            other => return Err(refused(names::STOP, "ask or kill", other)),
        };
        let key = text(names::TASK_KEY, self.task_key)?;
        let key = hex(key)
            .ok_or_else(|| refused(names::TASK_KEY, "32 hexadecimal digits", key.as_bytes()))?;
        let due = instant(names::DUE_AT, self.due_at)?;
        Ok(StopReceived {
            partition,
            epoch,
            key: TaskKey(key),
            due,
            kill,
        })
    }
}

fn text<'a>(name: &'static str, value: Option<&'a [u8]>) -> Result<&'a str, ReadError> {
    let value = value.ok_or(ReadError::Missing { name })?;
    std::str::from_utf8(value).map_err(|_| refused(name, "text", value))
}

fn number<T: std::str::FromStr>(name: &'static str, value: Option<&[u8]>) -> Result<T, ReadError> {
    let text = text(name, value)?;
    text.parse()
        .map_err(|_| refused(name, "a whole number", text.as_bytes()))
}

/// What is a number alone, or two with a slash between them where there are several regions or
/// logs.
fn placed<T>(
    name: &'static str,
    value: Option<&[u8]>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, ReadError> {
    let text = text(name, value)?;
    parse(text).ok_or_else(|| refused(name, "a whole number", text.as_bytes()))
}

fn instant(name: &'static str, value: Option<&[u8]>) -> Result<Timestamp, ReadError> {
    let text = text(name, value)?;
    time(text).ok_or_else(|| refused(name, "a time in RFC 3339", text.as_bytes()))
}

#[cold]
fn refused(name: &'static str, expected: &'static str, given: &[u8]) -> ReadError {
    let given = String::from_utf8_lossy(&given[..given.len().min(100)]).into_owned();
    ReadError::Header {
        name,
        expected,
        given,
    }
}
