//! Records that runs leave for others: with the settlement, or not at all.

use std::sync::Arc;

use bytes::Bytes;
use minutehand_model::{Guarantee, OutcomeKind, Task, TopicName};
use minutehand_ports::{OutputRecord, Settlement};
use minutehand_worker::{FnHandler, LeaveError, ResultTopic, ResultTopics, Run, Verdict};

use crate::support::{FakeQueue, queue, task_named};

fn record(value: &str) -> OutputRecord {
    OutputRecord {
        topic: TopicName::parse("paid").unwrap(),
        key: None,
        value: Bytes::copy_from_slice(value.as_bytes()),
        headers: Vec::new(),
    }
}

fn values(settlement: &Settlement) -> Vec<(&str, &[u8])> {
    let records = settlement.output.records().iter();
    records
        .map(|record| (record.topic.as_str(), record.value.as_ref()))
        .collect()
}

/// Has a handler run tasks, the results of whose queue go to `results`.
async fn run(
    fake: &Arc<FakeQueue>,
    handler: impl Fn(&Run) -> Verdict + Send + Sync + 'static,
    tasks: &[Task],
) {
    tasks.iter().for_each(|task| fake.deliver(task));
    let topics = [ResultTopic::try_from("mail=results".to_owned()).unwrap()];
    let worker = fake
        .worker()
        .result_topics(ResultTopics::new(&topics).unwrap())
        .handle(queue(), FnHandler(handler), 8)
        .build()
        .unwrap();
    worker.run(fake.until_settled(tasks.len())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_success_leaves_its_records_and_its_result() {
    let fake = FakeQueue::new();
    let handler = |run: &Run| {
        run.leave(record("by the run")).unwrap();
        Verdict::Success {
            detail: "paid 7".to_owned(),
        }
    };
    run(&fake, handler, &[task_named("order-7")]).await;
    let state = fake.state();
    let left = values(&state.settled[0]);
    assert_eq!(
        left,
        [("paid", &b"by the run"[..]), ("results", &b"paid 7"[..])]
    );
    let result = &state.settled[0].output.records()[1];
    assert_eq!(result.key.as_deref(), Some(&b"order-7"[..]));
    let header = |name: &str| {
        let found = result.headers.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    assert_eq!(header("minutehand-task-id").as_deref(), Some("order-7"));
    assert_eq!(header("minutehand-attempt").as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_does_not_succeed_leaves_nothing() {
    let fake = FakeQueue::new();
    let handler = |run: &Run| {
        run.leave(record("half done")).unwrap();
        Verdict::failure("no")
    };
    run(&fake, handler, &[task_named("a")]).await;
    assert_eq!(values(&fake.state().settled[0]), []);
}

#[tokio::test(start_paused = true)]
async fn what_runs_at_most_once_leaves_nothing() {
    let fake = FakeQueue::new();
    let task = Task {
        guarantee: Guarantee::AtMostOnce,
        ..task_named("a")
    };
    let handler = |run: &Run| match run.leave(record("too late")) {
        Err(LeaveError::AtMostOnce) => Verdict::success(),
        other => Verdict::failure(format!("{other:?}")),
    };
    run(&fake, handler, &[task]).await;
    let state = fake.state();
    assert_eq!(values(&state.settled[0]), []);
    assert_eq!(state.reports, [], "a success needs no report");
}

/// Nothing is settled as done whose records were refused.
#[tokio::test(start_paused = true)]
async fn a_success_whose_records_are_refused_is_a_dead_letter() {
    let fake = FakeQueue::new();
    fake.state().refuses = Some(|settlement| !settlement.output.is_empty());
    run(&fake, |_: &Run| Verdict::success(), &[task_named("a")]).await;
    let state = fake.state();
    let settlement = &state.settled[0];
    let letter = settlement.dead_letter.as_ref().unwrap();
    assert!(letter.reason.contains("was refused"), "{}", letter.reason);
    let kinds = settlement.outcome.iter().map(|(_, outcome)| outcome.kind);
    assert!(kinds.into_iter().all(|kind| kind == OutcomeKind::Dead));
}
