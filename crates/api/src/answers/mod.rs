//! What the API answers, as the server writes it and clients read it.

mod operations;
mod place;
mod queue;
mod schedule;
mod task;

pub use operations::{
    Damage, DamageReport, Load, MinuteLoad, NamespaceCreation, NamespaceName, Namespaces, NewNamespace,
    NewSkip, Partition, Partitions, Skip,
};
pub use place::{Offset, PartitionNumber};
pub use queue::{DeadLetter, DeadLetterPage, DeadLetterSelection, DeadLettersSettled, Queue, Queues};
pub use schedule::{
    Backfill, BackfillRange, BackfillStop, Backfills, ClockChange, Counts, Event, Nothing, Revision,
    RevisionNote, RevisionPage, Rollback, Run, RunInProgress, RunsRequested, Schedule, ScheduleDetails,
    SchedulePage, SchedulePreview, Trigger,
};
pub use task::{
    BulkLine, BulkStopped, BulkSummary, CancelledTasks, Outcome, RefusedLine, Task, TaskDetails, TaskHandle,
    TaskPage,
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
