//! Queues and their dead letters.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use minutehand_model::limits::PAGE_BYTES_MAX;
use minutehand_model::{PartitionId, QueueName, QueueRules, QueueState, Task, TaskKey, Timestamp};
use minutehand_ports::{DeadLetter, QueueDepth};

use super::letters::{LetterFilter, Selection};
use super::replay::Replays;
use super::step::Step;
use super::tasks::create::encode_creation;
use super::tasks::find::decode;
use super::{Gateway, InvalidField, QueryError, Unavailable};

/// Most dead letters on a page, and numbers in one selection.
const LETTERS_MAX: usize = 1_000;
/// Most dead letters that one call replays or discards when all are meant.
const ALL_LETTERS_MAX: usize = 10_000;
/// Most dead letters, and bytes of them, that are looked at for one page.
const SEEN_MAX: usize = 20_000;
const SEEN_BYTES_MAX: usize = 8 * PAGE_BYTES_MAX;

/// A queue and how full it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// The queue.
    pub name: QueueName,
    /// How full it is for the worker group asked about.
    pub depth: QueueDepth,
    /// When the oldest execution that waits was published, where the store can tell.
    pub oldest_at: Option<Timestamp>,
    /// What operators have said of it.
    pub rules: QueueRules,
    /// Whether it hands out.
    pub state: QueueState,
}

/// A dead letter; its task when it can be understood.
#[derive(Clone, Debug)]
pub struct LetterView {
    /// By this it is replayed or discarded.
    pub number: u64,
    /// The letter.
    pub letter: DeadLetter,
    /// The task, or why it cannot be understood.
    pub task: Result<Task, String>,
}

/// A part of a queue's dead letters.
#[derive(Clone, Debug)]
pub struct LetterPage {
    /// In the order in which they were given up.
    pub letters: Vec<LetterView>,
    /// The number the next page begins with.
    pub next: Option<u64>,
}

/// What a replay or discard did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Letters taken away (and their tasks run again, by a replay).
    pub count: usize,
    /// Letters left where they are because their tasks cannot be understood.
    pub unreadable: usize,
    /// There are more; call again.
    pub more: bool,
}

