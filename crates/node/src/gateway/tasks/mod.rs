//! Tasks: create, find, cancel, move, list.

mod change;
pub(super) mod create;
pub(super) mod find;
mod list;
mod validate;
mod window;

use minutehand_model::{Namespace, PartitionId, TaskId, TaskKey};

pub use change::MoveMode;
pub use list::{TaskPage, TaskQuery};
pub use validate::validate_task;
pub(super) use validate::{validate_action, within};

/// A task's name: its id within its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskName {
    /// The name space of the id.
    pub namespace: Namespace,
    /// The id.
    pub id: TaskId,
}

impl TaskName {
    fn key(&self) -> TaskKey {
        TaskKey::of(self.namespace.as_str(), self.id.as_str())
    }

    fn partition(&self, partitions: u32) -> PartitionId {
        PartitionId::of(&self.namespace, self.id.as_str(), partitions)
    }
}
