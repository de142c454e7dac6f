//! Cancelling and moving a task, and what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use minutehand_api::validate_due;
use minutehand_model::{Command, LogOffset, MoveMode, PartitionId, Task, Timestamp};
use tokio::time::{Instant, sleep};

use super::TaskName;
use super::find::not_found;
use crate::gateway::{CancelError, Gateway, RescheduleError, TaskState, TaskView, Unavailable};

/// How long to wait before looking again whether a move has been resolved.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Gateway {
    /// Cancels a task at one due time, or at every one at which it still waits; answers the
    /// cancelled ones.
    ///
    /// # Errors
    /// When nothing is known of it, when it has gone out, or when no answer could be had.
    pub async fn cancel(
        &self,
        name: &TaskName,
        due: Option<Timestamp>,
    ) -> Result<Vec<TaskView>, CancelError> {
        let before = self.views(name).await?;
        let chosen: Vec<&TaskView> = before
            .iter()
            .filter(|view| due.is_none_or(|due| view.due == due))
            .collect();
        let newest = *chosen.first().ok_or_else(|| not_found(name))?;
        let waiting: Vec<Timestamp> = waiting(chosen.iter().copied());
        if waiting.is_empty() {
            return match newest.state {
                // Cancelling twice is cancelling once.
                TaskState::Cancelled => Ok(vec![newest.clone()]),
                state => Err(CancelError::TooLate {
                    due: newest.due,
                    state,
                }),
            };
        }
        let mut cancels: BTreeMap<PartitionId, Vec<Command>> = BTreeMap::new();
        for view in chosen.iter().filter(|view| waiting.contains(&view.due)) {
            cancels
                .entry(view.partition)
                .or_default()
                .push(Command::Cancel {
                    key: name.key(),
                    due: view.due,
                });
        }
        for (partition, commands) in cancels {
            self.append_and_wait(partition, commands).await?;
        }
        let after: Vec<TaskView> = self
            .views(name)
            .await?
            .into_iter()
            .filter(|view| waiting.contains(&view.due))
            .collect();
        match after.iter().find(|view| view.state == TaskState::Cancelled) {
            Some(_) => Ok(after
                .into_iter()
                .filter(|view| view.state == TaskState::Cancelled)
                .collect()),
            None => {
                let state = after
                    .first()
                    .map_or(TaskState::Published, |view| view.state);
                Err(CancelError::TooLate {
                    due: newest.due,
                    state,
                })
            }
        }
    }

    /// Moves a task to another due time and answers it as it stands there. `due` says which one
    /// when there are several.
    ///
    /// # Errors
    /// A refused time, an unknown task, one that has gone out, or no answer.
    pub async fn reschedule(
        &self,
        name: &TaskName,
        due: Option<Timestamp>,
        to: Timestamp,
        mode: MoveMode,
    ) -> Result<TaskView, RescheduleError> {
        validate_due("due_at", to, self.now())?;
        let before = self.views(name).await?;
        let from = choose(name, &before, due)?;
        if from.state == TaskState::Scheduled && from.due == to {
            return Ok(from.clone());
        }
        if from.state != TaskState::Scheduled && mode == MoveMode::OnlyIfNotPublished {
            return Err(RescheduleError::TooLate {
                due: from.due,
                state: from.state,
            });
        }
        let body = from
            .task
            .clone()
            .ok_or(RescheduleError::BodyForgotten { due: from.due })?;
        let moved = minutehand_record::task::record(&moved_to(body, to));
        let (key, old) = (name.key(), from.due);
        let command = match mode {
            MoveMode::Replace => Command::Replace {
                key,
                due: old,
                task: moved,
            },
            MoveMode::OnlyIfNotPublished => Command::Move {
                key,
                due: old,
                task: moved,
            },
        };
        self.append_and_wait(from.partition, vec![command]).await?;
        self.moved(name, old, to).await
    }

    /// Waits until a move is resolved: the task is at its new time, or has gone out at the old one.
    async fn moved(
        &self,
        name: &TaskName,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<TaskView, RescheduleError> {
        let deadline = Instant::now() + Duration::from_millis(self.limits.apply_wait_ms_max);
        loop {
            let mut now = self.views(name).await?;
            let is_new = |view: &TaskView| view.due == to && view.state != TaskState::Cancelled;
            if let Some(index) = now.iter().position(is_new) {
                return Ok(now.swap_remove(index));
            }
            let old = now.iter().find(|view| view.due == from);
            let old = old.map(|view| view.state);
            match old {
                Some(state) if !matches!(state, TaskState::Scheduled | TaskState::Cancelled) => {
                    return Err(RescheduleError::TooLate { due: from, state });
                }
                _ if Instant::now() >= deadline => {
                    let state = old.unwrap_or(TaskState::Scheduled);
                    return Err(RescheduleError::TooLate { due: from, state });
                }
                _ => sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Appends commands to a partition's log and waits until its owner has applied them.
    /// Answers the offset of the first.
    pub(in crate::gateway) async fn append_and_wait(
        &self,
        partition: PartitionId,
        commands: Vec<Command>,
    ) -> Result<LogOffset, Unavailable> {
        let kinds: Vec<&str> = commands.iter().map(Command::kind).collect();
        let records = commands
            .iter()
            .map(minutehand_record::command::encode)
            .collect();
        let appended = self.append(partition, records).await?;
        kinds
            .into_iter()
            .for_each(|kind| self.metrics.accepted(kind, 1));
        self.applied(partition, appended.end().unwrap_or(LogOffset::START))
            .await?;
        Ok(appended
            .offsets
            .first()
            .copied()
            .unwrap_or(LogOffset::START))
    }
}

fn waiting<'a>(views: impl Iterator<Item = &'a TaskView>) -> Vec<Timestamp> {
    views
        .filter(|view| view.state == TaskState::Scheduled)
        .map(|view| view.due)
        .collect()
}

/// The due time meant: the one named, the only one that waits, or the latest.
fn choose<'a>(
    name: &TaskName,
    views: &'a [TaskView],
    due: Option<Timestamp>,
) -> Result<&'a TaskView, RescheduleError> {
    if let Some(due) = due {
        return Ok(views
            .iter()
            .find(|view| view.due == due)
            .ok_or_else(|| not_found(name))?);
    }
    let waiting: Vec<&TaskView> = views
        .iter()
        .filter(|view| view.state == TaskState::Scheduled)
        .collect();
    match waiting.as_slice() {
        [] => Ok(views.first().ok_or_else(|| not_found(name))?),
        [only] => Ok(only),
        several => Err(RescheduleError::Ambiguous {
            dues: several.iter().map(|view| view.due).collect(),
        }),
    }
}

/// The task with its new due time; a first attempt counts its age from there. A replay stays the
/// message that it is.
fn moved_to(mut task: Task, to: Timestamp) -> Task {
    task.due = to;
    if task.attempt <= 1 {
        task.first_due = to;
    }
    task
}
