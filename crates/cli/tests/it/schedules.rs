//! `minutehand schedule …`

use minutehand_cli::Exit;
use serde_json::json;

use crate::support::{Server, definition, run, schedule};

#[tokio::test]
async fn create_sends_definition_and_policies() {
    let made = schedule(json!({ "next_at": "2026-11-25T00:00:00Z" })).to_string();
    let server = Server::always(201, &made);
    let words = [
        "schedule",
        "create",
        "s",
        "--server",
        &server.url,
        "--cron",
        "@daily",
        "--tz",
        "Europe/Berlin",
        "--dst",
        "skip",
        "--queue",
        "q",
        "--command",
        "ls",
        "--misfire",
        "latest",
        "--misfire-window",
        "1h",
        "--overlap",
        "skip",
        "--jitter",
        "30s",
        "--max-runs",
        "5",
        "--pause-on-failure",
        "--note",
        "first",
        "--exclude",
        "0 0 25 12 *",
        "--retry",
        "{\"policy\":\"fixed\",\"delay_ms\":10}",
    ];
    let ran = run(&words).await.ok();
    assert_eq!(
        ran.stdout,
        "created s, next 2026-11-25T00:00:00Z (in 16 h)\n"
    );
    let request = server.request();
    assert_eq!(request.line, "POST /v1/namespaces/default/schedules");
    assert_eq!(
        request.json(),
        json!({
            "id": "s", "cron": "@daily", "time_zone": "Europe/Berlin", "dst": "skip", "queue": "q",
            "headers": { "minutehand-command": "ls" }, "misfire": { "rule": "latest", "window_ms": 3_600_000 },
            "overlap": "skip", "jitter_ms": 30_000, "max_runs": 5, "pause_on_failure": true, "note": "first",
            "exclude": ["0 0 25 12 *"], "retry": { "policy": "fixed", "delay_ms": 10 },
        })
    );
}

#[tokio::test]
async fn a_dry_run_shows_times_and_creates_nothing() {
    let server = Server::always(
        200,
        r#"{"description":"every 5 minutes","next":["2026-11-24T08:05:00.000Z","2026-11-24T08:10:00.000Z"],"notes":[]}"#,
    );
    let words = [
        "schedule",
        "create",
        "s",
        "--server",
        &server.url,
        "--every",
        "5m",
        "--queue",
        "q",
        "--dry-run",
    ];
    let ran = run(&words).await.ok();
    let lines: Vec<&str> = ran.stdout.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "every 5 minutes",
            "next",
            "2026-11-24T08:05:00Z (in 5 min)",
            "2026-11-24T08:10:00Z (in 10 min)"
        ]
    );
    assert_eq!(
        server.request().line,
        "POST /v1/namespaces/default/schedules:preview"
    );
}

