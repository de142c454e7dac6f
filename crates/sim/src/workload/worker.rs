//! Workers: they take executions of schedules, work for a while, and say how it ended. Some never
//! do, some try again, and some do not hear that they are to stop.

use std::collections::{BTreeMap, BTreeSet};

use minutehand_model::{Command, OutcomeKind, Task, TaskKey, Timestamp};

use super::RunMix;
use crate::rng::Rng;
use crate::setup::Setup;

/// Attempts of one task, with the first.
const ATTEMPTS_MAX: u32 = 4;
/// Longest wait for a retry, in milliseconds.
const RETRY_MS_MAX: i64 = 20_000;

/// A run that somebody waits for.
#[derive(Clone, Debug)]
struct Run {
    number: u64,
    task: Task,
    kind: OutcomeKind,
}

/// Every worker of the cluster.
pub(crate) struct Worker {
    mix: RunMix,
    runs: BTreeMap<(usize, TaskKey), Vec<Run>>,
    /// Retries that have been asked for.
    retries: BTreeSet<(usize, TaskKey, Timestamp)>,
    numbers: u64,
    rng: Rng,
}

impl Worker {
    pub(crate) fn new(setup: &Setup) -> Worker {
        Worker {
            mix: setup.mix.runs.clone(),
            runs: BTreeMap::new(),
            retries: BTreeSet::new(),
            numbers: 0,
            rng: Rng::fork(setup.seed, 4),
        }
    }

    fn happens(&mut self, of_a_thousand: u64) -> bool {
        self.rng.below(1_000) < of_a_thousand
    }

    /// Whether a task is one that was asked for as a retry.
    pub(crate) fn waits_for(&self, partition: usize, key: TaskKey, due: Timestamp) -> bool {
        self.retries.contains(&(partition, key, due))
    }

    /// Begins a run; answers its number and how long it takes, in milliseconds. `None`: nothing is
    /// ever heard of it.
    pub(crate) fn begin(&mut self, partition: usize, task: Task) -> Option<(u64, i64)> {
        if self.happens(self.mix.unheard) {
            return None;
        }
        self.numbers += 1;
        let takes_ms = if self.happens(self.mix.long) {
            self.rng.range(20_000, 60_000)
        } else if self.happens(250) {
            self.rng.range(2_000, 20_000)
        } else {
            self.rng.range(50, 2_000)
        };
        let kind = if self.happens(self.mix.failing) {
            OutcomeKind::Dead
        } else {
            OutcomeKind::Succeeded
        };
        let key = task.key();
        self.runs.entry((partition, key)).or_default().push(Run {
            number: self.numbers,
            task,
            kind,
        });
        Some((self.numbers, takes_ms))
    }

    /// A run ends by itself, or because it was stopped; answers what is said about it, each with
    /// how much later it is said.
    pub(crate) fn end(
        &mut self,
        partition: usize,
        key: TaskKey,
        number: u64,
        now_ms: i64,
    ) -> Vec<(i64, Command)> {
        let Some(runs) = self.runs.get_mut(&(partition, key)) else {
            return Vec::new();
        };
        let Some(index) = runs.iter().position(|run| run.number == number) else {
            return Vec::new();
        };
        let Run { task, kind, .. } = runs.swap_remove(index);
        if runs.is_empty() {
            self.runs.remove(&(partition, key));
        }
        let may_retry = kind == OutcomeKind::Dead
            && !task.guarantee.settles_first()
            && task.attempt < ATTEMPTS_MAX;
        if may_retry && self.happens(self.mix.retried) {
            return self.retry(partition, task, now_ms);
        }
        Command::completed(&task, kind)
            .into_iter()
            .map(|ended| (0, ended))
            .collect()
    }

    /// The next attempt, and perhaps its cancellation.
    fn retry(&mut self, partition: usize, task: Task, now_ms: i64) -> Vec<(i64, Command)> {
        let wait_ms = self.rng.range(0, RETRY_MS_MAX);
        let due = Timestamp::from_millis(now_ms + wait_ms).max(task.due.plus_millis(1));
        let key = task.key();
        self.retries.insert((partition, key, due));
        let next = Task {
            due,
            attempt: task.attempt + 1,
            ..task
        };
        let mut said = vec![(0, Command::Create(minutehand_record::task::record(&next)))];
        if self.happens(self.mix.cancelled) {
            said.push((self.rng.range(0, wait_ms), Command::Cancel { key, due }));
        }
        said
    }

    /// Marks the runs of a task as stopped; answers their numbers and how soon they end, in
    /// milliseconds.
    pub(crate) fn stop(
        &mut self,
        partition: usize,
        key: TaskKey,
        due: Timestamp,
    ) -> Vec<(u64, i64)> {
        if self.happens(self.mix.stops_lost) {
            return Vec::new();
        }
        let Some(runs) = self.runs.get_mut(&(partition, key)) else {
            return Vec::new();
        };
        let rng = &mut self.rng;
        let stopped = runs
            .iter_mut()
            .filter(|run| run.task.first_due == due)
            .map(|run| {
                run.kind = OutcomeKind::Cancelled;
                (run.number, rng.range(10, 1_000))
            });
        stopped.collect()
    }
}
