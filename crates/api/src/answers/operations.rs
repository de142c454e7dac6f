//! Namespaces, partitions, damage and load.

use minutehand_model::{Phase, choice};
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
    "near_bytes": 16_000, "pending_entries": 3, "backlog_tasks": 0, "backlog_is_partly_unread": false,
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
    /// When the oldest of them is due, counted or not. Absent when nothing is caught up with.
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
    /// Tasks in all; occurrences of schedules are not counted.
    pub tasks: u64,
    /// Of these in the timetable, duplicates and cancelled ones included.
    pub stored: u64,
    /// Of these in memory only.
    pub in_memory: u64,
    /// Stored bytes.
    pub bytes: u64,
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
