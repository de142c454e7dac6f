//! Schedules as callers get to see them, and what they may ask of them.

use minutehand_model::{
    Backfill, OverlapPolicy, Phase, RevisionEntry, RunInProgress, ScheduleId, ScheduleState, ScheduleStatus,
    Stopping, TaskState,
};
use minutehand_node::{Preview, RunRequested, RunView, ScheduleHead, ScheduleView};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use minutehand_request::{DefinitionDto, time_text};

use super::place::{OffsetDto, PartitionNumberDto};

/// A schedule: its newest revision and what comes next.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleDto {
    namespace: String,
    id: String,
    /// The number of its newest revision; also in the `ETag`.
    revision: u64,
    partition: PartitionNumberDto,
    state: ScheduleStatus,
    paused: bool,
    note: String,
    author: String,
    #[schema(format = DateTime)]
    revised_at: String,
    /// The time its calendar names next.
    #[schema(format = DateTime)]
    next_nominal_at: Option<String>,
    /// That time with its jitter: when it runs next.
    #[schema(format = DateTime)]
    next_at: Option<String>,
    #[serde(flatten)]
    definition: Option<DefinitionDto>,
}

impl From<&ScheduleHead> for ScheduleDto {
    fn from(schedule: &ScheduleHead) -> ScheduleDto {
        let revision = &schedule.head.revision;
        let state = match () {
            () if revision.paused => ScheduleStatus::Paused,
            () if schedule.state.paused_by_failure_at.is_some() => ScheduleStatus::PausedByFailure,
            () if schedule.next.is_none() => ScheduleStatus::Ended,
            () => ScheduleStatus::Active,
        };
        ScheduleDto {
            namespace: revision.namespace.to_string(),
            id: revision.schedule.to_string(),
            revision: revision.number,
            partition: schedule.partition.into(),
            state,
            paused: revision.paused,
            note: revision.note.clone(),
            author: revision.author.clone(),
            revised_at: time_text(schedule.head.appended_at),
            next_nominal_at: schedule.next.map(|(nominal, _)| time_text(nominal)),
            next_at: schedule.next.map(|(_, due)| time_text(due)),
            definition: revision.definition.as_ref().map(DefinitionDto::from),
        }
    }
}

/// A schedule with everything that answers "why has it not run?".
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleShow {
    #[serde(flatten)]
    schedule: ScheduleDto,
    /// How far the owner of its partition is.
    owner: Phase,
    /// The reasons in words, the weightiest first.
    why: Vec<String>,
    counts: CountsDto,
    /// Nominal times of the runs that have not ended and that others wait for.
    running: Vec<String>,
    /// Those runs, and those that were killed and have not told their end.
    runs_in_progress: Vec<RunInProgressDto>,
    /// Nominal times that wait for the end of a run.
    waiting: Vec<String>,
    /// Ranges of nominal times that are still to be run by request.
    backfills: Vec<BackfillDto>,
    /// What happened to it, newest first.
    events: Vec<EventDto>,
    /// The newest runs, newest first.
    runs: Vec<RunDto>,
}

/// How many occurrences were run or left out so far.
#[derive(Debug, Serialize, ToSchema)]
struct CountsDto {
    started: u64,
    /// Left out because of the overlap policy.
    skipped: u64,
    /// Left out because of the misfire policy.
    missed: u64,
}

/// A run that has been published and of whose end nothing has been heard.
#[derive(Debug, Serialize, ToSchema)]
struct RunInProgressDto {
    /// The task id of its executions.
    task_id: String,
    #[schema(format = DateTime)]
    nominal_at: String,
    /// When its first attempt was due.
    #[schema(format = DateTime)]
    due_at: String,
    /// The queue that it was published to.
    queue: String,
    #[schema(format = DateTime)]
    started_at: String,
    /// When its newest retry is due, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    retry_at: Option<String>,
    /// When it is given up if nothing is heard of it.
    #[schema(format = DateTime)]
    deadline_at: String,
    stopping: Stopping,
}

/// A backfill: a range of nominal times that are still to be run by request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackfillDto {
    /// What it is called, to stop it: the log offset of its request.
    id: String,
    /// Exclusive.
    #[schema(format = DateTime)]
    after: String,
    /// Inclusive.
    #[schema(format = DateTime)]
    to: String,
}

/// One line of a schedule's memory.
#[derive(Debug, Serialize, ToSchema)]
struct EventDto {
    /// In words: `started`, `skipped: the previous run had not ended`.
    what: &'static str,
    #[schema(format = DateTime)]
    nominal_at: String,
    #[schema(format = DateTime)]
    at: String,
}

/// One run of a schedule.
#[derive(Debug, Serialize, ToSchema)]
struct RunDto {
    /// The task id of its executions.
    task_id: String,
    #[schema(format = DateTime)]
    nominal_at: String,
    state: TaskState,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

impl From<&ScheduleView> for ScheduleShow {
    fn from(view: &ScheduleView) -> ScheduleShow {
        let state: &ScheduleState = &view.schedule.state;
        let times = |times: &mut dyn Iterator<Item = &minutehand_model::Timestamp>| {
            times.map(|at| time_text(*at)).collect()
        };
        ScheduleShow {
            schedule: ScheduleDto::from(&view.schedule),
            owner: view.owner_phase,
            why: view.why.clone(),
            counts: CountsDto { started: state.runs_started, skipped: state.skipped, missed: state.missed },
            running: times(&mut state.runs_that_count().map(|run| &run.nominal)),
            runs_in_progress: state
                .running
                .iter()
                .map(|run| run_in_progress(&view.schedule.head.revision.schedule, run))
                .collect(),
            waiting: times(&mut state.buffered.iter().map(|waiting| &waiting.nominal)),
            backfills: backfills(state),
            events: state
                .events
                .iter()
                .rev()
                .map(|event| EventDto {
                    what: event.kind.as_str(),
                    nominal_at: time_text(event.nominal),
                    at: time_text(event.at),
                })
                .collect(),
            runs: view.runs.iter().map(RunDto::from).collect(),
        }
    }
}

fn backfills(state: &ScheduleState) -> Vec<BackfillDto> {
    let one = |backfill: &Backfill| BackfillDto {
        id: backfill.offset.to_string(),
        after: time_text(backfill.after),
        to: time_text(backfill.to),
    };
    state.backfills.iter().map(one).collect()
}

/// The backfills of a schedule, in the order in which they run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackfillList {
    backfills: Vec<BackfillDto>,
}

