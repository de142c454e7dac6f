//! Commands: a version byte, a kind byte and a message; the message of a creation is the task
//! itself.

use bytes::{BufMut, Bytes, BytesMut};
use minutehand_model::{Command, Namespace, ScheduleId, TaskId, TaskKey, TaskRecord, Timestamp};
use prost::Message;

use crate::VERSION;
use crate::envelope::{check_version, civil_time, key, key_bytes, log_offset};
use crate::error::{DecodeError, Fault};
use crate::names::QueueNames;
use crate::policy::{outcome, outcome_number, overlap, overlap_number};
use crate::schedule::{RevisionMessage, revision, revision_message};
use crate::task::{order_key, record_from};

const WHAT: &str = "command";
/// More of a reason is not kept.
const REASON_BYTES_MAX: usize = 4 * 1024;

/// Kind bytes, as in `schema/records.proto`.
mod kind {
    pub(super) const CREATE: u8 = 1;
    pub(super) const CANCEL: u8 = 2;
    pub(super) const MOVE: u8 = 3;
    pub(super) const REPLACE: u8 = 4;
    pub(super) const MOVED: u8 = 5;
    pub(super) const REVISE: u8 = 6;
    pub(super) const TRIGGER: u8 = 7;
    pub(super) const BACKFILL: u8 = 8;
    pub(super) const COMPLETED: u8 = 9;
    pub(super) const STOP_BACKFILL: u8 = 10;
    pub(super) const FORGET_RUNS: u8 = 11;
    /// No command: a note of why there is none.
    pub(super) const REFUSED: u8 = 255;
}

/// A cancel, or one of the three moves when it carries a task.
#[derive(Clone, PartialEq, Eq, Message)]
struct ChangeMessage {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(sint64, tag = "2")]
    due_ms: i64,
    #[prost(bytes = "bytes", tag = "3")]
    task: Bytes,
    /// With `id`, instead of the key: for who does not compute fingerprints.
    #[prost(string, tag = "4")]
    namespace: String,
    #[prost(string, tag = "5")]
    id: String,
    /// With `id`, where the task has one.
    #[prost(string, tag = "6")]
    order_key: String,
}

impl ChangeMessage {
    /// The key, or that of the names, or that of the task at its new time.
    fn key(&self, task: Option<&TaskRecord>) -> Result<TaskKey, Fault> {
        let names = [&*self.namespace, &self.id, &self.order_key];
        match (named_key(&self.key, names)?, task) {
            (Some(key), Some(task)) if key != task.key => {
                Err("the task at the new time is another one".into())
            }
            (Some(key), _) => Ok(key),
            (None, Some(task)) => Ok(task.key),
            (None, None) => Err("it has neither namespace and id nor a key".into()),
        }
    }
}

/// The key that is given, by itself or by names: both say the same, or it is refused.
fn named_key(bytes: &Bytes, [namespace, id, keyed]: [&str; 3]) -> Result<Option<TaskKey>, Fault> {
    let given = if bytes.is_empty() {
        None
    } else {
        Some(key(bytes)?)
    };
    if namespace.is_empty() && id.is_empty() && keyed.is_empty() {
        return Ok(given);
    }
    Namespace::check(namespace)?;
    TaskId::check(id)?;
    let named = TaskKey::of_keyed(namespace, id, order_key(keyed)?);
    match given {
        Some(given) if given != named => {
            Err("its key is not that of its namespace, id and order_key".into())
        }
        _ => Ok(Some(named)),
    }
}

