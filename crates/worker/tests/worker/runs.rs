//! Runs: how many, how they end, how they are stopped, and what is told of them. Time is virtual.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use minutehand_model::{
    Backoff, Command, LogOffset, OutcomeKind, QueueName, RetryPolicy, Task, Timestamp,
};
use minutehand_ports::{ErrorClass, Settlement};
use minutehand_worker::{
    BuildError, EndedRun, FnHandler, HistoryPolicy, Run, StopCause, TIMEOUT_HEADER, Verdict,
    Worker, WorkerObserver,
};
use proptest::prelude::*;
use tokio::sync::Notify;

use crate::support::{Counter, FakeQueue, NOW_MS, commands_of, queue, task_named, with_origin};

/// Runs a worker until `done`, then shuts it down and answers with the settlements.
async fn settled_when(
    fake: &Arc<FakeQueue>,
    worker: Worker,
    done: impl Future<Output = ()>,
) -> Vec<Settlement> {
    worker.run(done).await.unwrap();
    fake.state().settled.clone()
}

fn kinds(settlements: &[Settlement]) -> Vec<OutcomeKind> {
    settlements
        .iter()
        .map(|settlement| settlement.outcome.as_ref().unwrap().1.kind)
        .collect()
}

fn reason(settlement: &Settlement) -> &str {
    &settlement.dead_letter.as_ref().unwrap().reason
}