#[tokio::test]
async fn what_is_missing_is_named() {
    for (words, missing) in [
        (
            &["schedule", "create", "s", "--queue", "q"][..],
            "--cron or --every",
        ),
        (
            &["schedule", "create", "s", "--cron", "@daily"][..],
            "--queue",
        ),
        (&["schedule", "patch", "s"][..], "nothing to change"),
    ] {
        let ran = run(words).await;
        assert_eq!(ran.exit, Exit::Usage, "{words:?}");
        assert!(ran.stderr.contains(missing), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_patch_can_ask_for_a_revision() {
    let server = Server::always(200, r#"{"id":"s"}"#);
    let words = [
        "schedule",
        "patch",
        "s",
        "--cron",
        "@hourly",
        "--if-revision",
        "3",
        "--server",
        &server.url,
    ];
    assert_eq!(run(&words).await.ok().stdout, "changed s\n");
    let request = server.request();
    assert_eq!(request.line, "PATCH /v1/namespaces/default/schedules/s");
    assert_eq!(request.header("if-match"), Some("\"3\""));
    assert_eq!(request.json(), json!({ "cron": "@hourly" }));
    let server = Server::always(412, r#"{"title":"the schedule was changed"}"#);
    let ran = run(&[
        "schedule",
        "patch",
        "s",
        "--tz",
        "UTC",
        "--if-revision",
        "3",
        "--server",
        &server.url,
    ])
    .await;
    assert_eq!(ran.exit, Exit::Conflict);
}

#[tokio::test]
async fn each_verb_asks_for_its_own_path() {
    // An answer to each of them.
    let any = json!({
        "partition": 0, "offset": 1, "runs": 1, "backfills": [], "revisions": [], "description": "", "next": [],
        "notes": [],
    });
    let server = Server::always(200, &any.to_string());
    let cases: [(&[&str], &str, &str); 11] = [
        (
            &["pause", "s", "--note", "why"],
            "POST …/s:pause",
            "{\"note\":\"why\"}",
        ),
        (&["resume", "s"], "POST …/s:resume", "{}"),
        (
            &["trigger", "s", "--overlap", "skip"],
            "POST …/s:trigger",
            "{\"overlap\":\"skip\"}",
        ),
        (
            &[
                "backfill",
                "s",
                "--from",
                "2026-11-01T00:00:00Z",
                "--to",
                "2026-11-02T00:00:00Z",
            ],
            "POST …/s:backfill",
            "{\"from\":\"2026-11-01T00:00:00Z\",\"to\":\"2026-11-02T00:00:00Z\"}",
        ),
        (&["backfills", "s"], "GET …/s/backfills", ""),
        (
            &["stop-backfill", "s", "17"],
            "POST …/s:stop-backfill",
            "{\"backfill\":\"17\"}",
        ),
        (&["forget-runs", "s"], "POST …/s:forget-runs", "{}"),
        (
            &["rollback", "s", "--to", "2"],
            "POST …/s:rollback",
            "{\"to_revision\":2}",
        ),
        (&["delete", "s"], "DELETE …/s", ""),
        (&["revisions", "s"], "GET …/s/revisions", ""),
        (&["preview", "s", "-n", "3"], "GET …/s/preview?n=3", ""),
    ];
    for (words, line, body) in cases {
        let words = [&["schedule"], words, &["--server", &server.url]].concat();
        run(&words).await.ok();
        let request = server.requests().last().cloned().expect("a request");
        assert_eq!(
            request
                .line
                .replace("/v1/namespaces/default/schedules", "…"),
            line
        );
        assert_eq!(request.body, body, "{words:?}");
    }
    let server = Server::always(204, "");
    let ran = run(&["schedule", "delete", "s", "--json", "--server", &server.url])
        .await
        .ok();
    assert_eq!(
        ran.json(),
        [json!({ "id": "s" })],
        "an empty answer still is JSON"
    );
}

#[tokio::test]
async fn show_lists_events_one_per_line() {
    let server = Server::always(
        200,
        r#"{"id":"s","cron":"@daily","next_at":"2026-11-25T00:00:00Z","events":[{"kind":"started","at":"2026-11-24T07:00:00Z"},{"kind":"missed","at":"2026-11-24T07:30:00Z"}],"note":null}"#,
    );
    let ran = run(&["schedule", "show", "s", "--server", &server.url])
        .await
        .ok();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        lines.contains(&"next_at  2026-11-25T00:00:00Z (in 16 h)"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("kind started") && ran.stdout.contains("kind missed"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("note"), "{}", ran.stdout);
}

#[tokio::test]
async fn lists_and_revisions_are_tables() {
    let server = Server::start(|request| {
        let body = if request.line.ends_with("/revisions") {
            let definition = definition(json!({ "cron": "@daily" }));
            json!({ "revisions": [{
                "revision": 1, "revised_at": "2026-11-24T07:00:00.000Z", "author": "ann", "note": "made",
                "paused": false, "deleted": false, "definition": definition,
            }] })
        } else {
            json!({ "schedules": [schedule(json!({ "cron": "@daily", "time_zone": "UTC", "state": "paused" }))] })
        };
        (200, "", body.to_string())
    });
    let ran = run(&["schedule", "list", "--server", &server.url])
        .await
        .ok();
    let row: Vec<&str> = ran
        .stdout
        .lines()
        .nth(1)
        .expect("a row")
        .split_whitespace()
        .collect();
    assert_eq!(row, ["s", "@daily", "UTC", "q", "paused"]);
    let ran = run(&["schedule", "revisions", "s", "--server", &server.url])
        .await
        .ok();
    let row: Vec<&str> = ran
        .stdout
        .lines()
        .nth(1)
        .expect("a row")
        .split_whitespace()
        .collect();
    assert_eq!(
        row,
        [
            "1",
            "2026-11-24T07:00:00Z",
            "(1",
            "h",
            "ago)",
            "ann",
            "@daily",
            "active",
            "made"
        ]
    );
}
