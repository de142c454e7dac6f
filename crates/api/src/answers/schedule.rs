//! Schedules, and what can be asked of them.

use minutehand_model::{OverlapPolicy, Phase, ScheduleStatus, Stopping, TaskState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Offset, PartitionNumber, page};
use crate::Definition;

/// A schedule: its newest revision and what comes next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "namespace": "default", "id": "nightly", "revision": 2, "partition": 3, "state": "active", "paused": false,
    "note": "an hour later", "author": "anonymous", "revised_at": "2027-01-30T12:00:00.000Z",
    "next_nominal_at": "2027-01-31T03:00:00.000Z", "next_at": "2027-01-31T03:00:00.000Z",
    "cron": "0 4 * * *", "time_zone": "Europe/Berlin", "dst": "vixie", "exclude": [], "jitter_ms": 0,
    "misfire": { "rule": "all", "window_ms": 31_536_000_000_i64, "grace_ms": 60_000 },
    "overlap": "skip", "pause_on_failure": false, "queue": "jobs", "payload": "", "headers": {},
    "retry": { "policy": "exponential", "base_ms": 1000, "cap_ms": 300_000, "max_attempts": 10 },
    "guarantee": "at-least-once", "precision": "normal", "priority": 4,
}))]
pub struct Schedule {
    /// The name space of the id.
    pub namespace: String,
    /// The id.
    pub id: String,
    /// The number of its newest revision; also in the `ETag`.
    pub revision: u64,
    /// The partition it lives in.
    pub partition: PartitionNumber,
    /// Whether it runs.
    pub state: ScheduleStatus,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// Why it was revised.
    pub note: String,
    /// Who revised it.
    pub author: String,
    /// When it was revised.
    #[schema(format = DateTime)]
    pub revised_at: String,
    /// The time its calendar names next; null when there is none.
    #[schema(format = DateTime, required = true)]
    pub next_nominal_at: Option<String>,
    /// That time with its jitter: when it runs next; null when it does not.
    #[schema(format = DateTime, required = true)]
    pub next_at: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub definition: Option<Definition>,
}

/// A schedule with everything that answers "why has it not run?".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleDetails {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// How far the owner of its partition is.
    pub owner: Phase,
    /// The reasons in words, the weightiest first.
    pub why: Vec<String>,
    /// What became of its occurrences.
    pub counts: Counts,
    /// Nominal times of the runs that have not ended and that others wait for.
    pub running: Vec<String>,
    /// Those runs, and those that were killed and have not told their end.
    pub runs_in_progress: Vec<RunInProgress>,
    /// Nominal times that wait for the end of a run.
    pub waiting: Vec<String>,
    /// Ranges of nominal times that are still to be run by request.
    pub backfills: Vec<Backfill>,
    /// What happened to it, newest first.
    pub events: Vec<Event>,
    /// The newest runs, newest first.
    pub runs: Vec<Run>,
}

/// How many occurrences were run or left out so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Started.
    pub started: u64,
    /// Left out because of the overlap policy.
    pub skipped: u64,
    /// Left out because of the misfire policy.
    pub missed: u64,
}

/// A run that has been published and of whose end nothing has been heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunInProgress {
    /// The task id of its executions.
    pub task_id: String,
    /// Its nominal time.
    #[schema(format = DateTime)]
    pub nominal_at: String,
    /// When its first attempt was due.
    #[schema(format = DateTime)]
    pub due_at: String,
    /// The queue that it was published to.
    pub queue: String,
    /// When it was published.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When its newest retry is due, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub retry_at: Option<String>,
    /// When it is given up if nothing is heard of it.
    #[schema(format = DateTime)]
    pub deadline_at: String,
    /// Whether it is to stop.
    pub stopping: Stopping,
}

/// A backfill: a range of nominal times that are still to be run by request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backfill {
    /// What it is called, to stop it: the log offset of its request.
    pub id: String,
    /// Exclusive.
    #[schema(format = DateTime)]
    pub after: String,
    /// Inclusive.
    #[schema(format = DateTime)]
    pub to: String,
}

/// The backfills of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backfills {
    /// In the order in which they run.
    pub backfills: Vec<Backfill>,
}

/// One line of a schedule's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// In words: `started`, `skipped: the previous run had not ended`.
    pub what: String,
    /// The nominal time it concerns.
    #[schema(format = DateTime)]
    pub nominal_at: String,
    /// When it happened.
    #[schema(format = DateTime)]
    pub at: String,
}

/// One run of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// The task id of its executions.
    pub task_id: String,
    /// Its nominal time.
    #[schema(format = DateTime)]
    pub nominal_at: String,
    /// How far it has come.
    pub state: TaskState,
    /// Its newest attempt that has ended, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What is said of that attempt's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When that attempt ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
}

/// Schedules in order of their ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SchedulePage {
    /// The schedules.
    pub schedules: Vec<Schedule>,
    /// Give it back for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
page!(SchedulePage, schedules: Schedule);

/// One revision of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    /// Its number, from 1.
    pub revision: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub revised_at: String,
    /// Who made it.
    pub author: String,
    /// Why.
    pub note: String,
    /// Whether the schedule was paused.
    pub paused: bool,
    /// Whether the schedule was deleted.
    pub deleted: bool,
    /// What the schedule was; absent when it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<Definition>,
}

/// Revisions of a schedule, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionPage {
    /// The revisions.
    pub revisions: Vec<Revision>,
    /// Give it back for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
page!(RevisionPage, revisions: Revision);

/// The next times of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "description": "At 04:00, every day", "next": ["2027-01-31T03:00:00.000Z", "2027-02-01T03:00:00.000Z"],
    "notes": [{ "at": "2027-03-28T01:00:00.000Z", "message": "the clocks go forward from 02:00 to 03:00" }],
}))]
pub struct SchedulePreview {
    /// The recurrence in English.
    pub description: String,
    /// Nominal times, without jitter.
    pub next: Vec<String>,
    /// What the next clock changes do to it.
    pub notes: Vec<ClockChange>,
}

/// A clock change that touches a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockChange {
    /// When the clocks change.
    #[schema(format = DateTime)]
    pub at: String,
    /// What that does, in words.
    pub message: String,
}

/// A request for runs that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "partition": 3, "offset": 4712, "runs": 1 }))]
pub struct RunsRequested {
    /// The schedule's partition.
    pub partition: PartitionNumber,
    /// The log offset of the request.
    pub offset: Offset,
    /// Runs asked for, or that nobody waits for any more.
    pub runs: usize,
}

/// Why, for the list of revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "note": "the report is late today" }))]
pub struct RevisionNote {
    /// At most 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Which revision to go back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "to_revision": 2 }))]
pub struct Rollback {
    /// The number of the revision whose definition is to be in force again.
    pub to_revision: u64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How to run it now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "overlap": "allow-all" }))]
pub struct Trigger {
    /// Instead of the schedule's own overlap policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<OverlapPolicy>,
}

/// The range to run, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from": "2027-01-01T00:00:00Z", "to": "2027-01-07T00:00:00Z" }))]
pub struct BackfillRange {
    /// The first nominal time that is meant.
    #[schema(format = DateTime)]
    pub from: String,
    /// The last one.
    #[schema(format = DateTime)]
    pub to: String,
}

/// Which backfill is to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "backfill": "4711" }))]
pub struct BackfillStop {
    /// Its id, from the list of the schedule's backfills.
    pub backfill: String,
}

/// Nothing is to be said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}
