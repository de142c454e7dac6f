//! Outcomes of attempts and dead letters.

mod ended;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{Outcome, PartitionId, QueueName, TaskKey};
use minutehand_ports::{DeadLetterPage, EndedPage, EndedQuery, ErrorClass, History, PortError};
use minutehand_record::{dead_letter, outcome};

use crate::keys;
use crate::scan::{self, Lost};
use crate::shared::Shared;
use crate::spaces::Spaces;
use crate::state::{NewRows, State};
use crate::store::{Applied, EmbeddedStore};
use crate::writes::Writes;

#[async_trait]
impl History for EmbeddedStore {
    async fn outcomes(&self, key: TaskKey) -> Result<Vec<Outcome>, PortError> {
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        self.read("read the history of a task", move || {
            outcomes(&spaces, &shared, key)
        })
        .await
    }

    async fn ended(&self, query: &EndedQuery) -> Result<EndedPage, PortError> {
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        let query = query.clone();
        self.read("list ends of attempts", move || {
            ended::page(&spaces, &shared, &query)
        })
        .await
    }

    async fn dead_letters(
        &self,
        queue: &QueueName,
        from: u64,
        count_max: usize,
    ) -> Result<DeadLetterPage, PortError> {
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        let action = format!("list the dead letters of the queue {queue}");
        let queue = queue.clone();
        self.read(&action, move || {
            dead_letters(&spaces, &shared, &queue, from, count_max)
        })
        .await
    }

    async fn remove_dead_letters(
        &self,
        queue: &QueueName,
        numbers: Vec<u64>,
        commands: Vec<(PartitionId, Bytes)>,
    ) -> Result<usize, PortError> {
        let action = format!("remove {} dead letters of the queue {queue}", numbers.len());
        let (queue, words) = (queue.clone(), action.clone());
        let bytes = commands.iter().map(|(_, command)| command.len() + 4).sum();
        self.submit(action, bytes, true, move |state, writes| {
            remove_dead_letters(state, writes, &queue, numbers, commands, &words)
        })
        .await
    }
}

fn outcomes(spaces: &Spaces, shared: &Shared, key: TaskKey) -> fjall::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    let lost = |lost: Lost| shared.note_lost("outcomes", &lost);
    for row in scan::prefixed(&spaces.outcomes, key.0.to_be_bytes()).readable(lost) {
        match outcome::decode(&row?.1.into()) {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                shared.note_corruption(format!("an outcome of the task {key:?}"), error.reason)
            }
        }
    }
    let note = |position, reason| shared.note_corruption(position, reason);
    outcomes.extend(shared.successes.find(spaces, key, note)?);
    outcomes.sort_by_key(|outcome| (outcome.ended_at, outcome.attempt));
    Ok(outcomes)
}

fn dead_letters(
    spaces: &Spaces,
    shared: &Shared,
    queue: &QueueName,
    from: u64,
    count_max: usize,
) -> fjall::Result<DeadLetterPage> {
    let mut page = DeadLetterPage::default();
    let lost = |lost: Lost| shared.note_lost(&format!("dead letters of the queue {queue}"), &lost);
    let (first, end) = (keys::numbered(queue, from), keys::numbered(queue, u64::MAX));
    for row in scan::rows(&spaces.dead_letters, first, end).readable(lost) {
        let (key, value) = row?;
        let Some(number) = keys::number_of(&key) else {
            continue;
        };
        if page.letters.len() >= count_max {
            page.next = Some(number);
            break;
        }
        match dead_letter::decode(&value.into()) {
            Ok(letter) => page.letters.push((number, letter)),
            Err(error) => {
                shared.note_corruption(
                    format!("dead letter {number} of the queue {queue}"),
                    error.reason,
                );
            }
        }
    }
    Ok(page)
}

/// Removes those that exist. When none does, nothing is appended: somebody else was faster.
fn remove_dead_letters(
    state: &mut State,
    writes: &mut Writes,
    queue: &QueueName,
    numbers: Vec<u64>,
    commands: Vec<(PartitionId, Bytes)>,
    action: &str,
) -> Result<Applied<usize>, PortError> {
    crate::queue::check_commands(state, commands.iter(), action)?;
    let mut existing = Vec::new();
    for number in numbers.into_iter().collect::<BTreeSet<u64>>() {
        let key = keys::numbered(queue, number);
        let known = state
            .spaces
            .dead_letters
            .contains_key(&key)
            .map_err(|error| {
                PortError::new(ErrorClass::Retry, action, "the database failed").caused_by(error)
            })?;
        if known {
            existing.push(key);
        }
    }
    if existing.is_empty() {
        return Ok(Applied::now(0));
    }
    let removed = existing.len();
    existing
        .into_iter()
        .for_each(|key| writes.remove(&state.spaces.dead_letters, key));
    let count = state.dead_letters.entry(queue.clone()).or_default();
    count.kept = count.kept.saturating_sub(removed as u64);
    let kept = count.kept;
    state.write_dead_letter_count(writes, queue);
    let mut by_partition: BTreeMap<PartitionId, Vec<Bytes>> = BTreeMap::new();
    for (partition, command) in commands {
        by_partition.entry(partition).or_default().push(command);
    }
    let mut rows = NewRows::default();
    state.append_commands(writes, by_partition, &mut rows);
    let (shared, queue) = (Arc::clone(&state.shared), queue.clone());
    Ok(Applied::then(removed, move || {
        rows.publish(&shared);
        shared.queue(&queue).set_dead_letters(kept);
    }))
}
