//! One attempt: from a delivery to a run, and the run until its end.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::FutureExt;
use minutehand_model::limits::RETRY_DELAY_MS_MAX;
use minutehand_model::{DeliveryToken, Execution, ExecutionId, MessageId, Task, TaskKey};
use minutehand_ports::{Delivery, DeliveryId};
use minutehand_record::{DecodeError, task};

use crate::gates::Hold;
use crate::handler::{Handler, Verdict};
use crate::run::{Run, StopCause};
use crate::settings::duration_ms;

/// Longest run timeout, in milliseconds: thirty days.
pub const RUN_TIMEOUT_MS_MAX: i64 = RETRY_DELAY_MS_MAX;
/// The task header that says how long a run may take, in milliseconds, from 1 to
/// [`RUN_TIMEOUT_MS_MAX`].
pub const TIMEOUT_HEADER: &str = minutehand_model::run::RUN_TIMEOUT_HEADER;

/// A handler's future.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// What must be kept of a delivery until it is settled.
pub(crate) struct Ticket {
    pub(crate) delivery: DeliveryId,
    pub(crate) key: TaskKey,
    pub(crate) encoded: Bytes,
    /// Whether the delivery is settled before it runs.
    pub(crate) is_claimed: bool,
    /// See [`Settlement::held_as`](minutehand_ports::Settlement::held_as).
    pub(crate) held_as: Option<DeliveryToken>,
    /// The place of its key, which nobody else has until its end is durable.
    pub(crate) hold: Option<Arc<Hold>>,
}

/// A delivery that can be run.
pub(crate) struct Prepared {
    pub(crate) ticket: Ticket,
    pub(crate) execution: Execution,
}

/// Decodes a delivery.
pub(crate) fn prepare(delivery: &Delivery) -> Result<Prepared, DecodeError> {
    let task = task::decode(&delivery.encoded)?;
    let ticket = Ticket {
        delivery: delivery.id,
        key: delivery.key,
        encoded: delivery.encoded.clone(),
        is_claimed: task.guarantee.settles_first(),
        held_as: None,
        hold: None,
    };
    let execution = Execution {
        id: ExecutionId::of(&task),
        message: MessageId::of(&task),
        task,
        published_at: delivery.published_at,
        partition: delivery.id.partition,
        epoch: delivery.epoch,
        token: delivery.token,
        offset: delivery.offset,
    };
    Ok(Prepared { ticket, execution })
}

/// How long a task may run, in milliseconds: what its header [`TIMEOUT_HEADER`] says, or the
/// default.
///
/// # Errors
/// What is wrong with the header, in words.
pub fn run_timeout_ms(task: &Task, default_ms: i64) -> Result<i64, String> {
    let Some((_, given)) = task
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(TIMEOUT_HEADER))
    else {
        return Ok(default_ms);
    };
    match given.parse::<i64>() {
        Ok(ms) if (1..=RUN_TIMEOUT_MS_MAX).contains(&ms) => Ok(ms),
        _ => {
            let given = given.chars().take(100).collect::<String>();
            Err(format!(
                "header {TIMEOUT_HEADER} is {given:?}; it must be a number from 1 to {RUN_TIMEOUT_MS_MAX}"
            ))
        }
    }
}

/// The state of a run after its handler was polled for the first time.
pub(crate) enum Started<'a> {
    /// It has ended already.
    Ended(Verdict),
    /// It waits for something.
    Waiting(Running<'a>),
}

/// Starts a handler and polls it once: most short runs end here, without a task or a timer of their
/// own.
pub(crate) fn start<'a>(handler: &'a dyn Handler, run: &Run) -> Started<'a> {
    let first_poll = || {
        if let Some(verdict) = handler.run_at_once(run) {
            return Started::Ended(verdict);
        }
        let mut running = handler.run(run.clone());
        // Whoever supervises a future that waits polls it again, with a waker that wakes.
        match running
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(verdict) => Started::Ended(verdict),
            Poll::Pending => Started::Waiting(running),
        }
    };
    catch_unwind(AssertUnwindSafe(first_poll))
        .unwrap_or_else(|panic| Started::Ended(panicked(&*panic)))
}

/// How a run that had to wait has ended.
pub(crate) struct Finish {
    /// The handler's answer; `None` when it was dropped before it gave one.
    pub(crate) verdict: Option<Verdict>,
    /// Why it had been asked to stop, if it had.
    pub(crate) cause: Option<StopCause>,
}

/// Sees a run to its end: asks it to stop when its time is up, and drops it when it does not.
pub(crate) async fn supervise(
    run: Run,
    running: Running<'_>,
    timeout_ms: i64,
    stop_grace_ms: i64,
) -> Finish {
    let mut handler = AssertUnwindSafe(running).catch_unwind();
    let verdict = tokio::select! {
        biased;
        () = run.killed() => None,
        answer = &mut handler => Some(answer),
        () = async {
            tokio::select! {
                _ = run.stopped() => {}
                () = tokio::time::sleep(duration_ms(timeout_ms)) => run.ask_to_stop(StopCause::TimedOut),
            }
            tokio::time::sleep(duration_ms(stop_grace_ms)).await;
        } => None,
    };
    let verdict = verdict.map(|answer| answer.unwrap_or_else(|panic| panicked(&*panic)));
    Finish {
        verdict,
        cause: run.stop_cause(),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Verdict {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Verdict::failure(format!(
        "handler panicked: {}",
        text.as_deref().unwrap_or("(no message)")
    ))
}
