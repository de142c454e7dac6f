//! Guarantees: what happens when the queue fails, or the worker dies in the middle.

use std::sync::Arc;
use std::time::Duration;

use minutehand_model::{Chain, ChainedTask, Command, Guarantee, OutcomeKind, QueueName, Task};
use minutehand_ports::ErrorClass;
use minutehand_record::task;
use minutehand_worker::{
    DeadLetterHook, FnHandler, GivenDues, HistoryPolicy, HookUrl, Run, Verdict,
};
use tokio::sync::Notify;

use crate::support::{Counter, FakeQueue, commands_of, queue, task_named, with_origin};

fn at_most_once(id: &str) -> Task {
    Task {
        guarantee: Guarantee::AtMostOnce,
        ..task_named(id)
    }
}

fn counting(
    runs: &Counter,
    verdict: fn() -> Verdict,
) -> FnHandler<impl Fn(&Run) -> Verdict + use<>> {
    let runs = runs.clone();
    FnHandler(move |_: &Run| {
        runs.add();
        verdict()
    })
}

#[tokio::test(start_paused = true)]
async fn at_most_once_is_settled_before_it_runs() {
    let fake = FakeQueue::new();
    for number in 0..1_000 {
        fake.deliver(&at_most_once(&format!("t{number}")));
    }
    let (queue_seen, runs) = (Arc::clone(&fake), Counter::default());
    let count = runs.clone();
    let handler = FnHandler(move |run: &Run| {
        count.add();
        let number: usize = run.task().id.as_str()[1..].parse().unwrap();
        assert!(
            queue_seen
                .state()
                .settled
                .iter()
                .any(|settlement| settlement.id.sequence == number as u64 + 1)
        );
        Verdict::success()
    });
    let worker = fake.worker().handle(queue(), handler, 8).build().unwrap();
    let done = Counter::default();
    worker
        .run(async {
            while runs.get() < 1_000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            done.add();
        })
        .await
        .unwrap();
    let state = fake.state();
    assert_eq!(
        (runs.get(), done.get(), state.settled.len()),
        (1_000, 1, 1_000)
    );
    assert!(
        state
            .settled
            .iter()
            .all(|settlement| settlement.dead_letter.is_none())
    );
    assert!(state.reports.is_empty(), "successes need no report");
    assert!(state.settle_calls < 500, "settled one by one");
}

