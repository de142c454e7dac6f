//! What follows from a verdict: a retry, a dead letter, a completion. No clock, no I/O, no
//! randomness of its own.

use bytes::Bytes;
use minutehand_model::limits::{RESULT_BYTES_MAX, RETRY_DELAY_MS_MAX};
use minutehand_model::{ChainEnd, Command, GroupName, OutcomeKind, PartitionId, Task, Timestamp};
use minutehand_ports::DeadLetter;
use minutehand_record::task;

use crate::handler::Verdict;
use crate::run::StopCause;

/// Longest reason that is kept, in bytes; of a success [`RESULT_BYTES_MAX`] are.
pub const DETAIL_BYTES_MAX: usize = minutehand_model::limits::REASON_BYTES_MAX;

/// What the history says of cancelled runs: how it came to their end.
pub(crate) const NOT_BEGUN: &str = "it was cancelled before it had begun";
const ASKED: &str = "it was asked to stop, and stopped";
const KILLED: &str =
    "it was killed: it had not stopped when it was asked to, or was not to be asked";

/// A run that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// What ran.
    pub task: &'a Task,
    /// The same as it was delivered.
    pub encoded: &'a Bytes,
    /// The worker group that it ran in: its retry and its dead letter are that group's alone.
    pub group: &'a GroupName,
    /// The partition that published it: its retry and its completion belong there.
    pub partition: PartitionId,
    /// When it ended.
    pub at: Timestamp,
    /// A number drawn evenly from 0 to `u64::MAX`, for the jitter.
    pub random: u64,
}

/// What follows from the end of a run; becomes durable in one step with its settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// How the attempt ended.
    pub kind: OutcomeKind,
    /// Why it failed, at most [`DETAIL_BYTES_MAX`] bytes; or what a success says, at most
    /// [`RESULT_BYTES_MAX`].
    pub detail: String,
    /// Commands for the log of the partition: a retry, or a completion.
    pub commands: Vec<Command>,
    /// The task that follows; it is created in its own home.
    pub chained: Option<Task>,
    /// The dead letter, when the task was given up.
    pub dead_letter: Option<DeadLetter>,
}

/// Decides what follows from a verdict.
///
/// - A failure is tried again while the policy allows it: a new task with the same id, of the group
///   that it failed in, one attempt more, due after the policy's delay or the time that the other
///   side asked for, whichever is later (at most thirty days), and always after its predecessor's due
///   time. An at-most-once task never is. `give_due` turns that time into one that no other task of
///   the id has.
/// - After the last attempt, and when the handler discards it, the task becomes a dead letter.
/// - After the last attempt, never before a retry, the schedule that waits for the run is told, and
///   the task that is to follow this end is created.
pub fn decide(
    ended: Ended<'_>,
    verdict: Verdict,
    give_due: impl FnOnce(Timestamp) -> Timestamp,
) -> Decision {
    let decision = match verdict {
        Verdict::Success { detail } => {
            over(ended, OutcomeKind::Succeeded, cut(detail, RESULT_BYTES_MAX))
        }
        Verdict::Cancelled => over(ended, OutcomeKind::Cancelled, ASKED.to_owned()),
        Verdict::Killed => over(ended, OutcomeKind::Cancelled, KILLED.to_owned()),
        Verdict::Discard { reason } => given_up(ended, shortened(reason)),
        Verdict::Failure {
            reason,
            retry_after_ms,
        } => {
            let detail = shortened(reason);
            match retry_due(ended, retry_after_ms) {
                Some(due) => Decision {
                    kind: OutcomeKind::Retried,
                    detail,
                    commands: vec![retry(ended, give_due(due))],
                    chained: None,
                    dead_letter: None,
                },
                None => given_up(ended, detail),
            }
        }
    };
    decision.assert_sound(ended.task);
    decision
}

impl Decision {
    /// What holds of every decision, whatever the verdict.
    fn assert_sound(&self, task: &Task) {
        assert_eq!(
            self.kind == OutcomeKind::Dead,
            self.dead_letter.is_some(),
            "a run that is given up is a dead letter, and no other is"
        );
        let is_retried = self.kind == OutcomeKind::Retried;
        assert!(
            !is_retried || !task.guarantee.settles_first(),
            "what runs at most once is never tried again"
        );
        let next = match &self.commands[..] {
            [Command::Create(next)] => Some(next.due),
            _ => None,
        };
        assert!(
            !is_retried || next.is_some_and(|due| due > task.due),
            "a retry is one task, due after the one before: at the same time it would be that one"
        );
        assert!(
            !is_retried || self.chained.is_none(),
            "what is tried again has not ended"
        );
        let bytes_max = match self.kind {
            OutcomeKind::Succeeded => RESULT_BYTES_MAX,
            _ => DETAIL_BYTES_MAX,
        };
        assert!(
            self.detail.len() <= bytes_max,
            "what is kept of it is bounded"
        );
    }
}

