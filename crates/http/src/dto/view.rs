//! Tasks, queues, partitions and load as callers get to see them.

use std::collections::BTreeMap;

use minutehand_model::{Guarantee, Outcome, OutcomeKind, Phase, Precision, Task, TaskState, Timestamp};
use minutehand_node::{Damage, LetterView, MinuteLoad, PartitionView, QueueView, Replayed, TaskView};
use minutehand_request::{Body, RetryDto, time_text};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::place::{OffsetDto, PartitionNumberDto};

/// One due time of a task.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskDto {
    namespace: String,
    id: String,
    partition: PartitionNumberDto,
    /// The log offset of the record that says so; absent when only the history knows of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<OffsetDto>,
    state: TaskState,
    #[schema(format = DateTime)]
    due_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(flatten)]
    #[schema(inline)]
    task: Option<TaskBody>,
    /// How its runs ended, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outcomes: Vec<OutcomeDto>,
}

/// What a task carries; absent once it is no longer kept.
#[derive(Debug, Serialize, ToSchema)]
struct TaskBody {
    queue: String,
    #[serde(flatten)]
    body: Body,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    retry: RetryDto,
    guarantee: Guarantee,
    precision: Precision,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
}

/// The end of one attempt.
#[derive(Debug, Serialize, ToSchema)]
struct OutcomeDto {
    /// The idempotency key of the attempt.
    execution_id: String,
    attempt: u32,
    outcome: OutcomeKind,
    detail: String,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    ended_at: String,
}

impl From<&Task> for TaskBody {
    fn from(task: &Task) -> TaskBody {
        TaskBody {
            queue: task.queue.to_string(),
            body: Body::from(&task.payload),
            headers: task.headers.iter().cloned().collect(),
            retry: task.retry.into(),
            guarantee: task.guarantee,
            precision: task.precision,
            schedule: task.origin.as_ref().map(|origin| origin.schedule.to_string()),
        }
    }
}

impl From<&Outcome> for OutcomeDto {
    fn from(outcome: &Outcome) -> OutcomeDto {
        OutcomeDto {
            execution_id: outcome.execution.to_string(),
            attempt: outcome.attempt,
            outcome: outcome.kind,
            detail: outcome.detail.clone(),
            started_at: time_text(outcome.started_at),
            ended_at: time_text(outcome.ended_at),
        }
    }
}

impl From<&TaskView> for TaskDto {
    fn from(view: &TaskView) -> TaskDto {
        TaskDto {
            namespace: view.namespace.to_string(),
            id: view.id.to_string(),
            partition: view.partition.into(),
            offset: view.offset.map(OffsetDto::from),
            state: view.state,
            due_at: time_text(view.due),
            attempt: view.attempt,
            task: view.task.as_ref().map(TaskBody::from),
            outcomes: view.outcomes.iter().map(OutcomeDto::from).collect(),
        }
    }
}

/// A task: the due time it stands at, and the others.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskShow {
    #[serde(flatten)]
    pub(crate) latest: TaskDto,
    /// Its other due times (attempts before this one, times it was moved from), the latest first.
    pub(crate) earlier: Vec<TaskDto>,
}

/// Tasks in order of due time and id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskList {
    #[schema(value_type = Vec<TaskDto>)]
    pub(crate) tasks: Vec<Box<RawValue>>,
    /// Give it back for the next page; absent at the end. A page may be short, or empty, and have more behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// The due times at which a task was cancelled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CancelledList {
    pub(crate) cancelled: Vec<TaskDto>,
}

/// A queue and how full it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueDto {
    queue: String,
    /// The worker group the numbers are for.
    group: String,
    /// Published and not settled, those in progress included.
    waiting: u64,
    /// Handed out and not settled.
    in_progress: u64,
    /// Settled so far.
    settled: u64,
    dead_letters: u64,
}

impl QueueDto {
    pub(crate) fn new(view: &QueueView, group: &str) -> QueueDto {
        QueueDto {
            queue: view.name.to_string(),
            group: group.to_owned(),
            waiting: view.depth.waiting,
            in_progress: view.depth.in_progress,
            settled: view.depth.settled,
            dead_letters: view.depth.dead_letters,
        }
    }
}

/// Every queue that was ever published to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueList {
    pub(crate) queues: Vec<QueueDto>,
}

/// A task that failed for the last time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterDto {
    /// By this it is replayed or discarded.
    number: u64,
    queue: String,
    partition: PartitionNumberDto,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    due_at: Option<String>,
    /// When it was given up.
    #[schema(format = DateTime)]
    dead_at: String,
    attempts: u32,
    reason: String,
    #[serde(flatten)]
    body: Body,
    /// Why its task cannot be understood, when that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

impl From<&LetterView> for DeadLetterDto {
    fn from(view: &LetterView) -> DeadLetterDto {
        let task = view.task.as_ref().ok();
        DeadLetterDto {
            number: view.number,
            queue: view.letter.queue.to_string(),
            partition: view.letter.partition.into(),
            namespace: task.map(|task| task.namespace.to_string()),
            id: task.map(|task| task.id.to_string()),
            due_at: task.map(|task| time_text(task.due)),
            dead_at: time_text(view.letter.at),
            attempts: view.letter.attempts,
            reason: view.letter.reason.clone(),
            body: task.map(|task| Body::from(&task.payload)).unwrap_or_default(),
            unreadable: view.task.as_ref().err().cloned(),
        }
    }
}

