//! What must be refused, with the field, the limit and the value, and without a trace.

use axum::http::Method;
use serde_json::Value;

use crate::support::{Api, SCHEDULES, TASKS, api};

/// What is wrong with a problem, if anything.
fn fault(problem: &Value, status: u16, field: &str) -> Option<String> {
    let text = |member: &str| problem[member].as_str().unwrap_or_default();
    let is_right = problem["status"] == status
        && text("field") == field
        && !text("limit").is_empty()
        && (1..=101).contains(&text("given").chars().count());
    (!is_right).then(|| format!("wanted {status} for {field}, got {problem}"))
}

/// Sends every case; shows all that were not refused as they should be.
async fn all_refused(api: &Api, path: &str, cases: &[(u16, &str, String)]) {
    let mut faults = Vec::new();
    for (status, field, body) in cases {
        let shown: String = body.chars().take(80).collect();
        let answer = api.post(path, body).await;
        faults.extend(
            fault(&answer.json(), *status, field).map(|fault| format!("{shown}\n    {fault}")),
        );
        if api.store.records() > 0 {
            faults.push(format!("{shown}: something was written"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn tasks() {
    let api = api().await;
    let many = |count: usize| {
        (0..count)
            .map(|n| format!("\"h{n}\":\"v\""))
            .collect::<Vec<_>>()
            .join(",")
    };
    let base = |rest: &str| format!(r#"{{"queue":"q","delay":1,{rest}}}"#);
    let cases: Vec<(u16, &str, String)> = vec![
        (400, "body", String::new()),
        (400, "body", " \n".to_owned()),
        (400, "body", "[]".to_owned()),
        (400, "body", "{".to_owned()),
        (400, "body", "\"text\"".to_owned()),
        (400, "body", "[".repeat(10_000)),
        (
            400,
            "queue",
            r#"{"queue":["#.to_owned() + &"[".repeat(10_000),
        ),
        (
            422,
            "payload",
            base(&format!(
                "\"payload\":{}{}",
                "[".repeat(10_000),
                "]".repeat(10_000)
            )),
        ),
        (400, "queue", r#"{"delay":1}"#.to_owned()),
        (
            400,
            "queue",
            r#"{"queue":"q","queue":"r","delay":1}"#.to_owned(),
        ),
        (400, "headers.a", base(r#""headers":{"a":"1","a":"2"}"#)),
        (400, "headers.a", base(r#""headers":{"a":null}"#)),
        (400, "headers", base(r#""headers":[]"#)),
        (
            422,
            "headers",
            base(&format!("\"headers\":{{{}}}", many(65))),
        ),
        (
            422,
            "headers",
            base(&format!("\"headers\":{{{}}}", many(50_000))),
        ),
        (422, "headers", base(r#""headers":{"":"v"}"#)),
        (422, "headers", base(r#""headers":{"a\r\nb":"v"}"#)),
        (
            422,
            "headers",
            base(r#""headers":{"Minutehand-Due-At":"v"}"#),
        ),
        (422, "headers", base(r#""headers":{"a b":"v"}"#)),
        (422, "headers", base(r#""headers":{"ä":"v"}"#)),
        (
            422,
            "headers.minutehand-timeout-ms",
            base(r#""headers":{"minutehand-timeout-ms":"5s"}"#),
        ),
        (
            422,
            "headers.minutehand-url",
            base(r#""headers":{"minutehand-url":"nope"}"#),
        ),
        (422, "headers.a", base(r#""headers":{"a":"x\r\ny"}"#)),
        (
            422,
            "headers.a",
            base(&format!("\"headers\":{{\"a\":\"{}\"}}", "v".repeat(4_097))),
        ),
        (400, "urgency", base(r#""urgency":1"#)),
        (422, "priority", base(r#""priority":10"#)),
        (422, "key", base(r#""key":"a b""#)),
        (400, "body", r#"{"queue":"q","delay":NaN}"#.to_owned()),
        (400, "body", r#"{"queue":"q","delay":1e400}"#.to_owned()),
        (422, "delay", r#"{"queue":"q","delay":-0}"#.to_owned()),
        (422, "delay", r#"{"queue":"q","delay":-1}"#.to_owned()),
        (
            422,
            "delay",
            r#"{"queue":"q","delay":9223372036854775807}"#.to_owned(),
        ),
        (422, "delay", r#"{"queue":"q","delay":"P1M"}"#.to_owned()),
        (
            422,
            "delay",
            r#"{"queue":"q","delay":1795449600000}"#.to_owned(),
        ),
        (400, "delay", r#"{"queue":"q","delay":[1]}"#.to_owned()),
        (
            422,
            "delay",
            r#"{"queue":"q","delay":1,"due_at":"2027-01-01T00:00:00Z"}"#.to_owned(),
        ),
        (422, "due_at", r#"{"queue":"q"}"#.to_owned()),
        (
            400,
            "due_at",
            r#"{"queue":"q","due_at":-9223372036854775808}"#.to_owned(),
        ),
        (
            400,
            "due_at",
            r#"{"queue":"q","due_at":9223372036854775807}"#.to_owned(),
        ),
        (
            400,
            "due_at",
            r#"{"queue":"q","due_at":1795449600}"#.to_owned(),
        ),
        (
            422,
            "due_at",
            r#"{"queue":"q","due_at":"1969-07-20T20:17:40Z"}"#.to_owned(),
        ),
        (
            422,
            "due_at",
            r#"{"queue":"q","due_at":"2016-11-20T00:00:00Z"}"#.to_owned(),
        ),
        (
            422,
            "due_at",
            r#"{"queue":"q","due_at":"10000-01-01T00:00:00Z"}"#.to_owned(),
        ),
        (
            422,
            "due_at",
            r#"{"queue":"q","due_at":"9999-12-31T23:59:59-12:00"}"#.to_owned(),
        ),
        (
            422,
            "due_at",
            r#"{"queue":"q","due_at":"2026-12-31T23:59:60Z"}"#.to_owned(),
        ),
        (
            422,
            "due_at",
            r#"{"queue":"q","due_at":"2026-12-31T23:59:59"}"#.to_owned(),
        ),
        (
            413,
            "payload",
            base(&format!("\"payload\":\"{}\"", "x".repeat(256 * 1024 + 1))),
        ),
        (
            413,
            "body",
            base(&format!("\"payload\":\"{}\"", "x".repeat(2 * 1024 * 1024))),
        ),
        (422, "payload_base64", base(r#""payload_base64":"%%%""#)),
        (
            422,
            "payload_base64",
            base(r#""payload":1,"payload_base64":"AA==""#),
        ),
        (422, "id", base(r#""id":"""#)),
        (422, "id", base(r#""id":"a\u0000b""#)),
        (422, "id", base(r#""id":"a\nb""#)),
        (422, "id", base(r#""id":"pаypal""#)),
        (422, "id", base(r#""id":"<script>""#)),
        (
            422,
            "id",
            base(&format!("\"id\":\"{}\"", "x".repeat(65_536))),
        ),
        (400, "id", base(r#""id":7"#)),
        (422, "queue", r#"{"queue":"../etc","delay":1}"#.to_owned()),
        (422, "queue", r#"{"queue":"","delay":1}"#.to_owned()),
        (422, "guarantee", base(r#""guarantee":"perhaps""#)),
        (422, "precision", base(r#""precision":"extreme""#)),
        (422, "retry.base_ms", base(r#""retry":{"base_ms":0}"#)),
        (
            422,
            "retry.base_ms",
            base(r#""retry":{"base_ms":1000000000000}"#),
        ),
        (
            422,
            "retry.max_attempts",
            base(r#""retry":{"max_attempts":2147483648}"#),
        ),
        (400, "retry.factor", base(r#""retry":{"factor":1e9}"#)),
        (
            400,
            "retry.max_attempts",
            base(r#""retry":{"max_attempts":1e9}"#),
        ),
        (400, "retry", base(r#""retry":"none""#)),
        (400, "retry", base(r#""retry":["none"]"#)),
        (
            400,
            "body",
            r#"["id","q","2027-01-01T00:00:00Z"]"#.to_owned(),
        ),
    ];
    all_refused(&api, TASKS, &cases).await;
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_no_text() {
    let api = api().await;
    for body in [
        &b"{\"queue\":\"\xff\",\"delay\":1}"[..],
        b"\x00\x01\x02",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
    ] {
        let problem = api.call(Method::POST, TASKS, body).await.problem(400);
        assert_eq!(fault(&problem, 400, "body"), None, "{body:?}");
    }
    let payload = b"{\"queue\":\"q\",\"delay\":1,\"payload\":\"\xff\"}";
    api.call(Method::POST, TASKS, &payload[..])
        .await
        .problem(400);
    assert_eq!(api.store.records(), 0);
}

#[tokio::test(start_paused = true)]
async fn schedules() {
    let api = api().await;
    let base = |rest: &str| format!(r#"{{"queue":"q",{rest}}}"#);
    let cron = |expression: &str| {
        base(&format!(
            "\"cron\":{}",
            serde_json::to_string(expression).unwrap()
        ))
    };
    let zone = |zone: &str| base(&format!(r#""cron":"@daily","time_zone":"{zone}""#));
    let cases: Vec<(u16, &str, String)> = vec![
        (422, "cron", base(r#""note":"x""#)),
        (422, "queue", r#"{"cron":"@daily"}"#.to_owned()),
        (422, "cron", cron("")),
        (422, "cron", cron("0 0 30 2 *")),
        (422, "cron", cron("0 0 31 4,6 *")),
        (422, "cron", cron("60 * * * *")),
        (422, "cron", cron("*/0 * * * *")),
        (422, "cron", cron("5-1 * * * *")),
        (422, "cron", cron("@reboot")),
        (422, "cron", cron(&",".repeat(10 * 1024))),
        (422, "cron", cron("* * * * * * * *")),
        (422, "time_zone", zone("Mars/Olympus")),
        (422, "time_zone", zone("../../etc/passwd")),
        (422, "time_zone", zone("/usr/share/zoneinfo/UTC")),
        (422, "dst", base(r#""cron":"@daily","dst":"summer""#)),
        (422, "every", base(r#""every":0"#)),
        (422, "every", base(r#""every":-1"#)),
        (422, "every", base(r#""every":"1ms""#)),
        (422, "every", base(r#""every":1.5"#)),
        (422, "every", base(r#""every":9223372036854775807"#)),
        (422, "every", base(r#""every":"1h","cron":"@daily""#)),
        (
            422,
            "time_zone",
            base(r#""every":"1h","time_zone":"Mars/Olympus""#),
        ),
        (422, "dst", base(r#""every":"1h","dst":"vixie""#)),
        (422, "cron", base(r#""cron":"TZ=Mars/Olympus @daily""#)),
        (
            422,
            "cron",
            base(r#""cron":"TZ=Asia/Tokyo @daily","time_zone":"UTC""#),
        ),
        (422, "max_runs", base(r#""every":"1h","max_runs":0"#)),
        (422, "max_runs", base(r#""every":"1h","max_runs":-1"#)),
        (
            400,
            "max_runs",
            base(r#""every":"1h","max_runs":9223372036854775808"#),
        ),
        (
            422,
            "end_at",
            base(
                r#""every":"1h","start_at":"2027-02-01T00:00:00Z","end_at":"2027-01-01T00:00:00Z""#,
            ),
        ),
        (
            422,
            "end_at",
            base(r#""every":"1h","end_at":"2026-01-01T00:00:00Z""#),
        ),
        (
            422,
            "end_at",
            base(r#""every":"1h","end_at":"10000-01-01T00:00:00Z""#),
        ),
        (
            422,
            "start_at",
            base(r#""every":"1h","start_at":"tomorrow""#),
        ),
        (422, "jitter_ms", base(r#""every":"1h","jitter_ms":-1"#)),
        (
            422,
            "jitter_ms",
            base(r#""every":"1h","jitter_ms":86400001"#),
        ),
        (
            422,
            "misfire.rule",
            base(r#""every":"1h","misfire":{"rule":"some"}"#),
        ),
        (
            422,
            "misfire.window_ms",
            base(r#""every":"1h","misfire":{"window_ms":-1}"#),
        ),
        (
            400,
            "misfire.windows",
            base(r#""every":"1h","misfire":{"windows":1}"#),
        ),
        (422, "overlap", base(r#""every":"1h","overlap":"never""#)),
        (
            422,
            "exclude[1]",
            base(r#""every":"1h","exclude":["2027-12-25","2027-02-30"]"#),
        ),
        (
            422,
            "cron",
            base(r#""cron":"0 0 25 12 *","exclude":["* * 25 12 *"]"#),
        ),
        (
            422,
            "note",
            base(&format!(
                "\"every\":\"1h\",\"note\":\"{}\"",
                "n".repeat(1_025)
            )),
        ),
        (
            422,
            "id",
            base(&format!("\"every\":\"1h\",\"id\":\"{}\"", "x".repeat(161))),
        ),
        (
            413,
            "payload",
            base(&format!(
                "\"every\":\"1h\",\"payload\":\"{}\"",
                "x".repeat(256 * 1024 + 1)
            )),
        ),
    ];
    all_refused(&api, SCHEDULES, &cases).await;
    // A preview says nothing about notes, and shows times that are past.
    let previewed: Vec<_> = cases
        .into_iter()
        .filter(|(_, field, body)| *field != "note" && !body.contains("2026-01-01"))
        .collect();
    all_refused(&api, &format!("{SCHEDULES}:preview"), &previewed).await;
}

#[tokio::test(start_paused = true)]
async fn valid_though_unusual() {
    let api = api().await;
    for body in [
        r#"{"queue":"q","due_at":"2038-01-19T03:14:08Z"}"#,
        r#"{"queue":"q","due_at":"2106-02-07T06:28:16Z"}"#,
        r#"{"queue":"q","due_at":"9999-12-31T23:59:59.999Z"}"#,
        r#"{"queue":"q","due_at":"2017-01-01T00:00:00Z"}"#,
        r#"{"queue":"q","delay":0}"#,
    ] {
        api.post(TASKS, body).await.expect(201);
    }
    let full = format!(
        r#"{{"queue":"q","delay":1,"payload":"{}"}}"#,
        "x".repeat(256 * 1024)
    );
    api.post(TASKS, &full).await.expect(201);
    for body in [
        r#"{"queue":"q","cron":"0 0 29 2 *"}"#,
        r#"{"queue":"q","cron":"30 2 * * *","tz":"America/New_York"}"#,
        r#"{"queue":"q","cron":"0 0 * * *","tz":"America/Santiago"}"#,
        r#"{"queue":"q","cron":"0 0 * * *","tz":"Europe/Kiev"}"#,
        r#"{"queue":"q","cron":"0 0 * * *","tz":"europe/berlin"}"#,
        r#"{"queue":"q","cron":"* * * * * * *"}"#,
    ] {
        api.post(SCHEDULES, body).await.expect(201);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_type_show_the_value_and_the_limit() {
    let api = api().await;
    let whole = "a whole number";
    for (path, body, field, limit, given) in [
        (TASKS, r#"{"queue":5,"delay":1}"#, "queue", "a string", "5"),
        (TASKS, r#"{"delay":1}"#, "queue", "required", "nothing"),
        (
            TASKS,
            r#"{"queue":"q","delay":1,"priority":"5"}"#,
            "priority",
            "0 to 9",
            "\"5\"",
        ),
        (
            TASKS,
            r#"{"queue":"q","delay":1,"priority":-1}"#,
            "priority",
            "0 to 9",
            "-1",
        ),
        (
            TASKS,
            r#"{"queue":"q","delay":1,"priority":4.0}"#,
            "priority",
            "0 to 9",
            "4.0",
        ),
        (
            SCHEDULES,
            r#"{"queue":"q","every":"1h","priority":"5"}"#,
            "priority",
            "0 to 9",
            "\"5\"",
        ),
        (
            SCHEDULES,
            r#"{"queue":"q","every":"1h","jitter_ms":1.5}"#,
            "jitter_ms",
            whole,
            "1.5",
        ),
        (
            SCHEDULES,
            r#"{"queue":"q","every":"1h","retry":{"base_ms":"x"}}"#,
            "retry.base_ms",
            whole,
            "\"x\"",
        ),
        (
            SCHEDULES,
            r#"{"queue":"q","every":"1h","exclude":["a",7]}"#,
            "exclude[1]",
            "a string",
            "7",
        ),
        (
            SCHEDULES,
            r#"{"queue":"q","every":"1h","pause_on_failure":1}"#,
            "pause_on_failure",
            "true or false",
            "1",
        ),
    ] {
        let problem = api.post(path, body).await.problem(400);
        assert_eq!(
            ["field", "limit", "given"].map(|member| problem[member].as_str().unwrap_or_default()),
            [field, limit, given],
            "{body}"
        );
    }
    let body = r#"{"queue":"q","delay":"300000000000"}"#;
    let problem = api.post(TASKS, body).await.problem(422);
    assert_eq!(problem["given"], "300000000000");
}

#[tokio::test(start_paused = true)]
async fn a_mark_of_an_editor_before_a_body_says_nothing() {
    let api = api().await;
    let body = "\u{feff}{\"queue\":\"q\",\"delay\":1}";
    api.post(TASKS, body).await.expect(201);
}

#[tokio::test(start_paused = true)]
async fn queries_and_paths() {
    let api = api().await;
    let cases = [
        ("?limit=-1", "limit", "-1"),
        ("?limit=0", "limit", "0"),
        ("?limit=2147483648", "limit", "2147483648"),
        (
            "?limit=99999999999999999999",
            "limit",
            "99999999999999999999",
        ),
        ("?limit=many", "limit", "many"),
        ("?limit=1&limit=2", "limit", "2"),
        ("?colour=red", "colour", "red"),
        ("?from=yesterday", "from", "yesterday"),
        (
            "?from=2027-01-02T00:00:00Z&until=2027-01-01T00:00:00Z",
            "from",
            "2027-01-02T00:00:00Z",
        ),
        ("?cursor=Zm9yZ2Vk", "cursor", "Zm9yZ2Vk"),
        ("?cursor=%00", "cursor", "\0"),
    ];
    for (query, field, given) in cases {
        let problem = api.get(&format!("{TASKS}{query}")).await.problem(422);
        assert_eq!(
            (&problem["field"], &problem["given"]),
            (&Value::from(field), &Value::from(given)),
            "{query}"
        );
    }
    for (path, status, field) in [
        ("/v1/namespaces/a%20b/tasks", 422, "namespace"),
        ("/v1/namespaces/a%2Fb/tasks", 422, "namespace"),
        ("/v1/namespaces/%ff/tasks", 400, "path"),
        ("/v1/namespaces/default/tasks/a%00b", 422, "id"),
        ("/v1/namespaces/default/tasks/p%D0%B0ypal", 422, "id"),
        ("/v1/queues/a%20b", 422, "queue"),
        ("/v1/queues/q?group=", 422, "group"),
        (
            "/v1/buckets?from=2027-01-02T00:00:00Z&until=2027-01-01T00:00:00Z",
            422,
            "from",
        ),
        ("/v1/buckets?until=2027-01-01T00:00:00Z", 422, "until"),
    ] {
        assert_eq!(
            api.get(path).await.problem(status)["field"],
            field,
            "{path}"
        );
    }
    api.get("/v1/nothing").await.problem(404);
    api.get("/v1/namespaces//tasks").await.problem(422);
    api.call(Method::PUT, TASKS, "{}").await.problem(405);
}
