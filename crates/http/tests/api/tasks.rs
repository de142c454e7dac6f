//! Creating, finding, cancelling, moving and listing tasks.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Api, Setup, TASKS, api, api_with};

/// The time it was moved from is cancelled, and is not what the task stands at, whichever of the
/// two is later.
#[tokio::test(start_paused = true)]
async fn a_moved_task_is_shown_where_it_stands() {
    let api = api().await;
    for (delay, to) in [("2h", "1h"), ("20s", "10s"), ("1h", "2h")] {
        let id = format!("moved-{to}");
        api.post(
            TASKS,
            &format!(r#"{{"id":"{id}","queue":"q","delay":"{delay}"}}"#),
        )
        .await
        .expect(201);
        let path = format!("{TASKS}/{id}");
        let moved = api
            .patch(&path, &format!(r#"{{"delay":"{to}"}}"#))
            .await
            .expect(200);
        let shown = api.get(&path).await.expect(200);
        assert_eq!(
            (&shown["state"], &shown["due_at"]),
            (&json!("scheduled"), &moved["due_at"]),
            "{shown}"
        );
        assert_eq!(shown["earlier"][0]["state"], "cancelled");
    }
    let path = format!("{TASKS}/moved-10s");
    api.pass(11_000).await;
    assert_eq!(api.get(&path).await.expect(200)["state"], "published");
    let path = format!("{TASKS}/moved-1h");
    api.delete(&path).await.expect(200);
    assert_eq!(
        api.get(&path).await.expect(200)["state"],
        "cancelled",
        "now at both"
    );
}

#[tokio::test(start_paused = true)]
async fn a_created_task_is_found_runs_and_is_found_again() {
    let api = api().await;
    let body = r#"{"id":"a/b","queue":"mail","due_at":"2026-11-23T17:00:10+01:00","payload":{"x": 1.50},"headers":{"h":"v"}}"#;
    let answer = api.post(TASKS, body).await;
    let handle = answer.expect(201);
    assert_eq!(handle["due_at"], "2026-11-23T16:00:10.000Z");
    assert_eq!(
        (&handle["namespace"], &handle["id"]),
        (&json!("default"), &json!("a/b"))
    );
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(location, "/v1/namespaces/default/tasks/a%2Fb");

    let found = api.get(&location).await.expect(200);
    assert_eq!(
        (&found["state"], &found["queue"]),
        (&json!("scheduled"), &json!("mail"))
    );
    assert_eq!(
        found["payload"], r#"{"x": 1.50}"#,
        "other JSON is kept as it was written"
    );
    assert_eq!(found["headers"], json!({"h": "v"}));
    assert_eq!(found["retry"]["policy"], "exponential");

    api.pass(9_900).await;
    assert!(api.published().is_empty(), "never early");
    api.pass(200).await;
    assert_eq!(api.published()["a/b"], 1);
    assert_eq!(api.get(&location).await.expect(200)["state"], "published");
}

/// Tasks of one key live in one partition, and the key is a part of their names.
#[tokio::test(start_paused = true)]
async fn a_keyed_task_is_found_by_its_id_and_key() {
    let api = api().await;
    let mut partitions = BTreeSet::new();
    for number in 0..20 {
        let body = format!(r#"{{"id":"t-{number}","key":"cust/7","queue":"q","delay":"1h"}}"#);
        let handle = api.post(TASKS, &body).await.expect(201);
        assert_eq!(handle["key"], "cust/7");
        partitions.insert(handle["partition"].to_string());
    }
    assert_eq!(partitions.len(), 1, "{partitions:?}");
    let body = r#"{"id":"t-1","key":"other","queue":"q","delay":"1h"}"#;
    let other = api.post(TASKS, body).await;
    let location = other.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(location, "/v1/namespaces/default/tasks/t-1?key=other");
    assert_eq!(api.get(&location).await.expect(200)["key"], "other");

    let path = format!("{TASKS}/t-1");
    api.get(&path).await.expect(404);
    let keyed = format!("{path}?key=cust%2F7");
    let moved = api
        .patch(&keyed, r#"{"delay":"2h"}"#)
        .await
        .expect(200)
        .clone();
    assert_eq!(moved["key"], "cust/7");
    let cancelled = api.delete(&keyed).await.expect(200);
    assert_eq!(cancelled["cancelled"][0]["key"], "cust/7");
    let left = api.get(&location).await.expect(200);
    assert_eq!(left["state"], "scheduled", "another key, another task");
}

/// Two tasks that differ only in their keys are two lines of a listing, on one page or on two.
#[tokio::test(start_paused = true)]
async fn tasks_of_one_id_and_time_are_listed_by_key() {
    let api = api().await;
    for key in [r#""key":"b","#, r#""key":"a","#, ""] {
        let body = format!(r#"{{"id":"t",{key}"queue":"q","due_at":"2026-11-23T18:00:00Z"}}"#);
        api.post(TASKS, &body).await.expect(201);
        api.post(TASKS, &body).await.expect(200);
    }
    let (mut keys, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api
            .get(&format!("{TASKS}?limit=1{cursor}"))
            .await
            .expect(200)
            .clone();
        keys.extend(
            page["tasks"]
                .as_array()
                .unwrap()
                .iter()
                .map(|task| task["key"].clone()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(keys, [Value::Null, json!("a"), json!("b")]);
}

#[tokio::test(start_paused = true)]
async fn payloads_are_delivered_as_documented() {
    let api = api().await;
    let cases: [(&str, &[u8]); 7] = [
        (
            r#""payload":"grüße \"q\" \u0001""#,
            "grüße \"q\" \u{1}".as_bytes(),
        ),
        (r#""payload":[1, 2]"#, b"[1, 2]"),
        (r#""payload":7"#, b"7"),
        (r#""payload":true"#, b"true"),
        (r#""payload":null"#, b""),
        (r#""payload_base64":"/wA=""#, &[0xff, 0x00]),
        (r#""headers":{}"#, b""),
    ];
    for (field, _) in &cases {
        api.post(TASKS, &format!(r#"{{"queue":"q","delay":0,{field}}}"#))
            .await
            .expect(201);
    }
    api.pass(100).await;
    let mut delivered: Vec<Vec<u8>> = api
        .store
        .published()
        .iter()
        .map(|record| {
            minutehand_record::task::decode(&record.encoded)
                .unwrap()
                .payload
                .to_vec()
        })
        .collect();
    let mut expected: Vec<Vec<u8>> = cases.iter().map(|(_, bytes)| bytes.to_vec()).collect();
    delivered.sort();
    expected.sort();
    assert_eq!(delivered, expected);
}

#[tokio::test(start_paused = true)]
async fn the_same_id_and_due_time_is_one_task() {
    let api = api().await;
    for due_at in ["2026-11-23T16:00:05Z", "2026-11-23T18:00:00Z"] {
        let body = format!(r#"{{"id":"once","queue":"q","due_at":"{due_at}"}}"#);
        let first = api.post(TASKS, &body).await.expect(201);
        for pause_ms in [0, 2_000] {
            api.pass(pause_ms).await;
            assert_eq!(
                api.post(TASKS, &body).await.expect(200),
                first,
                "the same handle"
            );
        }
        api.delete(&format!("{TASKS}/once?due_at={due_at}"))
            .await
            .expect(200);
        api.post(TASKS, &body).await.expect(201);
    }
    api.pass(3 * 3_600_000).await;
    assert_eq!(api.published()["once"], 2, "once for each due time");
}

#[tokio::test(start_paused = true)]
async fn after_its_dedupe_window_a_task_is_new_and_runs_again() {
    let api = api().await;
    // Far ahead, so that it lies in the timetable.
    let body = r#"{"id":"again","queue":"q","due_at":"2026-11-23T18:00:00Z"}"#;
    api.post(TASKS, body).await.expect(201);
    api.pass(3 * 3_600_000).await;
    api.post(TASKS, body).await.expect(201);
    api.post(TASKS, body).await.expect(200);
    api.pass(60_000).await;
    assert_eq!(api.published()["again"], 2);
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_is_answered_again_for_a_day() {
    let api = api().await;
    let send = async |key: &str, body: &str| {
        api.with_headers(Method::POST, TASKS, &[("Idempotency-Key", key)], body)
            .await
    };
    let body = r#"{"queue":"q","delay":"1h"}"#;
    let first = send("k1", body).await.expect(201);
    api.pass(1_000).await;
    assert_eq!(
        send("k1", body).await.expect(200),
        first,
        "not an hour from the second call"
    );
    let other = send("k1", r#"{"queue":"q","delay":"2h"}"#)
        .await
        .problem(422);
    assert_eq!(
        (&other["field"], &other["given"]),
        (&json!("Idempotency-Key"), &json!("k1"))
    );
    assert_ne!(send("k2", body).await.expect(201)["id"], first["id"]);
    // What was refused does not use the key up.
    send("k3", r#"{"queue":"q"}"#).await.problem(422);
    send("k3", body).await.expect(201);
    for key in ["", " ", &"k".repeat(256)] {
        assert_eq!(
            send(key, body).await.problem(422)["field"],
            "Idempotency-Key"
        );
    }
    api.pass(24 * 3_600_000 + 2_000).await;
    send("k1", r#"{"queue":"q","delay":"3h"}"#)
        .await
        .expect(201);
}

#[tokio::test(start_paused = true)]
async fn a_task_is_cancelled_near_and_far_but_not_after_it_went_out() {
    let api = api().await;
    for (id, delay) in [("near", "20s"), ("far", "3h")] {
        for wait_ms in [0, 2_500] {
            api.post(
                TASKS,
                &format!(r#"{{"id":"{id}","queue":"q","delay":"{delay}"}}"#),
            )
            .await
            .expect(201);
            api.pass(wait_ms).await;
            let cancelled = api.delete(&format!("{TASKS}/{id}")).await.expect(200);
            assert_eq!(cancelled["cancelled"][0]["state"], "cancelled");
            assert_eq!(
                api.get(&format!("{TASKS}/{id}")).await.expect(200)["state"],
                "cancelled"
            );
            api.delete(&format!("{TASKS}/{id}")).await.expect(200);
        }
    }
    api.post(TASKS, r#"{"id":"gone","queue":"q","delay":"1s"}"#)
        .await
        .expect(201);
    api.pass(4 * 3_600_000).await;
    assert_eq!(api.published().into_keys().collect::<Vec<_>>(), ["gone"]);
    api.delete(&format!("{TASKS}/never")).await.problem(404);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_went_out_cannot_be_cancelled() {
    let api = api().await;
    api.post(TASKS, r#"{"id":"gone","queue":"q","delay":"1s"}"#)
        .await
        .expect(201);
    api.pass(2_000).await;
    let problem = api.delete(&format!("{TASKS}/gone")).await.problem(409);
    assert_eq!(problem["type"], "urn:minutehand:problem:too-late");
}

#[tokio::test(start_paused = true)]
async fn a_task_is_moved_once_to_its_new_time() {
    let api = api().await;
    for mode in ["replace", "only-if-not-published"] {
        for (from, to) in [("10s", "3h"), ("3h", "10s"), ("3h", "5h")] {
            let id = format!("{mode}-{from}-{to}");
            api.post(
                TASKS,
                &format!(r#"{{"id":"{id}","queue":"q","delay":"{from}","payload":"p"}}"#),
            )
            .await
            .expect(201);
            let path = format!("{TASKS}/{id}");
            let moved = api
                .patch(&path, &format!(r#"{{"delay":"{to}","mode":"{mode}"}}"#))
                .await
                .expect(200);
            assert_eq!(
                (&moved["state"], &moved["payload"]),
                (&json!("scheduled"), &json!("p")),
                "{id}"
            );
            let shown = api.get(&path).await.expect(200);
            let states: BTreeSet<(String, String)> = std::iter::once(&shown)
                .chain(shown["earlier"].as_array().unwrap())
                .map(|view| {
                    (
                        view["due_at"].as_str().unwrap().to_owned(),
                        view["state"].as_str().unwrap().to_owned(),
                    )
                })
                .collect();
            assert!(
                states.contains(&(
                    moved["due_at"].as_str().unwrap().to_owned(),
                    "scheduled".to_owned()
                )),
                "{id}"
            );
            assert_eq!(
                states
                    .iter()
                    .filter(|(_, state)| state == "scheduled")
                    .count(),
                1,
                "{id}: {states:?}"
            );
        }
    }
    api.pass(6 * 3_600_000).await;
    assert!(
        api.published().values().all(|count| *count == 1),
        "{:?}",
        api.published()
    );
    assert_eq!(api.published().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_move_says_when_it_came_too_late_or_which_is_meant() {
    let api = api().await;
    let path = format!("{TASKS}/t");
    api.patch(&path, r#"{"delay":"1h"}"#).await.problem(404);
    api.post(TASKS, r#"{"id":"t","queue":"q","delay":"1s"}"#)
        .await
        .expect(201);
    api.pass(2_000).await;
    let late = api
        .patch(&path, r#"{"delay":"1h","mode":"only-if-not-published"}"#)
        .await
        .problem(409);
    assert_eq!(late["type"], "urn:minutehand:problem:too-late");
    for delay in ["1h", "2h"] {
        api.post(
            TASKS,
            &format!(r#"{{"id":"t","queue":"q","delay":"{delay}"}}"#),
        )
        .await
        .expect(201);
    }
    assert_eq!(
        api.patch(&path, r#"{"delay":"3h"}"#).await.problem(409)["type"],
        "urn:minutehand:problem:ambiguous"
    );
    assert_eq!(
        api.patch(&path, r#"{"delay":"3h","mode":"maybe"}"#)
            .await
            .problem(422)["field"],
        "mode"
    );
    assert_eq!(
        api.patch(&path, r#"{"delay":"3h","due_at":"2027-01-01T00:00:00Z"}"#)
            .await
            .problem(422)["field"],
        "delay"
    );
}

/// Follows the cursors of a listing to its end.
async fn all_pages(api: &Api, query: &str, limit: usize) -> Vec<Value> {
    pages_of(api, TASKS, query, limit).await
}

async fn pages_of(api: &Api, tasks_path: &str, query: &str, limit: usize) -> Vec<Value> {
    let mut tasks = Vec::new();
    let mut cursor = String::new();
    for _ in 0..10_000 {
        let path = format!("{tasks_path}?limit={limit}{query}{cursor}");
        let page = api.get(&path).await.expect(200);
        let found = page["tasks"].as_array().unwrap();
        assert!(found.len() <= limit);
        tasks.extend(found.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return tasks,
        }
    }
    panic!("the listing does not end");
}

fn names(tasks: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    tasks
        .iter()
        .map(|task| (text(&task["due_at"]), text(&task["id"])))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_listing_has_every_waiting_task_once_in_order_near_and_far() {
    let limits = minutehand_node::Limits {
        scan_bytes_max: 2_000,
        read_bytes_max: 700,
        ..Default::default()
    };
    let api = api_with(Setup {
        limits: Some(limits),
        ..Setup::default()
    })
    .await;
    let mut expected = BTreeSet::new();
    let mut lines = String::new();
    for n in 0..600_i64 {
        // Many equal due times, near, at the edge of the look-ahead and hours away.
        let due_ms = [2_000, 29_000, 30_000, 31_000, 90_000, 3_600_000][(n % 6) as usize]
            + 10_000 * (n / 200);
        let due = minutehand_model::Timestamp::from_millis(
            crate::support::START.as_millis() + 60_000 + due_ms,
        );
        let id = format!("{}-{:03}", ["x", "y"][(n % 2) as usize], (n * 7919) % 600);
        lines.push_str(&format!(
            "{{\"id\":\"{id}\",\"queue\":\"q\",\"due_at\":\"{due}\"}}\n"
        ));
        let text = due.to_string().replace('Z', ".000Z");
        expected.insert((text, id));
    }
    api.post(&format!("{TASKS}:bulk"), &lines)
        .await
        .expect_lines();
    api.pass(3_000).await;
    // Some are cancelled, some moved; both must be gone from where they were, at once.
    let cancelled: Vec<(String, String)> = expected.iter().step_by(37).cloned().collect();
    for (due, id) in &cancelled {
        api.delete(&format!("{TASKS}/{id}?due_at={due}"))
            .await
            .expect(200);
        expected.remove(&(due.clone(), id.clone()));
    }
    api.pass(3_000).await;
    for limit in [1_000, 97, 10] {
        assert_eq!(
            names(&all_pages(&api, "", limit).await),
            expected.iter().cloned().collect::<Vec<_>>(),
            "{limit}"
        );
    }
    let from_x = all_pages(
        &api,
        "&prefix=x-&from=2026-11-23T16:01:30Z&until=2026-11-23T17:30:00Z",
        20,
    )
    .await;
    let wanted: Vec<(String, String)> = expected
        .iter()
        .filter(|(due, id)| {
            id.starts_with("x-")
                && due.as_str() >= "2026-11-23T16:01:30"
                && due.as_str() < "2026-11-23T17:30:00"
        })
        .cloned()
        .collect();
    assert!(!wanted.is_empty());
    assert_eq!(names(&from_x), wanted);
    let other = pages_of(&api, "/v1/namespaces/other/tasks", "", 100).await;
    assert!(other.is_empty(), "another namespace");
}

#[tokio::test(start_paused = true)]
async fn outcomes_tell_how_a_task_ended() {
    use minutehand_model::{ExecutionId, Outcome, OutcomeKind, TaskKey};
    let api = api().await;
    api.post(TASKS, r#"{"id":"t","queue":"q","delay":"1s"}"#)
        .await
        .expect(201);
    api.pass(1_500).await;
    let due = crate::support::START.plus_millis(0);
    let shown = api.get(&format!("{TASKS}/t")).await.expect(200);
    let task = minutehand_record::task::decode(&api.store.published()[0].encoded).unwrap();
    assert!(task.due > due);
    let outcome = |attempt, kind, due| Outcome {
        execution: ExecutionId(7),
        attempt,
        kind,
        detail: "boom".to_owned(),
        due,
        started_at: due,
        ended_at: due,
        task: None,
    };
    let key = TaskKey::of("default", "t");
    api.store
        .add_outcome(key, outcome(1, OutcomeKind::Retried, task.due));
    api.store.add_outcome(
        key,
        outcome(2, OutcomeKind::Succeeded, task.due.plus_millis(50)),
    );
    let after = api.get(&format!("{TASKS}/t")).await.expect(200);
    assert_eq!(
        (&after["state"], &after["attempt"]),
        (&json!("succeeded"), &json!(2))
    );
    assert_eq!(
        (
            &after["earlier"][0]["state"],
            &after["earlier"][0]["due_at"]
        ),
        (&json!("retried"), &shown["due_at"])
    );
    assert_eq!(after["earlier"][0]["outcomes"][0]["detail"], "boom");
}

#[tokio::test(start_paused = true)]
async fn a_named_task_with_a_delay_waits_for_no_owner() {
    let limits = minutehand_node::Limits {
        apply_wait_ms_max: 100,
        ..Default::default()
    };
    let api = api_with(Setup {
        no_node: true,
        limits: Some(limits),
        ..Setup::default()
    })
    .await;
    // Whether it was there before is asked where the same request can give the same task.
    api.post(
        TASKS,
        r#"{"id":"a","queue":"q","due_at":"2026-11-23T17:00:00Z"}"#,
    )
    .await
    .problem(503);
    api.post(TASKS, r#"{"id":"a","queue":"q","delay":"1h"}"#)
        .await
        .expect(201);
    assert_eq!(api.store.records(), 1);
}
