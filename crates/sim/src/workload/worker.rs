//! Workers: they take executions of schedules, work for a while, and say how it ended.

use std::collections::BTreeMap;

use minutehand_model::{Command, OutcomeKind, TaskKey, Timestamp};

use crate::options::Setup;
use crate::rng::Rng;

/// A run that somebody waits for.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) number: u64,
    pub(crate) due: Timestamp,
    pub(crate) kind: OutcomeKind,
}

/// Every worker of the cluster.
pub(crate) struct Worker {
    runs: BTreeMap<(usize, TaskKey), Vec<Run>>,
    numbers: u64,
    rng: Rng,
}

impl Worker {
    pub(crate) fn new(setup: &Setup) -> Worker {
        Worker { runs: BTreeMap::new(), numbers: 0, rng: Rng::fork(setup.seed, 4) }
    }

    /// Begins a run; answers its number and how long it takes, in milliseconds.
    pub(crate) fn begin(&mut self, partition: usize, key: TaskKey, due: Timestamp) -> (u64, i64) {
        self.numbers += 1;
        let takes_ms = match self.rng.below(20) {
            0 => self.rng.range(20_000, 60_000),
            1..6 => self.rng.range(2_000, 20_000),
            _ => self.rng.range(50, 2_000),
        };
        let kind = if self.rng.chance(0.1) { OutcomeKind::Dead } else { OutcomeKind::Succeeded };
        let run = Run { number: self.numbers, due, kind };
        self.runs.entry((partition, key)).or_default().push(run);
        (self.numbers, takes_ms)
    }

    /// A run ends by itself, or because it was stopped; answers the command that says so.
    pub(crate) fn end(&mut self, partition: usize, key: TaskKey, number: u64) -> Option<Command> {
        let runs = self.runs.get_mut(&(partition, key))?;
        let index = runs.iter().position(|run| run.number == number)?;
        let run = runs.swap_remove(index);
        if runs.is_empty() {
            self.runs.remove(&(partition, key));
        }
        Some(Command::Completed { key, due: Some(run.due), kind: run.kind })
    }

    /// Marks the runs of a task as stopped; answers their numbers and how soon they end, in milliseconds.
    pub(crate) fn stop(&mut self, partition: usize, key: TaskKey, due: Timestamp) -> Vec<(u64, i64)> {
        let Some(runs) = self.runs.get_mut(&(partition, key)) else { return Vec::new() };
        let rng = &mut self.rng;
        let stopped = runs.iter_mut().filter(|run| run.due == due).map(|run| {
            run.kind = OutcomeKind::Cancelled;
            (run.number, rng.range(10, 1_000))
        });
        stopped.collect()
    }
}
