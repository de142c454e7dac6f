//! Chains, as callers and workers see them: each end is followed by its task, which is given what
//! was said.

use serde_json::{Value, json};

use crate::LONG;
use crate::rig::Rig;

async fn lease_and_say(rig: &Rig, action: &str, said: Value) -> Value {
    let lease = rig.lease_one(LONG).await;
    let mut item = json!({ "lease_id": lease["lease_id"] });
    item.as_object_mut()
        .unwrap()
        .extend(said.as_object().unwrap().clone());
    assert_eq!(rig.say(action, json!([item])).await, ["done"]);
    lease
}

#[tokio::test]
async fn a_result_is_handed_on_from_task_to_task() {
    let rig = Rig::start().await;
    let third =
        json!({ "queue": "mail", "payload": { "own": 1 }, "headers": { "x-kind": "last" } });
    let chain = json!({
        "on_success": { "queue": "mail", "on_success": third },
        "on_failure": { "queue": "never" },
    });
    let mut later = chain.clone();
    later["due_at"] = json!("2099-01-01T00:00:00Z");
    rig.create("later", later).await;
    let shown = rig.get("/v1/namespaces/default/tasks/later").await;
    assert_eq!(shown["on_success"]["on_success"]["payload"], r#"{"own":1}"#);
    assert_eq!(shown["on_failure"]["queue"], "never");
    rig.create("first", chain).await;

    let first = lease_and_say(&rig, "ack", json!({ "result": { "total": 7 } })).await;
    let second = lease_and_say(&rig, "ack", json!({ "result": "two\nlines" })).await;
    assert_eq!(second["payload"], r#"{"total":7}"#);
    let id = second["task_id"].as_str().unwrap();
    assert_eq!(
        id,
        format!("{}~success", first["execution_id"].as_str().unwrap())
    );
    assert_eq!(
        second["headers"],
        json!({
            "minutehand-parent-id": "first",
            "minutehand-parent-execution-id": first["execution_id"],
            "minutehand-parent-outcome": "succeeded",
        })
    );
    let third = lease_and_say(&rig, "ack", json!({})).await;
    assert_eq!(third["payload"], r#"{"own":1}"#);
    assert_eq!(third["headers"]["x-kind"], "last");
    assert_eq!(third["headers"]["minutehand-parent-id"], second["task_id"]);
    assert_eq!(third["headers"]["minutehand-parent-result"], "two lines");

    // It is found by its id, and was created once.
    let found = rig.get(&format!("/v1/namespaces/default/tasks/{id}")).await;
    assert_eq!(
        (&found["state"], &found["earlier"]),
        (&json!("succeeded"), &json!([]))
    );
    let queue = rig.get("/v1/queues/mail").await;
    assert_eq!(
        (&queue["waiting"], &queue["settled"]),
        (&json!(0), &json!(3))
    );
}

#[tokio::test]
async fn a_task_that_is_given_up_is_followed_and_no_retry_is() {
    let rig = Rig::start().await;
    let chain = json!({
        "retry": { "policy": "immediate", "max_attempts": 2 },
        "on_success": { "queue": "never" },
        "on_failure": { "queue": "mail", "delay": "0s" },
    });
    rig.create("doomed", chain).await;
    lease_and_say(&rig, "nack", json!({ "error": "first" })).await;
    let second = lease_and_say(&rig, "nack", json!({ "error": "out of stock" })).await;
    assert_eq!(second["attempt"], 2);
    let follows = lease_and_say(&rig, "ack", json!({})).await;
    assert_eq!(
        (
            &follows["payload"],
            &follows["headers"]["minutehand-parent-outcome"]
        ),
        (&json!("out of stock"), &json!("dead"))
    );
    assert_eq!(
        follows["headers"]["minutehand-parent-execution-id"],
        second["execution_id"]
    );
    rig.until_dead(1).await;

    // A letter that is replayed may end well, or be followed anew.
    let (status, replayed) = rig
        .post(
            "/v1/queues/mail/dead-letters:replay",
            json!({ "all": true }),
        )
        .await;
    assert_eq!((status, &replayed["count"]), (200, &json!(1)), "{replayed}");
    lease_and_say(&rig, "nack", json!({})).await;
    lease_and_say(&rig, "nack", json!({ "error": "again" })).await;
    let anew = lease_and_say(&rig, "ack", json!({})).await;
    assert_eq!(anew["payload"], "again");
    assert_ne!(anew["task_id"], follows["task_id"]);
}

#[tokio::test]
async fn a_chain_beyond_its_limits_is_refused_with_its_field() {
    let rig = Rig::start().await;
    let mut chain = json!({ "queue": "mail" });
    for _ in 0..8 {
        chain = json!({ "queue": "mail", "on_success": chain });
    }
    let task = json!({ "queue": "mail", "delay": 0, "on_success": chain });
    let (status, problem) = rig.post("/v1/namespaces/default/tasks", task).await;
    assert_eq!(status, 422, "{problem}");
    assert_eq!(problem["field"], "on_success");
    assert_eq!(
        problem["limit"],
        "at most 8 tasks follow one after the other"
    );
    assert_eq!(problem["given"], "9");
    let large = json!({ "queue": "mail", "payload": "x".repeat(70_000) });
    let task = json!({ "queue": "mail", "delay": 0, "on_failure": large });
    let (status, problem) = rig.post("/v1/namespaces/default/tasks", task).await;
    assert_eq!(
        (status, &problem["field"]),
        (413, &json!("on_failure")),
        "{problem}"
    );
}
