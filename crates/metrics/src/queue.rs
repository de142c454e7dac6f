//! Queues and the runs of their executions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram};
use minutehand_model::OutcomeKind;

use crate::bounds::QUEUES_MAX;
use crate::catalogue::{
    ABANDONED, DEAD_LETTERS, EXPIRED, QUEUE_DEPTH, RUN, RUNS, RUNS_IN_PROGRESS, START_LATENESS,
};
use crate::label::{ByWord, Names};

/// How full a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStanding {
    /// Published and not settled, those in progress included.
    pub depth: u64,
    /// Dead letters kept.
    pub dead_letters: u64,
}

/// The handles of all queues of a process; one value of it per process.
#[derive(Debug)]
pub struct Queues {
    names: Names,
    /// By label: there are only so many, however many queues there are.
    known: Mutex<BTreeMap<String, Arc<QueueMetrics>>>,
}

impl Queues {
    /// No queue yet.
    #[must_use]
    pub fn new() -> Queues {
        Queues { names: Names::new(QUEUES_MAX), known: Mutex::new(BTreeMap::new()) }
    }

    /// The handle of a queue, made at the first call; keep it where executions are handled one by one.
    #[must_use]
    pub fn queue(&self, name: &str) -> Arc<QueueMetrics> {
        let label = self.names.label(name);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = known.get(label) {
            return Arc::clone(handle);
        }
        let handle = Arc::new(QueueMetrics::new(label));
        known.insert(label.to_owned(), Arc::clone(&handle));
        handle
    }

    /// All queues there are stand like this; one that is not among them is empty.
    pub fn stand<'a>(&self, standings: impl IntoIterator<Item = (&'a str, QueueStanding)>) {
        let mut sums: BTreeMap<&str, QueueStanding> = BTreeMap::new();
        for (name, standing) in standings {
            let sum = sums.entry(self.names.label(name)).or_default();
            sum.depth += standing.depth;
            sum.dead_letters += standing.dead_letters;
        }
        sums.iter().for_each(|(label, sum)| self.queue(label).stands(*sum));
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = known.iter().filter(|(label, _)| !sums.contains_key(label.as_str()));
        gone.for_each(|(_, handle)| handle.stands(QueueStanding::default()));
    }
}

impl Default for Queues {
    fn default() -> Queues {
        Queues::new()
    }
}

/// The handle of one queue, or of all that share the label `other`.
#[derive(Debug)]
pub struct QueueMetrics {
    depth: Gauge,
    dead_letters: Gauge,
    start_lateness: Histogram,
    run: Histogram,
    runs: ByWord<Counter>,
    in_progress: Gauge,
}

impl QueueMetrics {
    fn new(label: &str) -> QueueMetrics {
        let only = [label];
        QueueMetrics {
            depth: QUEUE_DEPTH.gauge(&only),
            dead_letters: DEAD_LETTERS.gauge(&only),
            start_lateness: START_LATENESS.histogram(&only),
            run: RUN.histogram(&only),
            runs: ByWord::of(&RUNS, |outcome| RUNS.counter(&[label, outcome])),
            in_progress: RUNS_IN_PROGRESS.gauge(&only),
        }
    }

    fn stands(&self, standing: QueueStanding) {
        self.depth.set(standing.depth as f64);
        self.dead_letters.set(standing.dead_letters as f64);
    }

    /// A handler started so many seconds after the due time.
    pub fn started(&self, lateness_seconds: f64) {
        self.start_lateness.record(lateness_seconds);
        self.in_progress.increment(1.0);
    }

    /// A run ended after so many seconds.
    pub fn ended(&self, outcome: OutcomeKind, run_seconds: f64) {
        self.runs.get(outcome.as_str()).increment(1);
        self.run.record(run_seconds);
        self.in_progress.decrement(1.0);
    }

    /// A run was given up without an answer because the worker went down.
    pub fn abandoned(&self) {
        self.runs.get(ABANDONED).increment(1);
        self.in_progress.decrement(1.0);
    }
}

/// Executions that expired unread; one value of it per process.
#[derive(Debug)]
pub struct ExpiredExecutions(Names);

impl ExpiredExecutions {
    /// None yet.
    #[must_use]
    pub fn new() -> ExpiredExecutions {
        ExpiredExecutions(Names::new(QUEUES_MAX))
    }

    /// So many of a queue were gone when a worker came to read them.
    pub fn expired(&self, queue: &str, count: u64) {
        EXPIRED.counter(&[self.0.label(queue)]).increment(count);
    }
}

impl Default for ExpiredExecutions {
    fn default() -> ExpiredExecutions {
        ExpiredExecutions::new()
    }
}
