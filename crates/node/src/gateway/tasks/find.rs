//! What is known of a task: owner's memory, timetable and history, merged by due time.

use std::collections::BTreeMap;
use std::fmt::Display;

use bytes::Bytes;
use minutehand_engine::{KnownState, KnownTask};
use minutehand_model::{
    Fact, Frontier, LogOffset, Outcome, PartitionId, Place, QueueName, Task, Timestamp,
    TimetableEntry,
};

use super::TaskName;
use crate::gateway::wait::not_ready;
use crate::gateway::{FindTasks, Gateway, LookupError, TaskState, TaskView, Unavailable};

/// What the stores say of one due time.
struct Known {
    partition: PartitionId,
    offset: Option<LogOffset>,
    state: TaskState,
    queue: Option<QueueName>,
    encoded: Option<Bytes>,
    outcomes: Vec<Outcome>,
}

impl Known {
    fn of(
        partition: PartitionId,
        offset: Option<LogOffset>,
        state: TaskState,
        queue: Option<QueueName>,
        encoded: Option<Bytes>,
    ) -> Known {
        Known {
            partition,
            offset,
            state,
            queue,
            encoded,
            outcomes: Vec::new(),
        }
    }
}

impl Gateway {
    /// Everything known of a task: first what it stands at, then its other due times, the latest
    /// first.
    ///
    /// # Errors
    /// When there is no such task, or the partition or a store does not answer.
    pub async fn find(&self, name: &TaskName) -> Result<Vec<TaskView>, LookupError> {
        let mut views = self.views(name).await?;
        let first = (0..views.len())
            .find(|index| !was_moved_away(&views[*index], &views))
            .unwrap_or(0);
        match views.is_empty() {
            true => Err(not_found(name)),
            false => {
                views[..=first].rotate_right(1);
                Ok(views)
            }
        }
    }

    /// The same; empty when nothing is known.
    pub(super) async fn views(&self, name: &TaskName) -> Result<Vec<TaskView>, Unavailable> {
        let key = name.key();
        let possible = name.possible_partitions(self.owners.partitions());
        let mut known = BTreeMap::new();
        for partition in &possible {
            let status = self.caught_up(*partition).await?;
            // Memory before timetable: what leaves memory has been stored by then.
            let in_memory = self
                .owners
                .ask(*partition, FindTasks { keys: vec![key] })
                .await;
            let in_memory = in_memory.ok_or_else(|| not_ready(*partition, None))?;
            add_stored(
                &mut known,
                *partition,
                &status.frontier,
                self.stores.timetable.find(*partition, key).await?,
            );
            add_in_memory(&mut known, *partition, in_memory.into_iter().flatten());
        }
        let home = possible.last().copied().unwrap_or_default();
        add_outcomes(&mut known, home, self.stores.history.outcomes(key).await?);
        known
            .into_iter()
            .rev()
            .map(|(due, known)| view(name, due, known))
            .collect()
    }
}

/// Whether a due time is one that the task was moved from: it stands at another, by a record that
/// is no older as far as is known.
fn was_moved_away(view: &TaskView, all: &[TaskView]) -> bool {
    let goes_on_at = |other: &TaskView| {
        other.state != TaskState::Cancelled
            && other
                .offset
                .is_none_or(|offset| Some(offset) >= view.offset)
    };
    view.state == TaskState::Cancelled && all.iter().any(goes_on_at)
}

/// There is no such task.
pub(super) fn not_found(name: &TaskName) -> LookupError {
    LookupError::not_found("task", name.id.as_str(), name.order_key.as_ref())
}

/// Adds what the timetable says, in order of the offsets: a later fact replaces an earlier one.
fn add_stored(
    known: &mut BTreeMap<Timestamp, Known>,
    partition: PartitionId,
    frontier: &Frontier,
    stored: Vec<TimetableEntry>,
) {
    for entry in stored {
        let (state, queue, encoded) = match entry.fact {
            Fact::Runs(record) => {
                let passed = frontier.has_passed(Place {
                    due: entry.due,
                    offset: entry.offset,
                });
                (
                    if passed {
                        TaskState::Published
                    } else {
                        TaskState::Scheduled
                    },
                    Some(record.queue),
                    Some(record.encoded),
                )
            }
            Fact::Void => (TaskState::Cancelled, None, None),
        };
        let offset = Some(entry.offset);
        let stored = Known::of(partition, offset, state, queue, encoded);
        known.insert(entry.due, stored);
    }
}

/// Adds what an owner has in memory, which counts unless the timetable has a later fact.
fn add_in_memory(
    known: &mut BTreeMap<Timestamp, Known>,
    partition: PartitionId,
    in_memory: impl Iterator<Item = KnownTask>,
) {
    for task in in_memory {
        let state = match task.state {
            KnownState::Scheduled => TaskState::Scheduled,
            KnownState::Published => TaskState::Published,
            KnownState::Cancelled => TaskState::Cancelled,
        };
        let offset = Some(task.offset);
        let stored = known
            .get(&task.due)
            .filter(|stored| stored.partition == partition);
        if stored.is_some_and(|stored| stored.offset > offset) {
            continue;
        }
        let encoded = task
            .encoded
            .or_else(|| stored.and_then(|stored| stored.encoded.clone()));
        let in_memory = Known::of(partition, offset, state, task.queue, encoded);
        known.insert(task.due, in_memory);
    }
}

/// Adds how attempts ended.
fn add_outcomes(
    known: &mut BTreeMap<Timestamp, Known>,
    partition: PartitionId,
    outcomes: Vec<Outcome>,
) {
    for outcome in outcomes {
        let state = outcome.kind.into();
        let unknown = || Known {
            partition,
            offset: None,
            state,
            queue: None,
            encoded: None,
            outcomes: Vec::new(),
        };
        let entry = known.entry(outcome.due).or_insert_with(unknown);
        // A new creation at the same due time, after the run, is what counts.
        if entry.state != TaskState::Scheduled {
            entry.state = state;
        }
        if entry.queue.is_none() {
            entry.queue = outcome.task.as_ref().map(|task| task.queue.clone());
        }
        entry.outcomes.push(outcome);
    }
}

fn view(name: &TaskName, due: Timestamp, known: Known) -> Result<TaskView, Unavailable> {
    let task = known.encoded.as_ref().map(decode).transpose()?;
    let attempt = match &task {
        Some(task) => Some(task.attempt),
        None => known.outcomes.last().map(|outcome| outcome.attempt),
    };
    Ok(TaskView {
        namespace: name.namespace.clone(),
        id: name.id.clone(),
        order_key: name.order_key.clone(),
        partition: known.partition,
        due,
        offset: known.offset,
        state: known.state,
        queue: known.queue,
        attempt,
        task,
        outcomes: known.outcomes,
    })
}

/// A stored task.
pub(in crate::gateway) fn decode(encoded: &Bytes) -> Result<Task, Unavailable> {
    minutehand_record::task::decode(encoded).map_err(corrupt)
}

/// A stored task that cannot be read.
pub(super) fn corrupt(error: impl Display) -> Unavailable {
    Unavailable::Corrupt {
        what: "a stored task".to_owned(),
        reason: error.to_string(),
    }
}
