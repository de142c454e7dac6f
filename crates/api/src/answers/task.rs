//! Tasks.

use std::collections::BTreeMap;

use minutehand_model::{Guarantee, OutcomeKind, Precision, TaskState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Offset, PartitionNumber, page};
use crate::{ChainedTask, Payload, Problem, Retry};

/// Where a created task stands: keep it to find the task again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "namespace": "default", "id": "order-17", "partition": 3, "due_at": "2027-01-31T08:00:00.000Z", "offset": 4711,
}))]
pub struct TaskHandle {
    /// The name space of the id.
    pub namespace: String,
    /// The id.
    pub id: String,
    /// The key that it was created with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The partition it lives in.
    pub partition: PartitionNumber,
    /// When it runs.
    #[schema(format = DateTime)]
    pub due_at: String,
    /// The log offset of its creation.
    pub offset: Offset,
}

/// One due time of a task. What it carries is absent once it is no longer kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "namespace": "default", "id": "order-17", "partition": 3, "offset": 4711, "state": "scheduled",
    "due_at": "2027-01-31T08:00:00.000Z", "attempt": 1, "queue": "mail", "payload": "{\"order\":17}",
    "retry": { "policy": "exponential", "base_ms": 1000, "cap_ms": 300_000, "max_attempts": 10 },
    "guarantee": "at-least-once", "precision": "normal", "priority": 4,
}))]
pub struct Task {
    /// The name space of the id.
    pub namespace: String,
    /// The id.
    pub id: String,
    /// The key that it was created with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The partition it lives in.
    pub partition: PartitionNumber,
    /// The log offset of the record that says so; absent when only the history knows of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
    /// How far it has come.
    pub state: TaskState,
    /// When it runs or ran.
    #[schema(format = DateTime)]
    pub due_at: String,
    /// Which attempt it is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The stream its execution goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// What it carries.
    #[serde(flatten)]
    #[schema(inline)]
    pub payload: Payload,
    /// Names and values for the worker.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What happens when it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How often its effect may happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guarantee: Option<Guarantee>,
    /// How close to its time it is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// How urgent it is among what waits in its queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// The id of the schedule that it is a run of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The task that is created when it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<ChainedTask>,
    /// The task that is created when it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<ChainedTask>,
    /// What the run that succeeded has said, while the history keeps it: up to 64 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// How its runs ended, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Outcome>,
}

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// The idempotency key of the attempt.
    pub execution_id: String,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Why it failed, or what the executor says of it; of more than 4 KiB the beginning.
    pub detail: String,
    /// When the handler started.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When the handler ended.
    #[schema(format = DateTime)]
    pub ended_at: String,
}

/// A task: the due time it stands at, and the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskDetails {
    /// The due time it stands at.
    #[serde(flatten)]
    pub latest: Task,
    /// Its other due times (attempts before this one, times it was moved from), the latest first.
    pub earlier: Vec<Task>,
}

/// Tasks: those that wait in order of due time and id, those that have ended the newest end first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskPage {
    /// The tasks. A page may be short, or empty, and have more behind it.
    pub tasks: Vec<Task>,
    /// Give it back for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
page!(TaskPage, tasks: Task);

/// The due times at which a task was cancelled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CancelledTasks {
    /// One for each.
    pub cancelled: Vec<Task>,
    /// The due times whose runs were asked to stop, or killed: `?running=…`. The history tells how
    /// they ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(format = DateTime)]
    pub stopping: Vec<String>,
}

/// A line of the answer to a bulk creation in lines: first the summary, then the refused lines in
/// order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum BulkLine {
    /// A line that made no task.
    Refused(RefusedLine),
    /// What became of all lines.
    Summary(BulkSummary),
}

/// The first line of the answer to a bulk creation in lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "accepted": 999, "refused": 1 }))]
pub struct BulkSummary {
    /// Tasks that are durable.
    pub accepted: u64,
    /// Lines that made no task. Each follows as a line of its own, the first 10,000 of them.
    pub refused: u64,
}

/// The answer to a bulk creation in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "accepted": 1, "refused": 1,
    "refused_lines": [{ "line": 2, "problem": {
        "type": "urn:minutehand:problem:invalid-field", "title": "Value not accepted", "status": 422,
        "detail": "due_at: is missing; one of due_at and delay, given neither",
        "field": "due_at", "limit": "one of due_at and delay", "given": "neither",
    } }],
}))]
pub struct BulkReport {
    /// Tasks that are durable.
    pub accepted: u64,
    /// Those that made no task.
    pub refused: u64,
    /// Which, and why; the first 10,000 of them.
    pub refused_lines: Vec<RefusedLine>,
}

/// What of a bulk creation made no task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedLine {
    /// Its line, or its place in the list: counted from 1, empty lines included.
    pub line: u64,
    /// Why.
    pub problem: Problem,
}

/// A bulk creation that a failing store ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkStopped {
    /// What failed.
    #[serde(flatten)]
    pub problem: Problem,
    /// Tasks that are durable.
    pub accepted: u64,
    /// Lines (or tasks of the list) that made no task and would make none if they were sent again.
    pub refused: u64,
    /// Every line before this one is settled. Of this one and those behind it some may have been
    /// created.
    pub resume_from_line: u64,
    /// The refused lines, the first 10,000 of them.
    pub refused_lines: Vec<RefusedLine>,
}
