//! Queues and dead letters.

use std::collections::BTreeMap;

use minutehand_model::QueueState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PartitionNumber, page};
use crate::{NamespaceLimit, Payload};

/// A queue and how full it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "queue": "mail", "group": "default", "state": "paused", "waiting": 12, "oldest_at": "2027-01-31T08:00:00.000Z",
    "paused": { "since": "2027-01-31T08:01:00.000Z", "by": "ops", "until": "2027-01-31T09:00:00.000Z", "reason": "the provider is down" }, "in_progress": 2, "settled": 4000, "dead_letters": 1,
}))]
pub struct Queue {
    /// Its name.
    pub queue: String,
    /// The worker group the numbers are for.
    pub group: String,
    /// Whether it hands out its executions.
    pub state: QueueState,
    /// Published and not settled, those in progress included.
    pub waiting: u64,
    /// When the oldest of them was published, where the store can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub oldest_at: Option<String>,
    /// Handed out and not settled.
    pub in_progress: u64,
    /// Settled so far.
    pub settled: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// The last time it was paused; kept for a day after it was resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// Executions a second that a worker group is handed at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second_max: Option<u32>,
    /// Executions of one key that are at work at once in a worker group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_per_key: Option<u32>,
    /// Executions a second of each namespace that a worker group is handed at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_per_second: Option<u32>,
    /// Namespaces that get something else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, NamespaceLimit>,
    /// When it is paused by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerTold>,
    /// What was published up to then is not run any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub purged_through: Option<String>,
}

/// When a queue is paused by itself, and how it opens again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BreakerTold {
    /// So many attempts in a row have failed at one process.
    pub failures: u32,
    /// How often one execution is handed out then.
    pub probe_every: String,
    /// How many executions a second come out, once it is open, of those that waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_per_second: Option<u32>,
}

/// How a queue was paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Paused {
    /// Since when.
    #[schema(format = DateTime)]
    pub since: String,
    /// Who paused it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it opens by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// How often one execution is handed out meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_every: Option<String>,
    /// How many executions a second come out, once it is open, of those that waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_per_second: Option<u32>,
    /// When it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub opened_at: Option<String>,
    /// Who opened it: a person, or a probe that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<String>,
}

/// Every queue that was ever published to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queues {
    /// In order of their names.
    pub queues: Vec<Queue>,
}

/// A task that failed for the last time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "number": 7, "queue": "mail", "partition": 3, "namespace": "default", "id": "order-17",
    "due_at": "2027-01-31T08:00:00.000Z", "dead_at": "2027-01-31T08:09:11.000Z", "attempts": 10,
    "reason": "the server answered 500", "payload": "{\"order\":17}",
}))]
pub struct DeadLetter {
    /// By this it is replayed or discarded.
    pub number: u64,
    /// The queue it was published to.
    pub queue: String,
    /// The partition it came from.
    pub partition: PartitionNumber,
    /// The name space of the task's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The task's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When its last attempt was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub due_at: Option<String>,
    /// When it was given up.
    #[schema(format = DateTime)]
    pub dead_at: String,
    /// Attempts in all.
    pub attempts: u32,
    /// Why the last one failed.
    pub reason: String,
    /// What it carries.
    #[serde(flatten)]
    #[schema(inline)]
    pub payload: Payload,
    /// Why its task cannot be understood, when that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// Dead letters in the order in which they were given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterPage {
    /// The dead letters.
    pub dead_letters: Vec<DeadLetter>,
    /// Give it back for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
page!(DeadLetterPage, dead_letters: DeadLetter);

/// Which dead letters are meant: some numbers, all that are like a filter, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "numbers": [7, 8] }))]
pub struct DeadLetterSelection {
    /// 1 to 1,000 numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Vec<u64>>,
    /// Those that are like this, up to 10,000 in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<DeadLetterFilter>,
    /// All of them, up to 10,000 in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
}

/// What dead letters must be like, in everything that is given; something must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "namespace": "shop", "reason": "HTTP 503", "since": "2026-11-30T07:00:00Z" }))]
pub struct DeadLetterFilter {
    /// The namespace of their tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A part of their reasons, 1 to 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// They were given up at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub since: Option<String>,
    /// They were given up before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub before: Option<String>,
}

/// What a replay or discard did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "count": 2, "unreadable": 0, "more": false }))]
pub struct DeadLettersSettled {
    /// Letters taken away; by a replay, their tasks run again.
    pub count: usize,
    /// Letters that stay because their tasks cannot be understood.
    pub unreadable: usize,
    /// There are more; call again.
    pub more: bool,
}
