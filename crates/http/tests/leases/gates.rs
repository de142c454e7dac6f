//! Queues that operators pause, purge and limit: what is handed out, and what is shown.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Rig, ids, statuses};

const LONG: &str = "10m";

async fn said(rig: &Rig, action: &str, body: Value) -> Value {
    let (status, queue) = rig.post(&format!("/v1/queues/mail:{action}"), body).await;
    assert_eq!(status, 200, "{queue}");
    queue
}

/// Nothing, in a time that is long enough for a store in this process.
async fn nothing_comes(rig: &Rig) {
    let leases = rig
        .lease(json!({ "max": 10, "wait": "300ms", "visibility": LONG }))
        .await;
    assert_eq!(leases, Vec::<Value>::new());
}

async fn until_state(rig: &Rig, state: &str) -> Value {
    loop {
        let queue = rig.get("/v1/queues/mail").await;
        if queue["state"] == state {
            return queue;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_waiting(rig: &Rig, count: u64) {
    while rig.get("/v1/queues/mail").await["waiting"] != count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_paused_queue_hands_out_nothing_until_it_is_resumed() {
    let rig = Rig::start().await;
    let paused = said(&rig, "pause", json!({ "reason": "the provider is down" })).await;
    assert_eq!(paused["state"], "paused");
    rig.create("a", json!({})).await;
    until_waiting(&rig, 1).await;
    nothing_comes(&rig).await;
    let listed = rig.get("/v1/queues").await["queues"][0].clone();
    assert_eq!(listed["paused"]["by"], "anonymous");
    assert_eq!(listed["paused"]["reason"], "the provider is down");
    assert!(listed["oldest_at"].as_str() >= listed["paused"]["since"].as_str());
    assert_eq!(said(&rig, "resume", json!({})).await["state"], "open");
    let lease = rig.lease_one(LONG).await;
    assert_eq!(lease["attempt"], 1, "no attempt was burnt");
}

#[tokio::test]
async fn who_waits_is_served_when_the_queue_opens() {
    let rig = Rig::start().await;
    said(&rig, "pause", json!({})).await;
    rig.create("a", json!({})).await;
    let resume = async {
        while rig.leases.standing().waiters == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        said(&rig, "resume", json!({})).await
    };
    let (lease, _) = tokio::join!(rig.lease_one(LONG), resume);
    assert_eq!(lease["task_id"], "a");
    // It opens by itself when its time has come.
    rig.create("b", json!({})).await;
    said(&rig, "pause", json!({ "duration": "400ms" })).await;
    assert_eq!(rig.lease_one(LONG).await["task_id"], "b");
}

#[tokio::test]
async fn a_probe_that_succeeds_opens_the_queue() {
    let rig = Rig::start().await;
    let pause = json!({ "probe_every": "1s" });
    assert_eq!(said(&rig, "pause", pause).await["state"], "probing");
    for id in ["a", "b", "c"] {
        rig.create(id, json!({ "retry": { "policy": "none" } }))
            .await;
    }
    until_waiting(&rig, 3).await;
    let many = json!({ "max": 10, "wait": "30s", "visibility": LONG });
    let probe = rig.lease(many.clone()).await;
    assert_eq!(probe.len(), 1, "a probe is one execution");
    assert_eq!(
        rig.say("nack", json!([{ "lease_id": ids(&probe)[0] }]))
            .await,
        ["done"]
    );
    let queue = rig.get("/v1/queues/mail").await;
    assert_eq!(
        queue["state"], "probing",
        "a probe that fails opens nothing"
    );
    let probe = rig.lease(many.clone()).await;
    assert_eq!(probe.len(), 1);
    rig.say("ack", json!([{ "lease_id": ids(&probe)[0] }]))
        .await;
    let queue = until_state(&rig, "open").await;
    assert_eq!(queue["paused"]["opened_by"], "a probe that succeeded");
    assert_eq!(rig.lease(many).await.len(), 1, "the last one");
}

#[tokio::test]
async fn failures_in_a_row_pause_the_queue_until_a_probe_succeeds() {
    let rig = Rig::start().await;
    let breaker = json!({ "breaker": { "failures": 2, "probe_every": "1s" } });
    let told = said(&rig, "limit", breaker).await;
    assert_eq!(told["breaker"]["failures"], 2);
    for id in ["a", "b", "c", "d"] {
        rig.create(id, json!({ "retry": { "policy": "none" } }))
            .await;
    }
    until_waiting(&rig, 4).await;
    for _ in 0..2 {
        let lease = rig.lease_one(LONG).await;
        let nack = json!([{ "lease_id": lease["lease_id"] }]);
        assert_eq!(rig.say("nack", nack).await, ["done"]);
    }
    let queue = until_state(&rig, "probing").await;
    assert_eq!(queue["paused"]["by"], "its breaker");
    let many = json!({ "max": 10, "wait": "30s", "visibility": LONG });
    let probe = rig.lease(many.clone()).await;
    assert_eq!(probe.len(), 1, "one execution is tried");
    rig.say("ack", json!([{ "lease_id": ids(&probe)[0] }]))
        .await;
    until_state(&rig, "open").await;
    assert_eq!(rig.lease(many).await.len(), 1, "the last one");
}

#[tokio::test]
async fn what_is_purged_ends_as_cancelled_and_what_is_leased_goes_on() {
    let rig = Rig::start().await;
    for id in ["a", "b", "c", "d"] {
        let guarantee = if id == "d" {
            "at-most-once"
        } else {
            "at-least-once"
        };
        rig.create(id, json!({ "guarantee": guarantee })).await;
    }
    until_waiting(&rig, 4).await;
    let lease = rig.lease_one(LONG).await;
    said(&rig, "purge", json!({})).await;
    until_waiting(&rig, 1).await;
    let ack = json!([{ "lease_id": lease["lease_id"] }]);
    assert_eq!(rig.say("ack", ack).await, ["done"]);
    let mut outcomes = Vec::new();
    for id in ["a", "b", "c", "d"] {
        let task = rig.get(&format!("/v1/namespaces/default/tasks/{id}")).await;
        assert_eq!(task["outcomes"].as_array().unwrap().len(), 1, "{task}");
        outcomes.push(task["outcomes"][0]["outcome"].as_str().unwrap().to_owned());
    }
    outcomes.sort();
    assert_eq!(
        outcomes,
        ["cancelled", "cancelled", "cancelled", "succeeded"]
    );
    rig.create("later", json!({})).await;
    assert_eq!(rig.lease_one(LONG).await["task_id"], "later");
}

#[tokio::test]
async fn a_paused_queue_is_purged_and_deleted_as_well() {
    let rig = Rig::start().await;
    rig.create("dead", json!({ "retry": { "policy": "none" } }))
        .await;
    let dead = rig.lease_one(LONG).await;
    rig.say("nack", json!([{ "lease_id": dead["lease_id"] }]))
        .await;
    rig.until_dead(1).await;
    said(&rig, "pause", json!({})).await;
    rig.create("a", json!({})).await;
    until_waiting(&rig, 1).await;
    said(&rig, "purge", json!({})).await;
    until_waiting(&rig, 0).await;
    assert_eq!(rig.get("/v1/queues/mail").await["state"], "paused");
    rig.create("b", json!({})).await;
    until_waiting(&rig, 1).await;
    assert_eq!(rig.delete("/v1/queues/mail").await.0, 200);
    until_waiting(&rig, 0).await;
    let queue = rig.get("/v1/queues/mail").await;
    assert_eq!(
        (&queue["state"], &queue["dead_letters"]),
        (&json!("open"), &json!(0))
    );
    rig.create("c", json!({})).await;
    assert_eq!(rig.lease_one(LONG).await["task_id"], "c");
}

#[tokio::test]
async fn a_limit_is_shown_obeyed_and_lifted() {
    let rig = Rig::start().await;
    let limited = said(&rig, "limit", json!({ "per_second": 10 })).await;
    assert_eq!(limited["per_second_max"], 10);
    for number in 0..5 {
        rig.create(&number.to_string(), json!({})).await;
    }
    until_waiting(&rig, 5).await;
    let ask = json!({ "max": 5, "wait": "30s", "visibility": LONG });
    let mut leased = Vec::new();
    while leased.len() < 5 {
        let leases = rig.lease(ask.clone()).await;
        assert!(leases.len() <= 1, "a tenth of a second's worth at once");
        leased.extend(leases);
    }
    let lifted = said(&rig, "limit", json!({})).await;
    assert_eq!(lifted.get("per_second_max"), None);
}

#[tokio::test]
async fn bad_words_about_queues_are_refused() {
    let rig = Rig::start().await;
    for (action, body, status, field) in [
        (
            "pause",
            json!({ "until": "2000-01-01T00:00:00Z" }),
            422,
            "until",
        ),
        ("pause", json!({ "probe_every": 0.5 }), 422, "probe_every"),
        ("pause", json!({ "for": "1h" }), 400, "for"),
        (
            "resume",
            json!({ "drain_per_second": 0 }),
            422,
            "drain_per_second",
        ),
        (
            "limit",
            json!({ "per_second": 2_000_000 }),
            422,
            "per_second",
        ),
        ("purge", json!({ "all": true }), 400, "all"),
    ] {
        let (told, problem) = rig.post(&format!("/v1/queues/mail:{action}"), body).await;
        assert_eq!(
            (told, &problem["field"]),
            (status, &json!(field)),
            "{problem}"
        );
    }
    assert_eq!(rig.get("/v1/queues").await["queues"], json!([]));
    let (status, told) = rig
        .post(
            "/v1/queues/mail:ack",
            json!({ "items": [{ "lease_id": "l" }] }),
        )
        .await;
    assert_eq!(
        (status, statuses(&told)),
        (200, vec!["lease-lost".to_owned()])
    );
}
