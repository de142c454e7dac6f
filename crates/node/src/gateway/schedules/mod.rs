//! Schedules: create, revise, run by request, preview, and why one has not run.

mod read;
mod request;
mod revise;
mod view;
mod why;

use minutehand_model::{Namespace, OrderKey, PartitionId, Revision, ScheduleId};

pub use request::RunRequested;
pub use revise::{CreatedSchedule, DefinitionChange, RevisionChange};
pub use view::{RunView, ScheduleHead, SchedulePage, ScheduleView};

use super::LookupError;

/// A schedule's name: its id within its namespace, and its key where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleName {
    /// The name space of the id.
    pub namespace: Namespace,
    /// The id.
    pub id: ScheduleId,
    /// The key that it was created with.
    pub order_key: Option<OrderKey>,
}

impl ScheduleName {
    pub(super) fn partition(&self, partitions: u32) -> PartitionId {
        let (id, key) = (self.id.as_str(), self.order_key.as_ref());
        PartitionId::of_keyed(&self.namespace, id, key, partitions)
    }

    /// Whether a revision of a schedule of its id is one of this schedule: it has its key. One that
    /// is deleted has none.
    fn is_of(&self, revision: &Revision) -> bool {
        let definition = revision.definition.as_ref();
        definition.is_none_or(|definition| definition.action.order_key == self.order_key)
    }

    fn not_found(&self) -> LookupError {
        LookupError::not_found("schedule", self.id.as_str(), self.order_key.as_ref())
    }
}
