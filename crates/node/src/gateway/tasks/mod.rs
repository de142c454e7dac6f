//! Tasks: create, find, cancel, move, list.

mod change;
pub(super) mod create;
mod ended;
pub(super) mod find;
mod list;
mod window;

use minutehand_model::{Namespace, PartitionId, TaskId, TaskKey};

pub use list::{TaskPage, TaskQuery};

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

    /// The partitions it may live in: its own and, when its id is that of a schedule's run, the
    /// schedule's.
    fn possible_partitions(&self, partitions: u32) -> Vec<PartitionId> {
        let mut possible = vec![self.partition(partitions)];
        if let Some((schedule, _)) = self.id.as_str().rsplit_once('@') {
            let schedules = PartitionId::of(&self.namespace, schedule, partitions);
            if schedules != possible[0] {
                possible.push(schedules);
            }
        }
        possible
    }
}
