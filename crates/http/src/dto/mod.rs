//! The JSON that callers get. What they send is read by the request crate.

mod place;
mod schedule_view;
mod skips;
mod task;
mod view;

pub(crate) use schedule_view::{
    BackfillInput, BackfillList, NoteInput, NothingInput, PreviewDto, RevisionDto, RevisionList,
    RollbackInput, RunRequestedDto, ScheduleDto, ScheduleList, ScheduleShow, StopBackfillInput, TriggerInput,
};
pub(crate) use skips::{SkipInput, SkippedDto};
pub(crate) use task::{BulkStopped, BulkSummary, RefusedLine, TaskHandleDto};
pub(crate) use view::{
    CancelledList, DamageDto, DamageList, DeadLetterDto, DeadLetterList, LoadDto, LoadList, NamespaceDto,
    NamespaceInput, NamespaceList, PartitionDto, PartitionList, QueueDto, QueueList, ReplayedDto,
    SelectionInput, TaskDto, TaskList, TaskShow,
};
