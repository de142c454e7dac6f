//! What follows from a verdict, as tables.

use crate::support::{NOW_MS, PARTITION, task_named, with_origin};
use minutehand_model::limits::{RESULT_BYTES_MAX, RETRY_DELAY_MS_MAX};
use minutehand_model::{
    Backoff, Chain, ChainedTask, Command, GroupName, Guarantee, OutcomeKind, QueueName,
    RetryPolicy, Task, Timestamp,
};
use minutehand_record::task;
use minutehand_worker::{
    DETAIL_BYTES_MAX, Decision, Ended, StopCause, Verdict, after_stop, decide,
};
use proptest::prelude::*;

fn decided(task: &Task, verdict: Verdict, at_ms: i64, random: u64) -> Decision {
    let encoded = task::encode(task);
    let at = Timestamp::from_millis(at_ms);
    decide(
        Ended {
            task,
            encoded: &encoded,
            group: &GroupName::default(),
            partition: PARTITION,
            at,
            random,
        },
        verdict,
        |due| due,
    )
}

fn failure(retry_after_ms: Option<i64>) -> Verdict {
    Verdict::Failure {
        reason: "refused".to_owned(),
        retry_after_ms,
    }
}

fn retry_of(decision: &Decision) -> Option<Task> {
    decision.commands.iter().find_map(|command| match command {
        Command::Create(record) => {
            let retry = task::decode(&record.encoded).unwrap();
            assert_eq!((record.key, record.due), (retry.key(), retry.due));
            Some(retry)
        }
        _ => None,
    })
}

#[test]
fn a_failure_is_tried_again_after_its_delay() {
    let policy = |backoff| RetryPolicy {
        backoff,
        base_ms: 1_000,
        cap_ms: 300_000,
        attempts_max: 5,
        age_ms_max: None,
    };
    let ended_ms = NOW_MS + 40;
    for (backoff, attempt, retry_after_ms, random, delay_ms) in [
        (Backoff::None, 1, None, 0, None),
        (Backoff::None, 1, Some(10), 0, None),
        (Backoff::Immediate, 1, None, 0, Some(0)),
        (Backoff::Immediate, 4, None, 0, Some(0)),
        (Backoff::Immediate, 5, None, 0, None),
        (
            Backoff::Fixed { delay_ms: 700 },
            2,
            None,
            u64::MAX,
            Some(700),
        ),
        (Backoff::Fixed { delay_ms: 700 }, 2, Some(699), 0, Some(700)),
        (Backoff::Fixed { delay_ms: 700 }, 2, Some(701), 0, Some(701)),
        (Backoff::Fixed { delay_ms: 700 }, 2, Some(-5), 0, Some(700)),
        (
            Backoff::Fixed { delay_ms: 700 },
            2,
            Some(i64::MAX),
            0,
            Some(RETRY_DELAY_MS_MAX),
        ),
        (Backoff::Fixed { delay_ms: 700 }, 5, Some(1), 0, None),
        (Backoff::Exponential, 1, None, u64::MAX, Some(1_000)),
        (Backoff::Exponential, 3, None, u64::MAX, Some(4_000)),
        (Backoff::Exponential, 3, None, u64::MAX / 2, Some(2_000)),
        (Backoff::Exponential, 3, None, 0, Some(0)),
        (
            Backoff::Exponential,
            3,
            Some(60_000),
            u64::MAX,
            Some(60_000),
        ),
    ] {
        let task = Task {
            retry: policy(backoff),
            attempt,
            ..task_named("a")
        };
        let decision = decided(&task, failure(retry_after_ms), ended_ms, random);
        let row = format!("{backoff:?}, attempt {attempt}, retry after {retry_after_ms:?}");
        let due = delay_ms.map(|delay_ms| Timestamp::from_millis(ended_ms + delay_ms));
        assert_eq!(retry_of(&decision).map(|retry| retry.due), due, "{row}");
        assert_eq!(decision.dead_letter.is_some(), due.is_none(), "{row}");
        let kind = if due.is_some() {
            OutcomeKind::Retried
        } else {
            OutcomeKind::Dead
        };
        assert_eq!(
            (decision.kind, decision.detail.as_str()),
            (kind, "refused"),
            "{row}"
        );
    }
}

#[test]
fn a_retry_is_the_same_task_with_one_attempt_more() {
    let task = Task {
        attempt: 2,
        due: Timestamp::from_millis(NOW_MS + 9_000),
        ..with_origin(task_named("a"))
    };
    let retry = retry_of(&decided(&task, failure(None), NOW_MS + 9_500, 0)).unwrap();
    assert_eq!(
        retry,
        Task {
            attempt: 3,
            due: Timestamp::from_millis(NOW_MS + 9_500),
            group: Some(GroupName::default()),
            ..task
        },
        "of the group that it failed in"
    );
}

