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
        let key = self.order_key.as_ref().map(OrderKey::as_str);
        PartitionId::of(&self.namespace, key.unwrap_or(self.id.as_str()), partitions)
    }

    /// Whether a revision of a schedule of its id is one of this schedule: it has its key. One that
    /// is deleted has none.
    fn is_of(&self, revision: &Revision) -> bool {
        let definition = revision.definition.as_ref();
        definition.is_none_or(|definition| definition.action.order_key == self.order_key)
    }

    fn not_found(&self) -> LookupError {
        LookupError::NotFound {
            what: "schedule",
            name: match &self.order_key {
                Some(key) => format!("{} of key {key}", self.id),
                None => self.id.to_string(),
            },
        }
    }
}
