//! Frames of the stream of statuses: what changed since the frame before.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use minutehand_engine::Phase;
use minutehand_model::{Epoch, Frontier, Gap, PartitionId, Stretch, Timestamp};
use minutehand_node::OwnerStatus;
use minutehand_record::DecodeError;
use prost::Message;

use crate::FRAME_BYTES_MAX;
use crate::codec::{self, fault, offset, place, place_message, size};
use crate::message::{GapMessage, StatusFrameMessage, StatusMessage, StretchMessage};

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
    let gap = |gap: &Gap| GapMessage {
        after: place_message(gap.after),
        through: place_message(gap.through),
        from_offset: gap.from_offset.bits(),
    };
    let stretch = |stretch: &Stretch| StretchMessage {
        after: place_message(stretch.after),
        through: place_message(stretch.through),
    };
    let phase = PHASES.iter().position(|phase| *phase == status.phase);
    StatusMessage {
        partition: partition.bits(),
        phase: phase
            .and_then(|phase| u32::try_from(phase).ok())
            .unwrap_or(u32::MAX),
        epoch: status.epoch.0,
        applied: status.applied.bits(),
        head: Some(place_message(status.frontier.head)),
        gaps: status.frontier.gaps.iter().map(gap).collect(),
        backlog: status.frontier.backlog.iter().map(stretch).collect(),
        replay_from: status.replay_from.bits(),
        tick: status.tick,
        set_aside: status.set_aside,
        log_end: status.log_end.bits(),
        loaded_until_ms: status.loaded_until.as_millis(),
        near_tasks: status.near_tasks as u64,
        near_bytes: status.near_bytes as u64,
        pending_entries: status.pending_entries as u64,
        backlog_tasks: status.backlog_tasks as u64,
        backlog_oldest_ms: status.backlog_oldest.map(Timestamp::as_millis),
        backlog_is_partly_unread: status.backlog_is_partly_unread,
        memory_bytes: status.memory_bytes as u64,
        stop_reason: status.stop_reason.clone(),
        closed_before_ms: status.closed_before.map(Timestamp::as_millis),
        minutes_given_up: status.minutes_given_up,
    }
}

fn status(message: StatusMessage) -> Result<(PartitionId, OwnerStatus), DecodeError> {
    let gap = |gap: GapMessage| -> Result<Gap, DecodeError> {
        let from_offset = offset(gap.from_offset)?;
        Ok(Gap {
            after: place(gap.after)?,
            through: place(gap.through)?,
            from_offset,
        })
    };
    let stretch = |stretch: StretchMessage| -> Result<Stretch, DecodeError> {
        Ok(Stretch {
            after: place(stretch.after)?,
            through: place(stretch.through)?,
        })
    };
    let phase = PHASES
        .get(size(WHAT, "phase", message.phase.into())?)
        .copied();
    let phase = phase.ok_or_else(|| fault(WHAT, format!("unknown phase {}", message.phase)))?;
    let head = place(message.head.ok_or_else(|| fault(WHAT, "head is missing"))?)?;
    let status = OwnerStatus {
        phase,
        epoch: Epoch(message.epoch),
        applied: offset(message.applied)?,
        frontier: Frontier {
            head,
            gaps: message
                .gaps
                .into_iter()
                .map(gap)
                .collect::<Result<_, _>>()?,
            backlog: message
                .backlog
                .into_iter()
                .map(stretch)
                .collect::<Result<_, _>>()?,
        },
        replay_from: offset(message.replay_from)?,
        tick: message.tick,
        set_aside: message.set_aside,
        log_end: offset(message.log_end)?,
        loaded_until: Timestamp::from_millis(message.loaded_until_ms),
        near_tasks: size(WHAT, "near_tasks", message.near_tasks)?,
        near_bytes: size(WHAT, "near_bytes", message.near_bytes)?,
        pending_entries: size(WHAT, "pending_entries", message.pending_entries)?,
        backlog_tasks: size(WHAT, "backlog_tasks", message.backlog_tasks)?,
        backlog_oldest: message.backlog_oldest_ms.map(Timestamp::from_millis),
        backlog_is_partly_unread: message.backlog_is_partly_unread,
        memory_bytes: size(WHAT, "memory_bytes", message.memory_bytes)?,
        stop_reason: message.stop_reason,
        closed_before: message.closed_before_ms.map(Timestamp::from_millis),
        minutes_given_up: message.minutes_given_up,
    };
    Ok((codec::partition(message.partition)?, status))
}
