//! Going down: what runs may end, what has ended is settled, and nothing holds the worker up for
//! ever.

use std::sync::Arc;
use std::time::Duration;

use minutehand_model::{Guarantee, QueueName, Task};
use minutehand_ports::ErrorClass;
use minutehand_worker::{FnHandler, Idleness, Run, Verdict};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::support::{Counter, FakeQueue, queue, task_named};

/// Sleeps for as many seconds as its task's payload says, whatever it is asked.
fn sleeping(
    started: &Arc<Notify>,
) -> impl Fn(Run) -> futures_box::Verdicts + Send + Sync + 'static {
    let started = Arc::clone(started);
    move |run: Run| {
        started.notify_one();
        Box::pin(async move {
            let seconds = std::str::from_utf8(&run.task().payload)
                .unwrap()
                .parse()
                .unwrap();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Verdict::success()
        })
    }
}

mod futures_box {
    use std::pin::Pin;

    pub(super) type Verdicts = Pin<Box<dyn Future<Output = minutehand_worker::Verdict> + Send>>;
}

fn lasting(id: &str, seconds: u64) -> Task {
    Task {
        payload: seconds.to_string().into(),
        ..task_named(id)
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_let_end_and_nothing_more_is_taken() {
    let (fake, started) = (FakeQueue::new(), Arc::new(Notify::new()));
    fake.deliver(&lasting("a", 20));
    let worker = fake
        .worker()
        .handle(queue(), sleeping(&started), 4)
        .build()
        .unwrap();
    let begun = Instant::now();
    worker.run(started.notified()).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 20);
    fake.deliver(&lasting("b", 0));
    assert_eq!(fake.state().settled.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_is_asked_then_dropped_and_delivered_again() {
    let (fake, started) = (FakeQueue::new(), Arc::new(Notify::new()));
    fake.deliver(&lasting("long", 100_000));
    fake.deliver(&Task {
        guarantee: Guarantee::AtMostOnce,
        ..lasting("once", 100_000)
    });
    let worker = fake
        .worker()
        .handle(queue(), sleeping(&started), 4)
        .build()
        .unwrap();
    let begun = Instant::now();
    worker
        .run(async {
            started.notified().await;
            started.notified().await;
        })
        .await
        .unwrap();
    assert_eq!(
        begun.elapsed().as_secs(),
        30 + 10,
        "drain_ms, then stop_grace_ms"
    );
    let state = fake.state();
    assert_eq!(
        state.settled.len(),
        1,
        "the at-most-once execution, before it ran"
    );
    let letter = state.reports[0].dead_letter.as_ref().unwrap();
    assert_eq!(
        letter.reason,
        "the worker was shut down before the run had ended"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_shutdown_counts_only_if_the_effect_happened() {
    for (verdict, settled) in [
        (Verdict::success(), 1),
        (Verdict::discard("no"), 1),
        (Verdict::failure("interrupted"), 0),
        (Verdict::Cancelled, 0),
    ] {
        let (fake, started) = (FakeQueue::new(), Arc::new(Notify::new()));
        fake.deliver(&task_named("a"));
        let (telling, answer) = (Arc::clone(&started), verdict.clone());
        let handler = move |run: Run| {
            telling.notify_one();
            let answer = answer.clone();
            async move {
                run.stopped().await;
                answer
            }
        };
        let worker = fake.worker().handle(queue(), handler, 1).build().unwrap();
        worker.run(started.notified()).await.unwrap();
        assert_eq!(fake.state().settled.len(), settled, "{verdict:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_never_answers_does_not_hold_the_worker() {
    let (fake, runs) = (FakeQueue::new(), Counter::default());
    fake.state().is_settle_stuck = true;
    fake.deliver(&task_named("a"));
    let count = runs.clone();
    let handler = FnHandler(move |_: &Run| {
        count.add();
        Verdict::success()
    });
    let worker = fake.worker().handle(queue(), handler, 1).build().unwrap();
    worker.run(std::future::ready(())).await.unwrap();
    let worker = {
        let count = runs.clone();
        let handler = FnHandler(move |_: &Run| {
            count.add();
            Verdict::success()
        });
        fake.restart();
        fake.worker().handle(queue(), handler, 1).build().unwrap()
    };
    let begun = Instant::now();
    worker
        .run(tokio::time::sleep(Duration::from_secs(1)))
        .await
        .unwrap();
    assert_eq!(runs.get(), 1);
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fails_for_good_drains_the_others_and_says_so() {
    let (broken, started) = (FakeQueue::new(), Arc::new(Notify::new()));
    broken.deliver(&lasting("a", 5));
    let other = QueueName::parse("other").unwrap();
    let worker = broken
        .worker()
        .handle(queue(), sleeping(&started), 4)
        .handle(other, FnHandler(|_: &Run| Verdict::success()), 1)
        .build()
        .unwrap();
    let failing = async {
        started.notified().await;
        broken.state().poll_failures.push_back(ErrorClass::Fatal);
        // Whoever polls next fails.
        broken.deliver(&lasting("b", 0));
        std::future::pending::<()>().await;
    };
    let error = worker.run(failing).await.unwrap_err();
    assert_eq!(error.source.class, ErrorClass::Fatal);
    assert!(
        error
            .to_string()
            .starts_with("the worker stopped, because of queue "),
        "{error}"
    );
    assert!(!broken.state().settled.is_empty(), "what ran was let end");
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_ends_but_not_while_something_runs() {
    let (fake, started) = (FakeQueue::new(), Arc::new(Notify::new()));
    fake.deliver(&lasting("long", 500));
    let (_crowd, is_crowded) = watch::channel(false);
    let idleness = Idleness {
        after_ms: 60_000,
        crowded_after_ms: 5,
        is_crowded,
    };
    let worker = fake
        .worker()
        .handle(queue(), sleeping(&started), 4)
        .ends_when_idle(idleness)
        .build()
        .unwrap();
    let begun = Instant::now();
    worker.run(std::future::pending()).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 560);
    assert_eq!(fake.state().settled.len(), 1);
    fake.deliver(&lasting("later", 0));
    assert_eq!(
        fake.state().waiting.len(),
        1,
        "it waits for the next worker"
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_makes_room_when_others_wait() {
    let (fake, started) = (FakeQueue::new(), Arc::new(Notify::new()));
    let (crowd, is_crowded) = watch::channel(false);
    let idleness = Idleness {
        after_ms: 60_000,
        crowded_after_ms: 5,
        is_crowded,
    };
    let worker = fake
        .worker()
        .handle(queue(), sleeping(&started), 4)
        .ends_when_idle(idleness)
        .build()
        .unwrap();
    let begun = Instant::now();
    let ended = tokio::spawn(worker.run(std::future::pending()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    crowd.send_replace(true);
    ended.await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_secs(), 10);
}
