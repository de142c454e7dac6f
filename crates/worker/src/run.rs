//! A run as its handler sees it: the execution, when it started, and whether it should stop.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minutehand_model::{Execution, Task, Timestamp};
use minutehand_ports::{Output, OutputError, OutputRecord};
use tokio::sync::Notify;

/// Why a run should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// Its schedule's overlap policy or an operator asked for it.
    Requested,
    /// It has used up its time.
    TimedOut,
    /// The worker is going down and has waited long enough.
    ShuttingDown,
}

impl StopCause {
    const ALL: [StopCause; 3] = [
        StopCause::Requested,
        StopCause::TimedOut,
        StopCause::ShuttingDown,
    ];
}

const _: () = {
    let mut index = 0;
    while index < StopCause::ALL.len() {
        assert!(
            StopCause::ALL[index] as usize == index,
            "a cause is stored by its place"
        );
        index += 1;
    }
};

/// A record that a run cannot leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaveError {
    /// It runs at most once.
    #[error(
        "a task that runs at most once leaves no records: its delivery is settled before it runs; ask for exactly-once"
    )]
    AtMostOnce,
    /// A limit.
    #[error(transparent)]
    Limit(#[from] OutputError),
}

/// An execution that is being run. Clones are the same run.
#[derive(Clone)]
pub struct Run(Arc<Inner>);

struct Inner {
    execution: Execution,
    started_at: Timestamp,
    /// 0 while the run may go on, else 1 + the cause's place in [`StopCause::ALL`].
    stop_cause: AtomicU8,
    /// Whether its handler was started, or it was handed out.
    has_begun: AtomicBool,
    killed: AtomicBool,
    changed: Notify,
    /// Records that it leaves when it succeeds.
    output: Mutex<Output>,
}

impl Run {
    /// A run that has just started; for the worker, and for testing a handler on its own.
    pub fn new(execution: Execution, started_at: Timestamp) -> Run {
        Run(Arc::new(Inner {
            execution,
            started_at,
            stop_cause: AtomicU8::new(0),
            has_begun: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            changed: Notify::new(),
            output: Mutex::default(),
        }))
    }

    /// Its handler is started, or it is handed out.
    pub(crate) fn begins(&self) {
        self.0.has_begun.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.has_begun.load(Ordering::Relaxed)
    }

    /// What runs; its id is the idempotency key.
    pub fn execution(&self) -> &Execution {
        &self.0.execution
    }

    /// The task of the execution.
    pub fn task(&self) -> &Task {
        &self.0.execution.task
    }

    /// The value of the task's first header of that name (names are compared without regard to
    /// case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = &self.0.execution.task.headers;
        headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Leaves a record on a topic of Kafka when the run succeeds: in one transaction with the run's
    /// settlement, so that readers of committed records find it once, however often the run was
    /// tried. What a run left that did not succeed is dropped.
    ///
    /// The topic must exist; where it does not, or where executions do not come from Kafka, the
    /// execution becomes a dead letter with that reason.
    ///
    /// # Errors
    /// The record breaks a limit, or the task runs at most once; nothing is left then.
    pub fn leave(&self, record: OutputRecord) -> Result<(), LeaveError> {
        if self.task().guarantee.settles_first() {
            return Err(LeaveError::AtMostOnce);
        }
        Ok(self.output().push(record)?)
    }

    /// Takes what it leaves.
    pub(crate) fn take_output(&self) -> Output {
        std::mem::take(&mut self.output())
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        self.0.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the handler was started.
    pub fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    /// Why the run should stop; `None` while it may go on.
    pub fn stop_cause(&self) -> Option<StopCause> {
        let stored = usize::from(self.0.stop_cause.load(Ordering::Acquire));
        stored
            .checked_sub(1)
            .and_then(|index| StopCause::ALL.get(index))
            .copied()
    }

    /// Waits until the run is asked to stop. After that it has the worker's grace period to end by
    /// itself.
    pub async fn stopped(&self) -> StopCause {
        loop {
            let changed = self.0.changed.notified();
            if let Some(cause) = self.stop_cause() {
                return cause;
            }
            changed.await;
        }
    }

    /// Asks the run to stop; the first cause stays.
    pub fn ask_to_stop(&self, cause: StopCause) {
        let stored = 1 + cause as u8;
        let _ = self
            .0
            .stop_cause
            .compare_exchange(0, stored, Ordering::AcqRel, Ordering::Acquire);
        self.0.changed.notify_waiters();
    }

    /// Ends the run without waiting for its handler.
    pub(crate) fn kill(&self, cause: StopCause) {
        self.0.killed.store(true, Ordering::Release);
        self.ask_to_stop(cause);
    }

    /// Waits until the run is killed.
    pub(crate) async fn killed(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.0.killed.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for Run {
    /// The id alone: payloads and headers may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("execution", &self.0.execution.id)
            .field("started_at", &self.0.started_at)
            .field("stop_cause", &self.stop_cause())
            .finish()
    }
}