/// What the end of a run means when it had been asked to stop; `None` when it is to be delivered
/// again.
///
/// `verdict` is `None` when the handler was dropped before it answered. A success is a success
/// however late it comes; any other end after a request is a cancellation, and after a timeout a
/// failure.
pub fn after_stop(verdict: Option<Verdict>, cause: StopCause, timeout_ms: i64) -> Option<Verdict> {
    match (cause, verdict) {
        (_, Some(verdict @ Verdict::Success { .. })) => Some(verdict),
        (StopCause::Requested, Some(_)) => Some(Verdict::Cancelled),
        (_, Some(verdict @ Verdict::Discard { .. })) => Some(verdict),
        (StopCause::Requested, None) => Some(Verdict::Killed),
        (StopCause::ShuttingDown, _) => None,
        (
            StopCause::TimedOut,
            Some(Verdict::Failure {
                reason,
                retry_after_ms,
            }),
        ) => {
            let reason = format!("timed out after {timeout_ms} ms: {reason}");
            Some(Verdict::Failure {
                reason,
                retry_after_ms,
            })
        }
        (StopCause::TimedOut, Some(Verdict::Cancelled | Verdict::Killed)) => {
            Some(Verdict::failure(format!("timed out after {timeout_ms} ms")))
        }
        (StopCause::TimedOut, None) => Some(Verdict::failure(format!(
            "timed out after {timeout_ms} ms and was killed"
        ))),
    }
}

/// When the next attempt is due; `None` when there is none.
fn retry_due(ended: Ended<'_>, retry_after_ms: Option<i64>) -> Option<Timestamp> {
    let Ended {
        task, at, random, ..
    } = ended;
    if task.guarantee.settles_first() {
        return None;
    }
    let age_ms = at.millis_since(task.first_due);
    let policy_delay_ms = task.retry.delay_ms_after(task.attempt, age_ms, random)?;
    let asked_ms = retry_after_ms.unwrap_or(0).clamp(0, RETRY_DELAY_MS_MAX);
    let delay_ms = policy_delay_ms.max(asked_ms);
    if task
        .retry
        .age_ms_max
        .is_some_and(|age_ms_max| age_ms.saturating_add(delay_ms) > age_ms_max)
    {
        return None;
    }
    // A task is named by its id and due time: at the same due time the retry would be taken for its
    // predecessor.
    Some(at.plus_millis(delay_ms).max(task.due.plus_millis(1)))
}

fn retry(ended: Ended<'_>, due: Timestamp) -> Command {
    let Ended { task, group, .. } = ended;
    let attempt = task.attempt.saturating_add(1);
    let next = task.clone().continued(group, due, attempt);
    Command::Create(task::record(&next))
}

fn over(ended: Ended<'_>, kind: OutcomeKind, detail: String) -> Decision {
    let commands = Command::completed(ended.task, kind).into_iter().collect();
    let chained = ended.task.chained(ChainEnd {
        kind,
        said: &detail,
        at: ended.at,
    });
    Decision {
        kind,
        detail,
        commands,
        chained,
        dead_letter: None,
    }
}

fn given_up(ended: Ended<'_>, reason: String) -> Decision {
    let letter = DeadLetter {
        queue: ended.task.queue.clone(),
        partition: ended.partition,
        key: ended.task.key(),
        at: ended.at,
        attempts: ended.task.attempt,
        reason: reason.clone(),
        encoded: letter_of(ended.encoded, ended.group),
    };
    Decision {
        dead_letter: Some(letter),
        ..over(ended, OutcomeKind::Dead, reason)
    }
}

/// The task of a dead letter: run again, it is of the group that gave it up and of no other, for
/// others may have run it. One that cannot be read is kept as it is.
pub(crate) fn letter_of(encoded: &Bytes, group: &GroupName) -> Bytes {
    task::only_for(encoded, group).unwrap_or_else(|_| encoded.clone())
}

/// The text, cut to [`DETAIL_BYTES_MAX`] bytes between two characters.
pub(crate) fn shortened(text: String) -> String {
    cut(text, DETAIL_BYTES_MAX)
}

fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}
