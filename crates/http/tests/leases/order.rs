//! Order, limits and fairness: what of a queue is handed out next, on the embedded store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use minutehand_model::QueueName;
use minutehand_worker::{Run, Verdict, Worker};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::rig::{Rig, ids};

const LONG: &str = "10m";

async fn limited(rig: &Rig, body: Value) -> Value {
    let (status, queue) = rig.post("/v1/queues/mail:limit", body).await;
    assert_eq!(status, 200, "{queue}");
    queue
}

async fn until_waiting(rig: &Rig, count: u64) {
    while rig.get("/v1/queues/mail").await["waiting"] != count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn tasks(leases: &[Value]) -> Vec<&str> {
    leases
        .iter()
        .map(|lease| lease["task_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn tasks_of_a_key_are_leased_one_after_the_other() {
    let rig = Rig::start().await;
    let queue = limited(&rig, json!({ "concurrency_per_key": 1 })).await;
    assert_eq!(queue["concurrency_per_key"], 1);
    for id in ["a", "b", "c"] {
        rig.create(id, json!({ "key": "customer/7" })).await;
    }
    until_waiting(&rig, 3).await;
    let many = json!({ "max": 10, "wait": "30s", "visibility": LONG });
    for id in ["a", "b", "c"] {
        let leases = rig.lease(many.clone()).await;
        assert_eq!(tasks(&leases), [id]);
        assert_eq!(leases[0]["key"], "customer/7");
        // What is of no key, or of another one, waits for nobody.
        rig.create(&format!("of-none-{id}"), json!({})).await;
        rig.create(&format!("of-another-{id}"), json!({ "key": id }))
            .await;
        let mut others = Vec::new();
        while others.len() < 2 {
            others.extend(rig.lease(many.clone()).await);
        }
        assert!(!tasks(&others).contains(&"b") && !tasks(&others).contains(&"c"));
        let ack = json!([{ "lease_id": ids(&leases)[0] }]);
        assert_eq!(rig.say("ack", ack).await, ["done"]);
    }
}

#[tokio::test]
async fn a_failed_attempt_of_a_key_comes_behind_the_next() {
    let rig = Rig::start().await;
    limited(&rig, json!({ "concurrency_per_key": 1 })).await;
    for id in ["a", "b"] {
        let retry = json!({ "key": "k", "retry": { "policy": "immediate" } });
        rig.create(id, retry).await;
    }
    until_waiting(&rig, 2).await;
    let first = rig.lease_one(LONG).await;
    rig.say("nack", json!([{ "lease_id": first["lease_id"] }]))
        .await;
    let second = rig.lease_one(LONG).await;
    rig.say("ack", json!([{ "lease_id": second["lease_id"] }]))
        .await;
    let third = rig.lease_one(LONG).await;
    let told = [&first, &second, &third].map(|lease| (&lease["task_id"], &lease["attempt"]));
    let (a, b, one, two) = (json!("a"), json!("b"), json!(1), json!(2));
    assert_eq!(told, [(&a, &one), (&b, &one), (&a, &two)]);
}

#[tokio::test]
async fn what_is_urgent_is_leased_first() {
    let rig = Rig::start().await;
    // Of one key they come from one partition, in their order.
    for (id, priority) in [("a", 4), ("b", 9), ("c", 4), ("d", 9), ("e", 0)] {
        rig.create(id, json!({ "key": "k", "priority": priority }))
            .await;
    }
    until_waiting(&rig, 5).await;
    let two = json!({ "max": 2, "wait": "30s", "visibility": LONG });
    assert_eq!(tasks(&rig.lease(two).await), ["b", "a"]);
    for id in ["d", "c", "e"] {
        assert_eq!(rig.lease_one(LONG).await["task_id"], id);
    }
}

#[tokio::test]
async fn a_namespace_with_little_does_not_wait_for_one_with_much() {
    let rig = Rig::start().await;
    let queue = limited(
        &rig,
        json!({ "namespaces": { "default": { "weight": 2 } } }),
    )
    .await;
    assert_eq!(queue["namespaces"]["default"]["weight"], 2);
    for number in 0..20 {
        rig.create(&number.to_string(), json!({})).await;
    }
    until_waiting(&rig, 20).await;
    let small = json!({ "id": "small", "queue": "mail", "delay": "0s" });
    let (status, _) = rig.post("/v1/namespaces/shop/tasks", small).await;
    assert_eq!(status, 201);
    until_waiting(&rig, 21).await;
    let four = json!({ "max": 4, "wait": "30s", "visibility": LONG });
    let leases = rig.lease(four).await;
    assert!(tasks(&leases).contains(&"small"), "{leases:?}");
}

/// How many runs of each key are at work, and the most there were.
#[derive(Default)]
struct Counts {
    now: BTreeMap<String, u32>,
    most: u32,
    ran: BTreeMap<String, Vec<String>>,
}

/// A worker with many places, and attempts that fail, on the store of the API.
#[tokio::test]
async fn a_worker_keeps_the_limit_and_order_of_keys() {
    const TASKS: usize = 60;
    let rig = Rig::start().await;
    limited(&rig, json!({ "concurrency_per_key": 1 })).await;
    let counts = Arc::new(Mutex::new(Counts::default()));
    let handler = {
        let counts = Arc::clone(&counts);
        move |run: Run| {
            let counts = Arc::clone(&counts);
            async move {
                let key = run.task().order_key.as_ref().unwrap().to_string();
                {
                    let mut counts = counts.lock().unwrap();
                    let now = counts.now.get(&key).copied().unwrap_or_default() + 1;
                    counts.now.insert(key.clone(), now);
                    counts.most = counts.most.max(now);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                let mut counts = counts.lock().unwrap();
                *counts.now.get_mut(&key).unwrap() -= 1;
                if run.task().attempt == 1 && run.task().id.as_str().ends_with('5') {
                    return Verdict::failure("the first attempt fails");
                }
                let id = run.task().id.to_string();
                counts.ran.entry(key).or_default().push(id);
                Verdict::success()
            }
        }
    };
    let queue = QueueName::parse("mail").unwrap();
    let worker = Worker::builder(Arc::clone(&rig.port))
        .gates(rig.gates.clone())
        .handle(queue, handler, 32)
        .build()
        .unwrap();
    for number in 0..TASKS {
        let of_key =
            json!({ "key": format!("k{}", number % 3), "retry": { "policy": "immediate" } });
        rig.create(&format!("{number:03}"), of_key).await;
    }
    let (stop, mut stopping) = watch::channel(false);
    let running = tokio::spawn(worker.run(async move {
        stopping.wait_for(|stop| *stop).await.ok();
    }));
    let ran = || -> usize { counts.lock().unwrap().ran.values().map(Vec::len).sum() };
    while ran() < TASKS {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send_replace(true);
    running.await.unwrap().unwrap();
    let counts = counts.lock().unwrap();
    assert_eq!(counts.most, 1, "one of a key at once");
    for (key, ids) in &counts.ran {
        let first_attempts: Vec<&String> = ids.iter().filter(|id| !id.ends_with('5')).collect();
        assert!(first_attempts.is_sorted(), "{key}: {ids:?}");
    }
}
