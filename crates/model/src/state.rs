//! How far tasks, schedules and partitions have come, in a word each.

use crate::choice;
use crate::execution::OutcomeKind;

choice!(
    /// How far a task has come.
    TaskState, "state" {
        /// Waits for its due time.
        Scheduled = "scheduled",
        /// Is on its queue or with a worker, or has run without leaving a trace in the history.
        Published = "published",
        /// Has run well.
        Succeeded = "succeeded",
        /// This attempt failed; the next one is another due time of the same id.
        Retried = "retried",
        /// Failed for the last time.
        Dead = "dead",
        /// Was cancelled, or moved to another due time.
        Cancelled = "cancelled",
        /// Ended with the worker that had taken it.
        Lost = "lost",
        /// Its execution was gone before a worker had run it.
        Expired = "expired",
    }
);

impl TaskState {
    /// Whether nothing more becomes of it, as far as the history tells.
    pub const fn has_ended(self) -> bool {
        use TaskState::{Published, Retried, Scheduled};
        !matches!(self, Scheduled | Published | Retried)
    }
}

impl From<OutcomeKind> for TaskState {
    fn from(kind: OutcomeKind) -> TaskState {
        match kind {
            OutcomeKind::Succeeded => TaskState::Succeeded,
            OutcomeKind::Retried => TaskState::Retried,
            OutcomeKind::Dead => TaskState::Dead,
            OutcomeKind::Cancelled => TaskState::Cancelled,
            OutcomeKind::Lost => TaskState::Lost,
            OutcomeKind::Expired => TaskState::Expired,
        }
    }
}

choice!(
    /// How a run that has begun is cancelled.
    RunCancel, "running" {
        /// It is asked to stop, and killed when it has not after the worker's grace.
        Ask = "ask",
        /// It is killed at once.
        Kill = "kill",
    }
);

choice!(
    /// Whether a schedule runs.
    ScheduleStatus, "state" {
        /// It has a next time, or something waits for its turn.
        Active = "active",
        /// Somebody has paused it.
        Paused = "paused",
        /// It has paused itself after a run that failed.
        PausedByFailure = "paused-by-failure",
        /// It has no next time, and nothing waits.
        Ended = "ended",
    }
);

choice!(
    /// Whether a run in progress is to stop.
    Stopping, "stopping" {
        /// Nobody has asked for it.
        No = "no",
        /// It was asked to stop.
        Asked = "asked",
        /// It was killed, and nothing waits for it any more.
        Killed = "killed",
    }
);

choice!(
    /// Where the owner of a partition stands between taking it over and giving it up.
    Phase, "phase", default Waiting {
        /// The coordinator has not given the partition to this node.
        Waiting = "waiting",
        /// The sink is being opened: earlier owners are fenced, the checkpoint is read.
        Opening = "opening",
        /// Stored revisions and the first part of the timetable are being read.
        Loading = "loading",
        /// The log is being applied up to its end at take-over; nothing fires yet.
        Replaying = "replaying",
        /// Tasks fire.
        Owning = "owning",
        /// The partition is being given up: flush, checkpoint, release.
        HandingOver = "handing-over",
        /// Nothing more happens.
        Stopped = "stopped",
        /// Nobody is known to own the partition.
        Unowned = "unowned",
    }
);