/// Dead letters in the order in which they were given up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterList {
    #[schema(value_type = Vec<DeadLetterDto>)]
    pub(crate) dead_letters: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// Which dead letters are meant: some numbers, or all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SelectionInput {
    /// 1 to 1,000 numbers.
    #[serde(default)]
    pub(crate) numbers: Option<Vec<u64>>,
    /// All of them, up to 10,000 in one call.
    #[serde(default)]
    pub(crate) all: Option<bool>,
}

/// What a replay or discard did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayedDto {
    /// Letters taken away; by a replay, their tasks run again.
    count: usize,
    /// Letters that stay because their tasks cannot be understood.
    unreadable: usize,
    /// There are more; call again.
    more: bool,
}

impl From<Replayed> for ReplayedDto {
    fn from(replayed: Replayed) -> ReplayedDto {
        ReplayedDto { count: replayed.count, unreadable: replayed.unreadable, more: replayed.more }
    }
}

/// Every partition of the installation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartitionList {
    /// How many partitions there are in all.
    pub(crate) count: u32,
    pub(crate) partitions: Vec<PartitionDto>,
}

/// Where a partition stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartitionDto {
    partition: PartitionNumberDto,
    /// How far its owner is; without one the numbers are 0.
    phase: Phase,
    /// The fencing number of its owner.
    epoch: u64,
    /// A: the log is applied up to here.
    applied: OffsetDto,
    log_end: OffsetDto,
    /// R: a new owner reads the log from here.
    replay_from: OffsetDto,
    /// Records and blocks that its owner has set aside because they could not be used, since it owns the partition.
    set_aside: u64,
    /// F: everything due up to then has been published. Absent while nothing has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    published_until: Option<String>,
    /// The timetable is in memory up to here. Absent while nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    loaded_until: Option<String>,
    near_tasks: usize,
    near_bytes: usize,
    pending_entries: usize,
    /// Tasks in memory that were missed and are caught up with.
    backlog_tasks: usize,
    /// More of them wait in the timetable for their turn, and are not counted.
    backlog_is_partly_unread: bool,
    /// When the oldest of them is due, counted or not. Absent when nothing is caught up with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    backlog_oldest: Option<String>,
    /// The memory that the partition takes, about.
    memory_bytes: usize,
    /// Why it has stopped and what to do. Absent while it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<&PartitionView> for PartitionDto {
    fn from(view: &PartitionView) -> PartitionDto {
        let status = &view.status;
        let shown =
            |at: Timestamp| (at.as_millis() > 0 && at <= Timestamp::END_OF_YEAR_9999).then(|| time_text(at));
        PartitionDto {
            partition: view.partition.into(),
            phase: view.phase,
            epoch: status.epoch.0,
            applied: status.applied.into(),
            log_end: status.log_end.into(),
            replay_from: status.replay_from.into(),
            set_aside: status.set_aside,
            published_until: shown(status.frontier.floor().due),
            loaded_until: shown(status.loaded_until),
            near_tasks: status.near_tasks,
            near_bytes: status.near_bytes,
            pending_entries: status.pending_entries,
            backlog_tasks: status.backlog_tasks,
            backlog_is_partly_unread: status.backlog_is_partly_unread,
            backlog_oldest: status.backlog_oldest.and_then(shown),
            memory_bytes: status.memory_bytes,
            reason: status.stop_reason.clone(),
        }
    }
}

/// What a store has met damaged.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DamageList {
    pub(crate) damage: Vec<DamageDto>,
}

/// Something stored that was damaged and was passed over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DamageDto {
    /// Where it stands: `log of partition 3, row at offset 17`.
    position: String,
    /// What is wrong with it.
    reason: String,
}

impl From<Damage> for DamageDto {
    fn from(Damage { position, reason }: Damage) -> DamageDto {
        DamageDto { position, reason }
    }
}

/// The load per minute, over all partitions; empty minutes are left out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoadList {
    pub(crate) buckets: Vec<LoadDto>,
}

/// The load of one minute.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoadDto {
    /// The start of the minute.
    #[schema(format = DateTime)]
    minute: String,
    /// Tasks in all; occurrences of schedules are not counted.
    tasks: u64,
    /// Of these in the timetable, duplicates and cancelled ones included.
    stored: u64,
    /// Of these in memory only.
    in_memory: u64,
    /// Stored bytes.
    bytes: u64,
}

impl From<(Timestamp, MinuteLoad)> for LoadDto {
    fn from((minute, load): (Timestamp, MinuteLoad)) -> LoadDto {
        let MinuteLoad { stored, in_memory, bytes } = load;
        LoadDto { minute: time_text(minute), tasks: stored + in_memory, stored, in_memory, bytes }
    }
}

/// A namespace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamespaceDto {
    pub(crate) namespace: String,
}

/// The namespaces known to this node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamespaceList {
    /// `on-first-use`, or `listed` when only the configured ones exist.
    pub(crate) created: &'static str,
    pub(crate) namespaces: Vec<String>,
}

/// A namespace to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamespaceInput {
    /// Letters, digits, `.`, `_` and `-`, at most 64 bytes.
    pub(crate) name: String,
}
