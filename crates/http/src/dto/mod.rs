//! The JSON that callers send and get, and the way from and to the model.

mod duration;
mod headers;
mod payload;
mod retry;
mod schedule;
mod schedule_view;
mod task;
mod text;
mod time;
mod view;

pub(crate) use duration::{Duration, duration_text};
pub(crate) use headers::Headers;
pub(crate) use payload::{Body, body_of};
pub(crate) use retry::RetryDto;
pub(crate) use schedule::{ScheduleInput, merged};
pub(crate) use schedule_view::{
    BackfillInput, NoteInput, PreviewDto, RevisionDto, RevisionList, RollbackInput, RunRequestedDto,
    ScheduleDto, ScheduleList, ScheduleShow, TriggerInput,
};
pub(crate) use task::{
    BulkSummary, MoveInput, RefusedLine, TaskHandleDto, TaskInput, choice, name_refused, parse_queue,
};
pub(crate) use text::Text;
pub(crate) use time::{parse_time, time_text};
pub(crate) use view::{
    CancelledList, DeadLetterDto, DeadLetterList, LoadDto, LoadList, NamespaceDto, NamespaceInput,
    NamespaceList, PartitionDto, PartitionList, QueueDto, QueueList, ReplayedDto, SelectionInput, TaskDto,
    TaskList, TaskShow,
};
