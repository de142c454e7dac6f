//! Waiting for the end of a task.

use std::time::Duration;

use tokio::time::Instant;

use super::TaskName;
use crate::gateway::{Gateway, LookupError, TaskState, TaskView};

/// The first pause between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause: a look reads the history, which has a price where it is a topic.
const PAUSE_MAX: Duration = Duration::from_secs(1);

impl Gateway {
    /// What [`find`](Gateway::find) says once the task has ended, or when the time is over.
    ///
    /// # Errors
    /// As `find`.
    pub async fn find_ended(
        &self,
        name: &TaskName,
        wait: Duration,
    ) -> Result<Vec<TaskView>, LookupError> {
        let deadline = Instant::now() + wait;
        let mut pause = PAUSE_MIN;
        loop {
            let views = self.find(name).await?;
            let stands_at = views.first().filter(|view| !view.state.has_ended());
            let Some(view) = stands_at.filter(|_| Instant::now() < deadline) else {
                return Ok(views);
            };
            // Before it is due it can only be cancelled or moved: one looks as rarely as may be.
            if view.state == TaskState::Scheduled && view.due > self.now() {
                let due_in = view.due.millis_since(self.now());
                let due_in = Duration::from_millis(due_in.unsigned_abs());
                pause = pause.max(due_in.min(PAUSE_MAX));
            }
            tokio::time::sleep_until((Instant::now() + pause).min(deadline)).await;
            pause = match view.state {
                TaskState::Scheduled => PAUSE_MIN,
                _ => (pause * 2).min(PAUSE_MAX),
            };
        }
    }
}
