//! From an occurrence to the task that is published for it.

use minutehand_model::{
    LogOffset, Namespace, Origin, Publication, RunCause, ScheduleDefinition, ScheduleId, Task,
    Timestamp, WaitingRun,
};

/// When and as what an occurrence runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) nominal: Timestamp,
    pub(crate) due: Timestamp,
    pub(crate) cause: RunCause,
    /// The record that it stems from.
    pub(crate) offset: LogOffset,
    /// Whether somebody waits for its end.
    pub(crate) is_awaited: bool,
}

impl Run {
    /// What waited runs as what it was when it began to wait, and is not due before it runs.
    pub(crate) fn after_waiting(
        waiting: WaitingRun,
        created_offset: LogOffset,
        now: Timestamp,
    ) -> Run {
        let WaitingRun {
            nominal,
            trigger,
            is_alone: _,
        } = waiting;
        let cause = if trigger.is_some() {
            RunCause::Trigger
        } else {
            RunCause::Calendar
        };
        Run {
            nominal,
            due: nominal.min(now),
            cause,
            offset: trigger.unwrap_or(created_offset),
            is_awaited: true,
        }
    }
}

/// The publication of one run of a schedule.
pub(crate) fn publication(
    namespace: &Namespace,
    schedule: &ScheduleId,
    definition: &ScheduleDefinition,
    run: Run,
) -> Publication {
    let origin = Origin {
        schedule: schedule.clone(),
        nominal: run.nominal,
        completion_wanted: run.is_awaited,
    };
    let id = run.cause.task_id(schedule, run.nominal);
    let task = Task {
        origin: Some(origin),
        ..definition
            .action
            .clone()
            .into_task(namespace.clone(), id, run.due)
    };
    Publication {
        offset: run.offset,
        task: minutehand_record::task::record(&task),
    }
}