#[test]
fn a_retry_is_due_after_its_predecessor_whatever_the_clock() {
    let task = task_named("a");
    for ended_ms in [NOW_MS, NOW_MS - 60_000] {
        let retry = retry_of(&decided(&task, failure(None), ended_ms, 0)).unwrap();
        assert_eq!(retry.due, task.due.plus_millis(1));
    }
}

#[test]
fn the_age_limit_counts_what_the_other_side_asked_for() {
    let retry = RetryPolicy {
        age_ms_max: Some(10_000),
        ..task_named("a").retry
    };
    let task = Task {
        retry,
        ..task_named("a")
    };
    assert!(retry_of(&decided(&task, failure(Some(9_000)), NOW_MS + 1_000, 0)).is_some());
    let decision = decided(&task, failure(Some(9_001)), NOW_MS + 1_000, 0);
    assert_eq!(
        (decision.kind, decision.commands),
        (OutcomeKind::Dead, Vec::new())
    );
}

#[test]
fn a_dead_letter_says_what_and_why() {
    let task = Task {
        attempt: 3,
        ..task_named("a")
    };
    for verdict in [failure(None), Verdict::discard("refused")] {
        let letter = decided(&task, verdict, NOW_MS + 1, 0).dead_letter.unwrap();
        assert_eq!(
            (letter.queue, letter.partition, letter.key),
            (task.queue.clone(), PARTITION, task.key())
        );
        assert_eq!(
            (letter.at, letter.attempts),
            (Timestamp::from_millis(NOW_MS + 1), 3)
        );
        assert_eq!(
            (letter.reason.as_str(), task::decode(&letter.encoded)),
            (
                "refused",
                Ok(Task {
                    group: Some(GroupName::default()),
                    ..task.clone()
                })
            ),
            "for the group that gave it up"
        );
    }
    let first = decided(&task_named("a"), Verdict::discard("gone"), NOW_MS, 0);
    assert_eq!(
        (first.kind, first.dead_letter.unwrap().attempts),
        (OutcomeKind::Dead, 1)
    );
}

#[test]
fn at_most_once_is_never_tried_again() {
    let task = Task {
        guarantee: Guarantee::AtMostOnce,
        ..task_named("a")
    };
    let decision = decided(&task, failure(Some(1)), NOW_MS, 0);
    assert_eq!(
        (decision.kind, decision.commands),
        (OutcomeKind::Dead, Vec::new())
    );
}

#[test]
fn a_schedule_is_told_at_the_end_of_the_chain_only() {
    let last = Task {
        attempt: 3,
        ..with_origin(task_named("a"))
    };
    let first = with_origin(task_named("a"));
    for (task, verdict, told) in [
        (&first, Verdict::success(), Some(OutcomeKind::Succeeded)),
        (&first, failure(None), None),
        (&last, failure(None), Some(OutcomeKind::Dead)),
        (&first, Verdict::discard("no"), Some(OutcomeKind::Dead)),
        (&first, Verdict::Cancelled, Some(OutcomeKind::Cancelled)),
    ] {
        let decision = decided(task, verdict.clone(), NOW_MS + 3, 0);
        let completions: Vec<_> = decision
            .commands
            .iter()
            .filter(|command| matches!(command, Command::Completed { .. }))
            .collect();
        let due = Some(task.first_due);
        let expected = told.map(|kind| Command::Completed {
            key: task.key(),
            due,
            kind,
        });
        assert_eq!(
            completions,
            expected.iter().collect::<Vec<_>>(),
            "{verdict:?}"
        );
    }
    let mut unwanted = first;
    unwanted.origin.as_mut().unwrap().completion_wanted = false;
    assert!(
        decided(&unwanted, Verdict::success(), NOW_MS, 0)
            .commands
            .is_empty()
    );
    assert!(
        decided(&task_named("a"), Verdict::success(), NOW_MS, 0)
            .commands
            .is_empty()
    );
}

#[test]
fn long_reasons_are_cut_between_characters() {
    let long = "é".repeat(DETAIL_BYTES_MAX);
    let odd = format!("x{long}");
    let decision = decided(&task_named("a"), Verdict::discard(odd), NOW_MS, 0);
    assert_eq!(decision.detail.len(), DETAIL_BYTES_MAX - 1);
    assert!(decision.detail.starts_with("xé") && decision.detail.ends_with('é'));
    assert_eq!(decision.dead_letter.unwrap().reason, decision.detail);
    let result = "é".repeat(RESULT_BYTES_MAX);
    let success = Verdict::Success { detail: result };
    let detail = decided(&task_named("a"), success, NOW_MS, 0).detail;
    assert_eq!(detail.len(), RESULT_BYTES_MAX);
}

