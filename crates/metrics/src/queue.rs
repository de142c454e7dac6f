//! Queues and the runs of their executions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram};
use minutehand_model::OutcomeKind;

use crate::bounds::{GROUPS_MAX, QUEUES_MAX};
use crate::catalogue::{
    ABANDONED, DEAD_LETTERS, EXPIRED, LEASE_ANSWERS_LOST, LEASE_WAITERS, LEASED_BYTES, LEASES,
    LEASES_RETURNED, QUEUE_DEPTH, QUEUE_PAUSED, RUN, RUNS, RUNS_IN_PROGRESS, START_LATENESS,
};
use crate::label::{ByWord, Names};

/// How a queue is for a worker group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueStanding<'a> {
    /// The queue.
    pub queue: &'a str,
    /// The group.
    pub group: &'a str,
    /// Published and not settled by the group, those in progress included.
    pub depth: u64,
    /// Dead letters kept, of all groups.
    pub dead_letters: u64,
    /// Whether an operator has paused it, so that it hands out nothing.
    pub is_paused: bool,
}

/// What all groups of a queue have in common.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    dead_letters: u64,
    is_paused: bool,
}

/// A queue's and a group's label.
type Pair = (String, String);

/// The handles of all queues of a process; one value of it per process.
#[derive(Debug)]
pub struct Queues {
    names: Names,
    groups: Names,
    /// By label: there are only so many, however many queues there are.
    known: Mutex<BTreeMap<String, Arc<QueueMetrics>>>,
    depths: Mutex<BTreeMap<Pair, Gauge>>,
}

impl Queues {
    /// No queue yet.
    #[must_use]
    pub fn new() -> Queues {
        Queues {
            names: Names::new(QUEUES_MAX),
            groups: Names::new(GROUPS_MAX),
            known: Mutex::default(),
            depths: Mutex::default(),
        }
    }

    /// The handle of a queue, made at the first call; keep it where executions are handled one by
    /// one.
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

    /// All queues and groups that are served stand like this; one that is not among them is empty.
    pub fn stand<'a>(&self, standings: impl IntoIterator<Item = QueueStanding<'a>>) {
        let mut depths: BTreeMap<Pair, u64> = BTreeMap::new();
        // By name first: what the groups of a queue share is no sum over them.
        let mut shared: BTreeMap<&str, Shared> = BTreeMap::new();
        for standing in standings {
            let pair = (
                self.names.label(standing.queue).to_owned(),
                self.groups.label(standing.group).to_owned(),
            );
            *depths.entry(pair).or_default() += standing.depth;
            shared.insert(
                standing.queue,
                Shared {
                    dead_letters: standing.dead_letters,
                    is_paused: standing.is_paused,
                },
            );
        }
        self.set_depths(&depths);
        let mut sums: BTreeMap<&str, Shared> = BTreeMap::new();
        for (queue, standing) in shared {
            let sum = sums.entry(self.names.label(queue)).or_default();
            sum.dead_letters += standing.dead_letters;
            sum.is_paused |= standing.is_paused;
        }
        sums.iter()
            .for_each(|(label, sum)| self.queue(label).stands(*sum));
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = known
            .iter()
            .filter(|(label, _)| !sums.contains_key(label.as_str()));
        gone.for_each(|(_, handle)| handle.stands(Shared::default()));
    }

    fn set_depths(&self, depths: &BTreeMap<Pair, u64>) {
        let mut known = self.depths.lock().unwrap_or_else(PoisonError::into_inner);
        for (queue, group) in depths.keys() {
            known
                .entry((queue.clone(), group.clone()))
                .or_insert_with(|| QUEUE_DEPTH.gauge(&[queue, group]));
        }
        for (pair, gauge) in &*known {
            gauge.set(depths.get(pair).copied().unwrap_or(0) as f64);
        }
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
    dead_letters: Gauge,
    paused: Gauge,
    start_lateness: Histogram,
    run: Histogram,
    runs: ByWord<Counter>,
    in_progress: Gauge,
    returned: ByWord<Counter>,
    answers_lost: Counter,
}

impl QueueMetrics {
    fn new(label: &str) -> QueueMetrics {
        let only = [label];
        QueueMetrics {
            dead_letters: DEAD_LETTERS.gauge(&only),
            paused: QUEUE_PAUSED.gauge(&only),
            start_lateness: START_LATENESS.histogram(&only),
            run: RUN.histogram(&only),
            runs: ByWord::of(&RUNS, |outcome| RUNS.counter(&[label, outcome])),
            in_progress: RUNS_IN_PROGRESS.gauge(&only),
            returned: ByWord::of(&LEASES_RETURNED, |why| {
                LEASES_RETURNED.counter(&[label, why])
            }),
            answers_lost: LEASE_ANSWERS_LOST.counter(&only),
        }
    }

    fn stands(&self, standing: Shared) {
        self.dead_letters.set(standing.dead_letters as f64);
        self.paused.set(f64::from(u8::from(standing.is_paused)));
    }

    /// A handler started so many seconds after the due time.
    pub fn started(&self, lateness_seconds: f64) {
        self.start_lateness.record(lateness_seconds);
        self.in_progress.increment(1.0);
    }

    /// A run ended after so many seconds.
    pub fn ended(&self, outcome: OutcomeKind, run_seconds: f64) {
        self.ended_before_it_began(outcome);
        self.run.record(run_seconds);
        self.in_progress.decrement(1.0);
    }

    /// A run ended that was never started.
    pub fn ended_before_it_began(&self, outcome: OutcomeKind) {
        self.runs.get(outcome.as_str()).increment(1);
    }

    /// A lease ended and its run has not: `why` is a word of the metric's label.
    pub fn returned(&self, why: &str) {
        self.returned.get(why).increment(1);
        self.in_progress.decrement(1.0);
    }

    /// An answer came to a lease that there is not, or not any more.
    pub fn answer_lost(&self) {
        self.answers_lost.increment(1);
    }

    /// A run was given up without an answer because the worker went down.
    pub fn abandoned(&self) {
        self.runs.get(ABANDONED).increment(1);
        self.in_progress.decrement(1.0);
    }
}

/// What is out on lease; one value of it per process.
#[derive(Debug)]
pub struct LeaseMetrics {
    leases: Gauge,
    bytes: Gauge,
    waiters: Gauge,
}

impl LeaseMetrics {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> LeaseMetrics {
        LeaseMetrics {
            leases: LEASES.gauge(&[]),
            bytes: LEASED_BYTES.gauge(&[]),
            waiters: LEASE_WAITERS.gauge(&[]),
        }
    }

    /// So many leases of so many bytes are out, and so many calls wait.
    pub fn stand(&self, leases: usize, bytes: usize, waiters: usize) {
        self.leases.set(leases as f64);
        self.bytes.set(bytes as f64);
        self.waiters.set(waiters as f64);
    }
}

impl Default for LeaseMetrics {
    fn default() -> LeaseMetrics {
        LeaseMetrics::new()
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
