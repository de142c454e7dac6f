//! What has ended, listed by state, and the results that are kept.

use serde_json::{Value, json};

use crate::LONG;
use crate::rig::Rig;

const TASKS: &str = "/v1/namespaces/default/tasks";

/// The ids on a page, in its order.
fn ids(page: &Value) -> Vec<&str> {
    let tasks = page["tasks"].as_array().unwrap_or_else(|| panic!("{page}"));
    tasks
        .iter()
        .map(|task| task["id"].as_str().unwrap())
        .collect()
}

/// Runs a task of that id to its end.
async fn end(rig: &Rig, id: &str, action: &str, said: Value) {
    let policy = json!({ "retry": { "policy": "none" } });
    rig.create(id, policy).await;
    let lease = rig.lease_one(LONG).await;
    let mut item = json!({ "lease_id": lease["lease_id"] });
    item.as_object_mut()
        .unwrap()
        .extend(said.as_object().unwrap().clone());
    assert_eq!(rig.say(action, json!([item])).await, ["done"]);
}

#[tokio::test]
async fn tasks_are_listed_by_the_state_they_ended_in() {
    let rig = Rig::start().await;
    for id in ["a", "b", "c"] {
        end(&rig, id, "ack", json!({ "result": id })).await;
    }
    end(&rig, "d", "nack", json!({ "error": "no" })).await;
    rig.create("later", json!({ "due_at": "2099-01-01T00:00:00Z" }))
        .await;

    let well = rig.get(&format!("{TASKS}?state=succeeded&limit=2")).await;
    assert_eq!(ids(&well), ["c", "b"], "the newest end first");
    let first = &well["tasks"][0];
    assert_eq!(
        (&first["state"], &first["queue"], &first["result"]),
        (&json!("succeeded"), &json!("mail"), &json!("c"))
    );
    let cursor = well["next_cursor"].as_str().unwrap();
    let rest = rig
        .get(&format!("{TASKS}?state=succeeded&limit=2&cursor={cursor}"))
        .await;
    assert_eq!(
        (ids(&rest), &rest["next_cursor"]),
        (vec!["a"], &Value::Null)
    );

    let dead = rig.get(&format!("{TASKS}?state=dead&queue=mail")).await;
    assert_eq!(ids(&dead), ["d"]);
    assert_eq!(dead["tasks"][0]["outcomes"][0]["detail"], "no");
    for (query, expected) in [
        ("state=dead&queue=other", vec![]),
        ("state=lost", vec![]),
        ("state=scheduled", vec!["later"]),
        ("queue=mail", vec!["later"]),
        ("queue=other", vec![]),
    ] {
        let page = rig.get(&format!("{TASKS}?{query}")).await;
        assert_eq!(ids(&page), expected, "{query}");
    }
    let elsewhere = rig.get("/v1/namespaces/other/tasks?state=succeeded").await;
    assert!(ids(&elsewhere).is_empty());

    for (query, field) in [
        ("state=published", "state"),
        ("state=nonsense", "state"),
        ("state=dead&prefix=a", "prefix"),
        ("state=dead&limit=0", "limit"),
        ("queue=a%20b", "queue"),
        (&format!("state=dead&cursor={cursor}"), "cursor"),
    ] {
        let (status, problem) = rig.refused(&format!("{TASKS}?{query}")).await;
        assert_eq!(
            (status, &problem["field"]),
            (422, &json!(field)),
            "{query}: {problem}"
        );
    }
}

#[tokio::test]
async fn a_result_of_64_kib_is_kept_and_more_is_cut() {
    let rig = Rig::start().await;
    let whole = "é".repeat(32 * 1024);
    for (id, result) in [("whole", whole.clone()), ("long", format!("{whole}é"))] {
        end(&rig, id, "ack", json!({ "result": result })).await;
        let task = rig.get(&format!("{TASKS}/{id}?wait=1s")).await;
        assert_eq!(task["result"], whole.as_str(), "{id}");
        let detail = task["outcomes"][0]["detail"].as_str().unwrap();
        assert_eq!(detail.len(), 4 * 1024, "{id}");
    }
}
