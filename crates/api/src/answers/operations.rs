//! Namespaces, partitions, damage, load and the ledger.

use minutehand_model::{Difference, Phase, Verdict, choice};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Offset, PartitionNumber};

/// Every partition of the installation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Partitions {
    /// How many partitions there are in all.
    pub count: u32,
    /// Where each stands.
    pub partitions: Vec<Partition>,
}

/// Where a partition stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "partition": 3, "phase": "owning", "epoch": 17, "applied": 4712, "log_end": 4712, "replay_from": 4700, "set_aside": 0,
    "published_until": "2027-01-31T07:59:59.900Z", "loaded_until": "2027-01-31T08:00:30.000Z", "near_tasks": 40,
    "near_bytes": 16_000, "pending_entries": 3, "backlog_tasks": 0, "backlog_schedules": 0, "backlog_is_partly_unread": false,
    "memory_bytes": 1_048_576,
}))]
pub struct Partition {
    /// Which one.
    pub partition: PartitionNumber,
    /// How far its owner is; without one the numbers are 0.
    pub phase: Phase,
    /// The fencing number of its owner.
    pub epoch: u64,
    /// A: the log is applied up to here.
    pub applied: Offset,
    /// The end of the log.
    pub log_end: Offset,
    /// R: a new owner reads the log from here.
    pub replay_from: Offset,
    /// Records and blocks that its owner has set aside because they could not be used, since it
    /// owns the partition.
    pub set_aside: u64,
    /// F: everything due up to then has been published. Absent while nothing has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub published_until: Option<String>,
    /// The timetable is in memory up to here. Absent while nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub loaded_until: Option<String>,
    /// Tasks in memory because they are due soon.
    pub near_tasks: usize,
    /// Their bytes.
    pub near_bytes: usize,
    /// Entries that wait to be written to the timetable.
    pub pending_entries: usize,
    /// Tasks in memory that were missed and are caught up with.
    pub backlog_tasks: usize,
    /// More of them wait in the timetable for their turn, and are not counted.
    pub backlog_is_partly_unread: bool,
    /// Schedules with occurrences that were missed and are caught up with.
    pub backlog_schedules: usize,
    /// When the oldest of what is caught up with is due, counted or not. Absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub backlog_oldest: Option<String>,
    /// The memory that the partition takes, about.
    pub memory_bytes: usize,
    /// Why it has stopped and what to do. Absent while it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which records of a partition's log are to be passed over, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "offset": 0, "reason": "stops its partition" }))]
pub struct NewSkip {
    /// The position of the first one in the partition's log.
    pub offset: u64,
    /// The position of the last one; the first is the only one unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<u64>,
    /// Why; it is kept with the records that are set aside.
    pub reason: String,
}

/// Records that are passed over from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Skip {
    /// The partition.
    pub partition: u32,
    /// The position of the first record.
    pub offset: u64,
    /// The position of the last record.
    pub through: u64,
    /// Why.
    pub reason: String,
}

/// What a store has met damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DamageReport {
    /// Oldest first.
    pub damage: Vec<Damage>,
}

/// Something stored that was damaged and was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Damage {
    /// Where it stands: `log of partition 3, row at offset 17`.
    pub position: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The load per minute, over all partitions; empty minutes are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Load {
    /// In order of time.
    pub buckets: Vec<MinuteLoad>,
}

/// The load of one minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MinuteLoad {
    /// The start of the minute.
    #[schema(format = DateTime)]
    pub minute: String,
    /// Tasks in all, one that was created again counted again; occurrences of schedules are not
    /// counted.
    pub tasks: u64,
    /// Of these in the timetable, duplicates and cancelled ones included.
    pub stored: u64,
    /// Of these in memory only.
    pub in_memory: u64,
    /// Stored bytes.
    pub bytes: u64,
}

/// What the ledger says of a minute: did everything run that was due?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "minute": "2026-11-29T09:00:00.000Z", "verdict": "complete", "partitions": [{
        "partition": 3, "verdict": "complete", "differences": [], "expected": 1201, "published": 1201, "late": 1,
        "recurring": 100, "early": 0, "withdrawn": 4, "left_out": 0, "stored": 1000, "found": 1000, "dead_letters": 2,
        "digest": "89ab0123cdef4567", "closed_before": "2026-11-29T09:05:00.000Z",
    }],
}))]
pub struct Audit {
    /// The start of the minute.
    #[schema(format = DateTime)]
    pub minute: String,
    /// The worst of all partitions.
    pub verdict: Verdict,
    /// Every partition.
    pub partitions: Vec<PartitionAudit>,
}

/// What the ledger says of a minute of one partition; without a row the numbers are 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionAudit {
    /// Which one.
    pub partition: PartitionNumber,
    /// Whether everything ran that was due.
    pub verdict: Verdict,
    /// In what the counts differ.
    pub differences: Vec<Difference>,
    /// Executions that were to be published: tasks and attempts that were due, those that came late
    /// and those of schedules.
    pub expected: u64,
    /// Executions that were published.
    pub published: u64,
    /// Of those, tasks that came when their time had passed already.
    pub late: u64,
    /// Of those, occurrences of schedules.
    pub recurring: u64,
    /// Of those, tasks that were published before they were due: 0, or something is wrong.
    pub early: u64,
    /// Tasks that were not to run: cancelled, moved, or created again.
    pub withdrawn: u64,
    /// Occurrences of schedules that a policy has left out.
    pub left_out: u64,
    /// Records of this minute that had been stored in the timetable, as the owner has decided them.
    pub stored: u64,
    /// The same as they are found there; absent when they are too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// Dead letters that are kept of executions that were due in the minute; absent when there are
    /// too many letters to look through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<u64>,
    /// The sum of the fingerprints of what was published, in hexadecimal.
    pub digest: String,
    /// Up to where the partition's owner is done with minutes: an earlier one that has no row gets
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub closed_before: Option<String>,
}

choice!(
    /// How namespaces come to be.
    NamespaceCreation, "created" {
        /// By their first use.
        OnFirstUse = "on-first-use",
        /// Only the configured ones exist.
        Listed = "listed",
    }
);

/// The namespaces known to this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Namespaces {
    /// How they come to be.
    pub created: NamespaceCreation,
    /// Their names.
    pub namespaces: Vec<String>,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamespaceName {
    /// Its name.
    pub namespace: String,
}

/// A namespace to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "shop" }))]
pub struct NewNamespace {
    /// Letters, digits, `.`, `_` and `-`, at most 64 bytes.
    pub name: String,
}
