//! The execution sink: where ticks go, each atomically, fenced by the owner's epoch.

use async_trait::async_trait;
use minutehand_model::{
    Checkpoint, Epoch, LogOffset, Namespace, PartitionId, QueueName, ScheduleId, ScheduleState,
    Tick, Timestamp,
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
    /// When the store took note of the opening, by its own clock; `None` when it goes by the clock
    /// of the owner's machine.
    pub taken_at: Option<Timestamp>,
}

/// What became of a tick: it is durable and visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The offset behind the last of its derived records; `None` when it has none. They need not
    /// follow each other: what others append may lie between them.
    pub derived_end: Option<LogOffset>,
    /// When the store took it, by its own clock; `None` when it goes by the clock of the owner's
    /// machine. Owners compare their clock with it.
    pub taken_at: Option<Timestamp>,
    /// Publications that the sink can never take: each became a dead letter, or a record set aside,
    /// in the same step.
    pub refused: usize,
    /// Publications whose queue is not ready yet: each was appended to the partition's log in the
    /// same step, as the creation of the same task due a little later.
    pub postponed: usize,
}

impl Committed {
    /// A tick that was taken whole, by a store without a clock of its own.
    pub fn whole(derived_end: Option<LogOffset>) -> Committed {
        Committed {
            derived_end,
            ..Committed::default()
        }
    }
}

/// Where executions go.
#[async_trait]
pub trait ExecutionSink: Send + Sync + 'static {
    /// Fences every owner with a lower epoch, then answers what the last of them committed.
    /// An epoch lower than one that was opened before is `Fenced`.
    async fn open(&self, partition: PartitionId, epoch: Epoch) -> Result<Opened, PortError>;

    /// The last committed checkpoint, without fencing anybody: from where a successor prepares
    /// itself. `None` when the partition has never been owned, or the sink is not asked before it
    /// is opened.
    async fn peek(&self, _partition: PartitionId) -> Result<Option<Checkpoint>, PortError> {
        Ok(None)
    }

    /// Commits a tick: publications, stop requests, derived log records, schedule states, what was
    /// set aside and the checkpoint become durable and visible together, or none of them does.
    /// Ticks of a partition are committed in the order of their numbers; a number that does not
    /// follow the last one is `Fenced`.
    ///
    /// A publication that the sink can never take (too large, a queue whose place cannot be made or
    /// used) does not hold the tick back: see [`Committed`]. A tick that was built by a clock too
    /// far from the store's own is refused whole, with class `Fatal`, before anything of it can be
    /// seen.
    async fn commit(&self, tick: Tick) -> Result<Committed, PortError>;

    /// A queue has been met that will be published to: where that needs a place to be made, it is
    /// made meanwhile. Returns at once; cheap for a queue that is known.
    fn prepare(&self, _queue: &QueueName) {}
}
