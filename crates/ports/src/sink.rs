//! The execution sink: where ticks go, each atomically, fenced by the owner's epoch.

use async_trait::async_trait;
use minutehand_model::{
    Checkpoint, Epoch, LogOffset, Namespace, PartitionId, ScheduleId, ScheduleState, Tick,
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
    ///
    /// Answers the offset behind the last of its derived records; `None` when it has none. They need not follow each other:
    /// what others append may lie between them.
    async fn commit(&self, tick: Tick) -> Result<Option<LogOffset>, PortError>;
}
