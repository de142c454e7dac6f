//! `minutehand task …`

use minutehand_cli::Exit;
use serde_json::json;

use crate::support::{Server, handle, input, refused_line, run, run_with, schedule, task};

#[tokio::test]
async fn create_sends_what_was_typed_and_says_when() {
    let server = Server::always(201, &handle("t-1", "2026-11-24T08:05:00Z"));
    let words = [
        "task",
        "create",
        "--server",
        &server.url,
        "--namespace",
        "shop",
        "--token",
        "s3cret",
        "-q",
        "mail",
        "--in",
        "5m",
        "--payload",
        "{\"a\":1}",
        "-H",
        "kind=order",
        "--retry",
        "none",
        "--precision",
        "high",
    ];
    let ran = run(&words).await.ok();
    assert_eq!(
        ran.stdout,
        "created t-1, due 2026-11-24T08:05:00Z (in 5 min)\n"
    );
    let request = server.request();
    assert_eq!(request.line, "POST /v1/namespaces/shop/tasks");
    assert_eq!(request.header("authorization"), Some("Bearer s3cret"));
    assert_eq!(
        request.json(),
        json!({
            "queue": "mail", "delay": "5m", "payload": "{\"a\":1}", "headers": { "kind": "order" },
            "retry": { "policy": "none" }, "precision": "high",
        })
    );
}

#[tokio::test]
async fn what_follows_is_sent_as_it_was_written() {
    let server = Server::always(201, &handle("t", "2026-11-24T09:00:00Z"));
    let next =
        r#"{"queue":"invoices","delay":"5m","on_failure":{"queue":"alerts","payload":{"n":1.50}}}"#;
    let mut words = vec!["task", "create", "--server", &server.url];
    words.extend(["-q", "q", "--in", "1s", "--on-success", next]);
    run(&words).await.ok();
    let sent = server.request().json();
    assert_eq!(
        sent["on_success"],
        serde_json::from_str::<serde_json::Value>(next).unwrap()
    );
    assert_eq!(sent.get("on_failure"), None);
}

