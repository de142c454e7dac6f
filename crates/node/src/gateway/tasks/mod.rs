//! Tasks: create, find, cancel, move, list.

mod change;
pub(super) mod create;
mod ended;
pub(super) mod find;
mod list;
mod list_ended;
mod stop;
mod window;

use minutehand_model::{Namespace, OrderKey, PartitionId, TaskId, TaskKey};

pub use list::{TaskPage, TaskQuery};
pub use list_ended::EndedTasks;
pub use stop::RunsToStop;

/// A task's name: its id within its namespace, and within its key where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskName {
    /// The name space of the id.
    pub namespace: Namespace,
    /// The id.
    pub id: TaskId,
    /// The key that it was created with.
    pub order_key: Option<OrderKey>,
}

impl TaskName {
    fn key(&self) -> TaskKey {
        let key = self.order_key.as_ref().map(OrderKey::as_str);
        TaskKey::of_keyed(self.namespace.as_str(), self.id.as_str(), key)
    }

    /// The partition of its key, or of its id where it has none.
    fn partition(&self, partitions: u32) -> PartitionId {
        let (id, key) = (self.id.as_str(), self.order_key.as_ref());
        PartitionId::of_keyed(&self.namespace, id, key, partitions)
    }

    /// The partitions it may live in: its own and, when its id is that of a schedule's run, the
    /// schedule's.
    fn possible_partitions(&self, partitions: u32) -> Vec<PartitionId> {
        let mut possible = vec![self.partition(partitions)];
        if self.order_key.is_none()
            && let Some((schedule, _)) = self.id.as_str().rsplit_once('@')
        {
            let schedules = PartitionId::of(&self.namespace, schedule, partitions);
            if schedules != possible[0] {
                possible.push(schedules);
            }
        }
        possible
    }
}
