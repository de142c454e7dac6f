//! From an occurrence to the task that is published for it.

use minutehand_model::{
    LogOffset, Namespace, Origin, Publication, ScheduleDefinition, ScheduleId, Task, TaskId, Timestamp,
    WaitingRun,
};

/// The suffix of a run that was asked for by `trigger`.
pub(crate) const TRIGGERED: &str = "/trigger";
/// The suffix of a run that was asked for by `backfill`.
pub(crate) const BACKFILLED: &str = "/backfill";

/// What a published occurrence is called: the schedule's id, `@`, and the nominal time, with a suffix for runs by request.
pub(crate) fn task_id(schedule: &ScheduleId, nominal: Timestamp, suffix: &str) -> TaskId {
    TaskId::parse(&format!("{schedule}@{nominal}{suffix}"))
        .expect("a schedule id leaves room for a time, and a time has allowed characters only")
}

/// The publication of one run of a schedule.
pub(crate) fn publication(
    namespace: &Namespace,
    schedule: &ScheduleId,
    definition: &ScheduleDefinition,
    run: Run<'_>,
) -> Publication {
    let action = &definition.action;
    let completion_wanted =
        definition.overlap != minutehand_model::OverlapPolicy::AllowAll || definition.pause_on_failure;
    let task = Task {
        namespace: namespace.clone(),
        id: task_id(schedule, run.nominal, run.suffix),
        queue: action.queue.clone(),
        due: run.due,
        payload: action.payload.clone(),
        headers: action.headers.clone(),
        retry: action.retry,
        guarantee: action.guarantee,
        precision: action.precision,
        attempt: 1,
        first_due: run.due,
        replay_of: None,
        origin: Some(Origin { schedule: schedule.clone(), nominal: run.nominal, completion_wanted }),
        verbatim: action.verbatim.clone(),
    };
    Publication { offset: run.offset, task: minutehand_record::task::record(&task) }
}

/// When and as what an occurrence runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) nominal: Timestamp,
    pub(crate) due: Timestamp,
    pub(crate) suffix: &'a str,
    pub(crate) offset: LogOffset,
}

impl Run<'_> {
    /// What waited runs as what it was when it began to wait.
    pub(crate) fn after_waiting(waiting: WaitingRun, created_offset: LogOffset) -> Run<'static> {
        let WaitingRun { nominal, trigger } = waiting;
        let suffix = if trigger.is_some() { TRIGGERED } else { "" };
        Run { nominal, due: nominal, suffix, offset: trigger.unwrap_or(created_offset) }
    }
}