#[tokio::test(start_paused = true)]
async fn at_most_once_runs_only_after_its_settlement_is_confirmed() {
    let fake = FakeQueue::new();
    // Nothing is settled, nor anything less in its place.
    fake.state()
        .settle_failures
        .extend([(ErrorClass::Fatal, false); 3]);
    fake.deliver(&at_most_once("a"));
    let runs = Counter::default();
    let worker = fake
        .worker()
        .handle(queue(), counting(&runs, Verdict::success), 8)
        .build()
        .unwrap();
    let error = worker.run(std::future::pending()).await.unwrap_err();
    assert_eq!(
        (error.queue, error.source.class, runs.get()),
        (queue(), ErrorClass::Fatal, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn at_most_once_runs_once_after_a_repeated_settlement() {
    for took_effect in [false, true] {
        let fake = FakeQueue::new();
        fake.state()
            .settle_failures
            .extend([(ErrorClass::Retry, took_effect); 3]);
        fake.deliver(&at_most_once("a"));
        let runs = Counter::default();
        let worker = fake
            .worker()
            .handle(queue(), counting(&runs, Verdict::success), 8)
            .build()
            .unwrap();
        worker
            .run(tokio::time::sleep(Duration::from_secs(60)))
            .await
            .unwrap();
        assert_eq!((runs.get(), fake.state().settled.len()), (1, 1));
    }
}

/// Starts a worker whose handler never ends, drops it in the middle of the run, restarts the queue
/// and lets another worker work: how often the handler was started in all.
async fn starts_around_a_crash(task: &Task) -> u64 {
    let (fake, starts, started) = (
        FakeQueue::new(),
        Counter::default(),
        Arc::new(Notify::new()),
    );
    fake.deliver(task);
    let (count, telling) = (starts.clone(), Arc::clone(&started));
    let handler = move |_: Run| {
        count.add();
        telling.notify_one();
        std::future::pending()
    };
    let worker = fake.worker().handle(queue(), handler, 1).build().unwrap();
    tokio::select! {
        _ = worker.run(std::future::pending()) => unreachable!("nobody shuts it down"),
        () = started.notified() => {}
    }
    fake.restart();
    let worker = fake
        .worker()
        .handle(queue(), counting(&starts, Verdict::success), 1)
        .build()
        .unwrap();
    worker
        .run(tokio::time::sleep(Duration::from_secs(60)))
        .await
        .unwrap();
    starts.get()
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_all_but_at_most_once_run_again() {
    assert_eq!(starts_around_a_crash(&at_most_once("a")).await, 1);
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        assert_eq!(
            starts_around_a_crash(&Task {
                guarantee,
                ..task_named("a")
            })
            .await,
            2
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_at_most_once_run_is_reported_and_not_tried_again() {
    let fake = FakeQueue::new();
    fake.deliver(&with_origin(at_most_once("a")));
    let runs = Counter::default();
    let handler = counting(&runs, || Verdict::failure("refused"));
    let worker = fake.worker().handle(queue(), handler, 1).build().unwrap();
    worker
        .run(fake.until(|state| !state.reports.is_empty()))
        .await
        .unwrap();
    let state = fake.state();
    let [report] = &state.reports[..] else {
        panic!("{:?}", state.reports)
    };
    assert_eq!(report.dead_letter.as_ref().unwrap().reason, "refused");
    assert_eq!(report.outcome.as_ref().unwrap().1.kind, OutcomeKind::Dead);
    let commands = commands_of(&report.commands);
    assert!(
        matches!(
            &commands[..],
            [Command::Completed {
                kind: OutcomeKind::Dead,
                ..
            }]
        ),
        "{commands:?}"
    );
    assert_eq!((runs.get(), state.settled.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_settlement_that_fails_is_repeated_without_running_again() {
    for took_effect in [false, true] {
        let fake = FakeQueue::new();
        fake.state()
            .settle_failures
            .extend([(ErrorClass::Retry, took_effect); 4]);
        for number in 0..10 {
            fake.deliver(&task_named(&format!("t{number}")));
        }
        let runs = Counter::default();
        let worker = fake
            .worker()
            .handle(queue(), counting(&runs, Verdict::success), 8)
            .build()
            .unwrap();
        worker
            .run(tokio::time::sleep(Duration::from_secs(60)))
            .await
            .unwrap();
        assert_eq!((runs.get(), fake.state().settled.len()), (10, 10));
    }
}

#[tokio::test(start_paused = true)]
async fn executions_between_taking_and_settling_are_bounded() {
    let fake = FakeQueue::new();
    fake.state().is_settle_stuck = true;
    for number in 0..1_000 {
        fake.deliver(&task_named(&format!("t{number}")));
    }
    let runs = Counter::default();
    let handler = counting(&runs, Verdict::success);
    let worker = fake
        .worker()
        .batch_max(10)
        .drain_ms(0)
        .handle(queue(), handler, 10)
        .build()
        .unwrap();
    worker
        .run(tokio::time::sleep(Duration::from_secs(60)))
        .await
        .unwrap();
    assert!((10..=50).contains(&runs.get()), "{}", runs.get());
}

/// A worker that is dropped in the middle of a run, and what the queue was told then.
async fn dropped_while_it_runs(fake: &Arc<FakeQueue>, tasks: &[Task], history: HistoryPolicy) {
    tasks.iter().for_each(|task| fake.deliver(task));
    let (started, starts) = (Arc::new(Notify::new()), Counter::default());
    let (telling, count, wanted) = (Arc::clone(&started), starts.clone(), tasks.len() as u64);
    let handler = move |_: Run| {
        if count.add() == wanted {
            telling.notify_one();
        }
        std::future::pending()
    };
    let worker = fake
        .worker()
        .history(history)
        .handle(queue(), handler, tasks.len())
        .build()
        .unwrap();
    tokio::select! {
        _ = worker.run(std::future::pending()) => unreachable!("nobody shuts it down"),
        () = started.notified() => {}
    }
    // The loops are tasks of their own: they are gone when nobody holds what they held.
    fake.until(|state| state.waiting.len() + state.told.len() == tasks.len())
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_dropped_lets_go_of_what_it_had() {
    let fake = FakeQueue::new();
    let tasks = [
        task_named("a"),
        with_origin(at_most_once("b")),
        task_named("c"),
    ];
    dropped_while_it_runs(&fake, &tasks, HistoryPolicy::Failures).await;
    let word = fake.state().told.remove(0);
    let [Command::Completed { key, due, kind }] = commands_of(&word.commands)[..] else {
        panic!("{word:?}")
    };
    assert_eq!(
        (key, due, kind),
        (tasks[1].key(), Some(tasks[1].first_due), OutcomeKind::Lost)
    );
    assert_eq!(word.outcome.unwrap().1.kind, OutcomeKind::Lost);
    let runs = Counter::default();
    let worker = fake
        .worker()
        .handle(queue(), counting(&runs, Verdict::success), 8)
        .build()
        .unwrap();
    worker
        .run(fake.until(|state| state.settled.len() == 3))
        .await
        .unwrap();
    assert_eq!(runs.get(), 2, "the next worker runs the others");
}

/// What nobody waits for and nobody wants to read costs no second write.
#[tokio::test(start_paused = true)]
async fn a_claim_has_a_last_word_where_a_success_would_be_told() {
    for (task, history, is_kept) in [
        (at_most_once("a"), HistoryPolicy::Failures, false),
        (at_most_once("a"), HistoryPolicy::All, true),
        (with_origin(at_most_once("a")), HistoryPolicy::None, true),
        (
            with_origin(at_most_once("a")),
            HistoryPolicy::Failures,
            true,
        ),
    ] {
        let fake = FakeQueue::new();
        fake.deliver(&task);
        let (runs, queue_seen) = (Counter::default(), Arc::clone(&fake));
        let count = runs.clone();
        let handler = FnHandler(move |_: &Run| {
            count.add();
            assert_eq!(queue_seen.state().last_words.len(), usize::from(is_kept));
            Verdict::success()
        });
        let worker = fake
            .worker()
            .history(history)
            .handle(queue(), handler, 1)
            .build()
            .unwrap();
        worker
            .run(tokio::time::sleep(Duration::from_secs(1)))
            .await
            .unwrap();
        let state = fake.state();
        assert_eq!((runs.get(), state.reports.len()), (1, usize::from(is_kept)));
        assert!(
            state.last_words.is_empty() && state.told.is_empty(),
            "its end was told"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_settlement_that_cannot_be_leaves_no_claim_untold() {
    let fake = FakeQueue::new();
    let (started, settle) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    fake.deliver(&with_origin(at_most_once("claimed")));
    let (telling, settling) = (Arc::clone(&started), Arc::clone(&settle));
    let handler = move |run: Run| {
        let (telling, settling) = (Arc::clone(&telling), Arc::clone(&settling));
        async move {
            if run.task().id.as_str() == "claimed" {
                telling.notify_one();
                std::future::pending::<()>().await;
            }
            settling.notified().await;
            Verdict::success()
        }
    };
    let worker = fake.worker().handle(queue(), handler, 8).build().unwrap();
    let story = async {
        started.notified().await;
        fake.state()
            .settle_failures
            .extend([(ErrorClass::Fatal, false); 3]);
        fake.deliver(&task_named("other"));
        settle.notify_one();
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = worker.run(std::future::pending()) => ended,
        () = story => unreachable!("it ends with the worker"),
    };
    assert_eq!(ended.unwrap_err().source.class, ErrorClass::Fatal);
    let state = fake.state();
    assert_eq!(
        (state.told.len(), state.waiting.len()),
        (1, 1),
        "one is lost, one is run again"
    );
}

/// One id in two queues, two workers of one process, one millisecond: two retries, at two times.
#[tokio::test(start_paused = true)]
async fn workers_that_share_the_given_times_give_none_twice() {
    let (dues, mut given) = (GivenDues::default(), Vec::new());
    for late_ms in [5, 10] {
        let fake = FakeQueue::new();
        let task = task_named("a");
        let due = task.due.plus_millis(-late_ms);
        fake.deliver(&Task {
            due,
            first_due: due,
            ..task
        });
        let worker = fake.worker().given_dues(dues.clone());
        let worker = worker
            .handle(queue(), FnHandler(|_: &Run| Verdict::failure("no")), 1)
            .build()
            .unwrap();
        worker.run(fake.until_settled(1)).await.unwrap();
        let commands = commands_of(&fake.state().settled[0].commands);
        let [Command::Create(retry)] = &commands[..] else {
            panic!("{commands:?}")
        };
        given.push(retry.due);
    }
    assert_eq!(given[1], given[0].plus_millis(1));
}

/// Two of a hundred have a retry that the queue does not take; the others are settled as they are,
/// and the worker goes on.
#[tokio::test(start_paused = true)]
async fn a_settlement_that_is_refused_is_a_dead_letter_alone() {
    let fake = FakeQueue::new();
    fake.state().refuses = Some(|settlement| {
        let is_refused = |id: &str| {
            commands_of(&settlement.commands)
                .iter()
                .any(|command| match command {
                    Command::Create(record) => {
                        task::decode(&record.encoded).unwrap().id.as_str() == id
                    }
                    _ => false,
                })
        };
        is_refused("t17") || is_refused("t60")
    });
    for number in 0..100 {
        fake.deliver(&with_origin(task_named(&format!("t{number}"))));
    }
    let worker = fake
        .worker()
        .handle(queue(), FnHandler(|_: &Run| Verdict::failure("no")), 100);
    worker
        .build()
        .unwrap()
        .run(fake.until_settled(100))
        .await
        .unwrap();
    let state = fake.state();
    let (letters, others): (Vec<_>, Vec<_>) = state
        .settled
        .iter()
        .partition(|settlement| settlement.dead_letter.is_some());
    assert_eq!((letters.len(), others.len()), (2, 98));
    for settlement in letters {
        let letter = settlement.dead_letter.as_ref().unwrap();
        assert!(
            letter.reason.contains("was refused") && letter.reason.contains("planted"),
            "{letter:?}"
        );
        let id = task::decode(&letter.encoded).unwrap().id;
        assert!(["t17", "t60"].contains(&id.as_str()), "{id}");
        let [
            Command::Completed {
                kind: OutcomeKind::Dead,
                ..
            },
        ] = commands_of(&settlement.commands)[..]
        else {
            panic!("the schedule hears of it: {settlement:?}")
        };
        assert_eq!(
            settlement.outcome.as_ref().map(|(_, outcome)| outcome.kind),
            Some(OutcomeKind::Dead)
        );
    }
}

/// A run that ended well is no dead letter, whatever is refused of it.
#[tokio::test(start_paused = true)]
async fn a_success_whose_history_is_refused_stays_a_success() {
    let fake = FakeQueue::new();
    fake.state().refuses = Some(|settlement| settlement.outcome.is_some());
    fake.deliver(&with_origin(task_named("a")));
    let worker = fake
        .worker()
        .handle(queue(), FnHandler(|_: &Run| Verdict::success()), 1)
        .build()
        .unwrap();
    worker.run(fake.until_settled(1)).await.unwrap();
    let state = fake.state();
    let told = commands_of(&state.settled[0].commands);
    assert!(
        matches!(
            told[..],
            [Command::Completed {
                kind: OutcomeKind::Succeeded,
                ..
            }]
        ),
        "{told:?}"
    );
    assert_eq!(
        (&state.settled[0].dead_letter, &state.settled[0].outcome),
        (&None, &None)
    );
}

/// An at-most-once execution that cannot be claimed does not run, and is told.
#[tokio::test(start_paused = true)]
async fn a_claim_that_is_refused_is_a_dead_letter_and_never_runs() {
    let fake = FakeQueue::new();
    fake.state()
        .settle_failures
        .push_back((ErrorClass::Fatal, false));
    fake.deliver(&at_most_once("a"));
    let runs = Counter::default();
    let worker = fake
        .worker()
        .handle(queue(), counting(&runs, Verdict::success), 8)
        .build()
        .unwrap();
    worker.run(fake.until_settled(1)).await.unwrap();
    let letter = fake.state().settled[0].dead_letter.clone().unwrap();
    assert!(letter.reason.contains("was refused"), "{}", letter.reason);
    assert_eq!(runs.get(), 0);
}

/// A task that is followed by another whichever way it ends.
fn followed(task: Task) -> Task {
    let next = Box::new(ChainedTask::new(QueueName::parse("next").unwrap()));
    Task {
        chain: Chain {
            on_success: Some(next.clone()),
            on_failure: Some(next),
        },
        ..task
    }
}

/// The ids of the chained tasks among commands.
fn chained(commands: &[(minutehand_model::PartitionId, bytes::Bytes)]) -> Vec<String> {
    let id = |command| match command {
        Command::Create(record) => {
            let task = task::decode(&record.encoded).unwrap();
            task.is_first_of_a_chain().then(|| task.id.to_string())
        }
        _ => None,
    };
    commands_of(commands).into_iter().filter_map(id).collect()
}

#[tokio::test(start_paused = true)]
async fn what_follows_an_end_is_settled_with_it_once() {
    for took_effect in [false, true] {
        let fake = FakeQueue::new();
        fake.state()
            .settle_failures
            .extend([(ErrorClass::Retry, took_effect); 3]);
        let task = followed(task_named("a"));
        fake.deliver(&task);
        let runs = Counter::default();
        let handler = counting(&runs, Verdict::success);
        let worker = fake.worker().handle(queue(), handler, 8).build().unwrap();
        worker
            .run(tokio::time::sleep(Duration::from_secs(60)))
            .await
            .unwrap();
        let state = fake.state();
        let ids: Vec<String> = state
            .settled
            .iter()
            .flat_map(|settlement| chained(&settlement.commands))
            .collect();
        let expected = format!("{}~success", minutehand_model::ExecutionId::of(&task));
        assert_eq!(ids, [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_at_most_once_run_is_followed_too() {
    for (verdict, suffix) in [
        (Verdict::success as fn() -> Verdict, "~success"),
        (|| Verdict::failure("no"), "~failure"),
    ] {
        let fake = FakeQueue::new();
        fake.deliver(&followed(at_most_once("a")));
        let runs = Counter::default();
        let worker = fake
            .worker()
            .handle(queue(), counting(&runs, verdict), 8)
            .build()
            .unwrap();
        worker
            .run(fake.until(|state| !state.reports.is_empty()))
            .await
            .unwrap();
        let state = fake.state();
        let [report] = &state.reports[..] else {
            panic!("{} reports", state.reports.len())
        };
        let ids = chained(&report.commands);
        assert!(ids.len() == 1 && ids[0].ends_with(suffix), "{ids:?}");
        assert!(state.last_words.is_empty(), "the report has withdrawn it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_at_most_once_run_is_followed_as_a_failure() {
    let task = followed(at_most_once("a"));
    let (fake, started) = (FakeQueue::new(), Arc::new(Notify::new()));
    fake.deliver(&task);
    let telling = Arc::clone(&started);
    let handler = move |_: Run| {
        telling.notify_one();
        std::future::pending()
    };
    let worker = fake
        .worker()
        .history(HistoryPolicy::None)
        .handle(queue(), handler, 1)
        .build()
        .unwrap();
    tokio::select! {
        _ = worker.run(std::future::pending()) => unreachable!("nobody shuts it down"),
        () = started.notified() => {}
    }
    fake.restart();
    let state = fake.state();
    let [word] = &state.told[..] else {
        panic!("{} last words", state.told.len())
    };
    let ids = chained(&word.commands);
    assert!(ids.len() == 1 && ids[0].ends_with("~failure"), "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_for_its_refusal_is_followed() {
    let fake = FakeQueue::new();
    fake.state().refuses = Some(|settlement| {
        let is_retry = |command: &Command| matches!(command, Command::Create(record) if task::decode(&record.encoded).unwrap().attempt > 1);
        commands_of(&settlement.commands).iter().any(is_retry)
    });
    fake.deliver(&followed(task_named("a")));
    let runs = Counter::default();
    let handler = counting(&runs, || Verdict::failure("no"));
    let worker = fake.worker().handle(queue(), handler, 8).build().unwrap();
    worker.run(fake.until_settled(1)).await.unwrap();
    let state = fake.state();
    let settlement = &state.settled[0];
    assert!(settlement.dead_letter.is_some());
    let ids = chained(&settlement.commands);
    assert!(ids.len() == 1 && ids[0].ends_with("~failure"), "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn each_dead_letter_is_told_to_the_hook_and_none_of_its_own() {
    let hook = DeadLetterHook {
        queue: QueueName::parse("graveyard").unwrap(),
        url: HookUrl::try_from("https://example.com/hook".to_owned()).ok(),
    };
    for (to, told) in [("mail", 1), ("graveyard", 0)] {
        let fake = FakeQueue::new();
        let given_up = Task {
            queue: QueueName::parse(to).unwrap(),
            ..task_named("a")
        };
        fake.deliver(&given_up);
        let runs = Counter::default();
        let handler = counting(&runs, || Verdict::discard("no such address"));
        let worker = fake.worker().dead_letter_hook(Some(hook.clone()));
        let worker = worker.handle(queue(), handler, 8).build().unwrap();
        worker.run(fake.until_settled(1)).await.unwrap();
        let state = fake.state();
        assert!(state.settled[0].dead_letter.is_some());
        let commands = commands_of(&state.settled[0].commands);
        assert_eq!(commands.len(), told, "{to}: {commands:?}");
        for command in commands {
            let Command::Create(record) = command else {
                panic!("{command:?}")
            };
            let task = task::decode(&record.encoded).unwrap();
            assert_eq!(task.queue.as_str(), "graveyard");
            assert!(task.id.as_str().ends_with("~dead-letter"), "{}", task.id);
            let payload: serde_json::Value = serde_json::from_slice(&task.payload).unwrap();
            assert_eq!(
                (&payload["task_id"], &payload["reason"], &payload["queue"]),
                (&"a".into(), &"no such address".into(), &"mail".into())
            );
            assert_eq!(task.headers[0].1, "https://example.com/hook");
        }
    }
}
