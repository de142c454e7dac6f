//! Why an operation was not carried out: one enum per operation, built from what they share.

use std::sync::Arc;

use minutehand_api::InvalidField;
use minutehand_model::{LogOffset, OrderKey, PartitionId, ScheduleId, TaskState, Timestamp};
use minutehand_ports::PortError;

/// The partition or a store cannot answer now; trying again later may help.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    /// Nobody owns the partition here, or its owner is still taking over.
    #[error("partition {partition} has no owner that is ready ({phase}); try again in a moment")]
    NotReady {
        /// Which partition.
        partition: PartitionId,
        /// How far its owner is.
        phase: String,
    },
    /// The owner has not applied what the log held when the question came.
    #[error(
        "partition {partition} has applied its log up to {applied}, wanted is {wanted}; try again in a moment"
    )]
    Behind {
        /// Which partition.
        partition: PartitionId,
        /// How far it is.
        applied: LogOffset,
        /// How far it should be.
        wanted: LogOffset,
    },
    /// A store failed.
    #[error(transparent)]
    Store(Arc<PortError>),
    /// A stored record could not be understood.
    #[error("{what} could not be understood: {reason}")]
    Corrupt {
        /// Which record.
        what: String,
        /// Why.
        reason: String,
    },
}

impl From<PortError> for Unavailable {
    fn from(error: PortError) -> Unavailable {
        Unavailable::Store(Arc::new(error))
    }
}

/// Why a task was not created.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateError {
    /// A value was refused; nothing was written.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// The log did not answer; the task may or may not exist.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why something was not found.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookupError {
    /// There is nothing of that name.
    #[error("there is no {what} {name:?}")]
    NotFound {
        /// `task`, `schedule`, `revision`.
        what: &'static str,
        /// What was looked for.
        name: String,
    },
    /// It could not be looked up.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl LookupError {
    /// There is no such task or schedule, of that key where one is named.
    pub(super) fn not_found(what: &'static str, id: &str, key: Option<&OrderKey>) -> LookupError {
        let name = match key {
            Some(key) => format!("{id} of key {key}"),
            None => id.to_owned(),
        };
        LookupError::NotFound { what, name }
    }
}

/// Why a listing or another question was not answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// A value was refused.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// It could not be looked up.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a task was not cancelled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CancelError {
    /// There is no such task.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It has gone out (or has been cancelled before).
    #[error("the task due at {due} cannot be cancelled: it is {}", state.as_str())]
    TooLate {
        /// Its due time.
        due: Timestamp,
        /// What it is.
        state: TaskState,
    },
}

/// Why no run was asked to stop.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StopError {
    /// A value was refused, or is needed.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// There is no such task.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Nothing of it has gone out, or all that has, has ended.
    #[error("no run of the task goes on, as far as is known: it is {}; give due_at where one does", state.as_str())]
    NotRunning {
        /// What it is.
        state: TaskState,
    },
}

impl From<PortError> for StopError {
    fn from(error: PortError) -> StopError {
        Unavailable::from(error).into()
    }
}

/// Why a task was not moved.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RescheduleError {
    /// The new time was refused.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// There is no such task.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It has several due times; say which.
    #[error("the task has {} due times, say which one is to be moved: {}", dues.len(), joined(dues))]
    Ambiguous {
        /// The due times to choose from.
        dues: Vec<Timestamp>,
    },
    /// It has gone out, and the caller wanted it moved only if it had not.
    #[error("the task due at {due} cannot be moved: it is {}", state.as_str())]
    TooLate {
        /// Its due time.
        due: Timestamp,
        /// What it is.
        state: TaskState,
    },
    /// It has gone out and its payload is no longer kept here.
    #[error(
        "the task due at {due} has been published and its payload is no longer kept; create it again"
    )]
    BodyForgotten {
        /// Its due time.
        due: Timestamp,
    },
}

fn joined(dues: &[Timestamp]) -> String {
    dues.iter()
        .take(10)
        .map(Timestamp::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Why a schedule was not created.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateScheduleError {
    /// A value was refused; nothing was written.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// It exists, with another definition.
    #[error("the schedule exists with another definition, at revision {current}")]
    Exists {
        /// Its newest revision.
        current: u64,
    },
    /// A schedule of this id with another key lives in the partition.
    #[error("the id {id} is taken by a schedule with {}", key_in_words(key.as_ref()))]
    OtherKey {
        /// The id of both.
        id: ScheduleId,
        /// The other's key.
        key: Option<OrderKey>,
    },
    /// The partition or the log did not answer; the schedule may or may not exist.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

fn key_in_words(key: Option<&OrderKey>) -> String {
    key.map_or_else(|| "no key".to_owned(), |key| format!("the key {key}"))
}

/// Why a schedule was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReviseError {
    /// A value was refused; nothing was written.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// There is no such schedule or revision.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It is at another revision than the caller expected.
    #[error("the schedule is at revision {current}")]
    Conflict {
        /// Its newest revision.
        current: u64,
        /// The caller named the revision it expected.
        expected: Option<u64>,
    },
}

/// Why a run was not asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BackfillError {
    /// A value was refused; nothing was written.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// There is no such schedule.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

macro_rules! unavailable_through_lookup {
    ($($error:ty),+) => {
        $(impl From<Unavailable> for $error {
            fn from(error: Unavailable) -> $error {
                LookupError::from(error).into()
            }
        })+
    };
}

unavailable_through_lookup!(
    CancelError,
    StopError,
    RescheduleError,
    ReviseError,
    BackfillError
);