#[test]
fn an_end_creates_the_task_that_follows_and_no_retry_does() {
    let on = |queue: &str| Some(Box::new(ChainedTask::new(QueueName::parse(queue).unwrap())));
    let chain = Chain {
        on_success: on("invoices"),
        on_failure: on("alerts"),
    };
    let task = with_origin(Task {
        chain,
        ..task_named("a")
    });
    let said = Verdict::Success {
        detail: "paid".to_owned(),
    };
    for (verdict, follows) in [
        (said, Some(("invoices", "~success", "paid"))),
        (Verdict::discard("no"), Some(("alerts", "~failure", "no"))),
        (failure(None), None),
        (Verdict::Cancelled, None),
    ] {
        let row = format!("{verdict:?}");
        let decision = decided(&task, verdict, NOW_MS + 7, 0);
        assert_eq!(
            decision.commands.len(),
            1,
            "{row}: a retry or the completion"
        );
        let Some((queue, ends_with, payload)) = follows else {
            assert_eq!(decision.chained, None, "{row}");
            continue;
        };
        let next = decision.chained.expect(&row);
        assert!(next.id.as_str().ends_with(ends_with), "{row}: {}", next.id);
        assert_eq!(
            (next.queue.as_str(), &*next.payload, next.due.as_millis()),
            (queue, payload.as_bytes(), NOW_MS + 7),
            "{row}"
        );
        assert_eq!(
            (next.attempt, next.origin),
            (1, None),
            "{row}: a task by itself"
        );
    }
}

#[test]
fn what_the_end_of_a_stopped_run_means() {
    let said = |text: &str| Some(Verdict::failure(text));
    let discard = || Some(Verdict::discard("no"));
    for (cause, verdict, means) in [
        (
            StopCause::Requested,
            Some(Verdict::success()),
            Some(Verdict::success()),
        ),
        (
            StopCause::Requested,
            said("stopped"),
            Some(Verdict::Cancelled),
        ),
        (
            StopCause::Requested,
            Some(Verdict::Cancelled),
            Some(Verdict::Cancelled),
        ),
        (StopCause::Requested, None, Some(Verdict::Killed)),
        (StopCause::Requested, discard(), Some(Verdict::Cancelled)),
        (StopCause::TimedOut, discard(), discard()),
        (StopCause::ShuttingDown, discard(), discard()),
        (
            StopCause::TimedOut,
            Some(Verdict::success()),
            Some(Verdict::success()),
        ),
        (
            StopCause::TimedOut,
            said("signal 15"),
            said("timed out after 50 ms: signal 15"),
        ),
        (
            StopCause::TimedOut,
            Some(Verdict::Cancelled),
            said("timed out after 50 ms"),
        ),
        (
            StopCause::TimedOut,
            None,
            said("timed out after 50 ms and was killed"),
        ),
        (
            StopCause::ShuttingDown,
            Some(Verdict::success()),
            Some(Verdict::success()),
        ),
        (StopCause::ShuttingDown, said("interrupted"), None),
        (StopCause::ShuttingDown, Some(Verdict::Cancelled), None),
        (StopCause::ShuttingDown, None, None),
    ] {
        assert_eq!(
            after_stop(verdict.clone(), cause, 50),
            means,
            "{cause:?} {verdict:?}"
        );
    }
}

proptest! {
    /// Whatever the policy says: the chain ends after at most `attempts_max` attempts, each due
    /// after the one before, no retry later than the age limit, and exactly the last one leaves a
    /// dead letter.
    #[test]
    fn a_chain_of_failures_ends(
        backoff in prop_oneof![
            Just(Backoff::None), Just(Backoff::Immediate), Just(Backoff::Exponential),
            (1..=RETRY_DELAY_MS_MAX).prop_map(|delay_ms| Backoff::Fixed { delay_ms }),
        ],
        attempts_max in 1_u32..20,
        age_ms_max in proptest::option::of(1_i64..100_000),
        retry_after_ms in proptest::option::of(any::<i64>()),
        clock_steps in proptest::collection::vec((-1_000_i64..1_000, any::<u64>()), 20),
    ) {
        let retry = RetryPolicy { backoff, attempts_max, age_ms_max, ..RetryPolicy::default() }.validated().unwrap();
        let mut task = with_origin(Task { retry, ..task_named("a") });
        for (step_ms, random) in clock_steps {
            let at_ms = task.due.as_millis() + step_ms;
            let decision = decided(&task, failure(retry_after_ms), at_ms, random);
            prop_assert_eq!(decision.commands.len(), 1, "a retry or the completion");
            let Some(next) = retry_of(&decision) else {
                prop_assert_eq!(decision.dead_letter.unwrap().attempts, task.attempt);
                return Ok(());
            };
            prop_assert!(decision.dead_letter.is_none());
            prop_assert!(next.due > task.due && next.attempt == task.attempt + 1 && next.attempt <= attempts_max);
            prop_assert!(next.due.millis_since(task.due) <= RETRY_DELAY_MS_MAX + 1_000);
            if let Some(age_ms_max) = age_ms_max {
                // One millisecond for the rule that a retry follows its predecessor.
                let limit = task.first_due.plus_millis(age_ms_max).max(task.due.plus_millis(1));
                prop_assert!(next.due <= limit, "{} > {}", next.due, limit);
            }
            task = next;
        }
        prop_assert!(false, "the chain did not end");
    }
}
