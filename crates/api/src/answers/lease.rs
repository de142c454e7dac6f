//! Leases, and what became of answers to them.

use std::collections::BTreeMap;

use minutehand_model::choice;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Payload;

/// An execution on lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    /// What it is answered by. Who knows it may answer: it is a secret.
    pub lease_id: String,
    /// Grows with every hand-out of the execution; compared as text. A receiver of its effects
    /// refuses one that is less than the greatest it has seen.
    pub delivery_token: String,
    /// The id of the attempt: the same however often it is handed out.
    pub execution_id: String,
    /// The id of the message: the same over all attempts and replays.
    pub message_id: String,
    /// The name space of the task's id.
    pub namespace: String,
    /// The task's id.
    pub task_id: String,
    /// The task's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The schedule that it is an occurrence of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// When this attempt was due.
    #[schema(format = DateTime)]
    pub due_at: String,
    /// Counted from 1.
    pub attempt: u32,
    /// What it carries.
    #[serde(flatten)]
    #[schema(inline)]
    pub payload: Payload,
    /// The task's headers.
    pub headers: BTreeMap<String, String>,
    /// When the lease ends unless it is answered or extended.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// Executions on lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Leases {
    /// None when there was none in the time that was waited.
    pub leases: Vec<Lease>,
}

choice!(
    /// What became of an answer to a lease.
    LeaseStatus, "status" {
        /// It is durable.
        Done = "done",
        /// There is no such lease, or none any more: the execution is, or will be, in other hands,
        /// or was answered before.
        LeaseLost = "lease-lost",
        /// The run is to stop, so its lease does not last longer than it does.
        StopRequested = "stop-requested",
        /// It is not known whether the answer counts. If it does not, the execution is handed out
        /// again.
        Unavailable = "unavailable",
    }
);

/// What became of an answer to a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseAnswered {
    /// The lease, as it was written.
    pub lease_id: String,
    /// What became of it.
    pub status: LeaseStatus,
}

/// What became of answers to leases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeasesAnswered {
    /// In the order of the request.
    pub items: Vec<LeaseAnswered>,
}
