//! What is known of a task: owner's memory, timetable and history, merged by due time.

use std::collections::BTreeMap;

use bytes::Bytes;
use minutehand_engine::{KnownState, KnownTask};
use minutehand_model::{
    Fact, Frontier, LogOffset, Outcome, PartitionId, Place, Task, Timestamp, TimetableEntry,
};

use super::TaskName;
use crate::gateway::wait::not_ready;
use crate::gateway::{Gateway, LookupError, TaskState, TaskView, Unavailable};

/// What the stores say of one due time.
struct Known {
    offset: Option<LogOffset>,
    state: TaskState,
    encoded: Option<Bytes>,
    outcomes: Vec<Outcome>,
}

impl Gateway {
    /// Everything known of a task, the latest due time first.
    ///
    /// # Errors
    /// When there is no such task, or the partition or a store does not answer.
    pub async fn find(&self, name: &TaskName) -> Result<Vec<TaskView>, LookupError> {
        let views = self.views(name).await?;
        match views.is_empty() {
            true => Err(not_found(name)),
            false => Ok(views),
        }
    }

    /// The same; empty when nothing is known.
    pub(super) async fn views(&self, name: &TaskName) -> Result<Vec<TaskView>, Unavailable> {
        let (partition, key) = (name.partition(self.owners.partitions()), name.key());
        let status = self.caught_up(partition).await?;
        // Memory before timetable: what leaves memory has been stored by then.
        let in_memory = self.owners.find(partition, vec![key]).await;
        let in_memory = in_memory.ok_or_else(|| not_ready(partition, None))?.into_iter().flatten();
        let stored = self.stores.timetable.find(partition, key).await?;
        let outcomes = self.stores.history.outcomes(key).await?;
        let known = merge(&status.frontier, stored, in_memory.collect(), outcomes);
        known.into_iter().rev().map(|(due, known)| view(name, partition, due, known)).collect()
    }
}

/// There is no such task.
pub(super) fn not_found(name: &TaskName) -> LookupError {
    LookupError::NotFound { what: "task", name: name.id.to_string() }
}

fn merge(
    frontier: &Frontier,
    stored: Vec<TimetableEntry>,
    in_memory: Vec<KnownTask>,
    outcomes: Vec<Outcome>,
) -> BTreeMap<Timestamp, Known> {
    let mut known: BTreeMap<Timestamp, Known> = BTreeMap::new();
    for entry in stored {
        let (state, encoded) = match entry.fact {
            Fact::Runs(record) => {
                let passed = frontier.has_passed(Place { due: entry.due, offset: entry.offset });
                (if passed { TaskState::Published } else { TaskState::Scheduled }, Some(record.encoded))
            }
            Fact::Void => (TaskState::Cancelled, None),
        };
        known.insert(entry.due, Known { offset: Some(entry.offset), state, encoded, outcomes: Vec::new() });
    }
    for task in in_memory {
        let state = match task.state {
            KnownState::Scheduled => TaskState::Scheduled,
            KnownState::Published => TaskState::Published,
            KnownState::Cancelled => TaskState::Cancelled,
        };
        let before = known.remove(&task.due);
        if let Some(before) = before.as_ref().filter(|before| before.offset > Some(task.offset)) {
            let Known { offset, state, encoded, .. } = before;
            let kept =
                Known { offset: *offset, state: *state, encoded: encoded.clone(), outcomes: Vec::new() };
            known.insert(task.due, kept);
            continue;
        }
        let encoded = task.encoded.or_else(|| before.and_then(|before| before.encoded));
        known.insert(task.due, Known { offset: Some(task.offset), state, encoded, outcomes: Vec::new() });
    }
    for outcome in outcomes {
        let unknown =
            || Known { offset: None, state: outcome.kind.into(), encoded: None, outcomes: Vec::new() };
        let entry = known.entry(outcome.due).or_insert_with(unknown);
        // A new creation at the same due time, after the run, is what counts.
        if entry.state != TaskState::Scheduled {
            entry.state = outcome.kind.into();
        }
        entry.outcomes.push(outcome);
    }
    known
}

fn view(
    name: &TaskName,
    partition: PartitionId,
    due: Timestamp,
    known: Known,
) -> Result<TaskView, Unavailable> {
    let task = known.encoded.as_ref().map(decode).transpose()?;
    let attempt = match &task {
        Some(task) => Some(task.attempt),
        None => known.outcomes.last().map(|outcome| outcome.attempt),
    };
    Ok(TaskView {
        namespace: name.namespace.clone(),
        id: name.id.clone(),
        partition,
        due,
        offset: known.offset,
        state: known.state,
        attempt,
        task,
        outcomes: known.outcomes,
    })
}

/// A stored task.
pub(in crate::gateway) fn decode(encoded: &Bytes) -> Result<Task, Unavailable> {
    minutehand_record::task::decode(encoded)
        .map_err(|error| Unavailable::Corrupt { what: "a stored task".to_owned(), reason: error.to_string() })
}
