//! The domain's nouns: time, names, tasks, schedules, policies and their limits.
//!
//! Nothing here reads a clock, allocates an identifier at random or knows how a value is stored or
//! sent. Names, ids, times, numbers and policies are parsed once, at the door, and valid from then
//! on. A task or a definition is what was asked for; whether it may be is said by `minutehand-api`,
//! which knows calendars and what time it is.

pub mod chain;
pub mod choice;
pub mod command;
pub mod date;
mod dead_letter;
pub mod execution;
mod free_dues;
pub mod gate;
mod lease_word;
pub mod ledger;
pub mod limits;
pub mod name;
pub mod offset;
pub mod partition;
pub mod partition_id;
pub mod placement;
pub mod policy;
pub mod run;
pub mod schedule;
pub mod state;
pub mod task;
pub mod tick;
pub mod time;
pub mod time_range;
pub mod timetable;
pub mod verbatim;

pub use chain::{Branch, Chain, ChainEnd, ChainedTask};
pub use choice::{Choice, UnknownChoice};
pub use command::{Command, TaskRecord};
pub use dead_letter::DeadLetter;
pub use execution::{
    DeliveryToken, EndedTask, Execution, ExecutionId, IdParts, LastWord, MessageId, Outcome,
    OutcomeKind,
};
pub use free_dues::{FreeDues, GIVEN_DUES_MAX, PUT_OFF_MS};
pub use gate::{Breaker, Gate, NamespaceRules, Opening, Purge, QueueRules, QueueState};
pub use lease_word::LeaseWord;
pub use ledger::{Difference, Found, LedgerRow, Minutes, Sum, Tally, Verdict};
pub use name::{
    GroupName, NameError, Namespace, OrderKey, QueueName, ScheduleId, TaskId, TopicName,
};
pub use offset::{LogGeneration, LogOffset};
pub use partition::{Checkpoint, Epoch, Frontier, Gap, Place, Stretch};
pub use partition_id::PartitionId;
pub use policy::{
    Backoff, BackoffKind, DstRule, Guarantee, MisfirePolicy, MisfireRule, MoveMode, OverlapPolicy,
    Persist, Precision, Priority, PriorityError, RetryPolicy,
};
pub use run::{Backfill, RunCause, RunInProgress, StopAsked, WaitingRun};
pub use schedule::{
    ActionTemplate, RecurrenceSpec, Rest, Revision, ScheduleDefinition, ScheduleEvent,
    ScheduleEventKind, ScheduleState,
};
pub use state::{Phase, RunCancel, ScheduleStatus, Stopping, TaskState};
pub use task::{Origin, Task, TaskKey};
pub use tick::{Publication, ScheduleStateChange, SetAside, StopRequest, Tick};
pub use time::Timestamp;
pub use time_range::TimeRange;
pub use timetable::{Block, BucketLoad, Fact, RevisionEntry, TimetableEntry, TimetablePage};
pub use verbatim::{RecordKey, Verbatim};