#[derive(Clone, PartialEq, Eq, Message)]
struct TriggerMessage {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    schedule: String,
    #[prost(uint32, optional, tag = "3")]
    overlap: Option<u32>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct BackfillMessage {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    schedule: String,
    #[prost(sint64, tag = "3")]
    from_ms: i64,
    #[prost(sint64, tag = "4")]
    to_ms: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct CompletedMessage {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(sint64, optional, tag = "2")]
    due_ms: Option<i64>,
    #[prost(uint32, tag = "3")]
    kind: u32,
    /// With `id`, instead of the key: for who does not compute fingerprints.
    #[prost(string, tag = "4")]
    namespace: String,
    #[prost(string, tag = "5")]
    id: String,
    /// With `id`, where the task has one.
    #[prost(string, tag = "6")]
    order_key: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct StopBackfillMessage {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    schedule: String,
    #[prost(uint64, tag = "3")]
    backfill: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct ForgetRunsMessage {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    schedule: String,
}

/// The bytes of a command.
pub fn encode(command: &Command) -> Bytes {
    match command {
        Command::Create(task) => create(&task.encoded),
        Command::Cancel { key, due } => framed(kind::CANCEL, &change(*key, *due, None)),
        Command::Move { key, due, task } => framed(kind::MOVE, &change(*key, *due, Some(task))),
        Command::Replace { key, due, task } => {
            framed(kind::REPLACE, &change(*key, *due, Some(task)))
        }
        Command::Moved { key, due, task } => framed(kind::MOVED, &change(*key, *due, Some(task))),
        Command::Revise(revision) => framed(kind::REVISE, &revision_message(revision)),
        Command::Trigger {
            namespace,
            schedule,
            overlap,
        } => framed(
            kind::TRIGGER,
            &TriggerMessage {
                namespace: namespace.as_str().to_owned(),
                schedule: schedule.as_str().to_owned(),
                overlap: overlap.map(overlap_number),
            },
        ),
        Command::Backfill {
            namespace,
            schedule,
            from,
            to,
        } => framed(
            kind::BACKFILL,
            &BackfillMessage {
                namespace: namespace.as_str().to_owned(),
                schedule: schedule.as_str().to_owned(),
                from_ms: from.as_millis(),
                to_ms: to.as_millis(),
            },
        ),
        Command::Completed { key, due, kind } => framed(
            kind::COMPLETED,
            &CompletedMessage {
                key: key_bytes(*key),
                due_ms: due.map(Timestamp::as_millis),
                kind: outcome_number(*kind),
                ..CompletedMessage::default()
            },
        ),
        Command::StopBackfill {
            namespace,
            schedule,
            backfill,
        } => framed(
            kind::STOP_BACKFILL,
            &StopBackfillMessage {
                namespace: namespace.as_str().to_owned(),
                schedule: schedule.as_str().to_owned(),
                backfill: backfill.bits(),
            },
        ),
        Command::ForgetRuns {
            namespace,
            schedule,
        } => framed(
            kind::FORGET_RUNS,
            &ForgetRunsMessage {
                namespace: namespace.as_str().to_owned(),
                schedule: schedule.as_str().to_owned(),
            },
        ),
    }
}

/// Bytes that stand in the place of a command that could not be understood: [`decode`] fails with
/// this reason.
///
/// They are never written to a log; an adapter hands them to the owner, which sets the record
/// aside.
pub fn refused(reason: &str) -> Bytes {
    let mut buffer = BytesMut::with_capacity(2 + reason.len());
    buffer.put_u8(VERSION);
    buffer.put_u8(kind::REFUSED);
    buffer.put_slice(reason.as_bytes());
    buffer.freeze()
}

/// The kinds of command that this build knows.
pub const KINDS: std::ops::RangeInclusive<u8> = kind::CREATE..=kind::FORGET_RUNS;

/// Whether bytes begin as a command does that this build knows: version and kind. Costs nothing and
/// says little more; [`decode`] is what decides.
pub fn begins_as_command(bytes: &[u8]) -> bool {
    matches!(bytes, [VERSION, kind, ..] if KINDS.contains(kind))
}

fn create(encoded: &[u8]) -> Bytes {
    let mut buffer = BytesMut::with_capacity(2 + encoded.len());
    buffer.put_u8(VERSION);
    buffer.put_u8(kind::CREATE);
    buffer.put_slice(encoded);
    buffer.freeze()
}

fn framed<M: Message>(kind: u8, message: &M) -> Bytes {
    let mut buffer = BytesMut::with_capacity(2 + message.encoded_len());
    buffer.put_u8(VERSION);
    buffer.put_u8(kind);
    message.encode_raw(&mut buffer);
    buffer.freeze()
}

fn change(key: TaskKey, due: Timestamp, task: Option<&TaskRecord>) -> ChangeMessage {
    ChangeMessage {
        key: key_bytes(key),
        due_ms: due.as_millis(),
        task: task.map(|task| task.encoded.clone()).unwrap_or_default(),
        ..ChangeMessage::default()
    }
}

/// The command; a task in it is a slice of `bytes`.
pub fn decode(bytes: Bytes) -> Result<Command, DecodeError> {
    decode_sharing(bytes, &mut QueueNames::new())
}

/// The same as [`decode`], sharing the texts of queue names: for who reads many.
pub fn decode_sharing(bytes: Bytes, names: &mut QueueNames) -> Result<Command, DecodeError> {
    command_from(bytes, names).map_err(|fault| fault.of(WHAT))
}

fn command_from(bytes: Bytes, names: &mut QueueNames) -> Result<Command, Fault> {
    check_version(bytes.first().copied())?;
    let kind = *bytes.get(1).ok_or("the bytes end before its kind")?;
    let body = bytes.slice(2..);
    match kind {
        kind::CREATE => Ok(Command::Create(
            record_from(body, names).map_err(|fault| fault.within("task"))?,
        )),
        kind::CANCEL => {
            let message = ChangeMessage::decode(body)?;
            Ok(Command::Cancel {
                key: message.key(None)?,
                due: civil_time("due_ms", message.due_ms)?,
            })
        }
        kind::MOVE => moved(body, names).map(|(key, due, task)| Command::Move { key, due, task }),
        kind::REPLACE => {
            moved(body, names).map(|(key, due, task)| Command::Replace { key, due, task })
        }
        kind::MOVED => moved(body, names).map(|(key, due, task)| Command::Moved { key, due, task }),
        kind::REVISE => Ok(Command::Revise(Box::new(revision(
            RevisionMessage::decode(body)?,
        )?))),
        kind::TRIGGER => trigger(body),
        kind::BACKFILL => backfill(body),
        kind::COMPLETED => completed(body),
        kind::STOP_BACKFILL => stop_backfill(body),
        kind::FORGET_RUNS => forget_runs(body),
        kind::REFUSED => Err(
            String::from_utf8_lossy(&body[..body.len().min(REASON_BYTES_MAX)])
                .into_owned()
                .into(),
        ),
        other => Err(format!("unknown kind {other}").into()),
    }
}

fn moved(body: Bytes, names: &mut QueueNames) -> Result<(TaskKey, Timestamp, TaskRecord), Fault> {
    let message = ChangeMessage::decode(body)?;
    let task = record_from(message.task.clone(), names).map_err(|fault| fault.within("task"))?;
    let (key, due) = (
        message.key(Some(&task))?,
        civil_time("due_ms", message.due_ms)?,
    );
    if task.key != key {
        return Err("the task at the new time is another one".into());
    }
    Ok((key, due, task))
}

fn trigger(body: Bytes) -> Result<Command, Fault> {
    let message = TriggerMessage::decode(body)?;
    Ok(Command::Trigger {
        namespace: Namespace::parse(&message.namespace)?,
        schedule: ScheduleId::parse(&message.schedule)?,
        overlap: message.overlap.map(overlap).transpose()?,
    })
}

fn backfill(body: Bytes) -> Result<Command, Fault> {
    let message = BackfillMessage::decode(body)?;
    Ok(Command::Backfill {
        namespace: Namespace::parse(&message.namespace)?,
        schedule: ScheduleId::parse(&message.schedule)?,
        from: civil_time("from_ms", message.from_ms)?,
        to: civil_time("to_ms", message.to_ms)?,
    })
}

fn completed(body: Bytes) -> Result<Command, Fault> {
    let message = CompletedMessage::decode(body)?;
    Ok(Command::Completed {
        key: named_key(
            &message.key,
            [&message.namespace, &message.id, &message.order_key],
        )?
        .ok_or("it has neither namespace and id nor a key")?,
        due: message
            .due_ms
            .map(|ms| civil_time("due_ms", ms))
            .transpose()?,
        kind: outcome(message.kind)?,
    })
}

fn stop_backfill(body: Bytes) -> Result<Command, Fault> {
    let message = StopBackfillMessage::decode(body)?;
    Ok(Command::StopBackfill {
        namespace: Namespace::parse(&message.namespace)?,
        schedule: ScheduleId::parse(&message.schedule)?,
        backfill: log_offset("offset of a backfill", message.backfill)?,
    })
}

fn forget_runs(body: Bytes) -> Result<Command, Fault> {
    let message = ForgetRunsMessage::decode(body)?;
    Ok(Command::ForgetRuns {
        namespace: Namespace::parse(&message.namespace)?,
        schedule: ScheduleId::parse(&message.schedule)?,
    })
}
