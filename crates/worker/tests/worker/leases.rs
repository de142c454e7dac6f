//! Leases on a queue in memory: stops, settlements that come too late, and a queue that does not
//! answer.

use std::sync::Arc;

use minutehand_model::{Guarantee, LeaseWord, OutcomeKind, Task};
use minutehand_ports::{DeliveryId, ErrorClass};
use minutehand_worker::{Answered, LeaseError, LeaseRequest, Leased, Leases, LeasesConfig};
use tokio::sync::watch;

use crate::support::{FakeQueue, PARTITION, queue, task_named};

/// Leases on a queue, and what ends them when dropped.
fn leases(fake: &Arc<FakeQueue>) -> (Leases, watch::Sender<bool>) {
    let (stop, stopping) = watch::channel(false);
    (
        Leases::new(fake.worker(), LeasesConfig::new(stopping)),
        stop,
    )
}

fn request(count_max: usize) -> LeaseRequest {
    LeaseRequest {
        queue: queue(),
        group: Default::default(),
        count_max,
        wait_ms: 60_000,
        visibility_ms: 30_000,
    }
}

async fn lease(leases: &Leases, fake: &FakeQueue, task: &Task) -> Leased {
    fake.deliver(task);
    leases.lease(request(1)).await.unwrap().remove(0)
}

fn ack() -> LeaseWord {
    LeaseWord::Ack {
        result: String::new(),
    }
}

async fn say(leases: &Leases, leased: &Leased, answer: LeaseWord) -> Answered {
    leases
        .answer(&queue(), vec![(leased.id, answer)])
        .await
        .remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_to_stop_is_told_when_it_wants_more_time() {
    let fake = FakeQueue::new();
    let (leases, _stop) = leases(&fake);
    let task = task_named("a");
    let leased = lease(&leases, &fake, &task).await;
    fake.send_stop(&task, false);
    let extend = LeaseWord::Extend {
        visibility_ms: 60_000,
    };
    while say(&leases, &leased, extend.clone()).await == Answered::Done {
        tokio::task::yield_now().await;
    }
    assert_eq!(say(&leases, &leased, extend).await, Answered::StopRequested);
    let nack = LeaseWord::Nack {
        error: "given up".to_owned(),
        delay_ms: None,
    };
    assert_eq!(say(&leases, &leased, nack).await, Answered::Done);
    assert!(
        fake.state().settled[0].commands.is_empty(),
        "a cancellation is not tried again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_to_stop_ends_when_it_is_given_back() {
    for answer in [
        LeaseWord::Extend { visibility_ms: 0 },
        LeaseWord::Snooze { delay_ms: 60_000 },
    ] {
        let fake = FakeQueue::new();
        let (leases, _stop) = leases(&fake);
        let task = task_named("a");
        let leased = lease(&leases, &fake, &task).await;
        fake.send_stop(&task, false);
        let more = LeaseWord::Extend {
            visibility_ms: 60_000,
        };
        while say(&leases, &leased, more.clone()).await == Answered::Done {
            tokio::task::yield_now().await;
        }
        assert_eq!(say(&leases, &leased, answer).await, Answered::Done);
        let state = fake.state();
        assert!(state.settled[0].commands.is_empty(), "it is not due again");
        let outcome = state.settled[0]
            .outcome
            .as_ref()
            .map(|(_, outcome)| outcome.kind);
        assert_eq!(outcome, Some(OutcomeKind::Cancelled));
        assert!(state.waiting.is_empty(), "nobody is handed it again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_killed_has_no_lease_any_more() {
    let fake = FakeQueue::new();
    let (leases, _stop) = leases(&fake);
    let task = task_named("a");
    let leased = lease(&leases, &fake, &task).await;
    fake.send_stop(&task, true);
    fake.until_settled(1).await;
    assert_eq!(say(&leases, &leased, ack()).await, Answered::Lost);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_stopped_before_is_not_leased() {
    let fake = FakeQueue::new();
    let (leases, _stop) = leases(&fake);
    let (early, next) = (task_named("early"), task_named("next"));
    let first = lease(&leases, &fake, &next).await;
    fake.send_stop(&early, false);
    tokio::task::yield_now().await;
    fake.deliver(&early);
    let brief = LeaseRequest {
        wait_ms: 1_000,
        ..request(1)
    };
    assert!(leases.lease(brief).await.unwrap().is_empty());
    fake.until_settled(1).await;
    assert_eq!(say(&leases, &first, ack()).await, Answered::Done);
}

#[tokio::test(start_paused = true)]
async fn what_has_become_somebody_elses_is_lost() {
    let fake = FakeQueue::new();
    let (leases, _stop) = leases(&fake);
    let (mine, theirs) = (
        lease(&leases, &fake, &task_named("a")).await,
        lease(&leases, &fake, &task_named("b")).await,
    );
    fake.state().elsewhere.insert(DeliveryId {
        partition: PARTITION,
        sequence: 2,
    });
    let answers = vec![(theirs.id, ack()), (mine.id, ack())];
    assert_eq!(
        leases.answer(&queue(), answers).await,
        [Answered::Lost, Answered::Done]
    );
    let told: Vec<_> = fake
        .state()
        .settled
        .iter()
        .map(|settlement| settlement.held_as)
        .collect();
    assert_eq!(told, [Some(mine.execution().token)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_become_durable_is_not_known() {
    let fake = FakeQueue::new();
    let (leases, _stop) = leases(&fake);
    let leased = lease(&leases, &fake, &task_named("a")).await;
    fake.state().is_settle_stuck = true;
    assert_eq!(say(&leases, &leased, ack()).await, Answered::Unknown);
    assert_eq!(leases.standing().leases, 1, "it counts until it is known");
    assert_eq!(say(&leases, &leased, ack()).await, Answered::Lost);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_nobody_answers_fails_in_the_end() {
    let fake = FakeQueue::new();
    let (leases, _stop) = leases(&fake);
    fake.deliver(&task_named("a"));
    for _ in 0..minutehand_model::limits::LEASE_EXPIRIES_MAX {
        assert_eq!(leases.lease(request(1)).await.unwrap().len(), 1);
    }
    fake.until_settled(1).await;
    assert_eq!(fake.state().settled[0].commands.len(), 1, "its retry");
    assert_eq!(leases.standing().leases, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_gives_back_what_it_had() {
    let fake = FakeQueue::new();
    let (leases, _stop) = leases(&fake);
    let task = Task {
        guarantee: Guarantee::AtMostOnce,
        ..task_named("once")
    };
    fake.state().is_settle_stuck = true;
    fake.deliver(&task_named("a"));
    fake.deliver(&task);
    let call = tokio::time::timeout(std::time::Duration::from_secs(1), leases.lease(request(5)));
    assert!(call.await.is_err(), "the claim hangs");
    fake.until(|state| {
        state
            .waiting
            .iter()
            .any(|delivery| delivery.key == task_named("a").key())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fails_is_told_of() {
    let fake = FakeQueue::new();
    let (leases, _stop) = leases(&fake);
    fake.state().poll_failures.push_back(ErrorClass::Retry);
    assert!(matches!(
        leases.lease(request(1)).await,
        Err(LeaseError::Store(_))
    ));
    assert!(matches!(
        lease(&leases, &fake, &task_named("a"))
            .await
            .execution()
            .task
            .attempt,
        1
    ));
}