impl Gateway {
    /// Every queue that was ever published to, or of which operators have said something.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn queues(&self, group: &str) -> Result<Vec<QueueView>, Unavailable> {
        // Each is asked for by itself, and there may be thousands.
        let _turn = self.scans.acquire().await;
        let mut said = self.said_of_queues();
        let mut names: BTreeSet<QueueName> = said.keys().cloned().collect();
        names.extend(self.stores.queue.queues().await?);
        let mut views = Vec::with_capacity(names.len());
        for name in names {
            let rules = said.remove(&name).unwrap_or_default();
            views.push(self.queue_view(name, group, rules).await?);
        }
        // Of a queue in which nothing is left a purge says nothing any more.
        let is_there = |view: &QueueView| {
            let only_purged = QueueRules {
                purge: view.rules.purge.clone(),
                ..QueueRules::default()
            };
            view.depth != QueueDepth::default()
                || view.rules != only_purged
                || view.rules.purge.is_none()
        };
        views.retain(is_there);
        Ok(views)
    }

    /// One queue, also when nothing was ever published to it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn queue(&self, name: &QueueName, group: &str) -> Result<QueueView, Unavailable> {
        let rules = self.said_of_queues().remove(name).unwrap_or_default();
        self.queue_view(name.clone(), group, rules).await
    }

    async fn queue_view(
        &self,
        name: QueueName,
        group: &str,
        rules: QueueRules,
    ) -> Result<QueueView, Unavailable> {
        let port = &self.stores.queue;
        let depth = port.depth(&name, group).await?;
        let oldest_at = match depth.waiting {
            0 => None,
            _ => port.oldest_waiting(&name, group).await?,
        };
        let state = rules.state(self.now(), oldest_at);
        Ok(QueueView {
            name,
            depth,
            oldest_at,
            rules,
            state,
        })
    }

    /// A queue's dead letters from a number on that are like a filter, at most so many, of about
    /// [`PAGE_BYTES_MAX`] bytes. A page may have fewer, and go on, where many are not like it.
    ///
    /// # Errors
    /// A refused limit, or a store that does not answer.
    pub async fn dead_letters(
        &self,
        queue: &QueueName,
        from: u64,
        count_max: usize,
        filter: &LetterFilter,
    ) -> Result<LetterPage, QueryError> {
        if !(1..=LETTERS_MAX).contains(&count_max) {
            return Err(InvalidField::new(
                "limit",
                "is out of range",
                format!("1 to {LETTERS_MAX}"),
                count_max,
            )
            .into());
        }
        let (mut letters, mut bytes) = (Vec::new(), 0);
        let (mut step, mut next) = (Step::new(count_max), Some(from));
        let (mut seen, mut bytes_seen) = (0, 0);
        while let Some(from) = next.filter(|_| {
            let has_room = letters.len() < count_max && bytes < PAGE_BYTES_MAX;
            has_room && seen < SEEN_MAX && bytes_seen < SEEN_BYTES_MAX
        }) {
            let count = match filter.is_empty() {
                true => step.count().min(count_max - letters.len()),
                false => step.count().min(LETTERS_MAX),
            };
            let page = self
                .stores
                .history
                .dead_letters(queue, from, count)
                .await
                .map_err(Unavailable::from)?;
            let came = page
                .letters
                .iter()
                .map(|(_, letter)| letter.encoded.len())
                .sum();
            step.came(page.letters.len(), came);
            seen += page.letters.len();
            bytes_seen += came;
            next = page.next;
            let views = page.letters.into_iter().map(|(number, letter)| LetterView {
                task: decode(&letter.encoded).map_err(|error| error.to_string()),
                number,
                letter,
            });
            let wanted =
                views.filter(|view| filter.wants_with(&view.letter, view.task.as_ref().ok()));
            letters.extend(wanted.inspect(|view| bytes += view.letter.encoded.len()));
            if let Some(beyond) = letters.get(count_max) {
                next = Some(beyond.number);
                letters.truncate(count_max);
            }
        }
        Ok(LetterPage { letters, next })
    }

    /// Runs the tasks of dead letters again, now, from their first attempt on, and takes the
    /// letters away: both or neither. Each letter is run for itself, also where several have one
    /// id.
    ///
    /// # Errors
    /// A refused selection, or a store that does not answer.
    pub async fn replay(
        &self,
        queue: &QueueName,
        selection: Selection,
    ) -> Result<Replayed, QueryError> {
        self.take_letters(queue, selection, Fate::RunAgain).await
    }

    /// Takes dead letters away for good.
    ///
    /// # Errors
    /// A refused selection, or a store that does not answer.
    pub async fn discard(
        &self,
        queue: &QueueName,
        selection: Selection,
    ) -> Result<Replayed, QueryError> {
        self.take_letters(queue, selection, Fate::Discarded).await
    }

    /// Takes the selected letters away.
    async fn take_letters(
        &self,
        queue: &QueueName,
        selection: Selection,
        fate: Fate,
    ) -> Result<Replayed, QueryError> {
        if let Selection::Numbers(numbers) = &selection
            && !(1..=LETTERS_MAX).contains(&numbers.len())
        {
            let limit = format!("1 to {LETTERS_MAX} numbers");
            return Err(InvalidField::new(
                "numbers",
                "are too few or too many",
                limit,
                numbers.len(),
            )
            .into());
        }
        let mut turn = self.replay_turn.lock().await;
        let mut replays = Replays::starting_at(self.now().max(turn.plus_millis(1)));
        let mut done = Replayed::default();
        let mut from = selection.first();
        while let Some(start) = from {
            if done.count >= ALL_LETTERS_MAX {
                done.more = true;
                break;
            }
            let page = self
                .stores
                .history
                .dead_letters(queue, start, LETTERS_MAX)
                .await
                .map_err(Unavailable::from)?;
            let is_chosen = |(number, letter): &&(u64, DeadLetter)| selection.has(*number, letter);
            let chosen = page.letters.iter().filter(is_chosen);
            let (taken, commands) = match fate {
                Fate::Discarded => (chosen.map(|(number, _)| *number).collect(), Vec::new()),
                Fate::RunAgain => {
                    let (taken, tasks, unreadable) = understood(chosen);
                    done.unreadable += unreadable;
                    (taken, self.commands_of(&mut replays, tasks).await)
                }
            };
            if !taken.is_empty() {
                // Kept whatever comes of it: the letters may be gone though the answer was lost.
                *turn = replays.newest().unwrap_or(*turn);
                let removed = self
                    .stores
                    .history
                    .remove_dead_letters(queue, taken, commands)
                    .await;
                done.count += removed.map_err(Unavailable::from)?;
            }
            from = selection.next(page.next);
        }
        Ok(done)
    }

    /// The commands that run tasks again.
    async fn commands_of(
        &self,
        replays: &mut Replays,
        tasks: Vec<(PartitionId, Task)>,
    ) -> Vec<(PartitionId, Bytes)> {
        let mut keys: BTreeMap<PartitionId, BTreeSet<TaskKey>> = BTreeMap::new();
        for (partition, task) in &tasks {
            keys.entry(*partition).or_default().insert(task.key());
        }
        for (partition, keys) in keys {
            self.note_taken(replays, partition, keys.into_iter().collect())
                .await;
        }
        let again = tasks
            .into_iter()
            .map(|(partition, task)| (partition, replays.anew(task)));
        again
            .map(|(partition, task)| (partition, encode_creation(&task)))
            .collect()
    }
}

/// What becomes of letters that are taken away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    RunAgain,
    Discarded,
}

/// The numbers and the tasks of the letters that can be understood, and how many others there are.
fn understood<'a>(
    letters: impl Iterator<Item = &'a (u64, DeadLetter)>,
) -> (Vec<u64>, Vec<(PartitionId, Task)>, usize) {
    let (mut taken, mut tasks, mut unreadable) = (Vec::new(), Vec::new(), 0);
    for (number, letter) in letters {
        match decode(&letter.encoded) {
            Ok(task) => {
                taken.push(*number);
                tasks.push((letter.partition, task));
            }
            Err(_) => unreadable += 1,
        }
    }
    (taken, tasks, unreadable)
}
