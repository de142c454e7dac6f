//! The answers to creations of tasks.

use minutehand_model::{Namespace, TaskId};
use minutehand_node::Created;
use minutehand_request::time_text;
use serde::Serialize;
use utoipa::ToSchema;

use super::place::{OffsetDto, PartitionNumberDto};
use crate::problem::{Problem, ProblemDetails};

/// Where a created task stands: keep it to find the task again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TaskHandleDto {
    namespace: String,
    id: String,
    partition: PartitionNumberDto,
    /// RFC 3339 in UTC with milliseconds.
    #[schema(format = DateTime)]
    due_at: String,
    /// The log offset of its creation.
    offset: OffsetDto,
}

impl TaskHandleDto {
    pub(crate) fn new(namespace: &Namespace, id: &TaskId, created: &Created) -> TaskHandleDto {
        TaskHandleDto {
            namespace: namespace.to_string(),
            id: id.to_string(),
            partition: created.handle.partition.into(),
            due_at: time_text(created.handle.due),
            offset: created.handle.offset.into(),
        }
    }
}

/// The first line of the answer to a bulk creation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct BulkSummary {
    /// Tasks that are durable.
    pub(crate) accepted: u64,
    /// Lines that made no task. Each follows as a line of its own, the first 10,000 of them.
    pub(crate) refused: u64,
}

/// A bulk creation that a failing store ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct BulkStopped {
    #[serde(flatten)]
    #[schema(value_type = ProblemDetails, inline)]
    pub(crate) problem: Problem,
    /// Tasks that are durable.
    pub(crate) accepted: u64,
    /// Lines that made no task and would make none if they were sent again.
    pub(crate) refused: u64,
    /// Every line before this one is settled. Of this one and those behind it some may have been created.
    pub(crate) resume_from_line: u64,
    /// The refused lines, the first 10,000 of them.
    pub(crate) refused_lines: Vec<RefusedLine>,
}

/// A line of a bulk creation that made no task.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RefusedLine {
    /// Counted from 1, empty lines included.
    pub(crate) line: u64,
    /// Why.
    #[schema(value_type = ProblemDetails)]
    pub(crate) problem: Problem,
}
