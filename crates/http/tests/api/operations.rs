//! Health, load, namespaces and the status page.

use std::collections::BTreeSet;

use axum::http::Method;
use minutehand_http::NamespacePolicy;
use minutehand_model::{Namespace, PartitionId, QueueName, Task, TaskId, Timestamp};
use minutehand_ports::DeadLetter;
use serde_json::json;

use crate::support::{Setup, TASKS, api, api_with};

#[tokio::test(start_paused = true)]
async fn readiness_names_what_is_missing() {
    let idle = api_with(Setup {
        no_node: true,
        ..Setup::default()
    })
    .await;
    let problem = idle.get("/readyz").await.problem(503);
    assert_eq!(
        problem["reasons"],
        json!(["partition 0 is waiting", "partition 1 is waiting"])
    );
    assert_eq!(idle.get("/livez").await.text, "ok\n");
    let partitions = idle.get("/v1/partitions").await.expect(200);
    let phases = partitions["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["phase"]);
    assert_eq!(phases.collect::<Vec<_>>(), ["unowned", "unowned"]);
    let ready = api().await;
    assert_eq!(ready.get("/readyz").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn load_is_shown_per_minute_near_and_far() {
    let api = api().await;
    let lines: String = ["16:00:20", "16:00:21", "16:30:00", "16:30:59", "17:30:00"]
        .map(|time| format!("{{\"queue\":\"q\",\"due_at\":\"2026-11-23T{time}Z\"}}\n"))
        .concat();
    api.post(&format!("{TASKS}:bulk"), &lines)
        .await
        .expect_lines();
    for pause_ms in [0, 5_000] {
        api.pass(pause_ms).await;
        let loads = api.get("/v1/buckets").await.expect(200);
        let loads: Vec<(&str, u64)> = loads["buckets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bucket| {
                (
                    bucket["minute"].as_str().unwrap(),
                    bucket["tasks"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            loads,
            [
                ("2026-11-23T16:00:00.000Z", 2),
                ("2026-11-23T16:30:00.000Z", 2)
            ]
        );
    }
}

/// A letter of partition 1 whose last attempt was due at a time.
fn given_up(due: Timestamp) -> DeadLetter {
    let queue = QueueName::parse("q").unwrap();
    let (namespace, id) = (
        Namespace::parse("default").unwrap(),
        TaskId::parse("t").unwrap(),
    );
    let task = Task::new(namespace, id, queue.clone(), due);
    DeadLetter {
        queue,
        partition: PartitionId::own(1),
        key: task.key(),
        at: due.plus_millis(10),
        attempts: 1,
        reason: "no such mailbox".to_owned(),
        encoded: minutehand_record::task::encode(&task),
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_minute_is_audited_against_the_timetable() {
    let api = api().await;
    let path = "/v1/ledger?minute=2026-11-23T16:03:20Z";
    let lines: String = (0..40)
        .map(|number| {
            let second = number % 60;
            format!("{{\"queue\":\"q\",\"due_at\":\"2026-11-23T16:03:{second:02}Z\"}}\n")
        })
        .collect();
    api.post(&format!("{TASKS}:bulk"), &lines)
        .await
        .expect_lines();
    let open = api.get(path).await.expect(200);
    assert_eq!(
        (&open["verdict"], &open["minute"]),
        (&json!("open"), &json!("2026-11-23T16:03:00.000Z"))
    );
    for _ in 0..90 {
        api.pass(3_000).await;
    }
    let audit = api.get(path).await.expect(200);
    assert_eq!(audit["verdict"], "complete", "{audit}");
    let partitions = audit["partitions"].as_array().unwrap();
    let sum = |field: &str| {
        let numbers = partitions.iter().map(|one| one[field].as_u64().unwrap());
        numbers.sum::<u64>()
    };
    assert_eq!(
        ["expected", "published", "stored", "found", "early", "late"].map(sum),
        [40, 40, 40, 40, 0, 0]
    );
    assert_eq!(partitions[1]["dead_letters"], 0);
    let due = |text: &str| minutehand_api::parse_time("due", text).unwrap();
    for second in ["16:03:59", "16:04:00"] {
        let due = due(&format!("2026-11-23T{second}Z"));
        api.store.add_dead_letter(given_up(due));
    }
    let audit = api.get(path).await.expect(200);
    assert_eq!(audit["partitions"][1]["dead_letters"], 1);
    let empty = api.get("/v1/ledger?minute=2026-11-23T16:02:00Z").await;
    let empty = empty.expect(200);
    assert_eq!(empty["verdict"], "complete");
    let without_seconds = api.get("/v1/ledger?minute=2026-11-23T16:02Z").await;
    assert_eq!(without_seconds.expect(200), empty);
    let missing = api.get("/v1/ledger").await.problem(422);
    assert_eq!(missing["field"], "minute");
}

#[tokio::test(start_paused = true)]
async fn damage_is_listed_with_its_place() {
    let shown = api().await.get("/v1/damage").await.expect(200);
    let expected = json!({ "damage": [{ "position": "log of partition 1, row at offset 9", "reason": "a bit" }] });
    assert_eq!(shown, expected);
}

#[tokio::test(start_paused = true)]
async fn partitions_show_where_they_stand() {
    let api = api().await;
    api.post(TASKS, r#"{"queue":"q","delay":"10s"}"#)
        .await
        .expect(201);
    api.pass(5_000).await;
    let shown = api.get("/v1/partitions").await.expect(200);
    assert_eq!(shown["count"], 2);
    let partitions = shown["partitions"].as_array().unwrap();
    assert_eq!(
        partitions
            .iter()
            .map(|one| one["near_tasks"].as_u64().unwrap())
            .sum::<u64>(),
        1
    );
    assert!(partitions.iter().all(|one| one["phase"] == "owning"
        && one["applied"] == one["log_end"]
        && one["set_aside"] == 0));
}

#[tokio::test(start_paused = true)]
async fn namespaces_come_by_use_or_from_a_list() {
    let api = api().await;
    assert_eq!(
        api.get("/v1/namespaces").await.expect(200),
        json!({"created": "on-first-use", "namespaces": ["default"]})
    );
    api.post("/v1/namespaces/team-a/tasks", r#"{"queue":"q","delay":1}"#)
        .await
        .expect(201);
    assert_eq!(
        api.post("/v1/namespaces", r#"{"name":"team-b"}"#)
            .await
            .expect(201),
        json!({"namespace": "team-b"})
    );
    api.post("/v1/namespaces", r#"{"name":"team-b"}"#)
        .await
        .expect(200);
    api.post("/v1/namespaces", r#"{"name":"team b"}"#)
        .await
        .problem(422);
    assert_eq!(
        api.get("/v1/namespaces").await.json()["namespaces"],
        json!(["default", "team-a", "team-b"])
    );

    // A question makes no namespace, whichever way it is put.
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        api.call(method, "/v1/namespaces/team-c/tasks", "").await;
    }
    assert_eq!(
        api.get("/v1/namespaces").await.json()["namespaces"],
        json!(["default", "team-a", "team-b"])
    );

    let listed = BTreeSet::from([Namespace::parse("team-a").unwrap()]);
    let strict = api_with(Setup {
        namespaces: NamespacePolicy::Listed(listed),
        ..Setup::default()
    })
    .await;
    let task = r#"{"queue":"q","delay":1}"#;
    strict
        .post("/v1/namespaces/team-a/tasks", task)
        .await
        .expect(201);
    strict.post(TASKS, task).await.expect(201);
    strict
        .post("/v1/namespaces/team-b/tasks", task)
        .await
        .problem(404);
    strict
        .post("/v1/namespaces", r#"{"name":"team-b"}"#)
        .await
        .problem(409);
}

#[tokio::test(start_paused = true)]
async fn the_page_and_the_metrics_are_there() {
    let api = api().await;
    assert_eq!(api.get("/metrics").await.text, "minutehand_up 1\n");
    let page = api.get("/").await;
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.text.contains("<html lang=\"en\">") && page.text.contains("/v1/partitions"));
    for elsewhere in ["http://", "https://", "src=", "@import", "url("] {
        assert!(
            !page.text.contains(elsewhere),
            "the page loads nothing from elsewhere: {elsewhere}"
        );
    }
}

#[tokio::test]
async fn a_listener_is_served_until_it_is_told_to_stop() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let api = api().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async {
        stopped.await.ok();
    };
    let limits = minutehand_http::ServeLimits::default();
    let serving = tokio::spawn(minutehand_http::serve(
        listener,
        None,
        api.router.clone(),
        limits,
        shutdown,
    ));
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ready\n"),
        "{answer}"
    );
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}