impl From<&ScheduleState> for BackfillList {
    fn from(state: &ScheduleState) -> BackfillList {
        BackfillList { backfills: backfills(state) }
    }
}

fn run_in_progress(schedule: &ScheduleId, run: &RunInProgress) -> RunInProgressDto {
    RunInProgressDto {
        task_id: run.cause.task_id(schedule, run.nominal).to_string(),
        nominal_at: time_text(run.nominal),
        due_at: time_text(run.due),
        queue: run.queue.to_string(),
        started_at: time_text(run.started_at),
        retry_at: run.retry_due.map(time_text),
        deadline_at: time_text(run.deadline),
        stopping: match run.stop {
            None => Stopping::No,
            Some(stop) if stop.kill => Stopping::Killed,
            Some(_) => Stopping::Asked,
        },
    }
}

impl From<&RunView> for RunDto {
    fn from(run: &RunView) -> RunDto {
        let outcome = run.last_outcome.as_ref();
        RunDto {
            task_id: run.task_id.clone(),
            nominal_at: time_text(run.nominal),
            state: run.state,
            attempt: outcome.map(|outcome| outcome.attempt),
            detail: outcome.map(|outcome| outcome.detail.clone()).filter(|detail| !detail.is_empty()),
            ended_at: outcome.map(|outcome| time_text(outcome.ended_at)),
        }
    }
}

/// Schedules in order of their ids.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleList {
    #[schema(value_type = Vec<ScheduleDto>)]
    pub(crate) schedules: Vec<Box<RawValue>>,
    /// Give it back for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// One revision of a schedule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevisionDto {
    revision: u64,
    #[schema(format = DateTime)]
    revised_at: String,
    author: String,
    note: String,
    paused: bool,
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<DefinitionDto>,
}

impl From<&RevisionEntry> for RevisionDto {
    fn from(entry: &RevisionEntry) -> RevisionDto {
        RevisionDto {
            revision: entry.revision.number,
            revised_at: time_text(entry.appended_at),
            author: entry.revision.author.clone(),
            note: entry.revision.note.clone(),
            paused: entry.revision.paused,
            deleted: entry.revision.definition.is_none(),
            definition: entry.revision.definition.as_ref().map(DefinitionDto::from),
        }
    }
}

/// Revisions of a schedule, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevisionList {
    #[schema(value_type = Vec<RevisionDto>)]
    pub(crate) revisions: Vec<Box<RawValue>>,
    /// Give it back for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// The next times of a schedule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewDto {
    /// The recurrence in English.
    description: String,
    /// Nominal times, without jitter.
    next: Vec<String>,
    /// What the next clock changes do to it.
    notes: Vec<NoteDto>,
}

/// A clock change that touches a schedule.
#[derive(Debug, Serialize, ToSchema)]
struct NoteDto {
    #[schema(format = DateTime)]
    at: String,
    message: String,
}

impl From<Preview> for PreviewDto {
    fn from(preview: Preview) -> PreviewDto {
        PreviewDto {
            description: preview.description,
            next: preview.times.into_iter().map(time_text).collect(),
            notes: preview
                .notes
                .into_iter()
                .map(|(at, message)| NoteDto { at: time_text(at), message })
                .collect(),
        }
    }
}

/// A request for runs that is durable.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunRequestedDto {
    partition: PartitionNumberDto,
    /// The log offset of the request.
    offset: OffsetDto,
    /// Runs asked for, or that nobody waits for any more.
    runs: usize,
}

impl From<RunRequested> for RunRequestedDto {
    fn from(requested: RunRequested) -> RunRequestedDto {
        RunRequestedDto {
            partition: requested.partition.into(),
            offset: requested.offset.into(),
            runs: requested.runs,
        }
    }
}

/// Why, for the list of revisions.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoteInput {
    /// At most 1,024 bytes.
    #[serde(default)]
    pub(crate) note: Option<String>,
}

/// Which revision to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackInput {
    /// The number of the revision whose definition is to be in force again.
    pub(crate) to_revision: u64,
    /// Why.
    #[serde(default)]
    pub(crate) note: Option<String>,
}

/// How to run it now.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriggerInput {
    /// Instead of the schedule's own overlap policy.
    #[serde(default)]
    pub(crate) overlap: Option<OverlapPolicy>,
}

/// The range to run, both ends included.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackfillInput {
    #[schema(format = DateTime)]
    pub(crate) from: String,
    #[schema(format = DateTime)]
    pub(crate) to: String,
}

/// Which backfill.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopBackfillInput {
    /// Its id, from the list of the schedule's backfills.
    pub(crate) backfill: String,
}

/// Nothing is to be said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NothingInput {}
