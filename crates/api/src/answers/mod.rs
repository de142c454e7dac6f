//! What the API answers, as the server writes it and clients read it.

mod lease;
mod operations;
mod place;
mod queue;
mod schedule;
mod task;

pub use lease::{Lease, LeaseAnswered, LeaseStatus, Leases, LeasesAnswered};
pub use operations::{
    Audit, Damage, DamageReport, Load, MinuteLoad, NamespaceCreation, NamespaceName, Namespaces,
    NewNamespace, NewSkip, Partition, PartitionAudit, Partitions, Skip,
};
pub use place::{Offset, PartitionNumber};
pub use queue::{
    BreakerTold, DeadLetter, DeadLetterFilter, DeadLetterPage, DeadLetterSelection,
    DeadLettersSettled, Paused, Queue, Queues,
};
pub use schedule::{
    Backfill, BackfillRange, BackfillStop, Backfills, ClockChange, Counts, Event, Nothing,
    Revision, RevisionNote, RevisionPage, Rollback, Run, RunInProgress, RunsRequested, Schedule,
    ScheduleDetails, SchedulePage, SchedulePreview, Trigger,
};
pub use task::{
    BulkLine, BulkReport, BulkStopped, BulkSummary, CancelledTasks, Outcome, RefusedLine, Task,
    TaskDetails, TaskHandle, TaskPage,
};

/// A part of a list.
pub trait Page {
    /// What is listed.
    type Item;

    /// The items, and the cursor that continues the list; `None` at its end.
    fn into_parts(self) -> (Vec<Self::Item>, Option<String>);
}

/// Makes a struct a page by the name of its list.
macro_rules! page {
    ($page:ident, $items:ident: $item:ident) => {
        impl $crate::Page for $page {
            type Item = $item;

            fn into_parts(self) -> (Vec<$item>, Option<String>) {
                (self.$items, self.next_cursor)
            }
        }
    };
}
use page;

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use utoipa::ToSchema;
    use utoipa::openapi::{RefOr, Schema};

    use super::*;

    fn example<T: ToSchema>() -> serde_json::Value {
        let RefOr::T(schema) = T::schema() else {
            panic!("{} is a reference", T::name())
        };
        let example = match schema {
            Schema::Object(object) => object.example,
            Schema::AllOf(all) => all.example,
            _ => panic!("{} is of another kind", T::name()),
        };
        example.unwrap_or_else(|| panic!("{} has no example", T::name()))
    }

    /// An example is what is written of what is read from it.
    #[track_caller]
    fn is_true<T: ToSchema + Serialize + DeserializeOwned>() {
        let example = example::<T>();
        let read: T = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(
            serde_json::to_value(&read).unwrap(),
            example,
            "{}",
            T::name()
        );
    }

    #[test]
    fn examples_of_answers_are_true() {
        is_true::<crate::Problem>();
        is_true::<TaskHandle>();
        is_true::<Task>();
        is_true::<BulkSummary>();
        is_true::<BulkReport>();
        is_true::<Schedule>();
        is_true::<SchedulePreview>();
        is_true::<RunsRequested>();
        is_true::<Queue>();
        is_true::<DeadLetter>();
        is_true::<DeadLettersSettled>();
        is_true::<Partition>();
    }
}
