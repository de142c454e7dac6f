//! The execution sink: where ticks go, each atomically, fenced by the owner's epoch.

use async_trait::async_trait;
use minutehand_model::{
    Checkpoint, Epoch, LogOffset, Namespace, PartitionId, ScheduleId, ScheduleState, Tick, Timestamp,
};

use crate::PortError;

/// What a new owner starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The last committed checkpoint; `None` when the partition has never been owned.
    pub checkpoint: Option<Checkpoint>,
    /// The schedule states as of that checkpoint, in order of namespace and id.
    pub schedule_states: Vec<(Namespace, ScheduleId, ScheduleState)>,
    /// The end of the partition's log.
    pub log_end: LogOffset,
    /// When the store took note of the opening, by its own clock; `None` when it goes by the clock of the owner's machine.
    pub taken_at: Option<Timestamp>,
}

/// What became of a tick: it is durable and visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The offset behind the last of its derived records; `None` when it has none. They need not follow each other: what
    /// others append may lie between them.
    pub derived_end: Option<LogOffset>,
    /// When the store took it, by its own clock; `None` when it goes by the clock of the owner's machine. Owners compare
    /// their clock with it.
    pub taken_at: Option<Timestamp>,
}

/// Where executions go.
#[async_trait]
pub trait ExecutionSink: Send + Sync + 'static {
    /// Fences every owner with a lower epoch, then answers what the last of them committed.
    /// An epoch lower than one that was opened before is `Fenced`.
    async fn open(&self, partition: PartitionId, epoch: Epoch) -> Result<Opened, PortError>;

    /// Commits a tick: publications, stop requests, derived log records, schedule states, what was set aside and the
    /// checkpoint become durable and visible together, or none of them does. Ticks of a partition are
    /// committed in the order of their numbers; a number that does not follow the last one is `Fenced`.
    async fn commit(&self, tick: Tick) -> Result<Committed, PortError>;
}
