//! What can be watched of a worker, for metrics and lines of a log attached from outside.

use minutehand_model::{OutcomeKind, QueueName, Task, Timestamp};
use minutehand_ports::PortError;

/// The end of a run.
#[derive(Clone, Copy, Debug)]
pub struct EndedRun<'a> {
    /// What ran.
    pub task: &'a Task,
    /// How it ended.
    pub kind: OutcomeKind,
    /// Why it failed, or what the handler says of it.
    pub detail: &'a str,
    /// Whether its handler was started: what was cancelled before has not.
    pub has_begun: bool,
    /// When its handler was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// How a lease ends without an end of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    /// Its time is over, or its delivery was handed out anew.
    Expired,
    /// Its holder gave it back.
    Released,
    /// Its holder wants it later.
    Snoozed,
}

/// Is told what a worker does. Every method has an empty default; none may block.
pub trait WorkerObserver: Send + Sync + 'static {
    /// A handler was started: how late it is (`started_at - due`) and how much of that was
    /// publication (`published_at - due`), in milliseconds.
    fn started(&self, _queue: &QueueName, _start_lateness_ms: i64, _publish_lateness_ms: i64) {}

    /// A run ended.
    fn ended(&self, _queue: &QueueName, _run: EndedRun<'_>) {}

    /// A run was not started, because its target had its share of the places for long: it is due
    /// again later.
    fn put_off(&self, _queue: &QueueName) {}

    /// A run was given up without an answer because the worker went down; it will be delivered
    /// again, unless it is an at-most-once execution.
    fn abandoned(&self, _queue: &QueueName) {}

    /// A delivery could not be decoded and went to the dead letters.
    fn set_aside(&self, _queue: &QueueName) {}

    /// So many settlements became durable together.
    fn settled(&self, _queue: &QueueName, _count: usize) {}

    /// So many ends of at-most-once runs could not be recorded and are known to the log of this
    /// process alone.
    fn unreported(&self, _queue: &QueueName, _count: usize) {}

    /// A lease ended whose run has not: the execution is handed out again, or due again.
    fn lease_ended(&self, _queue: &QueueName, _how: LeaseEnd) {}

    /// An answer came to a lease that there is not, or not any more; of which queue, where this
    /// process leases from it.
    fn lease_lost(&self, _queue: Option<&QueueName>) {}

    /// The queue failed; when its class is `Retry` the worker goes on trying.
    fn troubled(&self, _queue: &QueueName, _error: &PortError) {}
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl WorkerObserver for NoObserver {}
