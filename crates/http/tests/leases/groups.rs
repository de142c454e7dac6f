//! Several worker groups on one queue: what one goes on with is its own affair.

use std::time::Duration;

use serde_json::{Value, json};

use crate::LONG;
use crate::rig::{Rig, ids};

const TASKS: &str = "/v1/namespaces/default/tasks";
const GROUPS: [&str; 2] = ["one", "two"];

/// Both groups are known to the queue before anything is published.
async fn rig() -> Rig {
    let rig = Rig::start().await;
    for group in GROUPS {
        let nothing = json!({ "group": group, "max": 1, "visibility": LONG });
        assert!(rig.lease(nothing).await.is_empty());
    }
    rig
}

/// Waits for the next leases of a group, at most so many.
async fn leases(rig: &Rig, group: &str, max: usize) -> Vec<Value> {
    let asked = json!({ "group": group, "max": max, "wait": "30s", "visibility": LONG });
    let leases = rig.lease(asked).await;
    assert!(!leases.is_empty(), "there is something for {group}");
    leases
}

/// Waits for exactly so many leases.
async fn lease_all(rig: &Rig, group: &str, count: usize) -> Vec<Value> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(leases(rig, group, 1_000).await);
    }
    assert_eq!(all.len(), count, "for {group}");
    all
}

async fn lease_one(rig: &Rig, group: &str) -> Value {
    lease_all(rig, group, 1).await.remove(0)
}

/// Says the same of all of these leases, in one call.
async fn say(rig: &Rig, action: &str, leases: &[Value], more: Value) {
    let item = |id: &str| {
        let mut item = more.clone();
        item["lease_id"] = json!(id);
        item
    };
    let items: Vec<Value> = ids(leases).into_iter().map(item).collect();
    let told = rig.say(action, json!(items)).await;
    assert!(told.iter().all(|status| status == "done"), "{told:?}");
}

/// All that was published has reached the queue: what a group is handed until it comes to a task that
/// is published now is all that there is for it, beside other such tasks.
async fn assert_nothing_else_for(rig: &Rig, group: &str) {
    let marker = format!("marker-for-{group}");
    rig.create(&marker, json!({})).await;
    let mut seen = Vec::new();
    while !seen.contains(&marker) {
        let more = leases(rig, group, 1_000).await;
        say(rig, "ack", &more, json!({})).await;
        let ids = more.iter().map(|lease| lease["task_id"].as_str().unwrap());
        seen.extend(ids.map(str::to_owned));
    }
    seen.retain(|id| !id.starts_with("marker-for-"));
    assert_eq!(seen, [""; 0], "for {group}");
}

