//! What callers get to see of a task.

use minutehand_model::{
    LogOffset, Namespace, Outcome, PartitionId, Task, TaskId, TaskState, Timestamp,
};

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
