//! What callers get to see of a task.

use minutehand_model::{
    LogOffset, Namespace, OrderKey, Outcome, PartitionId, QueueName, Task, TaskId, TaskState,
    Timestamp,
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
    /// The key that it was created with.
    pub order_key: Option<OrderKey>,
    /// The partition it lives in.
    pub partition: PartitionId,
    /// When it runs or ran.
    pub due: Timestamp,
    /// The log offset of the record that says so; `None` when only the history knows of it.
    pub offset: Option<LogOffset>,
    /// How far it has come.
    pub state: TaskState,
    /// The queue that it goes or went to; `None` where nobody knows it any more.
    pub queue: Option<QueueName>,
    /// Which attempt it is, from 1; `None` when its body is no longer kept and it left no outcome.
    pub attempt: Option<u32>,
    /// The whole task while it is kept.
    pub task: Option<Task>,
    /// The ends of its runs, oldest first.
    pub outcomes: Vec<Outcome>,
}

impl TaskView {
    /// Where it stands in a listing among what is due then: by its id, then by its key.
    pub fn listed_as(&self) -> String {
        listed_as(&self.id, self.order_key.as_ref())
    }
}

/// Where a task of this name stands among what is due at one time. Neither part has a zero byte.
pub(crate) fn listed_as(id: &TaskId, key: Option<&OrderKey>) -> String {
    match key {
        Some(key) => format!("{id}\0{key}"),
        None => id.to_string(),
    }
}
