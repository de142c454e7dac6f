//! One target that hangs holds up nothing else, and no queue takes all the places.

use std::time::Duration;

use async_trait::async_trait;
use minutehand_model::{Command, GroupName, Guarantee, Task, Timestamp};
use minutehand_record::task;
use minutehand_worker::{Handler, Places, Run, Verdict, WorkerError};
use proptest::prelude::*;

use crate::support::{FakeQueue, NOW_MS, commands_of, queue, task_named};

/// Runs tasks by their targets: those whose names begin with `bad` never answer.
struct ByTarget;

#[async_trait]
impl Handler for ByTarget {
    async fn run(&self, run: Run) -> Verdict {
        match run.header("target") {
            Some(target) if target.starts_with("bad") => {
                run.stopped().await;
                Verdict::Cancelled
            }
            _ => {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Verdict::success()
            }
        }
    }

    fn target(&self, task: &Task) -> Option<String> {
        task.headers.first().map(|(_, target)| target.clone())
    }
}

fn to(target: &str, number: usize) -> Task {
    let headers = vec![("target".to_owned(), target.to_owned())];
    Task {
        headers,
        ..task_named(&format!("{target}-{number}"))
    }
}

fn id_of(command: &Command) -> String {
    let Command::Create(record) = command else {
        panic!("{command:?}")
    };
    task::decode(&record.encoded).unwrap().id.to_string()
}

/// What does not come in an hour of the tests' time never comes.
async fn soon(running: impl Future<Output = Result<(), WorkerError>>) {
    tokio::time::timeout(Duration::from_secs(3_600), running)
        .await
        .expect("it comes")
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_holds_up_no_other_of_its_queue() {
    let fake = FakeQueue::new();
    (0..2_500).for_each(|number| fake.deliver(&to("bad", number)));
    (0..10).for_each(|number| fake.deliver(&to("good", number)));
    let worker = fake
        .worker()
        .handle(queue(), ByTarget, 100)
        .run_timeout_ms(3_600_000)
        .build()
        .unwrap();
    let begun = tokio::time::Instant::now();
    let good_ran = fake.until(|state| {
        state
            .settled
            .iter()
            .filter(|settlement| settlement.commands.is_empty())
            .count()
            == 10
    });
    soon(worker.run(good_ran)).await;
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "the target takes an hour, and then there is the drain"
    );
}

#[tokio::test(start_paused = true)]
async fn targets_that_never_answer_leave_room_for_known_ones() {
    let fake = FakeQueue::new();
    fake.deliver(&to("good", 0));
    let worker = fake
        .worker()
        .handle(queue(), ByTarget, 100)
        .build()
        .unwrap();
    let good_ran = async {
        fake.until_settled(1).await;
        (0..3_000).for_each(|number| fake.deliver(&to(&format!("bad{number}"), number)));
        (1..=10).for_each(|number| fake.deliver(&to("good", number)));
        fake.until(|state| {
            state
                .settled
                .iter()
                .filter(|one| one.commands.is_empty())
                .count()
                == 11
        })
        .await;
    };
    let begun = tokio::time::Instant::now();
    soon(worker.run(good_ran)).await;
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "the others take an hour, and then there is the drain"
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_busy_target_comes_again_as_the_same_attempt() {
    let fake = FakeQueue::new();
    (0..10).for_each(|number| {
        fake.deliver(&Task {
            attempt: 2,
            ..to("bad", number)
        })
    });
    let once = Task {
        guarantee: Guarantee::AtMostOnce,
        ..to("bad", 10)
    };
    fake.deliver(&once);
    let worker = fake
        .worker()
        .handle(queue(), ByTarget, 10)
        .drain_ms(0)
        .stop_grace_ms(0)
        .build()
        .unwrap();
    let put_off = fake.until(|state| {
        state
            .settled
            .iter()
            .filter(|settlement| !settlement.commands.is_empty())
            .count()
            == 6
            && state.reports.len() == 1
    });
    soon(worker.run(put_off)).await;
    let state = fake.state();
    for settlement in state
        .settled
        .iter()
        .filter(|settlement| !settlement.commands.is_empty())
    {
        assert!(settlement.dead_letter.is_none() && settlement.outcome.is_none());
        let [Command::Create(record)] = &commands_of(&settlement.commands)[..] else {
            panic!()
        };
        let again = task::decode(&record.encoded).unwrap();
        assert_eq!((again.attempt, again.first_due.as_millis()), (2, NOW_MS));
        assert_eq!(again.group, Some(GroupName::default()));
        assert!(
            again.due >= Timestamp::from_millis(NOW_MS + 10_000),
            "not at once"
        );
    }
    let commands = commands_of(&state.reports[0].commands);
    assert_eq!(
        commands.iter().map(id_of).collect::<Vec<_>>(),
        ["bad-10"],
        "claimed, and not begun"
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_whose_runs_hang_leaves_places_for_the_others() {
    let (hanging, other) = (FakeQueue::new(), FakeQueue::new());
    let places = Places::new(8);
    (0..100).for_each(|number| hanging.deliver(&to(&format!("bad{number}"), 0)));
    let first = hanging
        .worker()
        .places(places.clone())
        .handle(queue(), ByTarget, 1_000)
        .build()
        .unwrap();
    let second = other
        .worker()
        .places(places)
        .handle(queue(), ByTarget, 1_000)
        .build()
        .unwrap();
    (0..50).for_each(|number| other.deliver(&to("good", number)));
    let hangs = first.run(std::future::pending());
    tokio::select! {
        ended = hangs => panic!("{ended:?}"),
        ended = second.run(other.until_settled(50)) => ended.unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However targets that hang and targets that answer are mixed: what goes to the good ones runs
    /// soon, everything is settled in the end, and nothing twice.
    #[test]
    fn good_targets_are_never_held_up(
        mix in proptest::collection::vec((0_usize..6, any::<bool>()), 1..400),
        concurrency in 8_usize..64,
        batch_max in 1_usize..300,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let fake = FakeQueue::new();
            let (mut good, mut bad) = (0, 0);
            for (number, (target, is_good)) in mix.iter().enumerate() {
                // At most two targets hang: with more of them than shares, even a fair part is
                // nothing.
                match is_good {
                    true => { good += 1; fake.deliver(&to(&format!("good{target}"), number)); }
                    false => { bad += 1; fake.deliver(&to(&format!("bad{}", target % 2), number)); }
                }
            }
            let builder = fake.worker().batch_max(batch_max).run_timeout_ms(60_000);
            let worker = builder.handle(queue(), ByTarget, concurrency).build().unwrap();
            let begun = tokio::time::Instant::now();
            let is_good = |settlement: &minutehand_ports::Settlement| {
                settlement.commands.is_empty() && settlement.dead_letter.is_none()
            };
            soon(worker.run(async {
                fake.until(|state| state.settled.iter().filter(|one| is_good(one)).count() >= good).await;
                assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
                fake.until_settled(good + bad).await;
            }))
            .await;
            let ids: std::collections::BTreeSet<_> =
                fake.state().settled.iter().map(|settlement| settlement.id).collect();
            assert_eq!(ids.len(), good + bad);
        });
    }
}
