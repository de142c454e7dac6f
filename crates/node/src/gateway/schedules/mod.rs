//! Schedules: create, revise, run by request, preview, and why one has not run.

mod read;
mod request;
mod revise;
mod view;
mod why;

use minutehand_model::{Namespace, PartitionId, ScheduleId};

pub use request::RunRequested;
pub use revise::{CreatedSchedule, DefinitionChange, RevisionChange};
pub use view::{RunView, ScheduleHead, SchedulePage, ScheduleView};

use super::LookupError;

/// A schedule's name: its id within its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleName {
    /// The name space of the id.
    pub namespace: Namespace,
    /// The id.
    pub id: ScheduleId,
}

impl ScheduleName {
    pub(super) fn partition(&self, partitions: u32) -> PartitionId {
        PartitionId::of(&self.namespace, self.id.as_str(), partitions)
    }

    fn not_found(&self) -> LookupError {
        LookupError::NotFound {
            what: "schedule",
            name: self.id.to_string(),
        }
    }
}
