//! What questions and answers share: keys, places, tasks, schedules.

use bytes::Bytes;
use minutehand_engine::{KnownSchedule, KnownState, KnownTask};
use minutehand_model::{LogOffset, PartitionId, QueueName, TaskKey, Timestamp};
use minutehand_record::DecodeError;
use minutehand_record::{revision, schedule_state};

use crate::message::{KnownScheduleMessage, KnownTaskMessage, NextMessage};

/// Bytes that are not what they were taken for.
pub(crate) fn fault(what: &'static str, reason: impl Into<String>) -> DecodeError {
    DecodeError {
        what,
        reason: reason.into(),
    }
}

pub(crate) fn key_bytes(key: TaskKey) -> Bytes {
    Bytes::copy_from_slice(&key.0.to_be_bytes())
}

pub(crate) fn key(what: &'static str, bytes: &[u8]) -> Result<TaskKey, DecodeError> {
    let array = <[u8; 16]>::try_from(bytes).map_err(|_| {
        fault(
            what,
            format!("key is {} bytes long; it must be 16", bytes.len()),
        )
    })?;
    Ok(TaskKey(u128::from_be_bytes(array)))
}

pub(crate) fn offset(bits: u64) -> Result<LogOffset, DecodeError> {
    LogOffset::from_bits(bits).ok_or_else(|| fault("log offset", format!("{bits} is too high")))
}

pub(crate) fn partition(bits: u32) -> Result<PartitionId, DecodeError> {
    PartitionId::from_bits(bits).ok_or_else(|| fault("partition", format!("{bits} is too high")))
}

pub(crate) fn size(what: &'static str, field: &str, number: u64) -> Result<usize, DecodeError> {
    usize::try_from(number)
        .map_err(|_| fault(what, format!("{field} is {number}; that is too large here")))
}

pub(crate) fn task_message(task: KnownTask) -> KnownTaskMessage {
    KnownTaskMessage {
        key: key_bytes(task.key),
        due_ms: task.due.as_millis(),
        offset: task.offset.bits(),
        state: match task.state {
            KnownState::Scheduled => 0,
            KnownState::Published => 1,
            KnownState::Cancelled => 2,
        },
        encoded: task.encoded,
        queue: task.queue.map(|queue| queue.as_str().to_owned()),
    }
}

pub(crate) fn task(message: KnownTaskMessage) -> Result<KnownTask, DecodeError> {
    const WHAT: &str = "known task";
    let state = match message.state {
        0 => KnownState::Scheduled,
        1 => KnownState::Published,
        2 => KnownState::Cancelled,
        other => return Err(fault(WHAT, format!("unknown state {other}"))),
    };
    let queue = message.queue.as_deref().map(QueueName::parse).transpose();
    Ok(KnownTask {
        queue: queue.map_err(|error| fault(WHAT, error.to_string()))?,
        key: key(WHAT, &message.key)?,
        due: Timestamp::from_millis(message.due_ms),
        offset: offset(message.offset)?,
        state,
        encoded: message.encoded,
    })
}

pub(crate) fn tasks(messages: Vec<KnownTaskMessage>) -> Result<Vec<KnownTask>, DecodeError> {
    messages.into_iter().map(task).collect()
}

pub(crate) fn schedule_message(known: &KnownSchedule) -> KnownScheduleMessage {
    let next = known.next.map(|(nominal, due)| NextMessage {
        nominal_ms: nominal.as_millis(),
        due_ms: due.as_millis(),
    });
    KnownScheduleMessage {
        head: revision::encode(&known.head),
        created_offset: known.created_offset.bits(),
        state: schedule_state::encode(&known.state),
        next,
    }
}

pub(crate) fn schedule(message: KnownScheduleMessage) -> Result<KnownSchedule, DecodeError> {
    let time = Timestamp::from_millis;
    Ok(KnownSchedule {
        head: revision::decode(&message.head)?,
        created_offset: offset(message.created_offset)?,
        state: schedule_state::decode(&message.state)?,
        next: message
            .next
            .map(|next| (time(next.nominal_ms), time(next.due_ms))),
    })
}
