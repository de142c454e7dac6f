//! Frames of the stream of statuses: what changed since the frame before.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use minutehand_engine::Phase;
use minutehand_model::{Epoch, PartitionId, Timestamp};
use minutehand_node::OwnerStatus;
use minutehand_record::DecodeError;
use minutehand_record::frontier::FrontierParts;
use prost::Message;

use crate::FRAME_BYTES_MAX;
use crate::codec::{self, fault, offset, size};
use crate::status_message::{
    BacklogPart, LedgerPart, MemoryPart, OwnerPart, ProgressPart, StatusFrameMessage, StatusMessage,
};

const WHAT: &str = "status frame";

/// The phases by their numbers on the wire: new ones come last.
const PHASES: &[Phase] = Phase::ALL;

/// What changed at one scheduler; empty as a sign of life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusFrame {
    /// Statuses that are new or have changed.
    pub changed: Vec<(PartitionId, OwnerStatus)>,
    /// Partitions that are no longer assigned there.
    pub gone: Vec<PartitionId>,
}

impl StatusFrame {
    /// The frame's length in four bytes, and the frame.
    pub fn encode(&self) -> Bytes {
        let message = StatusFrameMessage {
            changed: self
                .changed
                .iter()
                .map(|(partition, status)| message(*partition, status))
                .collect(),
            gone: self.gone.iter().map(|partition| partition.bits()).collect(),
        };
        let length = message.encoded_len();
        let mut buffer = BytesMut::with_capacity(4 + length);
        buffer.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        message.encode_raw(&mut buffer);
        buffer.freeze()
    }

    /// Takes the first whole frame off the front of what has arrived; `None` while there is none.
    ///
    /// # Errors
    /// Bytes that are no frame.
    pub fn take(arrived: &mut BytesMut) -> Result<Option<StatusFrame>, DecodeError> {
        let Some(length) = arrived.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(fault(
                WHAT,
                format!("it is {length} bytes long; at most {FRAME_BYTES_MAX} are sent"),
            ));
        }
        if arrived.len() < 4 + length {
            return Ok(None);
        }
        arrived.advance(4);
        let message = StatusFrameMessage::decode(arrived.split_to(length).freeze())
            .map_err(|error| fault(WHAT, error.to_string()))?;
        Ok(Some(StatusFrame {
            changed: message
                .changed
                .into_iter()
                .map(status)
                .collect::<Result<_, _>>()?,
            gone: message
                .gone
                .into_iter()
                .map(codec::partition)
                .collect::<Result<_, _>>()?,
        }))
    }
}

fn message(partition: PartitionId, status: &OwnerStatus) -> StatusMessage {
    let phase = PHASES.iter().position(|phase| *phase == status.phase);
    let phase = phase.and_then(|phase| u32::try_from(phase).ok());
    let FrontierParts {
        head,
        gaps,
        backlog,
        owed_after,
    } = (&status.frontier).into();
    StatusMessage {
        owner: OwnerPart {
            partition: partition.bits(),
            phase: phase.unwrap_or(u32::MAX),
            epoch: status.epoch.0,
            stop_reason: status.stop_reason.clone(),
        },
        progress: ProgressPart {
            applied: status.applied.bits(),
            head,
            gaps,
            replay_from: status.replay_from.bits(),
            tick: status.tick,
            log_end: status.log_end.bits(),
            loaded_until_ms: status.loaded_until.as_millis(),
            set_aside: status.set_aside,
        },
        memory: MemoryPart {
            near_tasks: status.near_tasks as u64,
            near_bytes: status.near_bytes as u64,
            pending_entries: status.pending_entries as u64,
            memory_bytes: status.memory_bytes as u64,
        },
        backlog: BacklogPart {
            stretches: backlog,
            tasks: status.backlog_tasks as u64,
            schedules: status.backlog_schedules as u64,
            owed_after,
            oldest_ms: status.backlog_oldest.map(Timestamp::as_millis),
            is_partly_unread: status.backlog_is_partly_unread,
        },
        ledger: LedgerPart {
            closed_before_ms: status.closed_before.map(Timestamp::as_millis),
            minutes_given_up: status.minutes_given_up,
        },
    }
}

fn status(message: StatusMessage) -> Result<(PartitionId, OwnerStatus), DecodeError> {
    let StatusMessage {
        owner,
        progress,
        memory,
        backlog,
        ledger,
    } = message;
    let phase = PHASES.get(size(WHAT, "phase", owner.phase.into())?);
    let phase = phase.ok_or_else(|| fault(WHAT, format!("unknown phase {}", owner.phase)))?;
    let frontier = FrontierParts {
        head: progress.head,
        gaps: progress.gaps,
        backlog: backlog.stretches,
        owed_after: backlog.owed_after,
    };
    let status = OwnerStatus {
        phase: *phase,
        epoch: Epoch(owner.epoch),
        applied: offset(progress.applied)?,
        frontier: frontier.try_into()?,
        replay_from: offset(progress.replay_from)?,
        tick: progress.tick,
        set_aside: progress.set_aside,
        log_end: offset(progress.log_end)?,
        loaded_until: Timestamp::from_millis(progress.loaded_until_ms),
        near_tasks: size(WHAT, "near_tasks", memory.near_tasks)?,
        near_bytes: size(WHAT, "near_bytes", memory.near_bytes)?,
        pending_entries: size(WHAT, "pending_entries", memory.pending_entries)?,
        backlog_tasks: size(WHAT, "backlog_tasks", backlog.tasks)?,
        backlog_schedules: size(WHAT, "backlog_schedules", backlog.schedules)?,
        backlog_oldest: backlog.oldest_ms.map(Timestamp::from_millis),
        backlog_is_partly_unread: backlog.is_partly_unread,
        memory_bytes: size(WHAT, "memory_bytes", memory.memory_bytes)?,
        stop_reason: owner.stop_reason,
        closed_before: ledger.closed_before_ms.map(Timestamp::from_millis),
        minutes_given_up: ledger.minutes_given_up,
    };
    Ok((codec::partition(owner.partition)?, status))
}
