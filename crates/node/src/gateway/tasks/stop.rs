//! Cancelling runs that have begun, or wait in their queue.

use std::collections::BTreeMap;

use minutehand_model::{QueueName, RunCancel, Timestamp};
use minutehand_ports::Stop;

use super::TaskName;
use super::find::not_found;
use crate::gateway::{Gateway, InvalidField, StopError, TaskState, TaskView};

/// Runs of a task that are to be cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunsToStop {
    /// The due time of their first attempt; `None`: every due time that is known and has not ended.
    pub due: Option<Timestamp>,
    /// The queue they were published to; `None`: the one that is known.
    pub queue: Option<QueueName>,
    /// How they are cancelled.
    pub how: RunCancel,
}

impl Gateway {
    /// Asks the runs of a task to stop, or kills them, in whichever process they are; answers the due
    /// times that were named. An attempt that follows is not begun.
    ///
    /// # Errors
    /// A task of which nothing is known, one that has not gone out or has ended, a queue that is not
    /// known or not the task's, and a store that does not answer.
    pub async fn stop_runs(
        &self,
        name: &TaskName,
        runs: &RunsToStop,
    ) -> Result<Vec<Timestamp>, StopError> {
        let known = self.views(name).await?;
        let dues = self.dues_to_stop(name, runs, &known)?;
        let mut stops: BTreeMap<QueueName, Vec<Stop>> = BTreeMap::new();
        let mut said = None;
        for due in &dues {
            let queue = match (queue_of(*due, &known), &said) {
                (Some(queue), _) => of_run(queue, runs, *due)?,
                (None, Some(queue)) => QueueName::clone(queue),
                (None, None) => said.insert(self.said_queue(runs, &known).await?).clone(),
            };
            stops.entry(queue).or_default().push(Stop {
                key: name.key(),
                due: *due,
                kill: runs.how == RunCancel::Kill,
            });
        }
        for (queue, stops) in stops {
            self.stores.queue.ask_to_stop(&queue, stops).await?;
        }
        Ok(dues)
    }

    /// The due times of the runs that are meant. What has not gone out is not among them: a request
    /// would wait for it, and stop one that is created later.
    fn dues_to_stop(
        &self,
        name: &TaskName,
        runs: &RunsToStop,
        known: &[TaskView],
    ) -> Result<Vec<Timestamp>, StopError> {
        let Some(due) = runs.due else {
            let going_on = known.iter().filter(|view| goes_on(view, known));
            let dues: Vec<Timestamp> = going_on.map(|view| view.due).collect();
            return match known.first() {
                _ if !dues.is_empty() => Ok(dues),
                Some(view) => Err(StopError::NotRunning { state: view.state }),
                None => Err(not_found(name).into()),
            };
        };
        match known.iter().find(|view| view.due == due) {
            Some(view) if has_gone_out(view) => Ok(vec![due]),
            Some(view) => Err(StopError::NotRunning { state: view.state }),
            None if due > self.now() => Err(not_found(name).into()),
            // Of one that has gone out long ago nobody knows but who runs it.
            None => Ok(vec![due]),
        }
    }

    /// The queue of a run of which it is not known: the one that was said, or that of another due
    /// time.
    async fn said_queue(
        &self,
        runs: &RunsToStop,
        known: &[TaskView],
    ) -> Result<QueueName, StopError> {
        let Some(given) = runs.queue.clone() else {
            let of_others = known.iter().find_map(|view| view.queue.clone());
            return of_others.ok_or_else(|| {
                let limit = "the queue it was published to: nobody knows it any more";
                InvalidField::new("queue", "is missing", limit, "").into()
            });
        };
        if self.stores.queue.queues().await?.contains(&given) {
            return Ok(given);
        }
        let limit = "one that executions were published to";
        Err(InvalidField::new("queue", "is not known", limit, given).into())
    }
}

/// The queue that the run of a due time was published to.
fn queue_of(due: Timestamp, known: &[TaskView]) -> Option<&QueueName> {
    let of_due = known.iter().find(|view| view.due == due)?;
    of_due.queue.as_ref()
}

/// The queue of a run, unless another one was said.
fn of_run(queue: &QueueName, runs: &RunsToStop, due: Timestamp) -> Result<QueueName, InvalidField> {
    match &runs.queue {
        Some(given) if given != queue => {
            let limit = format!("{queue}, which the run of {due} was published to");
            Err(InvalidField::new("queue", "is another one", limit, given))
        }
        _ => Ok(queue.clone()),
    }
}

fn has_gone_out(view: &TaskView) -> bool {
    matches!(view.state, TaskState::Published | TaskState::Retried)
}

/// Whether a run may still go on, as far as is known: one that was tried again has ended when an
/// attempt after it has.
fn goes_on(view: &TaskView, all: &[TaskView]) -> bool {
    let ends_it = |other: &TaskView| {
        other.due > view.due && !matches!(other.state, TaskState::Scheduled) && !has_gone_out(other)
    };
    has_gone_out(view) && (view.state == TaskState::Published || !all.iter().any(ends_it))
}
