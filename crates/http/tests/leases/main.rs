//! Leasing over HTTP, on the embedded store: what each answer does, and what becomes of bad ones.

mod chains;
mod ended;
mod gates;
mod gateways;
mod groups;
mod order;
mod revoked;
mod rig;
mod running;

use std::time::Duration;

use minutehand_worker::LeaseLimits;
use rig::{Rig, Setup, ids, statuses};
use serde_json::{Value, json};

/// Long enough for a machine that is busy.
const LONG: &str = "10m";

#[tokio::test]
async fn leased_executions_are_acknowledged_once() {
    let rig = Rig::start().await;
    rig.create(
        "a",
        json!({ "payload": { "n": 1 }, "headers": { "x-kind": "test" } }),
    )
    .await;
    let lease = rig.lease_one(LONG).await;
    assert_eq!(
        (&lease["task_id"], &lease["namespace"]),
        (&json!("a"), &json!("default"))
    );
    assert_eq!(
        (&lease["attempt"], &lease["payload"]),
        (&json!(1), &json!(r#"{"n":1}"#))
    );
    assert_eq!(lease["headers"], json!({ "x-kind": "test" }));
    assert!(lease["execution_id"].as_str().unwrap().starts_with("x-"));
    assert!(lease["expires_at"].as_str() > lease["due_at"].as_str());
    assert_eq!(
        rig.say(
            "ack",
            json!([{ "lease_id": lease["lease_id"], "result": "paid" }])
        )
        .await,
        ["done"]
    );
    let twice = json!([{ "lease_id": lease["lease_id"] }, { "lease_id": lease["lease_id"] }]);
    assert_eq!(rig.say("ack", twice).await, ["lease-lost", "lease-lost"]);
    let task = rig.get("/v1/namespaces/default/tasks/a").await;
    assert_eq!(task["outcomes"][0]["outcome"], "succeeded", "{task}");
    assert_eq!(task["outcomes"][0]["detail"], "paid");
    assert_eq!(task["result"], "paid");
    let queue = rig.get("/v1/queues/mail").await;
    assert_eq!(
        (&queue["waiting"], &queue["in_progress"], &queue["settled"]),
        (&json!(0), &json!(0), &json!(1))
    );
    assert_eq!(rig.leases.standing().leases, 0);
}

#[tokio::test]
async fn answers_to_leases_that_are_not_there_are_lost() {
    let rig = Rig::start().await;
    rig.create("a", json!({})).await;
    let lease = rig.lease_one(LONG).await;
    let id = lease["lease_id"].as_str().unwrap();
    let changed = |index: usize| {
        let mut text = id.as_bytes().to_vec();
        text[index] = if text[index] == b'A' { b'B' } else { b'A' };
        String::from_utf8(text).unwrap()
    };
    // Its holder, its number and its secret are others.
    let forged = [
        changed(4),
        changed(20),
        changed(40),
        "l-made-up".to_owned(),
        String::new(),
        "x".repeat(100_000),
    ];
    for action in ["ack", "nack"] {
        let items: Vec<Value> = forged.iter().map(|id| json!({ "lease_id": id })).collect();
        assert_eq!(rig.say(action, json!(items)).await, ["lease-lost"; 6]);
    }
    let extend = json!([{ "lease_id": forged[2], "visibility": 60 }]);
    assert_eq!(rig.say("extend", extend).await, ["lease-lost"]);
    assert_eq!(
        rig.say("snooze", json!([{ "lease_id": forged[2], "delay": 1 }]))
            .await,
        ["lease-lost"]
    );
    let (status, body) = rig
        .post(
            "/v1/queues/other:ack",
            json!({ "items": [{ "lease_id": id }] }),
        )
        .await;
    assert_eq!(
        (status, statuses(&body)),
        (200, vec!["lease-lost".to_owned()]),
        "it is a lease of another queue"
    );
    assert_eq!(
        rig.say("ack", json!([{ "lease_id": id }])).await,
        ["done"],
        "nothing has touched it"
    );
}

#[tokio::test]
async fn what_is_not_answered_comes_again_with_a_greater_token() {
    let rig = Rig::start().await;
    rig.create("a", json!({})).await;
    let first = rig.lease_one("100ms").await;
    let second = rig.lease_one(LONG).await;
    assert_eq!(first["execution_id"], second["execution_id"]);
    assert_eq!(second["attempt"], 1, "nothing has failed");
    assert!(second["delivery_token"].as_str() > first["delivery_token"].as_str());
    assert_ne!(first["lease_id"], second["lease_id"]);
    let late = json!([{ "lease_id": first["lease_id"] }, { "lease_id": second["lease_id"] }]);
    assert_eq!(rig.say("ack", late).await, ["lease-lost", "done"]);
}

#[tokio::test]
async fn an_extended_lease_lasts_and_one_given_back_comes_again() {
    let rig = Rig::start().await;
    rig.create("a", json!({})).await;
    let first = rig.lease_one("30s").await;
    let item =
        |visibility: &str| json!([{ "lease_id": first["lease_id"], "visibility": visibility }]);
    assert_eq!(rig.say("extend", item("12h")).await, ["done"]);
    assert_eq!(rig.say("extend", item("0s")).await, ["done"]);
    assert_eq!(rig.say("extend", item("1m")).await, ["lease-lost"]);
    let second = rig.lease_one(LONG).await;
    assert_eq!(
        (&second["execution_id"], &second["attempt"]),
        (&first["execution_id"], &json!(1))
    );
    assert!(second["delivery_token"].as_str() > first["delivery_token"].as_str());
    let shorter = json!([{ "lease_id": second["lease_id"], "visibility": "100ms" }]);
    assert_eq!(rig.say("extend", shorter).await, ["done"]);
    assert!(
        rig.lease_one(LONG).await["delivery_token"].as_str() > second["delivery_token"].as_str()
    );
}

#[tokio::test]
async fn failures_follow_the_retry_policy_to_the_dead_letters() {
    let rig = Rig::start().await;
    rig.create(
        "a",
        json!({ "retry": { "policy": "immediate", "max_attempts": 2 } }),
    )
    .await;
    let first = rig.lease_one(LONG).await;
    let nack = |lease: &Value, error: &str| json!([{ "lease_id": lease["lease_id"], "error": error, "delay": "0.2s" }]);
    assert_eq!(rig.say("nack", nack(&first, "no")).await, ["done"]);
    let second = rig.lease_one(LONG).await;
    assert_eq!(
        (&second["attempt"], &second["message_id"]),
        (&json!(2), &first["message_id"])
    );
    assert!(second["due_at"].as_str() > first["due_at"].as_str());
    let long = format!("no again {}", "x".repeat(100_000));
    assert_eq!(rig.say("nack", nack(&second, &long)).await, ["done"]);
    let letters = rig.get("/v1/queues/mail/dead-letters").await;
    let letter = &letters["dead_letters"][0];
    assert_eq!(
        (&letter["id"], &letter["attempts"]),
        (&json!("a"), &json!(2))
    );
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.starts_with("no again") && reason.len() == 4_096);
}

#[tokio::test]
async fn a_snooze_burns_no_attempt() {
    let rig = Rig::start().await;
    rig.create("a", json!({ "retry": { "policy": "none" } }))
        .await;
    let first = rig.lease_one(LONG).await;
    let item = json!([{ "lease_id": first["lease_id"], "delay": "0.3s" }]);
    assert_eq!(rig.say("snooze", item.clone()).await, ["done"]);
    assert_eq!(
        rig.say("snooze", item).await,
        ["lease-lost"],
        "it is put off once"
    );
    let second = rig.lease_one(LONG).await;
    assert_eq!(
        (&second["attempt"], &second["task_id"]),
        (&json!(1), &json!("a"))
    );
    assert!(second["due_at"].as_str() > first["due_at"].as_str());
    assert_eq!(
        rig.say("ack", json!([{ "lease_id": second["lease_id"] }]))
            .await,
        ["done"]
    );
}

#[tokio::test]
async fn at_most_once_is_handed_out_once() {
    let rig = Rig::start().await;
    rig.create("a", json!({ "guarantee": "at-most-once" }))
        .await;
    let lease = rig.lease_one("100ms").await;
    rig.until_dead(1).await;
    assert_eq!(
        rig.say("ack", json!([{ "lease_id": lease["lease_id"] }]))
            .await,
        ["lease-lost"]
    );
    assert!(
        rig.lease(json!({ "max": 1, "visibility": LONG }))
            .await
            .is_empty()
    );
    rig.create("b", json!({ "guarantee": "at-most-once" }))
        .await;
    let lease = rig.lease_one(LONG).await;
    assert_eq!(
        rig.say("ack", json!([{ "lease_id": lease["lease_id"] }]))
            .await,
        ["done"]
    );
    rig.create("c", json!({ "guarantee": "at-most-once" }))
        .await;
    let lease = rig.lease_one(LONG).await;
    let back = json!([{ "lease_id": lease["lease_id"], "visibility": 0 }]);
    assert_eq!(rig.say("extend", back).await, ["done"]);
    assert_eq!(
        rig.lease_one(LONG).await["task_id"],
        "c",
        "who gives it back says that it has not run"
    );
    rig.until_dead(1).await;
}

#[tokio::test]
async fn many_are_leased_and_answered_in_one_call() {
    let rig = Rig::start().await;
    for index in 0..30 {
        rig.create(
            &format!("t{index}"),
            json!({ "due_at": "2026-01-01T00:00:00Z" }),
        )
        .await;
    }
    let mut leases = Vec::new();
    while leases.len() < 30 {
        leases.extend(
            rig.lease(json!({ "max": 1000, "wait": "10s", "visibility": LONG }))
                .await,
        );
    }
    let items: Vec<Value> = ids(&leases)
        .iter()
        .map(|id| json!({ "lease_id": id }))
        .collect();
    assert_eq!(rig.say("ack", json!(items)).await, ["done"; 30]);
    assert_eq!(rig.get("/v1/queues/mail").await["settled"], 30);
}

#[tokio::test]
async fn large_payloads_come_in_several_answers() {
    let rig = Rig::start().await;
    // A control character takes six times its bytes in JSON.
    let payload = "\u{1}".repeat(200_000);
    for index in 0..12 {
        rig.create(&format!("t{index}"), json!({ "payload": payload }))
            .await;
    }
    let (mut leased, mut answers) = (0, 0);
    while leased < 12 {
        let leases = rig
            .lease(json!({ "max": 1000, "wait": "10s", "visibility": LONG }))
            .await;
        assert!(leases.len() <= 4, "an answer is bounded: {}", leases.len());
        leased += leases.len();
        answers += usize::from(!leases.is_empty());
    }
    assert!(answers >= 3);
}

#[tokio::test]
async fn groups_have_their_own_leases() {
    let rig = Rig::start().await;
    for group in ["one", "two"] {
        assert!(
            rig.lease(json!({ "group": group, "max": 1, "visibility": LONG }))
                .await
                .is_empty()
        );
    }
    rig.create("a", json!({})).await;
    for group in ["one", "two"] {
        let leases = rig
            .lease(json!({ "group": group, "max": 5, "wait": "20s", "visibility": LONG }))
            .await;
        assert_eq!(leases.len(), 1, "{group}");
        assert_eq!(
            rig.say("ack", json!([{ "lease_id": leases[0]["lease_id"] }]))
                .await,
            ["done"]
        );
    }
}

#[tokio::test]
async fn a_run_asked_to_stop_while_nobody_leased_is_not_leased() {
    let rig = Rig::start().await;
    let schedules = "/v1/namespaces/default/schedules";
    let yearly =
        json!({ "id": "s", "cron": "0 0 1 1 *", "queue": "mail", "overlap": "terminate-other" });
    assert_eq!(rig.post(schedules, yearly).await.0, 201);
    for runs in 1..=2 {
        let (status, told) = rig.post(&format!("{schedules}/s:trigger"), json!({})).await;
        assert_eq!(status, 202, "{told}");
        while rig.get("/v1/queues/mail").await["waiting"] != runs {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let lease = rig.lease_one(LONG).await;
    let done = json!([{ "lease_id": lease["lease_id"] }]);
    assert_eq!(rig.say("ack", done).await, ["done"]);
    while rig.get("/v1/queues/mail").await["waiting"] != 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let runs = rig.get(&format!("{schedules}/s")).await;
    assert_eq!(rig.leases.standing().leases, 0, "{runs}");
    let settled = rig.get("/v1/queues/mail").await["settled"].clone();
    assert_eq!(settled, 2, "the first was settled without being leased");
}

#[tokio::test]
async fn what_is_done_with_a_queue_takes_post_alone() {
    let rig = Rig::start().await;
    for action in ["lease", "ack", "nack", "extend", "snooze"] {
        let path = format!("/v1/queues/mail:{action}");
        assert_eq!(rig.allowed("GET", &path).await, (405, "POST".to_owned()));
    }
    let queue = rig.allowed("POST", "/v1/queues/mail").await;
    assert_eq!(queue, (405, "GET, HEAD, DELETE".to_owned()));
    assert_eq!(rig.post("/v1/queues/mail:fly", json!({})).await.0, 404);
}

#[tokio::test]
async fn the_end_of_a_task_can_be_waited_for() {
    let rig = Rig::start().await;
    rig.create("a", json!({})).await;
    let path = "/v1/namespaces/default/tasks/a?wait=50s";
    let answer = async {
        let lease = rig.lease_one(LONG).await;
        let ack = json!([{ "lease_id": lease["lease_id"], "result": "paid" }]);
        rig.say("ack", ack).await
    };
    let (task, answered) = tokio::join!(rig.get(path), answer);
    assert_eq!(answered, ["done"]);
    assert_eq!(
        (&task["state"], &task["outcomes"][0]["detail"]),
        (&json!("succeeded"), &json!("paid"))
    );
    // What has ended, and what does not end in time, is answered as it is.
    assert_eq!(rig.get(path).await["state"], "succeeded");
    rig.create("far", json!({ "due_at": "2099-01-01T00:00:00Z" }))
        .await;
    let far = "/v1/namespaces/default/tasks/far?wait=100ms";
    assert_eq!(rig.get(far).await["state"], "scheduled");
    for (wait, status) in [("51s", 422), ("-1", 422), ("soon", 422)] {
        let (told, problem) = rig
            .refused(&format!("/v1/namespaces/default/tasks/a?wait={wait}"))
            .await;
        assert_eq!(
            (told, &problem["field"]),
            (status, &json!("wait")),
            "{wait}"
        );
    }
    let nobody = rig
        .refused("/v1/namespaces/default/tasks/nobody?wait=50s")
        .await;
    assert_eq!(nobody.0, 404);
}

#[tokio::test]
async fn who_waits_for_an_end_is_answered_when_the_process_stops() {
    let rig = Rig::start().await;
    rig.create("far", json!({ "due_at": "2099-01-01T00:00:00Z" }))
        .await;
    rig.stop.send_replace(true);
    let far = "/v1/namespaces/default/tasks/far?wait=50s";
    assert_eq!(rig.get(far).await["state"], "scheduled");
}

#[tokio::test]
async fn calls_wait_and_end_when_the_process_stops() {
    let rig = Rig::start().await;
    let waiting = rig.lease(json!({ "max": 1, "wait": "50s", "visibility": LONG }));
    let stop = async {
        while rig.leases.standing().waiters == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        rig.stop.send_replace(true);
    };
    let (leases, ()) = tokio::join!(waiting, stop);
    assert!(leases.is_empty());
    assert_eq!(rig.leases.standing().waiters, 0);
}

#[tokio::test]
async fn what_is_out_when_the_process_stops_is_given_back() {
    let rig = Rig::start().await;
    rig.create("a", json!({})).await;
    rig.create("b", json!({ "guarantee": "at-most-once" }))
        .await;
    let mut leases = Vec::new();
    while leases.len() < 2 {
        leases.extend(
            rig.lease(json!({ "max": 2, "wait": "10s", "visibility": LONG }))
                .await,
        );
    }
    rig.leases.close().await;
    rig.until_dead(1).await;
    let items: Vec<Value> = ids(&leases)
        .iter()
        .map(|id| json!({ "lease_id": id }))
        .collect();
    assert_eq!(rig.say("ack", json!(items)).await, ["lease-lost"; 2]);
    assert_eq!(rig.lease_one(LONG).await["task_id"], "a");
}

#[tokio::test]
async fn there_is_only_so_much_room() {
    let limits = LeaseLimits {
        leases_max: 2,
        bytes_max: 1_000_000,
        waiters_max: 1,
    };
    let rig = Rig::with(Setup {
        limits: Some(limits),
        ..Setup::default()
    })
    .await;
    for id in ["a", "b", "c"] {
        rig.create(id, json!({})).await;
    }
    let (first, second) = (rig.lease_one(LONG).await, rig.lease_one(LONG).await);
    let ask = json!({ "max": 1, "wait": 20, "visibility": LONG });
    let (status, problem) = rig.post("/v1/queues/mail:lease", ask.clone()).await;
    assert_eq!(
        (status, &problem["type"]),
        (429, &json!("urn:minutehand:problem:too-many")),
        "{problem}"
    );
    assert_eq!(
        (
            &problem["field"],
            problem["given"].as_str().unwrap().split(' ').next()
        ),
        (&json!("max"), Some("2"))
    );
    assert_eq!(
        rig.say("ack", json!([{ "lease_id": first["lease_id"] }]))
            .await,
        ["done"]
    );
    assert_eq!(rig.lease_one(LONG).await["task_id"], "c");
    assert_eq!(
        rig.say("ack", json!([{ "lease_id": second["lease_id"] }]))
            .await,
        ["done"]
    );
    let others = async {
        while rig.leases.standing().waiters == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let refused = rig.post("/v1/queues/mail:lease", ask.clone()).await;
        rig.stop.send_replace(true);
        refused
    };
    let (_, (status, problem)) = tokio::join!(rig.lease(ask.clone()), others);
    assert_eq!(
        (status, &problem["field"]),
        (429, &json!("wait")),
        "{problem}"
    );
}

#[tokio::test]
async fn refusals_name_the_field_the_limit_and_what_was_given() {
    let rig = Rig::start().await;
    let cases = [
        (
            "lease",
            json!({ "max": 1001, "visibility": 1 }),
            "max",
            "1001",
        ),
        (
            "lease",
            json!({ "max": 1, "visibility": "13h" }),
            "visibility",
            "46800000 ms",
        ),
        (
            "lease",
            json!({ "max": 1, "visibility": 1, "wait": "1m" }),
            "wait",
            "60000 ms",
        ),
        ("ack", json!({ "items": [] }), "items", "0"),
        (
            "ack",
            json!({ "items": [{ "lease_id": "l-x", "delay": 1 }] }),
            "items[0].delay",
            "a value",
        ),
        (
            "snooze",
            json!({ "items": [{ "lease_id": "l-x" }] }),
            "items[0].delay",
            "nothing",
        ),
    ];
    for (action, body, field, given) in cases {
        let (status, problem) = rig.post(&format!("/v1/queues/mail:{action}"), body).await;
        assert_eq!(
            (status, &problem["field"], &problem["given"]),
            (422, &json!(field), &json!(given)),
            "{problem}"
        );
        assert!(problem["limit"].is_string());
    }
    for (path, body, expected) in [
        (
            "/v1/queues/mail:lease",
            json!({ "max": 1, "visibility": 1, "who": "me" }),
            400,
        ),
        ("/v1/queues/mail:lease", json!({ "max": 1 }), 400),
        ("/v1/queues/mail:take", json!({}), 404),
        ("/v1/queues/mail", json!({}), 405),
        (
            "/v1/queues/no spaces:ack".replace(' ', "%20").as_str(),
            json!({ "items": [{ "lease_id": "x" }] }),
            422,
        ),
        (
            "/v1/queues/mail:ack",
            json!({ "items": [{ "lease_id": "x".repeat(3 << 20) }] }),
            413,
        ),
    ] {
        let (status, problem) = rig.post(path, body).await;
        assert_eq!(status, expected, "{path}: {problem}");
    }
}

#[tokio::test]
async fn tokens_bound_to_namespaces_or_reading_lease_nothing() {
    let tokens = "ops all-of-it-0123456789\nreader only-read-0123456789 read-only\nshop of-a-shop-0123456789 namespaces=shop";
    let rig = Rig::with(Setup {
        tokens,
        ..Setup::default()
    })
    .await;
    let ask = json!({ "max": 1, "visibility": 1 });
    for (token, expected) in [
        ("all-of-it-0123456789", 200),
        ("only-read-0123456789", 403),
        ("of-a-shop-0123456789", 403),
        ("somebody-else-0123456789", 401),
    ] {
        let (status, _) = rig
            .post_as(Some(token), "/v1/queues/mail:lease", ask.clone())
            .await;
        assert_eq!(status, expected, "{token}");
    }
}
