//! Callers whose tokens are taken away while calls of theirs are under way.

use std::pin::pin;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures::channel::mpsc;
use minutehand_http::Tokens;
use serde_json::{Value, json};

use crate::rig::{Rig, Setup};

const TASKS: &str = "/v1/namespaces/default/tasks";
const LEASE: &str = "/v1/queues/mail:lease";
const KEPT: &str = "kept-token-of-somebody";
const TAKEN: &str = "taken-token-of-another";
const BOTH: &str = "kept kept-token-of-somebody\ntaken taken-token-of-another";

async fn rig() -> Rig {
    Rig::with(Setup {
        tokens: BOTH,
        ..Setup::default()
    })
    .await
}

/// Leaves of the tokens what `line` says of the one that is taken.
fn reduce(rig: &Rig, line: &str) {
    let tokens = Tokens::parse(&format!("kept {KEPT}\n{line}")).unwrap();
    rig.tokens.replace(&tokens);
}

#[tokio::test]
async fn who_waits_for_a_lease_is_given_none_without_a_token() {
    for (left, refused) in [
        ("", 401),
        ("taken taken-token-of-another read-only", 403),
        ("taken taken-token-of-another namespaces=default", 403),
    ] {
        let rig = rig().await;
        let ask = json!({ "max": 10, "wait": "50s", "visibility": "1h" });
        let mut waiting = pin!(rig.post_as(Some(TAKEN), LEASE, ask.clone()));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        reduce(&rig, left);
        let task = json!({ "id": "a", "queue": "mail", "delay": "0s", "payload": "secret" });
        let (status, _) = rig.post_as(Some(KEPT), TASKS, task).await;
        assert!(matches!(status, 200..=202), "{status}");
        let (status, answer) = waiting.await;
        assert_eq!(status, refused, "{left}: {answer}");
        // What came is there for the others.
        let (_, answer) = rig.post_as(Some(KEPT), LEASE, ask).await;
        assert_eq!(answer["leases"][0]["task_id"], "a", "{answer}");
    }
}

#[tokio::test]
async fn who_keeps_a_token_goes_on_waiting() {
    let rig = rig().await;
    let ask = json!({ "max": 10, "wait": "50s", "visibility": "1h" });
    let mut waiting = pin!(rig.post_as(Some(KEPT), LEASE, ask));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    reduce(&rig, "");
    let task = json!({ "id": "a", "queue": "mail", "delay": "0s" });
    rig.post_as(Some(KEPT), TASKS, task).await;
    let (status, answer) = waiting.await;
    assert_eq!(
        (status, &answer["leases"][0]["task_id"]),
        (200, &json!("a"))
    );
}

#[tokio::test]
async fn who_waits_for_an_end_is_not_told_it_without_a_token() {
    let rig = rig().await;
    let task = json!({ "id": "a", "queue": "mail", "due_at": "2099-01-01T00:00:00Z" });
    rig.post_as(Some(KEPT), TASKS, task).await;
    let path = format!("{TASKS}/a?wait=50s");
    let mut waiting = pin!(rig.get_as(TAKEN, &path));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    reduce(&rig, "taken taken-token-of-another namespaces=other");
    let (status, answer) = waiting.await;
    assert_eq!(status, 403, "{answer}");
}

#[tokio::test]
async fn lines_that_come_without_a_token_are_not_taken() {
    let rig = rig().await;
    let (lines, body) = mpsc::unbounded::<Result<Bytes, std::io::Error>>();
    let line = |id: &str| {
        let line = json!({ "id": id, "queue": "mail", "due_at": "2099-01-01T00:00:00Z" });
        lines
            .unbounded_send(Ok(Bytes::from(format!("{line}\n"))))
            .unwrap();
    };
    let request = Request::post(format!("{TASKS}:bulk"))
        .header("host", "localhost")
        .header("content-type", "application/x-ndjson")
        .header("authorization", format!("Bearer {TAKEN}"))
        .body(Body::from_stream(body))
        .unwrap();
    let sent = tokio::spawn(rig.answer(request));
    line("before");
    while rig.get_as(KEPT, &format!("{TASKS}/before")).await.0 != 200 {
        tokio::task::yield_now().await;
    }
    reduce(&rig, "");
    line("after");
    drop(lines);
    let (status, answer) = sent.await.unwrap();
    assert_eq!(status, 401, "{answer}");
    assert_eq!(
        (&answer["accepted"], &answer["resume_from_line"]),
        (&Value::from(1), &Value::from(2))
    );
    let (status, _) = rig.get_as(KEPT, &format!("{TASKS}/after")).await;
    assert_eq!(status, 404);
}
