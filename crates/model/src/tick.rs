//! A tick: what one transaction of a partition publishes, with the checkpoint that says so.

use bytes::Bytes;

use crate::command::{Command, TaskRecord};
use crate::limits::{REASON_BYTES_MAX, SET_ASIDE_BYTES_MAX};
use crate::name::{Namespace, QueueName, ScheduleId};
use crate::offset::LogOffset;
use crate::partition::Checkpoint;
use crate::partition_id::PartitionId;
use crate::schedule::ScheduleState;
use crate::task::TaskKey;
use crate::time::Timestamp;

/// An execution on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The log offset of the command that created it (or its schedule).
    pub offset: LogOffset,
    /// What runs. Its `encoded` form is delivered as it is.
    pub task: TaskRecord,
}

/// A request to stop a run, published beside executions on the same queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// The stream the run was published to.
    pub queue: QueueName,
    /// The task that runs.
    pub key: TaskKey,
    /// Its due time.
    pub due: Timestamp,
    /// Kill it, instead of asking.
    pub kill: bool,
}

/// A schedule's state as a tick leaves it; `None` when nothing needs to be remembered any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleStateChange {
    /// The name space of the id.
    pub namespace: Namespace,
    /// Which schedule.
    pub schedule: ScheduleId,
    /// The new state.
    pub state: Option<ScheduleState>,
}

/// One atomic step of a partition: everything in it becomes visible together, or nothing does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Which partition.
    pub partition: PartitionId,
    /// The cursors after this tick, under the owner's epoch and with the tick's number.
    pub checkpoint: Checkpoint,
    /// When it was built.
    pub published_at: Timestamp,
    /// What is published, in order.
    pub publications: Vec<Publication>,
    /// Runs to stop.
    pub stops: Vec<StopRequest>,
    /// Records appended to the partition's own log (resolved decisions).
    pub derived: Vec<Command>,
    /// Schedule states that changed.
    pub schedule_states: Vec<ScheduleStateChange>,
    /// Records and entries that were set aside because they could not be understood: where and why.
    pub set_aside: Vec<SetAside>,
}

impl Tick {
    /// Whether it carries nothing but the checkpoint.
    pub fn is_bare(&self) -> bool {
        self.publications.is_empty()
            && self.stops.is_empty()
            && self.derived.is_empty()
            && self.schedule_states.is_empty()
            && self.set_aside.is_empty()
    }
}

/// A stored record that could not be understood; the partition goes on without it. Made by
/// [`SetAside::new`], which bounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// Where it stands, in words an operator can look up: `log offset 17`, `block
    /// 2026-11-23T16:00Z/3`.
    pub position: String,
    /// Why it could not be understood.
    pub reason: String,
    /// Its first bytes: all of them, up to [`SET_ASIDE_BYTES_MAX`].
    pub bytes: Bytes,
}

impl SetAside {
    /// What is kept of a record: of a long one the beginning, and in the reason how long it is.
    pub fn new(position: String, reason: impl Into<String>, bytes: Bytes) -> SetAside {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        if bytes.len() <= SET_ASIDE_BYTES_MAX {
            return SetAside {
                position,
                reason,
                bytes,
            };
        }
        let words = format!(
            "; of its {} bytes the first {SET_ASIDE_BYTES_MAX} are kept",
            bytes.len()
        );
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX - words.len()));
        reason.push_str(&words);
        // A copy, so that the rest is not held in memory.
        SetAside {
            position,
            reason,
            bytes: Bytes::copy_from_slice(&bytes[..SET_ASIDE_BYTES_MAX]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_set_aside_a_bounded_part_is_kept() {
        for bytes in [
            0,
            SET_ASIDE_BYTES_MAX - 1,
            SET_ASIDE_BYTES_MAX,
            SET_ASIDE_BYTES_MAX + 1,
            999_950,
        ] {
            let reason = "é".repeat(REASON_BYTES_MAX);
            let kept = SetAside::new("log offset 7".to_owned(), reason, vec![7; bytes].into());
            assert_eq!(kept.bytes.len(), bytes.min(SET_ASIDE_BYTES_MAX));
            assert!(kept.reason.len() <= REASON_BYTES_MAX);
            assert_eq!(
                kept.reason.contains(&format!("of its {bytes} bytes")),
                bytes > SET_ASIDE_BYTES_MAX
            );
        }
    }
}
