//! Creating tasks by the hundred thousand.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TASKS, api};

fn lines(answer: &Answer) -> Vec<Value> {
    answer
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn two_hundred_thousand_lines_are_all_accepted() {
    const LINES: usize = 200_000;
    let api = api().await;
    let chunks = (0..LINES / 100).map(|chunk| {
        let lines = (0..100).map(|n| {
            format!(
                "{{\"queue\":\"q\",\"delay\":\"2h\",\"payload\":{{\"n\":{}}}}}\n",
                chunk * 100 + n
            )
        });
        Ok::<_, std::io::Error>(lines.collect::<String>())
    });
    let body = Body::from_stream(futures::stream::iter(chunks));
    let answer = api.call(Method::POST, &format!("{TASKS}:bulk"), body).await;
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    assert_eq!(
        answer.text,
        format!("{{\"accepted\":{LINES},\"refused\":0}}\n")
    );
    assert_eq!(api.store.records(), LINES);
    let partitions = api.get("/v1/partitions").await.expect(200);
    let ends = partitions["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|partition| partition["log_end"].as_u64().unwrap());
    assert_eq!(ends.sum::<u64>(), LINES as u64);
}

#[tokio::test(start_paused = true)]
async fn a_refused_line_is_named_and_stops_nothing() {
    let api = api().await;
    let long = format!(
        r#"{{"queue":"q","delay":1,"payload":"{}"}}"#,
        "x".repeat(3 * 1024 * 1024)
    );
    let body = [
        r#"{"id":"a","queue":"q","delay":"1h"}"#,
        r#"not json"#,
        "",
        r#"{"queue":"q"}"#,
        &long,
        r#"{"queue":"q","delay":"1h","surprise":1}"#,
        "\r",
        r#"{"id":"b","queue":"q","delay":"1h"}"#,
    ]
    .join("\n");
    let answer = api.call(Method::POST, &format!("{TASKS}:bulk"), body).await;
    let lines = lines(&answer);
    assert_eq!(lines[0], json!({"accepted": 2, "refused": 4}));
    let refused: Vec<(u64, u64, &str)> = lines[1..]
        .iter()
        .map(|line| {
            let problem = &line["problem"];
            (
                line["line"].as_u64().unwrap(),
                problem["status"].as_u64().unwrap(),
                problem["field"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        refused,
        [
            (2, 400, "body"),
            (4, 422, "due_at"),
            (5, 413, "line"),
            (6, 400, "surprise")
        ]
    );
    for id in ["a", "b"] {
        api.get(&format!("{TASKS}/{id}")).await.expect(200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_fails_ends_the_rest_and_says_where_to_go_on() {
    let api = api().await;
    api.store.set_full(true);
    let body = format!("{{}}\n{}", "{\"queue\":\"q\",\"delay\":1}\n".repeat(3));
    let problem = api.post(&format!("{TASKS}:bulk"), &body).await.problem(503);
    assert_eq!(problem["type"], "urn:minutehand:problem:bulk-stopped");
    let settled =
        ["accepted", "refused", "resume_from_line"].map(|member| problem[member].as_u64().unwrap());
    assert_eq!(settled, [0, 1, 2]);
    assert_eq!(problem["refused_lines"][0]["line"], 1);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("the disk is full") && detail.contains("before line 2"),
        "{detail}"
    );
    let problem = api
        .post(TASKS, r#"{"queue":"q","delay":1}"#)
        .await
        .problem(503);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("the disk is full")
    );
    api.store.set_full(false);
    assert_eq!(
        lines(&api.post(&format!("{TASKS}:bulk"), &body).await)[0],
        json!({"accepted": 3, "refused": 1})
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_log_no_more_lines_are_read() {
    let api = api().await;
    api.store.set_full(true);
    // An upload without end: it is answered only because nobody reads on.
    let line = "{\"queue\":\"q\",\"delay\":\"1h\"}\n";
    let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(line.repeat(1_000)));
    let answer = api
        .call(
            Method::POST,
            &format!("{TASKS}:bulk"),
            Body::from_stream(chunks),
        )
        .await;
    assert_eq!(answer.problem(503)["resume_from_line"], 1);
    assert_eq!(api.store.records(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_million_refused_lines_are_counted_and_ten_thousand_listed() {
    let api = api().await;
    let body = "{}\n".repeat(20_000);
    let answer = api.post(&format!("{TASKS}:bulk"), &body).await;
    let lines = lines(&answer);
    assert_eq!(lines[0], json!({"accepted": 0, "refused": 20_000}));
    assert_eq!(lines.len(), 10_001);
}

#[tokio::test(start_paused = true)]
async fn a_slow_sender_is_not_kept_waiting_for_company() {
    let api = api().await;
    let (send, receive) = tokio::sync::mpsc::channel::<Result<&'static str, std::io::Error>>(1);
    let stream = futures::stream::unfold(receive, |mut receive| async move {
        receive.recv().await.map(|chunk| (chunk, receive))
    });
    let sender = async {
        send.send(Ok("{\"queue\":\"q\",\"delay\":\"1h\"}\n{\"queue\":"))
            .await
            .unwrap();
        api.pass(1_000).await;
        let early = api.store.records();
        send.send(Ok("\"q\",\"delay\":\"1h\"}\n")).await.unwrap();
        drop(send);
        early
    };
    let bulk = format!("{TASKS}:bulk");
    let (answer, early) = tokio::join!(
        api.call(Method::POST, &bulk, Body::from_stream(stream)),
        sender
    );
    assert_eq!(
        early, 1,
        "the first line was durable while its sender still wrote"
    );
    assert_eq!(lines(&answer)[0], json!({"accepted": 2, "refused": 0}));
}

#[tokio::test(start_paused = true)]
async fn a_list_in_json_is_answered_in_json() {
    let api = api().await;
    let body = json!({"tasks": [
        {"id": "a", "queue": "q", "delay": "1h"},
        {"queue": "q"},
        {"id": "b", "queue": "q", "delay": "1h", "payload": {"n": 1.50}},
        7,
    ]});
    let kind = [("content-type", "application/json")];
    let path = format!("{TASKS}:bulk");
    let answer = api
        .with_headers(Method::POST, &path, &kind, &body.to_string())
        .await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let report = answer.expect(200);
    assert_eq!(
        (&report["accepted"], &report["refused"]),
        (&json!(2), &json!(2))
    );
    let lines = report["refused_lines"].as_array().unwrap();
    let told: Vec<_> = lines
        .iter()
        .map(|refused| (&refused["line"], &refused["problem"]["field"]))
        .collect();
    assert_eq!(
        told,
        [(&json!(2), &json!("due_at")), (&json!(4), &json!("body"))]
    );
    assert_eq!(
        api.get(&format!("{TASKS}/b")).await.expect(200)["payload"],
        r#"{"n":1.5}"#
    );

    let many = format!(
        r#"{{"tasks":[{}{{}}]}}"#,
        r#"{"queue":"q","delay":"2h"},"#.repeat(10_000)
    );
    let report = api
        .with_headers(Method::POST, &path, &kind, &many)
        .await
        .expect(200);
    assert_eq!(
        (&report["accepted"], &report["refused_lines"][0]["line"]),
        (&json!(10_000), &json!(10_001))
    );

    let problem = api
        .with_headers(Method::POST, &path, &kind, r#"[{"queue":"q"}]"#)
        .await
        .problem(400);
    assert_eq!(problem["field"], "body");
    let other = [("content-type", "text/plain")];
    let problem = api
        .with_headers(Method::POST, &path, &other, "{}")
        .await
        .problem(415);
    assert_eq!(problem["limit"], "application/x-ndjson or application/json");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_would_not_be_obeyed_is_refused() {
    let api = api().await;
    let line = r#"{"id":"a","queue":"q","delay":"1h"}"#;
    for kind in ["application/x-ndjson", "application/json"] {
        let headers = [("Idempotency-Key", "k1"), ("Content-Type", kind)];
        let answer = api
            .with_headers(Method::POST, &format!("{TASKS}:bulk"), &headers, line)
            .await;
        let problem = answer.problem(400);
        assert_eq!(problem["field"], "Idempotency-Key");
        assert_eq!(problem["given"], "k1");
    }
    assert_eq!(api.store.records(), 0);
}