async fn until_nothing_waits(rig: &Rig, group: &str) {
    while rig.get(&format!("/v1/queues/mail?group={group}")).await["waiting"] != 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What the history says of a task at all of its due times, in order of the words.
async fn outcomes(rig: &Rig, id: &str) -> Vec<String> {
    let task = rig.get(&format!("{TASKS}/{id}")).await;
    let earlier = task["earlier"].as_array().into_iter().flatten();
    let of_each = earlier.chain([&task]).map(|at| &at["outcomes"]);
    let told = of_each.flat_map(|outcomes| outcomes.as_array().into_iter().flatten());
    let mut told: Vec<String> = told
        .map(|outcome| {
            let word = outcome["outcome"].as_str().unwrap();
            format!("{word} {}", outcome["attempt"])
        })
        .collect();
    told.sort();
    told
}

#[tokio::test]
async fn a_retry_is_its_own_groups_alone() {
    let rig = rig().await;
    rig.create("a", json!({ "retry": { "policy": "immediate" } }))
        .await;
    let (one, two) = (lease_one(&rig, "one").await, lease_one(&rig, "two").await);
    say(&rig, "nack", &[one], json!({})).await;
    say(&rig, "ack", &[two], json!({})).await;
    let retry = lease_one(&rig, "one").await;
    assert_eq!(
        (&retry["task_id"], &retry["attempt"]),
        (&json!("a"), &json!(2))
    );
    assert_nothing_else_for(&rig, "two").await;
    say(&rig, "ack", &[retry], json!({})).await;
    assert_nothing_else_for(&rig, "one").await;
    let ends = outcomes(&rig, "a").await;
    assert_eq!(ends, ["retried 1", "succeeded 1", "succeeded 2"]);
    let last = lease_one(&rig, "two").await;
    say(&rig, "ack", &[last], json!({})).await;
    for group in GROUPS {
        until_nothing_waits(&rig, group).await;
    }
}

#[tokio::test]
async fn what_runs_at_most_once_runs_once_in_each_group() {
    let rig = rig().await;
    rig.create("a", json!({ "guarantee": "at-most-once" }))
        .await;
    let (one, two) = (lease_one(&rig, "one").await, lease_one(&rig, "two").await);
    // The one gives it back without having begun, and the other has run it.
    say(&rig, "extend", &[one], json!({ "visibility": "0s" })).await;
    say(&rig, "ack", &[two], json!({})).await;
    let again = lease_one(&rig, "one").await;
    say(&rig, "snooze", &[again], json!({ "delay": "1ms" })).await;
    let again = lease_one(&rig, "one").await;
    assert_eq!(again["attempt"], 1, "it has not run");
    assert_nothing_else_for(&rig, "two").await;
    say(&rig, "ack", &[again], json!({})).await;
    assert_nothing_else_for(&rig, "one").await;
    assert_eq!(outcomes(&rig, "a").await, ["succeeded 1", "succeeded 1"]);
}

#[tokio::test]
async fn a_group_that_puts_off_much_is_nothing_to_another() {
    const TASKS: usize = 40;
    const ROUNDS: usize = 3;
    let rig = rig().await;
    for number in 0..TASKS {
        rig.create(&format!("t{number}"), json!({})).await;
    }
    for group in GROUPS {
        for _ in 0..ROUNDS {
            let all = lease_all(&rig, group, TASKS).await;
            say(&rig, "snooze", &all, json!({ "delay": "1ms" })).await;
        }
    }
    for group in GROUPS {
        let all = lease_all(&rig, group, TASKS).await;
        say(&rig, "ack", &all, json!({})).await;
    }
    for group in GROUPS {
        assert_nothing_else_for(&rig, group).await;
    }
    lease_one(&rig, "one").await;
    for group in GROUPS {
        let queue = rig.get(&format!("/v1/queues/mail?group={group}")).await;
        let settled = TASKS * (ROUNDS + 1) + if group == "one" { 1 } else { 2 };
        assert_eq!(queue["settled"], settled, "what others put off counts not");
    }
}

#[tokio::test]
async fn retries_of_two_groups_in_one_moment_are_two() {
    let rig = rig().await;
    rig.create("a", json!({ "retry": { "policy": "immediate" } }))
        .await;
    let both = [lease_one(&rig, "one").await, lease_one(&rig, "two").await];
    // In one call, so most likely within one millisecond.
    say(&rig, "nack", &both, json!({ "delay": "1ms" })).await;
    let mut executions = Vec::new();
    for group in GROUPS {
        let retry = lease_one(&rig, group).await;
        assert_eq!(retry["attempt"], 2);
        assert_eq!(
            retry["message_id"], both[0]["message_id"],
            "of one message all the same"
        );
        executions.push(retry["execution_id"].clone());
        say(&rig, "ack", &[retry], json!({})).await;
    }
    assert_ne!(executions[0], executions[1]);
    let ends = outcomes(&rig, "a").await;
    assert_eq!(
        ends,
        ["retried 1", "retried 1", "succeeded 2", "succeeded 2"]
    );
}

#[tokio::test]
async fn a_cancellation_reaches_the_retries_of_all_groups() {
    let rig = rig().await;
    rig.create("a", json!({ "retry": { "policy": "immediate" } }))
        .await;
    let both = [lease_one(&rig, "one").await, lease_one(&rig, "two").await];
    say(&rig, "nack", &both, json!({ "delay": "1h" })).await;
    while rig.get(TASKS).await["tasks"].as_array().unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(rig.get(&format!("{TASKS}/a")).await["state"], "scheduled");
    let (status, answer) = rig.delete(&format!("{TASKS}/a")).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(rig.get(TASKS).await["tasks"], json!([]));
}

#[tokio::test]
async fn a_replay_is_for_the_group_that_gave_it_up() {
    let rig = rig().await;
    rig.create("a", json!({ "guarantee": "at-most-once" }))
        .await;
    let (one, two) = (lease_one(&rig, "one").await, lease_one(&rig, "two").await);
    say(&rig, "nack", &[one], json!({})).await;
    say(&rig, "ack", &[two], json!({})).await;
    rig.until_dead(1).await;
    let replay = "/v1/queues/mail/dead-letters:replay";
    let (status, answer) = rig.post(replay, json!({ "all": true })).await;
    assert_eq!(status, 200, "{answer}");
    let again = lease_one(&rig, "one").await;
    assert_eq!(
        (&again["task_id"], &again["attempt"]),
        (&json!("a"), &json!(1))
    );
    assert_nothing_else_for(&rig, "two").await;
}
