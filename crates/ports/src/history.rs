//! What has been: outcomes of attempts and dead letters.

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{
    DeadLetter, EndedTask, Namespace, Outcome, OutcomeKind, PartitionId, QueueName, TaskKey,
};

use crate::PortError;

/// Dead letters in the order in which they were given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterPage {
    /// Each with its number, by which it can be removed.
    pub letters: Vec<(u64, DeadLetter)>,
    /// List on from this number; `None` at the end.
    pub next: Option<u64>,
}

/// The end of an attempt, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Which task.
    pub key: TaskKey,
    /// How the attempt ended.
    pub outcome: Outcome,
}

/// Ends of attempts that are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedQuery {
    /// The namespace of their tasks.
    pub namespace: Namespace,
    /// How they ended.
    pub kind: OutcomeKind,
    /// The queue they were published to; `None`: any.
    pub queue: Option<QueueName>,
    /// Those before this place, told by the page before; `None`: the newest.
    pub before: Option<EndedPlace>,
    /// Most on a page.
    pub count_max: usize,
}

/// A place among the ends that a store keeps: a number and a text that say something to it alone.
pub type EndedPlace = (i64, String);

/// Ends of attempts, the newest first. A page may be short, or empty, and have more behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedPage {
    /// Each with the names of its task, and its place.
    pub ended: Vec<(EndedPlace, Outcome)>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<EndedPlace>,
}

impl EndedQuery {
    /// Whether an end is looked for, wherever it stands.
    pub fn wants(&self, outcome: &Outcome) -> bool {
        let task = outcome.task.as_ref();
        outcome.kind == self.kind && task.is_some_and(|task| self.wants_task(task))
    }

    /// The same as far as the names of its task go.
    pub fn wants_task(&self, task: &EndedTask) -> bool {
        task.namespace == self.namespace
            && self.queue.as_ref().is_none_or(|queue| *queue == task.queue)
    }

    /// A page of ends that are wanted, the newest first, each with its place.
    pub fn page(&self, found: impl Iterator<Item = (EndedPlace, Outcome)>) -> EndedPage {
        let mut ended: Vec<_> = found.take(self.count_max + 1).collect();
        let has_more = ended.len() > self.count_max;
        ended.truncate(self.count_max);
        let last = ended.last().map(|(place, _)| place.clone());
        EndedPage {
            next: last.filter(|_| has_more),
            ended,
        }
    }
}

/// What has been.
#[async_trait]
pub trait History: Send + Sync + 'static {
    /// The outcomes of a task's attempts, oldest first.
    async fn outcomes(&self, key: TaskKey) -> Result<Vec<Outcome>, PortError>;

    /// The ends of attempts of a namespace that are kept with their tasks' names, the newest first.
    /// A store looks at a bounded number of them for a page, and may keep to the newest.
    async fn ended(&self, query: &EndedQuery) -> Result<EndedPage, PortError>;

    /// Lists the dead letters of a queue from a number on (0 for the start).
    async fn dead_letters(
        &self,
        queue: &QueueName,
        from: u64,
        count_max: usize,
    ) -> Result<DeadLetterPage, PortError>;

    /// Takes dead letters away and, in the same atomic step, sees to it that commands are appended
    /// to logs (their replay), each once: at once, or by the partition's owner. Numbers that do not
    /// exist are passed over; answers how many were removed.
    async fn remove_dead_letters(
        &self,
        queue: &QueueName,
        numbers: Vec<u64>,
        commands: Vec<(PartitionId, Bytes)>,
    ) -> Result<usize, PortError>;
}
