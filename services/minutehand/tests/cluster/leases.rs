//! Leases and gates of a cluster with two gateways and a worker, on real servers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Cluster, Role, eventually};

const PARTITIONS: u32 = 4;

fn create(cluster: &Cluster, gateway: &Role, queue: &str, id: &str) {
    let words = [
        "task",
        "create",
        "--queue",
        queue,
        "--in",
        "0s",
        "--id",
        id,
        "--payload",
        id,
    ];
    cluster.ask(gateway, &words);
}

/// The lease of an execution, once there is one: others are waited out.
fn lease(cluster: &Cluster, gateway: &Role, queue: &str) -> Value {
    eventually("a lease", || {
        let words = [
            "queue",
            "lease",
            queue,
            "--wait",
            "5s",
            "--visibility",
            "10m",
        ];
        let leased = cluster.client(gateway, &words);
        serde_json::from_slice(&leased.stdout).ok()
    })
}

/// What is said of an answer to a lease.
fn answer(cluster: &Cluster, gateway: &Role, queue: &str, verb: &str, lease: &Value) -> String {
    let id = lease["lease_id"].as_str().expect("an id");
    let told = cluster.client(gateway, &["queue", verb, queue, id]);
    // Behind it stands why the command failed, if it did.
    let mut told = serde_json::Deserializer::from_slice(&told.stdout).into_iter::<Value>();
    let told = told.next().expect("an answer").expect("JSON");
    told["status"].as_str().expect("a status").to_owned()
}

#[test]
fn answers_find_the_gateway_that_holds_the_lease() {
    let cluster = Cluster::new(PARTITIONS);
    cluster.apply_schema();
    let scheduler = cluster.start("scheduler", &[]);
    let (first, second) = (cluster.start("gateway", &[]), cluster.start("gateway", &[]));
    for role in [&scheduler, &first, &second] {
        cluster.ready(role);
    }
    create(&cluster, &first, "pull", "a");
    let held = lease(&cluster, &first, "pull");
    assert_eq!(held["task_id"], "a");
    assert_eq!(answer(&cluster, &second, "pull", "ack", &held), "done");
    assert_eq!(answer(&cluster, &first, "pull", "ack", &held), "lease-lost");

    // The one that holds a lease is killed: whoever answers is told, and it is handed out again.
    create(&cluster, &second, "pull", "b");
    let held = lease(&cluster, &first, "pull");
    assert_eq!(held["task_id"], "b");
    first.kill();
    assert_eq!(
        answer(&cluster, &second, "pull", "ack", &held),
        "lease-lost"
    );
    let again = lease(&cluster, &second, "pull");
    assert_eq!(again["execution_id"], held["execution_id"]);
    assert!(again["delivery_token"].as_str() > held["delivery_token"].as_str());
    assert_eq!(answer(&cluster, &second, "pull", "ack", &again), "done");
}

#[test]
fn all_processes_obey_what_is_said_of_a_queue() {
    let cluster = Cluster::new(PARTITIONS);
    cluster.apply_schema();
    let scheduler = cluster.start("scheduler", &[]);
    let (first, second) = (cluster.start("gateway", &[]), cluster.start("gateway", &[]));
    let start_worker = || cluster.start("worker", &["worker.queues=work", "worker.history=all"]);
    let worker = start_worker();
    for role in [&scheduler, &first, &second, &worker] {
        cluster.ready(role);
    }
    cluster.ask(&first, &["queue", "pause", "work", "--reason", "a test"]);
    cluster.ask(&first, &["queue", "pause", "pull"]);
    let ids: BTreeSet<String> = (0..8).map(|number| format!("t{number}")).collect();
    for id in &ids {
        create(&cluster, &second, "work", id);
    }
    create(&cluster, &second, "pull", "p");
    let shown = |queue: &str| cluster.ask(&second, &["queue", "show", queue]);
    for (queue, count) in [("work", 8), ("pull", 1)] {
        eventually("that what was published waits", || {
            let shown = shown(queue);
            (shown["waiting"] == count && shown["state"] == "paused").then_some(())
        });
    }
    // A worker that comes later knows of it before it takes anything.
    assert_eq!(worker.stop().code(), Some(0));
    let worker = start_worker();
    cluster.ready(&worker);
    let words = ["queue", "lease", "pull", "--wait", "2s"];
    assert!(cluster.client(&second, &words).stdout.is_empty());
    assert_eq!(shown("work")["waiting"], 8);
    assert!(shown("work")["oldest_at"].is_string());

    cluster.ask(&second, &["queue", "resume", "work"]);
    cluster.ask(&second, &["queue", "resume", "pull"]);
    assert_eq!(lease(&cluster, &first, "pull")["task_id"], "p");
    eventually("that all have run, once each", || {
        let outcomes = ids.iter().map(|id| {
            let task = cluster.ask(&second, &["task", "get", id]);
            task["outcomes"].as_array().map_or(0, Vec::len)
        });
        let outcomes: Vec<usize> = outcomes.collect();
        assert!(outcomes.iter().all(|count| *count <= 1), "{outcomes:?}");
        (outcomes == [1; 8]).then_some(())
    });
    assert_eq!(shown("work")["state"], json!("open"));

    // What waits is purged where somebody consumes the queue, paused or not.
    cluster.ask(&first, &["queue", "pause", "work"]);
    create(&cluster, &first, "work", "unwanted");
    eventually("that it waits", || {
        (shown("work")["waiting"] == 1).then_some(())
    });
    cluster.ask(&first, &["queue", "purge", "work", "--yes"]);
    eventually("that it is gone", || {
        (shown("work")["waiting"] == 0).then_some(())
    });
    let task = cluster.ask(&first, &["task", "get", "unwanted"]);
    assert_eq!(task["outcomes"][0]["outcome"], "cancelled", "{task}");
}
