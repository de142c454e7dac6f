//! Commands: the records of the log. Nothing else changes a partition.

use bytes::Bytes;

use crate::execution::OutcomeKind;
use crate::name::{Namespace, QueueName, ScheduleId};
use crate::offset::LogOffset;
use crate::policy::{Guarantee, OverlapPolicy, Precision};
use crate::schedule::Revision;
use crate::task::{Task, TaskKey};
use crate::time::Timestamp;

/// A task as the engine carries it: what it must know, and the whole in its encoded form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRecord {
    /// The fingerprint of namespace and id.
    pub key: TaskKey,
    /// The stream its execution goes to.
    pub queue: QueueName,
    /// When it runs.
    pub due: Timestamp,
    /// What is promised about its effect.
    pub guarantee: Guarantee,
    /// How close to its due time it is published.
    pub precision: Precision,
    /// The task in the encoding of the `record` crate.
    pub encoded: Bytes,
}

/// One record of the command log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a task at its due time. The same key and due time twice is one task.
    Create(TaskRecord),
    /// Do not run the task that is due then, if it has not been published.
    Cancel {
        /// Which task.
        key: TaskKey,
        /// Its due time.
        due: Timestamp,
    },
    /// Run it at another time, but only if it has not been published: resolved into `Moved` by the
    /// owner.
    Move {
        /// Which task.
        key: TaskKey,
        /// Its present due time.
        due: Timestamp,
        /// The task with its new due time.
        task: TaskRecord,
    },
    /// Run it at another time, whether or not it has been published at the old one.
    Replace {
        /// Which task.
        key: TaskKey,
        /// Its present due time.
        due: Timestamp,
        /// The task with its new due time.
        task: TaskRecord,
    },
    /// A `Move` that the owner decided to carry out; written by the tick's transaction only.
    Moved {
        /// Which task.
        key: TaskKey,
        /// Its former due time.
        due: Timestamp,
        /// The task with its new due time.
        task: TaskRecord,
    },
    /// A new revision of a schedule; ignored unless its number follows the newest one.
    Revise(Box<Revision>),
    /// Run a schedule's action once, now.
    Trigger {
        /// The name space of the id.
        namespace: Namespace,
        /// Which schedule.
        schedule: ScheduleId,
        /// Used instead of the schedule's own overlap policy.
        overlap: Option<OverlapPolicy>,
    },
    /// Run the occurrences of a past or future range, as if they were due now.
    Backfill {
        /// The name space of the id.
        namespace: Namespace,
        /// Which schedule.
        schedule: ScheduleId,
        /// First nominal time, inclusive.
        from: Timestamp,
        /// Last nominal time, inclusive.
        to: Timestamp,
    },
    /// A run that a schedule waits for has ended.
    Completed {
        /// The fingerprint of the run's namespace and task id.
        key: TaskKey,
        /// When its first attempt was due; `None`: whichever run of that id is meant.
        due: Option<Timestamp>,
        /// How it ended (never `Retried`).
        kind: OutcomeKind,
    },
    /// What is left of a backfill does not run.
    StopBackfill {
        /// The name space of the id.
        namespace: Namespace,
        /// Which schedule.
        schedule: ScheduleId,
        /// The log offset of its request.
        backfill: LogOffset,
    },
    /// Nothing waits any longer for the runs of a schedule that are in progress.
    ForgetRuns {
        /// The name space of the id.
        namespace: Namespace,
        /// Which schedule.
        schedule: ScheduleId,
    },
}

impl Command {
    /// What the schedule hears that waits for the end of a task's run; `None` when none does.
    pub fn completed(task: &Task, kind: OutcomeKind) -> Option<Command> {
        task.origin
            .as_ref()
            .filter(|origin| origin.completion_wanted)?;
        Some(Command::Completed {
            key: task.key(),
            due: Some(task.first_due),
            kind,
        })
    }

    /// The word for its kind, in metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Command::Create(_) => "create",
            Command::Cancel { .. } => "cancel",
            Command::Move { .. } => "move",
            Command::Replace { .. } => "replace",
            Command::Moved { .. } => "moved",
            Command::Revise(_) => "revise",
            Command::Trigger { .. } => "trigger",
            Command::Backfill { .. } => "backfill",
            Command::Completed { .. } => "completed",
            Command::StopBackfill { .. } => "stop-backfill",
            Command::ForgetRuns { .. } => "forget-runs",
        }
    }
}
