//! What is told of schedules.

use minutehand_engine::Phase;
use minutehand_model::{
    Outcome, PartitionId, RevisionEntry, ScheduleId, ScheduleState, TaskState, Timestamp,
};

/// A schedule's newest revision and what comes next.
#[derive(Clone, Debug)]
pub struct ScheduleHead {
    /// The partition it lives in.
    pub partition: PartitionId,
    /// The newest revision.
    pub head: RevisionEntry,
    /// What it remembers about itself.
    pub state: ScheduleState,
    /// The next nominal time, and when that is due with its jitter.
    pub next: Option<(Timestamp, Timestamp)>,
}

/// One run of a schedule.
#[derive(Clone, Debug)]
pub struct RunView {
    /// The task id of its executions.
    pub task_id: String,
    /// The time its calendar names.
    pub nominal: Timestamp,
    /// How far it has come.
    pub state: TaskState,
    /// The end of its latest attempt, when the history knows one.
    pub last_outcome: Option<Outcome>,
}

/// A schedule with everything that answers "why has it not run?".
#[derive(Clone, Debug)]
pub struct ScheduleView {
    /// The schedule.
    pub schedule: ScheduleHead,
    /// The word for how far its partition's owner is; `None` without one.
    pub owner_phase: Phase,
    /// The newest runs, newest first.
    pub runs: Vec<RunView>,
    /// The reasons in words, the weightiest first; what happens next when there is nothing to
    /// explain.
    pub why: Vec<String>,
}

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct SchedulePage {
    /// Schedules in order of their ids.
    pub schedules: Vec<ScheduleHead>,
    /// The last id of this page when there are more.
    pub next: Option<ScheduleId>,
}
