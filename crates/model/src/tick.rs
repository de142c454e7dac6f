//! A tick: what one transaction of a partition publishes, with the checkpoint that says so.

use bytes::Bytes;

use crate::command::{Command, TaskRecord};
use crate::name::{Namespace, QueueName, ScheduleId};
use crate::partition::{Checkpoint, LogOffset, PartitionId};
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

/// A stored record that could not be understood; the partition goes on without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it stands, in words an operator can look up: `log offset 17`, `block 2026-11-23T16:00Z/3`.
    pub position: String,
    /// Why it could not be understood.
    pub reason: String,
    /// Its bytes.
    pub bytes: Bytes,
}
