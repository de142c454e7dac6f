//! Queues and their dead letters.

use std::collections::BTreeSet;

use bytes::Bytes;
use minutehand_model::{PartitionId, QueueName, Task, Timestamp};
use minutehand_ports::{DeadLetter, QueueDepth};

use super::tasks::create::encode_creation;
use super::tasks::find::decode;
use super::{Gateway, InvalidField, QueryError, Unavailable};

/// Most dead letters on a page, and numbers in one selection.
const LETTERS_MAX: usize = 1_000;
/// Most dead letters that one call replays or discards when all are meant.
const ALL_LETTERS_MAX: usize = 10_000;

/// A queue and how full it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// The queue.
    pub name: QueueName,
    /// How full it is for the worker group asked about.
    pub depth: QueueDepth,
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

/// Which dead letters are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those with these numbers.
    Numbers(BTreeSet<u64>),
    /// All, up to 10,000 in one call.
    All,
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
    /// Every queue that was ever published to.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn queues(&self, group: &str) -> Result<Vec<QueueView>, Unavailable> {
        let mut views = Vec::new();
        for name in self.stores.queue.queues().await? {
            let depth = self.stores.queue.depth(&name, group).await?;
            views.push(QueueView { name, depth });
        }
        Ok(views)
    }

    /// One queue, also when nothing was ever published to it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn queue(&self, name: &QueueName, group: &str) -> Result<QueueView, Unavailable> {
        let depth = self.stores.queue.depth(name, group).await?;
        Ok(QueueView { name: name.clone(), depth })
    }

    /// A queue's dead letters from a number on.
    ///
    /// # Errors
    /// A refused limit, or a store that does not answer.
    pub async fn dead_letters(
        &self,
        queue: &QueueName,
        from: u64,
        count_max: usize,
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
        let page =
            self.stores.history.dead_letters(queue, from, count_max).await.map_err(Unavailable::from)?;
        let letters = page.letters.into_iter().map(|(number, letter)| {
            let task = decode(&letter.encoded).map_err(|error| error.to_string());
            LetterView { number, letter, task }
        });
        Ok(LetterPage { letters: letters.collect(), next: page.next })
    }

    /// Runs the tasks of dead letters again, now, from their first attempt on, and takes the letters away: both or neither.
    ///
    /// # Errors
    /// A refused selection, or a store that does not answer.
    pub async fn replay(&self, queue: &QueueName, selection: Selection) -> Result<Replayed, QueryError> {
        let now = self.now();
        self.take_letters(queue, selection, |letter| {
            let task = decode(&letter.encoded).ok()?;
            Some(Some((letter.partition, encode_creation(&again(task, now)))))
        })
        .await
    }

    /// Takes dead letters away for good.
    ///
    /// # Errors
    /// A refused selection, or a store that does not answer.
    pub async fn discard(&self, queue: &QueueName, selection: Selection) -> Result<Replayed, QueryError> {
        self.take_letters(queue, selection, |_| Some(None)).await
    }

    /// Takes away the selected letters for which `command_of` has an answer, and appends the commands it gives.
    async fn take_letters(
        &self,
        queue: &QueueName,
        selection: Selection,
        command_of: impl Fn(&DeadLetter) -> Option<Option<(PartitionId, Bytes)>> + Send + Sync,
    ) -> Result<Replayed, QueryError> {
        if let Selection::Numbers(numbers) = &selection
            && !(1..=LETTERS_MAX).contains(&numbers.len())
        {
            let limit = format!("1 to {LETTERS_MAX} numbers");
            return Err(InvalidField::new("numbers", "are too few or too many", limit, numbers.len()).into());
        }
        let _turn = self.replay_turn.lock().await;
        let mut done = Replayed::default();
        let mut from = match &selection {
            Selection::Numbers(numbers) => numbers.first().copied(),
            Selection::All => Some(0),
        };
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
            let chosen = page.letters.iter().filter(|(number, _)| match &selection {
                Selection::Numbers(numbers) => numbers.contains(number),
                Selection::All => true,
            });
            let (mut taken, mut commands) = (Vec::new(), Vec::new());
            for (number, letter) in chosen {
                match command_of(letter) {
                    Some(command) => {
                        taken.push(*number);
                        commands.extend(command);
                    }
                    None => done.unreadable += 1,
                }
            }
            if !taken.is_empty() {
                let removed = self.stores.history.remove_dead_letters(queue, taken, commands).await;
                done.count += removed.map_err(Unavailable::from)?;
            }
            from = next_page(&selection, page.next);
        }
        Ok(done)
    }
}

/// Where to read on, when something selected may lie there.
fn next_page(selection: &Selection, next: Option<u64>) -> Option<u64> {
    match selection {
        Selection::All => next,
        Selection::Numbers(numbers) => numbers.range(next?..).next().copied(),
    }
}

/// The task as a first attempt that is due now.
fn again(mut task: Task, now: Timestamp) -> Task {
    task.attempt = 1;
    task.due = now;
    task.first_due = now;
    task
}
