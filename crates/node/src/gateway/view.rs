//! What callers get to see of a task.

use minutehand_model::{LogOffset, Namespace, Outcome, OutcomeKind, PartitionId, Task, TaskId, Timestamp};

/// Where a task stands: whoever keeps it can find the task again without an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskHandle {
    /// The partition it lives in.
    pub partition: PartitionId,
    /// When it runs.
    pub due: Timestamp,
    /// The log offset of its creation.
    pub offset: LogOffset,
}

/// The answer to a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Where the task stands.
    pub handle: TaskHandle,
    /// A task of this id and due time was there before; nothing was written.
    pub existed: bool,
}

/// How far a task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// Waits for its due time.
    Scheduled,
    /// Is on its queue or with a worker, or has run without leaving a trace in the history.
    Published,
    /// Has run well.
    Succeeded,
    /// This attempt failed; the next one is another due time of the same id.
    Retried,
    /// Failed for the last time.
    Dead,
    /// Was cancelled, or moved to another due time.
    Cancelled,
    /// Ended with the worker that had taken it.
    Lost,
    /// Its execution was gone before a worker had run it.
    Expired,
}

impl TaskState {
    /// The word used in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            TaskState::Scheduled => "scheduled",
            TaskState::Published => "published",
            TaskState::Succeeded => "succeeded",
            TaskState::Retried => "retried",
            TaskState::Dead => "dead",
            TaskState::Cancelled => "cancelled",
            TaskState::Lost => "lost",
            TaskState::Expired => "expired",
        }
    }
}

impl From<OutcomeKind> for TaskState {
    fn from(kind: OutcomeKind) -> TaskState {
        match kind {
            OutcomeKind::Succeeded => TaskState::Succeeded,
            OutcomeKind::Retried => TaskState::Retried,
            OutcomeKind::Dead => TaskState::Dead,
            OutcomeKind::Cancelled => TaskState::Cancelled,
            OutcomeKind::Lost => TaskState::Lost,
            OutcomeKind::Expired => TaskState::Expired,
        }
    }
}

/// One due time of a task: what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskView {
    /// The name space of the id.
    pub namespace: Namespace,
    /// The id.
    pub id: TaskId,
    /// The partition it lives in.
    pub partition: PartitionId,
    /// When it runs or ran.
    pub due: Timestamp,
    /// The log offset of the record that says so; `None` when only the history knows of it.
    pub offset: Option<LogOffset>,
    /// How far it has come.
    pub state: TaskState,
    /// Which attempt it is, from 1; `None` when its body is no longer kept and it left no outcome.
    pub attempt: Option<u32>,
    /// The whole task while it is kept.
    pub task: Option<Task>,
    /// The ends of its runs, oldest first.
    pub outcomes: Vec<Outcome>,
}