fn once(id: &str) -> Task {
    Task {
        retry: RetryPolicy::NEVER,
        ..task_named(id)
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_handler_runs_every_execution_once() {
    async fn nap() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for kind in 0..3 {
        let (fake, runs) = (FakeQueue::new(), Counter::default());
        let worker = fake.worker().history(HistoryPolicy::All);
        let count = runs.clone();
        let worker = match kind {
            0 => worker.handle(
                queue(),
                FnHandler(move |_: &Run| {
                    count.add();
                    Verdict::success()
                }),
                8,
            ),
            1 => worker.handle(
                queue(),
                move |_: Run| {
                    count.add();
                    async { Verdict::success() }
                },
                8,
            ),
            _ => worker.handle(
                queue(),
                move |_: Run| {
                    count.add();
                    async {
                        nap().await;
                        Verdict::Success {
                            detail: "slept".into(),
                        }
                    }
                },
                8,
            ),
        };
        for number in 0..5_000 {
            fake.deliver(&task_named(&format!("t{number}")));
        }
        let settled = settled_when(&fake, worker.build().unwrap(), fake.until_settled(5_000)).await;
        assert_eq!((settled.len(), runs.get()), (5_000, 5_000));
        assert!(
            settled.iter().all(
                |settlement| settlement.commands.is_empty() && settlement.dead_letter.is_none()
            )
        );
        assert!(
            kinds(&settled)
                .iter()
                .all(|kind| *kind == OutcomeKind::Succeeded)
        );
        assert!(fake.state().settle_calls < 2_500, "settled one by one");
    }
}

#[tokio::test(start_paused = true)]
async fn the_handler_sees_the_execution() {
    let fake = FakeQueue::new();
    let task = Task {
        headers: vec![("Colour".into(), "red".into())],
        attempt: 2,
        ..task_named("a")
    };
    fake.deliver(&task);
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    let handler = FnHandler(move |run: &Run| {
        assert_eq!(
            (run.header("colour"), run.header("size")),
            (Some("red"), None)
        );
        *keep.lock().unwrap() = Some((run.execution().clone(), run.started_at()));
        Verdict::success()
    });
    let worker = fake.worker().handle(queue(), handler, 1).build().unwrap();
    settled_when(&fake, worker, fake.until_settled(1)).await;
    let (execution, started_at) = seen.lock().unwrap().take().unwrap();
    let expected = minutehand_model::Execution {
        offset: LogOffset::at(7),
        ..crate::support::execution_of(task)
    };
    assert_eq!(
        (execution, started_at),
        (expected, Timestamp::from_millis(NOW_MS))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// A task that fails k times is run exactly min(k + 1, attempts_max) times, whatever its
    /// policy, and told of once.
    #[test]
    fn a_task_that_fails_k_times_runs_k_plus_one_times(
        failures in 0_u64..12,
        attempts_max in 1_u32..10,
        backoff in prop_oneof![
            Just(Backoff::Immediate), Just(Backoff::Exponential), Just(Backoff::Fixed { delay_ms: 5 }),
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let fake = FakeQueue::new();
        fake.state().delivers_retries = true;
        let retry = RetryPolicy { backoff, attempts_max, ..RetryPolicy::default() };
        fake.deliver(&with_origin(Task { retry, ..task_named("a") }));
        let runs = Counter::default();
        let count = runs.clone();
        let handler = FnHandler(move |run: &Run| {
            let number = count.add();
            assert_eq!(u64::from(run.task().attempt), number);
            if number <= failures { Verdict::failure("not yet") } else { Verdict::success() }
        });
        let worker = fake.worker().handle(queue(), handler, 4).build().unwrap();
        let expected = (failures + 1).min(u64::from(attempts_max));
        let settled = runtime.block_on(settled_when(&fake, worker, async {
            fake.until_settled(expected as usize).await;
            // Whatever came too much would come now.
            tokio::time::sleep(Duration::from_secs(60)).await;
        }));
        prop_assert_eq!(runs.get(), expected);
        let commands: Vec<Command> = settled.iter().flat_map(|settlement| commands_of(&settlement.commands)).collect();
        let completions = commands.iter().filter(|command| matches!(command, Command::Completed { .. })).count();
        prop_assert_eq!(completions, 1);
        let dead = settled.iter().filter(|settlement| settlement.dead_letter.is_some()).count();
        prop_assert_eq!(dead, usize::from(failures >= u64::from(attempts_max)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_of_one_run() {
    let fake = FakeQueue::new();
    for id in ["early", "late", "formatted", "fine"] {
        fake.deliver(&once(id));
    }
    let handler = |run: Run| {
        assert!(run.task().id.as_str() != "early", "before the future");
        async move {
            tokio::task::yield_now().await;
            match run.task().id.as_str() {
                "late" => panic!("in the future"),
                "formatted" => std::panic::panic_any(7_u8),
                _ => Verdict::success(),
            }
        }
    };
    let worker = fake.worker().handle(queue(), handler, 4).build().unwrap();
    let settled = settled_when(&fake, worker, fake.until_settled(4)).await;
    let mut reasons: Vec<&str> = settled
        .iter()
        .filter_map(|settlement| settlement.dead_letter.as_ref())
        .map(|letter| &*letter.reason)
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "handler panicked: (no message)",
            "handler panicked: before the future",
            "handler panicked: in the future"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_becomes_a_dead_letter() {
    let fake = FakeQueue::new();
    fake.deliver_bytes(&task_named("a"), Bytes::from_static(b"\xff\xff\xff"));
    fake.deliver(&task_named("b"));
    let worker = fake
        .worker()
        .handle(queue(), FnHandler(|_: &Run| Verdict::success()), 1)
        .build()
        .unwrap();
    let settled = settled_when(&fake, worker, fake.until_settled(2)).await;
    let letter = settled[0].dead_letter.as_ref().unwrap();
    assert!(
        letter
            .reason
            .starts_with("the execution cannot be understood: "),
        "{}",
        letter.reason
    );
    assert_eq!(
        (letter.key, letter.attempts, &letter.encoded[..]),
        (task_named("a").key(), 0, &b"\xff\xff\xff"[..])
    );
    assert!(settled[1].dead_letter.is_none());
    let [Command::Completed { key, due, kind }] = commands_of(&settled[0].commands)[..] else {
        panic!("{:?}", settled[0].commands)
    };
    assert_eq!(
        (key, due, kind),
        (task_named("a").key(), None, OutcomeKind::Expired)
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_a_time_than_allowed_and_none_are_hoarded() {
    let (fake, at_once, most) = (FakeQueue::new(), Arc::new(Mutex::new((0, 0))), 3);
    for number in 0..50 {
        fake.deliver(&task_named(&format!("t{number}")));
    }
    let shared = Arc::clone(&at_once);
    let handler = move |_: Run| {
        let shared = Arc::clone(&shared);
        async move {
            {
                let mut running = shared.lock().unwrap();
                running.0 += 1;
                running.1 = running.1.max(running.0);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            shared.lock().unwrap().0 -= 1;
            Verdict::success()
        }
    };
    let worker = fake
        .worker()
        .handle(queue(), handler, most)
        .build()
        .unwrap();
    settled_when(&fake, worker, fake.until_settled(50)).await;
    assert_eq!(at_once.lock().unwrap().1, most);
    assert!(
        fake.state().poll_sizes.iter().all(|size| *size <= most),
        "{:?}",
        fake.state().poll_sizes
    );
}

#[tokio::test(start_paused = true)]
async fn quick_handlers_take_large_batches() {
    let fake = FakeQueue::new();
    for number in 0..3_000 {
        fake.deliver(&task_named(&format!("t{number}")));
    }
    let worker = fake
        .worker()
        .batch_max(500)
        .handle(queue(), FnHandler(|_: &Run| Verdict::success()), 2)
        .build()
        .unwrap();
    settled_when(&fake, worker, fake.until_settled(3_000)).await;
    let sizes = fake.state().poll_sizes.clone();
    assert_eq!((sizes[0], sizes.iter().max()), (2, Some(&500)));
}

/// Handles runs by waiting for a stop; says how it was told.
async fn until_stopped(run: Run) -> Verdict {
    let cause = run.stopped().await;
    Verdict::failure(format!("{cause:?}"))
}

#[tokio::test(start_paused = true)]
async fn a_stop_request_reaches_the_run_it_means() {
    let fake = FakeQueue::new();
    let (stopped, other) = (with_origin(task_named("stopped")), task_named("other"));
    let started = Arc::new(Notify::new());
    let (telling, ending) = (Arc::clone(&started), Arc::new(Notify::new()));
    let end_other = Arc::clone(&ending);
    let handler = move |run: Run| {
        telling.notify_one();
        let end_other = Arc::clone(&end_other);
        async move {
            if run.task().id.as_str() == "stopped" {
                return until_stopped(run).await;
            }
            end_other.notified().await;
            assert_eq!(run.stop_cause(), None);
            Verdict::success()
        }
    };
    let worker = fake
        .worker()
        .history(HistoryPolicy::All)
        .handle(queue(), handler, 4)
        .build()
        .unwrap();
    fake.deliver(&stopped);
    fake.deliver(&other);
    let settled = settled_when(&fake, worker, async {
        started.notified().await;
        started.notified().await;
        fake.send_stop(&stopped, false);
        fake.until_settled(1).await;
        ending.notify_one();
        fake.until_settled(2).await;
    })
    .await;
    assert_eq!(
        kinds(&settled),
        [OutcomeKind::Cancelled, OutcomeKind::Succeeded]
    );
    assert_eq!(detail(&settled[0]), "it was asked to stop, and stopped");
    let commands = commands_of(&settled[0].commands);
    assert!(
        matches!(
            &commands[..],
            [Command::Completed {
                kind: OutcomeKind::Cancelled,
                ..
            }]
        ),
        "{commands:?}"
    );
}

/// What the history keeps of an end.
fn detail(settlement: &Settlement) -> &str {
    let (_, outcome) = settlement.outcome.as_ref().expect("it is kept");
    &outcome.detail
}

/// Sets a flag when it is dropped.
struct OnDrop(Counter);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add();
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_does_not_stop_is_dropped_after_its_grace() {
    for (kill, expected) in [(false, Duration::from_secs(10)), (true, Duration::ZERO)] {
        let (fake, dropped, started) = (
            FakeQueue::new(),
            Counter::default(),
            Arc::new(Notify::new()),
        );
        let (on_drop, telling) = (dropped.clone(), Arc::clone(&started));
        let handler = move |_: Run| {
            let guard = OnDrop(on_drop.clone());
            telling.notify_one();
            async move {
                std::future::pending::<()>().await;
                drop(guard);
                Verdict::success()
            }
        };
        let worker = fake.worker().handle(queue(), handler, 1).build().unwrap();
        fake.deliver(&task_named("a"));
        let settled = settled_when(&fake, worker, async {
            started.notified().await;
            let asked_at = tokio::time::Instant::now();
            fake.send_stop(&task_named("a"), kill);
            fake.until_settled(1).await;
            assert_eq!(asked_at.elapsed().as_secs(), expected.as_secs());
            assert_eq!(dropped.get(), 1);
        })
        .await;
        assert_eq!(kinds(&settled), [OutcomeKind::Cancelled]);
        assert!(detail(&settled[0]).starts_with("it was killed"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_comes_before_its_execution_keeps_it_from_running() {
    let fake = FakeQueue::new();
    let stopped = task_named("stopped");
    let retry = Task {
        attempt: 2,
        due: stopped.due.plus_millis(500),
        ..stopped.clone()
    };
    let runs = Counter::default();
    let count = runs.clone();
    let handler = FnHandler(move |run: &Run| {
        assert_eq!(run.task().id.as_str(), "first");
        count.add();
        Verdict::success()
    });
    let worker = fake
        .worker()
        .history(HistoryPolicy::All)
        .handle(queue(), handler, 1)
        .build()
        .unwrap();
    fake.deliver(&task_named("first"));
    let settled = settled_when(&fake, worker, async {
        fake.until_settled(1).await;
        fake.send_stop(&stopped, false);
        fake.deliver(&stopped);
        // The attempt that follows is meant as well: the request names the time of the first.
        fake.deliver(&retry);
        fake.until_settled(3).await;
    })
    .await;
    assert_eq!(runs.get(), 1);
    assert_eq!(
        kinds(&settled),
        [
            OutcomeKind::Succeeded,
            OutcomeKind::Cancelled,
            OutcomeKind::Cancelled
        ]
    );
    assert_eq!(detail(&settled[1]), "it was cancelled before it had begun");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_too_long_is_asked_to_stop_and_fails() {
    let fake = FakeQueue::new();
    let header = |ms: &str| vec![(TIMEOUT_HEADER.to_owned(), ms.to_owned())];
    fake.deliver(&Task {
        headers: header("250"),
        ..once("polite")
    });
    fake.deliver(&Task {
        headers: header("250"),
        ..once("stubborn")
    });
    fake.deliver(&Task {
        headers: header("250"),
        ..once("lucky")
    });
    fake.deliver(&once("default"));
    let handler = |run: Run| async move {
        match run.task().id.as_str() {
            "stubborn" => std::future::pending().await,
            "lucky" => {
                run.stopped().await;
                Verdict::success()
            }
            _ => until_stopped(run).await,
        }
    };
    let worker = fake
        .worker()
        .run_timeout_ms(60_000)
        .handle(queue(), handler, 9)
        .build()
        .unwrap();
    let settled = settled_when(&fake, worker, fake.until_settled(4)).await;
    let reasons: Vec<Option<&str>> = settled
        .iter()
        .map(|settlement| {
            settlement
                .dead_letter
                .as_ref()
                .map(|letter| &*letter.reason)
        })
        .collect();
    assert_eq!(
        reasons,
        [
            Some("timed out after 250 ms: TimedOut"),
            None,
            Some("timed out after 250 ms and was killed"),
            Some("timed out after 60000 ms: TimedOut"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_is_no_number_is_refused_with_its_limits() {
    let fake = FakeQueue::new();
    let given = ["0", "-1", "soon", "2592000001", "1.5", ""];
    for (number, value) in given.iter().enumerate() {
        let headers = vec![(TIMEOUT_HEADER.to_owned(), (*value).to_owned())];
        fake.deliver(&Task {
            headers,
            ..task_named(&format!("t{number}"))
        });
    }
    let worker = fake
        .worker()
        .handle(queue(), FnHandler(|_: &Run| panic!("runs")), 1)
        .build()
        .unwrap();
    let settled = settled_when(&fake, worker, fake.until_settled(given.len())).await;
    for (settlement, value) in settled.iter().zip(given) {
        let expected = format!(
            "header minutehand-timeout-ms is {value:?}; it must be a number from 1 to 2592000000"
        );
        assert_eq!(reason(settlement), expected);
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl WorkerObserver for Seen {
    fn started(&self, queue: &QueueName, start_lateness_ms: i64, publish_lateness_ms: i64) {
        self.0.lock().unwrap().push(format!(
            "{queue} started {start_lateness_ms} {publish_lateness_ms}"
        ));
    }

    fn ended(&self, queue: &QueueName, run: EndedRun<'_>) {
        let duration_ms = run.ended_at.millis_since(run.started_at);
        self.0
            .lock()
            .unwrap()
            .push(format!("{queue} ended {} {duration_ms}", run.kind.as_str()));
    }

    fn settled(&self, queue: &QueueName, count: usize) {
        self.0
            .lock()
            .unwrap()
            .push(format!("{queue} settled {count}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_lateness_duration_and_settlements() {
    let (fake, seen) = (FakeQueue::new(), Arc::new(Seen::default()));
    fake.deliver(&task_named("a"));
    fake.clock.advance_to(Timestamp::from_millis(NOW_MS + 12));
    let clock = fake.clock.clone();
    let handler = FnHandler(move |run: &Run| {
        clock.advance_to(run.started_at().plus_millis(30));
        Verdict::failure("no")
    });
    let worker = fake
        .worker()
        .observer(seen.clone())
        .handle(queue(), handler, 1)
        .build()
        .unwrap();
    settled_when(&fake, worker, fake.until_settled(1)).await;
    assert_eq!(
        *seen.0.lock().unwrap(),
        [
            "mail started 12 0",
            "mail ended retried 30",
            "mail settled 1"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn history_is_written_as_its_policy_says() {
    for (policy, expected) in [
        (HistoryPolicy::None, vec![]),
        (HistoryPolicy::Failures, vec![("no", OutcomeKind::Retried)]),
        (
            HistoryPolicy::All,
            vec![
                ("done", OutcomeKind::Succeeded),
                ("no", OutcomeKind::Retried),
            ],
        ),
    ] {
        let fake = FakeQueue::new();
        fake.deliver(&task_named("good"));
        fake.deliver(&task_named("bad"));
        let handler = FnHandler(|run: &Run| match run.task().id.as_str() {
            "good" => Verdict::Success {
                detail: "done".to_owned(),
            },
            _ => Verdict::failure("no"),
        });
        let worker = fake
            .worker()
            .history(policy)
            .handle(queue(), handler, 4)
            .build()
            .unwrap();
        let settled = settled_when(&fake, worker, fake.until_settled(2)).await;
        let lines: Vec<(&str, OutcomeKind)> = settled
            .iter()
            .filter_map(|settlement| settlement.outcome.as_ref())
            .map(|(_, outcome)| (&*outcome.detail, outcome.kind))
            .collect();
        assert_eq!(lines, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_cannot_be_polled_is_polled_again() {
    let fake = FakeQueue::new();
    fake.state().poll_failures.extend([ErrorClass::Retry; 5]);
    fake.deliver(&task_named("a"));
    let worker = fake
        .worker()
        .handle(queue(), FnHandler(|_: &Run| Verdict::success()), 1)
        .build()
        .unwrap();
    assert_eq!(
        settled_when(&fake, worker, fake.until_settled(1))
            .await
            .len(),
        1
    );
}

#[test]
fn a_worker_that_makes_no_sense_is_refused() {
    let handler = || FnHandler(|_: &Run| Verdict::success());
    let built =
        |build: fn(minutehand_worker::WorkerBuilder) -> minutehand_worker::WorkerBuilder| {
            build(FakeQueue::new().worker())
                .handle(queue(), handler(), 1)
                .build()
                .err()
                .map(|error| error.to_string())
        };
    assert_eq!(built(|builder| builder), None);
    assert_eq!(
        built(|builder| builder.batch_max(0)).unwrap(),
        "batch_max is 0; it must be between 1 and 100000"
    );
    assert!(
        built(|builder| builder.run_timeout_ms(0))
            .unwrap()
            .starts_with("run_timeout_ms is 0;")
    );
    assert!(
        built(|builder| builder.drain_ms(-1))
            .unwrap()
            .starts_with("drain_ms is -1;")
    );
    assert!(
        built(|builder| builder.stop_grace_ms(i64::MAX))
            .unwrap()
            .starts_with("stop_grace_ms is 9223")
    );
    let none = FakeQueue::new()
        .worker()
        .handle(queue(), handler(), 0)
        .build()
        .err()
        .unwrap();
    assert_eq!(
        none.to_string(),
        "concurrency is 0; it must be between 1 and 1000000"
    );
    let twice = FakeQueue::new()
        .worker()
        .handle(queue(), handler(), 1)
        .handle(queue(), handler(), 1)
        .build();
    assert_eq!(
        twice.err().unwrap(),
        BuildError::Repeated { queue: queue() }
    );
    assert_eq!(
        FakeQueue::new().worker().build().err().unwrap(),
        BuildError::NoQueue
    );
}

#[tokio::test]
async fn a_run_is_told_its_first_stop_cause_even_before_it_asks() {
    let run = Run::new(
        crate::support::execution_of(task_named("a")),
        Timestamp::from_millis(NOW_MS),
    );
    assert_eq!(run.stop_cause(), None);
    run.ask_to_stop(StopCause::ShuttingDown);
    run.ask_to_stop(StopCause::Requested);
    assert_eq!(run.stopped().await, StopCause::ShuttingDown);
    assert!(
        !format!("{run:?}").contains("hello"),
        "payloads are not shown"
    );
}
