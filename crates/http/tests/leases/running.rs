//! Cancelling a task that runs: asked, or killed, and told apart in the history.

use serde_json::{Value, json};

use crate::LONG;
use crate::rig::Rig;

const TASKS: &str = "/v1/namespaces/default/tasks";

async fn cancel(rig: &Rig, query: &str) -> (u16, Value) {
    rig.delete(&format!("{TASKS}/a?{query}")).await
}

/// What the history says of the last end.
async fn end(rig: &Rig) -> (Value, Value) {
    let task = rig.get(&format!("{TASKS}/a?wait=30s")).await;
    let last = task["outcomes"].as_array().unwrap().last().cloned();
    let last = last.unwrap_or_else(|| panic!("{task}"));
    (last["outcome"].clone(), last["detail"].clone())
}

#[tokio::test]
async fn a_run_that_was_asked_to_stop_ends_as_cancelled() {
    let rig = Rig::start().await;
    rig.create("a", json!({})).await;
    let lease = rig.lease_one(LONG).await;
    let (status, problem) = cancel(&rig, "").await;
    assert_eq!(status, 409, "it has gone out: {problem}");
    let (status, answer) = cancel(&rig, "running=ask&queue=mail").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["stopping"], json!([lease["due_at"]]));
    let more = json!([{ "lease_id": lease["lease_id"], "visibility": "1m" }]);
    while rig.say("extend", more.clone()).await != ["stop-requested"] {
        tokio::task::yield_now().await;
    }
    let nack = json!([{ "lease_id": lease["lease_id"], "error": "stopped" }]);
    assert_eq!(rig.say("nack", nack).await, ["done"]);
    let said = json!("it was asked to stop, and stopped");
    assert_eq!(
        end(&rig).await,
        (json!("cancelled"), said),
        "and no attempt follows"
    );
}

#[tokio::test]
async fn a_run_that_was_killed_ends_at_once_and_is_told_as_such() {
    let rig = Rig::start().await;
    rig.create("a", json!({})).await;
    let lease = rig.lease_one(LONG).await;
    let due = lease["due_at"].as_str().unwrap();
    let (status, answer) = cancel(&rig, &format!("running=kill&queue=mail&due_at={due}")).await;
    assert_eq!(
        (status, &answer["stopping"]),
        (200, &json!([due])),
        "{answer}"
    );
    let (outcome, detail) = end(&rig).await;
    assert_eq!(outcome, "cancelled");
    assert!(
        detail.as_str().unwrap().starts_with("it was killed"),
        "{detail}"
    );
    let late = json!([{ "lease_id": lease["lease_id"] }]);
    assert_eq!(rig.say("ack", late).await, ["lease-lost"]);
}

#[tokio::test]
async fn the_queue_of_a_run_need_not_be_named() {
    let rig = Rig::start().await;
    rig.create("a", json!({})).await;
    let lease = rig.lease_one(LONG).await;
    let (status, problem) = cancel(&rig, "running=ask&queue=other").await;
    assert_eq!(
        (status, &problem["field"]),
        (422, &json!("queue")),
        "it went to mail: {problem}"
    );
    let (status, answer) = cancel(&rig, "running=ask").await;
    assert_eq!(
        (status, &answer["stopping"]),
        (200, &json!([lease["due_at"]])),
        "{answer}"
    );
}

/// A request would wait for it otherwise, and stop the one that is created later.
#[tokio::test]
async fn nobody_is_asked_to_stop_what_has_not_gone_out() {
    let rig = Rig::start().await;
    let due = "2099-01-01T00:00:00Z";
    let ask = format!("running=ask&queue=mail&due_at={due}");
    let (status, _) = cancel(&rig, &ask).await;
    assert_eq!(status, 404, "nothing is known of it");
    rig.create("a", json!({ "due_at": due })).await;
    for _ in 0..2 {
        let (status, answer) = cancel(&rig, &ask).await;
        assert_eq!(status, 200, "it waited, and was cancelled: {answer}");
        assert_eq!(answer["stopping"], Value::Null, "nobody was told");
    }
}

#[tokio::test]
async fn a_queue_that_nobody_knows_is_not_told() {
    let rig = Rig::start().await;
    let gone = "running=ask&queue=nowhere&due_at=2020-01-01T00:00:00Z";
    let (status, problem) = cancel(&rig, gone).await;
    assert_eq!((status, &problem["field"]), (422, &json!("queue")));
}

#[tokio::test]
async fn what_is_wrong_with_a_cancellation_is_named() {
    let rig = Rig::start().await;
    let (status, _) = cancel(&rig, "running=ask").await;
    assert_eq!(status, 404, "nothing is known of it");
    rig.create("a", json!({ "due_at": "2099-01-01T00:00:00Z" }))
        .await;
    for (query, field) in [
        ("running=now", "running"),
        ("queue=mail", "queue"),
        ("running=ask&queue=a%20b", "queue"),
    ] {
        let (status, problem) = cancel(&rig, query).await;
        assert_eq!(
            (status, &problem["field"]),
            (422, &json!(field)),
            "{query}: {problem}"
        );
    }
    let (status, answer) = cancel(&rig, "running=ask").await;
    assert_eq!(status, 200, "it waits, and is cancelled: {answer}");
    assert_eq!(answer["cancelled"].as_array().unwrap().len(), 1);
}