#[tokio::test]
async fn ended_tasks_are_listed_by_state_and_queue() {
    let server = Server::always(200, r#"{"tasks":[]}"#);
    let mut words = vec!["task", "list", "--state", "dead", "--queue", "mail"];
    words.extend(["--server", &server.url]);
    run(&words).await.ok();
    let line = "GET /v1/namespaces/default/tasks?state=dead&queue=mail&limit=100";
    assert_eq!(server.request().line, line);
}

#[tokio::test]
async fn bytes_that_are_no_text_travel_in_base64() {
    let server = Server::always(201, &handle("t", "2026-11-24T09:00:00Z"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"\xff\x00").unwrap();
    let path = file.path().to_str().unwrap();
    let at = "2026-11-24T10:00:00+01:00";
    let words = [
        "task",
        "create",
        "--server",
        &server.url,
        "-q",
        "q",
        "--at",
        at,
        "--payload-file",
        path,
        "--id",
        "a/b",
    ];
    run(&words).await.ok();
    let body = json!({ "queue": "q", "due_at": "2026-11-24T09:00:00Z", "payload_base64": "/wA=", "id": "a/b" });
    assert_eq!(server.request().json(), body);
}

#[tokio::test]
async fn a_missing_queue_or_time_is_a_usage_error_and_nothing_is_sent() {
    let server = Server::always(201, "{}");
    let ran = run(&["task", "create", "--server", &server.url, "--in", "5m"]).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.stderr.contains("--queue"), "{}", ran.stderr);
    for words in [
        &["task", "create", "-q", "q"][..],
        &["task", "reschedule", "x"],
    ] {
        let ran = run(&[words, &["--server", &server.url]].concat()).await;
        assert_eq!(ran.exit, Exit::Usage);
        assert_eq!(ran.stderr, "error: say when: --in DURATION or --at TIME\n");
    }
    assert!(server.requests().is_empty());
}

/// A device need not end.
#[tokio::test]
async fn an_endless_file_is_refused_and_nothing_is_sent() {
    let server = Server::always(201, "{}");
    for (words, limit) in [
        (
            &["task", "create", "-q", "q", "--in", "5m", "--payload-file"][..],
            "262144",
        ),
        (&["import", "crontab", "--dry-run"], "16777216"),
    ] {
        let given = ["/dev/zero", "--server", &server.url];
        let ran = run(&[words, &given].concat()).await;
        let told = format!("error: /dev/zero is larger than {limit} bytes");
        assert!(ran.stderr.starts_with(&told), "{ran:?}");
        assert_eq!(ran.exit, Exit::Refused);
    }
    assert!(server.requests().is_empty());
}

/// A URL takes them for another place, whether its dots are escaped or not.
#[tokio::test]
async fn dots_are_refused_as_names_and_nothing_is_sent() {
    let server = Server::always(200, "{}");
    for words in [
        &["task", "get", ".."][..],
        &["task", "cancel", "."],
        &["task", "get", "x", "--namespace", ".."],
        &["schedule", "delete", ".."],
        &["queue", "show", ".."],
        &["queue", "dead-letters", ".."],
    ] {
        let ran = run(&[words, &["--server", &server.url]].concat()).await;
        assert_eq!(ran.exit, Exit::Refused, "{words:?}: {ran:?}");
        let told = ran.stderr.contains("names another place in a path");
        assert!(told, "{words:?}: {}", ran.stderr);
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn get_cancel_and_reschedule_name_the_task() {
    let body = task(json!({ "id": "a/b", "queue": "q", "headers": { "x": "y" } })).to_string();
    let server = Server::always(200, &body);
    let ran = run(&["task", "get", "a/b", "--server", &server.url])
        .await
        .ok();
    let lines: Vec<&str> = ran.stdout.lines().map(str::trim_end).collect();
    assert!(
        lines.contains(&"due_at     2026-11-24T09:00:00Z (in 1 h)"),
        "{}",
        ran.stdout
    );
    assert!(lines.contains(&"headers.x  y"), "{}", ran.stdout);
    run(&[
        "task",
        "cancel",
        "a/b",
        "--due-at",
        "2026-11-24T09:00:00Z",
        "--server",
        &server.url,
    ])
    .await
    .ok();
    let ran = run(&[
        "task",
        "reschedule",
        "a/b",
        "--in",
        "2h",
        "--only-if-not-published",
        "--server",
        &server.url,
    ])
    .await
    .ok();
    assert_eq!(ran.stdout, "moved a/b, due 2026-11-24T09:00:00Z (in 1 h)\n");
    let requests = server.requests();
    assert_eq!(requests[0].line, "GET /v1/namespaces/default/tasks/a%2Fb");
    assert_eq!(
        requests[1].line,
        "DELETE /v1/namespaces/default/tasks/a%2Fb?due_at=2026-11-24T09%3A00%3A00Z"
    );
    assert_eq!(requests[2].line, "PATCH /v1/namespaces/default/tasks/a%2Fb");
    assert_eq!(
        requests[2].json(),
        json!({ "delay": "2h", "mode": "only-if-not-published" })
    );
}

#[tokio::test]
async fn list_follows_cursors_up_to_the_limit() {
    let server = Server::start(|request| {
        let due =
            |id: &str, due_at: &str| task(json!({ "id": id, "queue": "q", "due_at": due_at }));
        let page = if request.line.contains("cursor=two") {
            json!({ "tasks": [due("c", "2026-11-24T08:00:12Z")], "next_cursor": "three" })
        } else {
            let first = due("a", "2026-11-24T07:00:00Z");
            json!({ "tasks": [first, task(json!({ "id": "b" }))], "next_cursor": "two" })
        };
        (200, "", page.to_string())
    });
    let ran = run(&[
        "task",
        "list",
        "--limit",
        "3",
        "--prefix",
        "a b",
        "--server",
        &server.url,
    ])
    .await
    .ok();
    let cells: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        cells[1],
        [
            "a",
            "q",
            "2026-11-24T07:00:00Z",
            "(1",
            "h",
            "ago)",
            "scheduled"
        ]
    );
    assert_eq!(
        cells[3],
        [
            "c",
            "q",
            "2026-11-24T08:00:12Z",
            "(in",
            "12",
            "s)",
            "scheduled"
        ]
    );
    assert_eq!(ran.stderr, "there are more; --limit shows them\n");
    assert_eq!(
        server.requests()[0].line,
        "GET /v1/namespaces/default/tasks?prefix=a+b&limit=3"
    );
    assert_eq!(
        server.requests()[1].line,
        "GET /v1/namespaces/default/tasks?prefix=a+b&limit=1&cursor=two"
    );
    let json = run(&[
        "task",
        "list",
        "--limit",
        "2",
        "--json",
        "--server",
        &server.url,
    ])
    .await
    .ok()
    .json();
    assert_eq!(
        json.iter()
            .map(|task| task["id"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
}

#[tokio::test]
async fn an_empty_list_prints_nothing_but_a_remark() {
    let server = Server::always(200, r#"{"tasks":[]}"#);
    let ran = run(&["task", "list", "--server", &server.url]).await.ok();
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("", "no tasks\n")
    );
}

#[tokio::test]
async fn statuses_become_exit_codes_and_problems_one_line() {
    let cases = [
        (
            404,
            r#"{"title":"no such task","detail":"no task \"x\" in namespace default"}"#,
            Exit::NotFound,
        ),
        (409, r#"{"title":"conflict"}"#, Exit::Conflict),
        (
            422,
            r#"{"title":"refused","detail":"queue is empty","field":"queue","limit":64,"given":""}"#,
            Exit::Refused,
        ),
        (401, "", Exit::Denied),
        (403, r#"{"title":"forbidden"}"#, Exit::Denied),
        (503, r#"{"title":"unavailable"}"#, Exit::Unreachable),
        (500, "oops", Exit::Failed),
    ];
    for (status, body, exit) in cases {
        let server = Server::always(status, body);
        let ran = run(&[
            "task",
            "get",
            "x",
            "--server",
            &server.url,
            "--token",
            "s3cret",
        ])
        .await;
        assert_eq!(ran.exit, exit, "{status}");
        assert!(
            ran.stderr.starts_with("error: ") && !ran.stderr.contains("s3cret"),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.stdout, "", "{status}");
    }
    let server = Server::always(
        422,
        r#"{"title":"refused","detail":"too long","field":"id"}"#,
    );
    let ran = run(&["task", "get", "x", "--json", "--server", &server.url]).await;
    let problem = &ran.json()[0];
    assert_eq!(
        (&problem["field"], &problem["title"], &problem["exit"]),
        (&json!("id"), &json!("refused"), &json!(5))
    );
    assert_eq!(ran.stderr, "error: too long (field id)\n");
}

/// Whatever failed, `--json` prints one shape: a problem document with the exit code.
#[tokio::test]
async fn every_failure_is_a_problem_of_one_shape() {
    let server = Server::always(401, "");
    let url = server.url.as_str();
    for words in [
        &["task", "get", "x", "--token", "wrong", "--server", url][..],
        &["task", "get", "x", "--server", "ftp://x"],
        &["task", "create", "-q", "q", "--server", url],
        &["explain", "61 * * * *"],
        &["import", "crontab", "/no/such/file", "--dry-run"],
        &["sim", "--break", "nothing"],
    ] {
        let ran = run(&[words, &["--json"]].concat()).await;
        let problem = ran.json().pop().expect("a problem");
        let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        assert!(
            text("type").starts_with("urn:minutehand:problem:"),
            "{words:?}: {problem}"
        );
        assert!(
            !text("title").is_empty() && !text("detail").is_empty(),
            "{words:?}: {problem}"
        );
        assert_eq!(problem["exit"], ran.exit.code(), "{words:?}: {problem}");
    }
    let refused = run(&["task", "get", "x", "--token", "wrong", "--server", url]).await;
    assert!(
        refused.stderr.contains("the server does not know it"),
        "{}",
        refused.stderr
    );
    let missing = run(&["task", "get", "x", "--server", url]).await;
    assert!(
        missing.stderr.contains("give a token"),
        "{}",
        missing.stderr
    );
}

#[tokio::test]
async fn what_is_there_already_is_not_told_as_created() {
    let both = schedule(json!({ "id": "t-1", "due_at": "2026-11-24T08:05:00Z", "offset": 1 }));
    let server = Server::always(200, &both.to_string());
    let ran = run(&[
        "task",
        "create",
        "-q",
        "q",
        "--in",
        "5m",
        "--id",
        "t-1",
        "--server",
        &server.url,
    ])
    .await
    .ok();
    let there =
        "t-1, due 2026-11-24T08:05:00Z (in 5 min), was there already: nothing was created\n";
    assert_eq!(ran.stdout, there);
    let ran = run(&[
        "schedule",
        "create",
        "s",
        "--every",
        "5m",
        "-q",
        "q",
        "--server",
        &server.url,
    ])
    .await
    .ok();
    assert_eq!(ran.stdout, "s, was there already: nothing was created\n");
}

#[tokio::test]
async fn flags_set_the_headers_of_webhooks_and_commands() {
    let server = Server::always(201, &handle("t", "2026-11-24T09:00:00Z"));
    let words = [
        "task",
        "create",
        "-q",
        "q",
        "--in",
        "1.5h",
        "--server",
        &server.url,
    ];
    let rest = [
        "--url",
        "http://h/x",
        "--time-limit",
        "1m 30s",
        "-H",
        "X-Kind: order",
        "-H",
        "a=b:c",
    ];
    run(&[&words[..], &rest].concat()).await.ok();
    let headers = json!({
        "minutehand-url": "http://h/x", "minutehand-timeout-ms": "90000", "X-Kind": "order", "a": "b:c",
    });
    assert_eq!(
        server.request().json(),
        json!({ "queue": "q", "delay": "1h30m", "headers": headers })
    );
}

#[tokio::test]
async fn an_import_that_a_full_disk_ends_says_where_to_go_on() {
    let body = r#"{"type":"urn:minutehand:problem:bulk-stopped","title":"A store failed","status":503,"detail":"the disk is full","accepted":41,"refused":0,"resume_from_line":42}"#;
    let server = Server::always(503, body);
    let ran = run_with(
        &["task", "import", "-", "--json", "--server", &server.url],
        input("x\n"),
    )
    .await;
    assert_eq!(ran.exit, Exit::Unreachable, "not the code of bad input");
    assert_eq!(
        ran.stderr,
        "error: the disk is full\nhint: 41 tasks were created; go on with: minutehand task import - --from-line 42\n"
    );
    assert_eq!(ran.json()[0]["resume_from_line"], 42);
}

#[tokio::test]
async fn an_import_begins_with_the_line_it_is_told() {
    let server = Server::always(200, r#"{"accepted":1,"refused":0}"#);
    let long = format!("{}\n", "x".repeat(600_000));
    for (text, from_line, sent) in [
        ("a\nb\nc\n", "1", "a\nb\nc\n"),
        ("a\r\nb\r\nc", "3", "\n\nc"),
        ("a\nb", "5", "\n"),
        (&format!("{long}{long}c\n"), "3", "\n\nc\n"),
    ] {
        let words = [
            "task",
            "import",
            "-",
            "--from-line",
            from_line,
            "--server",
            &server.url,
        ];
        run_with(&words, input(text)).await.ok();
        assert_eq!(
            server.requests().pop().expect("a request").body,
            sent,
            "{from_line}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let ran = run(&["task", "list", "--server", &url]).await;
    assert_eq!(ran.exit, Exit::Unreachable);
    assert!(
        ran.stderr
            .starts_with(&format!("error: no server answers at {url}: ")),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("minutehand dev"), "{}", ran.stderr);
    let ran = run(&["task", "list", "--server", "ftp://x"]).await;
    assert_eq!(ran.exit, Exit::Usage);
}

#[tokio::test]
async fn import_streams_a_file_and_reports_refused_lines() {
    let refused = refused_line(2, "queue is empty");
    let server = Server::always(200, &format!("{{\"accepted\":2,\"refused\":1}}\n{refused}"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n").unwrap();
    let ran = run(&[
        "task",
        "import",
        file.path().to_str().unwrap(),
        "--server",
        &server.url,
    ])
    .await;
    assert_eq!(ran.exit, Exit::Refused);
    assert_eq!(ran.stdout, "created 2 tasks, refused 1 lines\n");
    assert_eq!(ran.stderr, "line 2: queue is empty\n");
    let request = server.request();
    assert_eq!(request.line, "POST /v1/namespaces/default/tasks:bulk");
    assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(request.body, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
}

#[tokio::test]
async fn import_reads_standard_input_and_prints_json() {
    let server = Server::always(200, r#"{"accepted":1,"refused":0}"#);
    let ran = run_with(
        &["task", "import", "-", "--json", "--server", &server.url],
        input("{\"a\":1}"),
    )
    .await
    .ok();
    assert_eq!(ran.json(), [json!({ "accepted": 1, "refused": 0 })]);
    assert_eq!(server.request().body, "{\"a\":1}");
}

/// A standard input that never says anything and never ends.
struct Silent(std::sync::mpsc::Receiver<()>);

impl std::io::Read for Silent {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Ok(self.0.recv().map_or(0, |()| 0))
    }
}

#[tokio::test]
async fn a_failed_import_does_not_wait_for_the_end_of_its_input() {
    let (keep_open, receiver) = std::sync::mpsc::channel();
    let silent = std::io::BufReader::new(Silent(receiver));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let ran = run_with(&["task", "import", "-", "--server", &url], Box::new(silent)).await;
    assert_eq!(ran.exit, Exit::Unreachable);
    // Dropped only after the runtime: it must not wait for the thread that reads.
    std::mem::forget(keep_open);
}

#[tokio::test]
async fn a_large_import_arrives_whole() {
    let server = Server::start(|request| {
        (
            200,
            "",
            format!(
                "{{\"accepted\":{},\"refused\":0}}",
                request.body.lines().count()
            ),
        )
    });
    let lines: String = (0..60_000)
        .map(|number| format!("{{\"id\":\"task-{number}\",\"queue\":\"q\"}}\n"))
        .collect();
    let ran = run_with(
        &["task", "import", "-", "--server", &server.url],
        input(&lines),
    )
    .await
    .ok();
    assert_eq!(ran.stdout, "created 60000 tasks, refused 0 lines\n");
    assert_eq!(server.request().body, lines);
}

#[tokio::test]
async fn many_refused_lines_are_counted_not_listed() {
    let refused: String = (1..=25).map(|line| refused_line(line, "bad")).collect();
    let server = Server::always(
        200,
        &format!("{{\"accepted\":0,\"refused\":25}}\n{refused}"),
    );
    let ran = run_with(
        &["task", "import", "-", "--server", &server.url],
        input("x\n"),
    )
    .await;
    assert_eq!(ran.stderr.lines().count(), 11);
    assert!(
        ran.stderr
            .ends_with("and 15 more; --all-errors shows them\n"),
        "{}",
        ran.stderr
    );
    let all = run_with(
        &[
            "task",
            "import",
            "-",
            "--all-errors",
            "--server",
            &server.url,
        ],
        input("x\n"),
    )
    .await;
    assert_eq!(all.stderr.lines().count(), 25);
}

#[tokio::test]
async fn an_answer_without_a_summary_is_a_failure() {
    let server = Server::always(200, &refused_line(1, "bad"));
    let ran = run_with(
        &["task", "import", "-", "--server", &server.url],
        input("x\n"),
    )
    .await;
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.stderr.contains("without a summary"), "{}", ran.stderr);
    let ran = run(&["task", "import", "/no/such/file", "--server", &server.url]).await;
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.stderr.contains("/no/such/file"), "{}", ran.stderr);
}

/// Runs this test's process again without the system's certificates: a plain Debian has none.
#[test]
fn plain_http_needs_no_certificates() {
    let test = "tasks::statuses_become_exit_codes_and_problems_one_line";
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}
