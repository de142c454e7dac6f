//! What a worker runs: handlers, what they are given and what they answer.

use std::future::Future;

use async_trait::async_trait;
use minutehand_model::Task;

use crate::run::Run;

/// How a run ended, in the handler's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The effect happened.
    Success {
        /// Its result: what history keeps of it and a chained task is given; may be empty, at most
        /// 64 KiB are kept.
        detail: String,
    },
    /// The effect did not happen, or nobody knows; the task's retry policy says what comes next.
    Failure {
        /// Why; at most 4 KiB are kept.
        reason: String,
        /// The other side asked not to be tried again sooner than this, in milliseconds.
        retry_after_ms: Option<i64>,
    },
    /// Trying again cannot help: to the dead letters at once.
    Discard {
        /// Why; at most 4 KiB are kept.
        reason: String,
    },
    /// The run was given up because it was asked to stop; there is no further attempt.
    Cancelled,
    /// The same of a run that did not stop by itself, or was not to be asked: it was ended.
    Killed,
}

impl Verdict {
    /// A success without a detail.
    pub const fn success() -> Verdict {
        Verdict::Success {
            detail: String::new(),
        }
    }

    /// A failure that is tried again as the retry policy says.
    pub fn failure(reason: impl Into<String>) -> Verdict {
        Verdict::Failure {
            reason: reason.into(),
            retry_after_ms: None,
        }
    }

    /// A failure that is never tried again.
    pub fn discard(reason: impl Into<String>) -> Verdict {
        Verdict::Discard {
            reason: reason.into(),
        }
    }
}

/// Runs executions of one queue, many at a time.
///
/// All runs of a queue share one tokio task. A handler that computes for long or blocks hands its
/// work to [`tokio::task::spawn_blocking`]; one that never waits at all is best written as a
/// [`FnHandler`].
///
/// An async closure is a handler: `|run: Run| async move { Verdict::success() }`.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Runs one execution. The future is dropped when the run is killed, so what must not be left
    /// behind is cleaned up by a `Drop`. A panic is a failure of this run alone.
    async fn run(&self, run: Run) -> Verdict;

    /// What a run takes its time from, a host for example. The runs of a queue that have the same
    /// target share a part of the queue's places, so that one that does not answer holds up no
    /// other. `None`: it has none.
    fn target(&self, _task: &Task) -> Option<String> {
        None
    }

    /// The short way for handlers that never wait: the verdict, or `None` to be asked through
    /// [`Handler::run`] instead.
    fn run_at_once(&self, _run: &Run) -> Option<Verdict> {
        None
    }
}

#[async_trait]
impl<F, Fut> Handler for F
where
    F: Fn(Run) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Verdict> + Send + 'static,
{
    async fn run(&self, run: Run) -> Verdict {
        self(run).await
    }
}

/// A handler made of a function that never waits. It cannot be interrupted: stops and timeouts do
/// not reach it.
pub struct FnHandler<F>(pub F);

#[async_trait]
impl<F> Handler for FnHandler<F>
where
    F: Fn(&Run) -> Verdict + Send + Sync + 'static,
{
    async fn run(&self, run: Run) -> Verdict {
        (self.0)(&run)
    }

    fn run_at_once(&self, run: &Run) -> Option<Verdict> {
        Some((self.0)(run))
    }
}
