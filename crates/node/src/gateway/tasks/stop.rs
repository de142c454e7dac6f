//! Cancelling runs that have begun, or wait in their queue.

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
    /// A task of which nothing is known and no due time given, a queue that is not known, and a
    /// store that does not answer.
    pub async fn stop_runs(
        &self,
        name: &TaskName,
        runs: &RunsToStop,
    ) -> Result<Vec<Timestamp>, StopError> {
        let known = self.views(name).await?;
        let has_gone_out =
            |view: &&TaskView| matches!(view.state, TaskState::Published | TaskState::Retried);
        let dues: Vec<Timestamp> = match runs.due {
            Some(due) => vec![due],
            None => known
                .iter()
                .filter(has_gone_out)
                .map(|view| view.due)
                .collect(),
        };
        if dues.is_empty() {
            return match known.first() {
                Some(view) => Err(StopError::NotRunning { state: view.state }),
                None => Err(not_found(name).into()),
            };
        }
        let queue = runs
            .queue
            .clone()
            .or_else(|| known.iter().find_map(queue_of));
        let queue = queue.ok_or_else(|| {
            let limit = "the queue it was published to: it is not kept with the task any more";
            InvalidField::new("queue", "is missing", limit, "")
        })?;
        self.queue_names
            .admit(&name.namespace, &queue, self.now())?;
        let stop = |due: &Timestamp| Stop {
            key: name.key(),
            due: *due,
            kill: runs.how == RunCancel::Kill,
        };
        let stops = dues.iter().map(stop).collect();
        self.stores.queue.ask_to_stop(&queue, stops).await?;
        Ok(dues)
    }
}

fn queue_of(view: &TaskView) -> Option<QueueName> {
    let ended = view
        .outcomes
        .iter()
        .find_map(|outcome| outcome.task.as_ref());
    let task = view.task.as_ref().map(|task| &task.queue);
    task.or(ended.map(|task| &task.queue)).cloned()
}
