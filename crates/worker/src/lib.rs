//! Runs executions: the worker loop, retries, and the executors built on it.
//!
//! A [`Worker`] takes executions from an [`ExecutionQueue`](minutehand_ports::ExecutionQueue),
//! gives each to its queue's [`Handler`] and settles the queue with what follows: a retry or the
//! completion that a schedule waits for (commands for the log), a dead letter, a line for the
//! history. All of it becomes durable in one step with the settlement, many executions at a time.
//! The queue is a trait: one process, a Kafka consumer group or a lease over HTTP are the same to a
//! worker.
//!
//! # What is promised
//!
//! | guarantee | the worker | after a crash, or a failing queue |
//! |---|---|---|
//! | at-most-once | settles, then runs; never retries | may be lost, never runs twice |
//! | at-least-once | runs, then settles | may run twice, never lost |
//! | exactly-once | the same; retry, completion, dead letter and history are in the settlement | each of *those* happens once |
//!
//! So for exactly-once executions "once" covers everything that the scheduler keeps. An effect
//! outside of it may be repeated when the process dies between effect and settlement;
//! [`ExecutionId`](minutehand_model::ExecutionId) is the same each time, and a receiver that
//! remembers it makes the effect happen once.
//!
//! How an at-most-once run ended cannot be part of its settlement, which comes first. It is told
//! afterwards through [`ExecutionQueue::report`](minutehand_ports::ExecutionQueue::report): a
//! failed one becomes a dead letter, so that a person may replay it. If the process dies first, the
//! run is lost; the queue tells that it is, with the last word that it was given with the claim.
//!
//! # Executors
//!
//! [`WebhookExecutor`] posts to a URL, signed; `ProcessExecutor` (on Unix) runs a command;
//! `PoolExecutor` (on Unix) has children that live on run one execution after the other. All are
//! handlers.
//!
//! # Headers of a task that a worker reads
//!
//! | header | meaning |
//! |---|---|
//! | `minutehand-timeout-ms` | how long the run may take; the worker's default otherwise |
//! | `minutehand-command` | process executor: a line for `/bin/sh -c`; the payload becomes its standard input |
//! | `minutehand-url` | webhook executor: where to post, unless the executor has a fixed URL |

mod attempt;
mod bulkheads;
mod commit;
mod decide;
mod dues;
mod ends;
mod gates;
mod handler;
mod hook;
mod last_word;
mod lease;
mod naming;
mod observer;
mod places;
#[cfg(unix)]
mod process;
mod queue_loop;
mod refused;
mod results;
mod run;
mod settings;
mod stops;
mod webhook;
mod worker;

pub use attempt::{RUN_TIMEOUT_MS_MAX, TIMEOUT_HEADER, run_timeout_ms};
pub use decide::{DETAIL_BYTES_MAX, Decision, Ended, after_stop, decide};
pub use dues::GivenDues;
pub use gates::Gates;
pub use handler::{FnHandler, Handler, Verdict};
pub use hook::{DeadLetterHook, HookUrl, HookUrlError};
pub use lease::{
    Answered, LeaseError, LeaseHolder, LeaseId, LeaseLimits, LeaseRequest, LeaseStanding, Leased,
    Leases, LeasesConfig,
};
pub use observer::{EndedRun, LeaseEnd, NoObserver, WorkerObserver};
pub use places::Places;
#[cfg(unix)]
pub use process::{
    COMMAND_HEADER, CapturedOutput, Confinement, NoPoolObserver, OutputStore, POOL_PROTOCOL,
    PoolConfig, PoolConfigError, PoolEnd, PoolExecutor, PoolObserver, ProcessConfig,
    ProcessExecutor, USER_HEADER, UserError, Variable, VariableError,
};
pub use results::{ResultTopic, ResultTopicError, ResultTopics};
pub use run::{LeaveError, Run, StopCause};
pub use settings::{Clock, HistoryPolicy, Idleness, Random};
pub use webhook::{
    EndpointsError, EntryError, Network, NetworkError, SecretError, URL_HEADER, WebhookConfig,
    WebhookConfigError, WebhookExecutor,
};
pub use worker::{BuildError, Worker, WorkerBuilder, WorkerError};
