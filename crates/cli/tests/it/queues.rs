//! `minutehand queue …`, `bucket list`, `partition list`

use minutehand_cli::Exit;
use serde_json::json;

use crate::support::{Server, queue, run, run_asked, task};

fn rows(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

#[tokio::test]
async fn queues_are_a_table() {
    let body = json!({ "queues": [{ "queue": "mail", "group": "g", "state": "paused", "waiting": 12, "in_progress": 3, "settled": 100, "dead_letters": 1 }] });
    let answer = body.to_string();
    let server = Server::start(
        move |request| match request.line.starts_with("GET /v1/queues/") {
            true => (200, "", queue("mail", 12).to_string()),
            false => (200, "", answer.clone()),
        },
    );
    let ran = run(&["queue", "list", "--server", &server.url]).await.ok();
    assert_eq!(
        rows(&ran.stdout)[1],
        ["mail", "12", "3", "100", "1", "paused"]
    );
    assert_eq!(server.request().line, "GET /v1/queues");
    run(&[
        "queue",
        "show",
        "mail",
        "--group",
        "g",
        "--server",
        &server.url,
    ])
    .await
    .ok();
    assert_eq!(server.requests()[1].line, "GET /v1/queues/mail?group=g");
    let json = run(&["queue", "list", "--json", "--server", &server.url])
        .await
        .ok()
        .json();
    assert_eq!(json, *body["queues"].as_array().unwrap());
}

#[tokio::test]
async fn what_is_said_of_a_queue_is_sent_and_told() {
    let server = Server::start(|_| {
        let mut paused = queue("mail", 12);
        paused["state"] = json!("paused");
        paused["per_second_max"] = json!(5);
        paused["paused"] = json!({ "since": "2026-11-24T07:00:00Z", "by": "ops", "until": "2026-11-24T09:00:00Z" });
        (200, "", paused.to_string())
    });
    let words: [(&[&str], &str, serde_json::Value); 7] = [
        (
            &[
                "pause",
                "mail",
                "--for",
                "1h",
                "--reason",
                "down",
                "--probe-every",
                "30s",
            ],
            "POST /v1/queues/mail:pause",
            json!({ "duration": "1h", "reason": "down", "probe_every": "30s" }),
        ),
        (
            &["pause", "mail", "--until", "2026-11-24T09:00:00Z"],
            "POST /v1/queues/mail:pause",
            json!({ "until": "2026-11-24T09:00:00Z" }),
        ),
        (
            &["resume", "mail", "--drain-per-second", "50"],
            "POST /v1/queues/mail:resume",
            json!({ "drain_per_second": 50 }),
        ),
        (
            &["purge", "mail", "--yes"],
            "POST /v1/queues/mail:purge",
            json!({}),
        ),
        (
            &["limit", "mail", "--per-second", "5"],
            "POST /v1/queues/mail:limit",
            json!({ "per_second": 5 }),
        ),
        (
            &[
                "limit",
                "mail",
                "--concurrency-per-key",
                "1",
                "--namespace-per-second",
                "9",
                "--weight",
                "shop=5",
                "--rate",
                "shop=50",
            ],
            "POST /v1/queues/mail:limit",
            json!({
                "concurrency_per_key": 1, "namespace_per_second": 9,
                "namespaces": { "shop": { "weight": 5, "per_second": 50 } },
            }),
        ),
        (&["limit", "mail"], "POST /v1/queues/mail:limit", json!({})),
    ];
    for (words, line, body) in words {
        let words: Vec<&str> = ["queue"]
            .iter()
            .chain(words)
            .chain(&["--server", &server.url])
            .copied()
            .collect();
        let ran = run(&words).await.ok();
        let told =
            "mail is paused until 2026-11-24T09:00:00Z (in 1 h), 12 waiting, at most 5 a second\n";
        assert_eq!(ran.stdout, told, "{words:?}");
        let requests = server.requests();
        let sent = requests.last().unwrap();
        assert_eq!((sent.line.as_str(), sent.json()), (line, body));
    }
    let deleted = run(&["queue", "delete", "mail", "--yes", "--server", &server.url]).await;
    let deleted = deleted.ok().stdout;
    assert!(deleted.starts_with("deleted mail, "), "{deleted}");
    assert_eq!(
        server.requests().last().unwrap().line,
        "DELETE /v1/queues/mail"
    );
}

#[tokio::test]
async fn executions_are_leased_and_answered() {
    let server = Server::start(|request| {
        let body = match request.line.as_str() {
            "POST /v1/queues/mail:lease" => json!({ "leases": [{
                "lease_id": "l-1", "delivery_token": "t", "execution_id": "x-1", "message_id": "m-1", "namespace": "default",
                "task_id": "a", "due_at": "2026-11-24T07:00:00Z", "attempt": 2, "payload": "hi", "headers": {},
                "expires_at": "2026-11-24T08:01:00Z",
            }] }),
            "POST /v1/queues/mail:nack" => {
                json!({ "items": [{ "lease_id": "l-1", "status": "lease-lost" }] })
            }
            _ => json!({ "items": [{ "lease_id": "l-1", "status": "done" }] }),
        };
        (200, "", body.to_string())
    });
    let leased = run(&[
        "queue",
        "lease",
        "mail",
        "--max",
        "5",
        "--wait",
        "2s",
        "--server",
        &server.url,
    ])
    .await
    .ok();
    assert_eq!(rows(&leased.stdout)[1][..3], ["l-1", "a", "2"]);
    let asked = json!({ "max": 5, "wait": "2s", "visibility": "30s" });
    assert_eq!(server.requests().last().unwrap().json(), asked);
    let words: [(&[&str], serde_json::Value); 3] = [
        (
            &["ack", "--result", "paid"],
            json!({ "lease_id": "l-1", "result": "paid" }),
        ),
        (
            &["extend", "--visibility", "1m"],
            json!({ "lease_id": "l-1", "visibility": "1m" }),
        ),
        (
            &["snooze", "--delay", "5m"],
            json!({ "lease_id": "l-1", "delay": "5m" }),
        ),
    ];
    for (words, item) in words {
        let (verb, rest) = words.split_first().unwrap();
        let words: Vec<&str> = ["queue", verb, "mail", "l-1"]
            .iter()
            .chain(rest)
            .chain(&["--server", &server.url])
            .copied()
            .collect();
        assert_eq!(run(&words).await.ok().stdout, "l-1 done\n");
        assert_eq!(
            server.requests().last().unwrap().json(),
            json!({ "items": [item] })
        );
    }
    let nacked = run(&[
        "queue",
        "nack",
        "mail",
        "l-1",
        "--error",
        "no",
        "--server",
        &server.url,
    ])
    .await;
    assert_eq!(
        (nacked.exit, nacked.stdout.as_str()),
        (Exit::Failed, "l-1 lease-lost\n")
    );
}

#[tokio::test]
async fn dead_letters_are_listed_replayed_and_discarded() {
    let server = Server::start(|request| {
        let body = match request.line.starts_with("GET") {
            true => {
                r#"{"dead_letters":[{"number":7,"queue":"mail","partition":0,"id":"t","dead_at":"2026-11-24T07:59:00Z","attempts":3,"reason":"no\nway"}]}"#
            }
            false => r#"{"count":1,"unreadable":0,"more":false}"#,
        };
        (200, "", body.to_owned())
    });
    let ran = run(&["queue", "dead-letters", "mail", "--server", &server.url])
        .await
        .ok();
    assert_eq!(
        rows(&ran.stdout)[1],
        [
            "7",
            "t",
            "2026-11-24T07:59:00Z",
            "(1",
            "min",
            "ago)",
            "3",
            "no?way"
        ]
    );
    let ran = run(&["queue", "replay", "mail", "7", "8", "--server", &server.url])
        .await
        .ok();
    assert_eq!(ran.stdout, "replayed 1 dead letter of mail\n");
    let ran = run(&["queue", "discard", "mail", "--all", "--server", &server.url])
        .await
        .ok();
    assert_eq!(ran.stdout, "discarded 1 dead letter of mail\n");
    let requests = server.requests();
    assert_eq!(
        requests[0].line,
        "GET /v1/queues/mail/dead-letters?limit=100"
    );
    assert_eq!(requests[1].line, "POST /v1/queues/mail/dead-letters:replay");
    assert_eq!(requests[1].json(), json!({ "numbers": [7, 8] }));
    assert_eq!(
        requests[2].line,
        "POST /v1/queues/mail/dead-letters:discard"
    );
    assert_eq!(requests[2].json(), json!({ "all": true }));
}

#[tokio::test]
async fn buckets_and_partitions_are_tables() {
    let server = Server::start(|request| {
        let body = match request.line.contains("/buckets") {
            true => {
                r#"{"buckets":[{"minute":"2026-11-24T08:01:00.000Z","tasks":5,"stored":4,"in_memory":1,"bytes":900}]}"#
            }
            false => {
                r#"{"count":1,"partitions":[{"partition":0,"phase":"owning","epoch":4,"applied":10,"log_end":12,"replay_from":7,"set_aside":0,"published_until":"2026-11-24T08:00:00Z","near_tasks":2,"near_bytes":0,"pending_entries":0,"backlog_tasks":0,"backlog_is_partly_unread":false,"backlog_schedules":0,"memory_bytes":0}]}"#
            }
        };
        (200, "", body.to_owned())
    });
    let ran = run(&[
        "bucket",
        "list",
        "--until",
        "2026-11-24T09:00:00Z",
        "--server",
        &server.url,
    ])
    .await
    .ok();
    assert_eq!(
        rows(&ran.stdout)[1],
        [
            "2026-11-24T08:01:00Z",
            "(in",
            "1",
            "min)",
            "5",
            "4",
            "1",
            "900"
        ]
    );
    assert_eq!(
        server.request().line,
        "GET /v1/buckets?until=2026-11-24T09%3A00%3A00Z"
    );
    let ran = run(&["partition", "list", "--server", &server.url])
        .await
        .ok();
    let row = &rows(&ran.stdout)[1];
    assert_eq!(row[..6], ["0", "owning", "4", "10", "12", "7"]);
}

/// An answer about a minute, with a verdict and in what it differs.
fn audited(verdict: &str, differences: &str) -> String {
    format!(
        r#"{{"minute":"2026-11-29T09:00:00.000Z","verdict":"{verdict}","partitions":[{{"partition":3,"verdict":"{verdict}","differences":[{differences}],"expected":12,"published":11,"late":1,"recurring":2,"early":0,"withdrawn":4,"left_out":5,"stored":10,"found":9,"dead_letters":7,"digest":"00000000000000ff"}}]}}"#
    )
}

#[tokio::test]
async fn an_audit_ends_with_a_code_for_its_verdict() {
    for (verdict, differences, exit) in [
        ("complete", "", Exit::Ok),
        ("differs", r#""stored","published""#, Exit::Failed),
        ("open", "", Exit::Unreachable),
        ("unverified", "", Exit::Unreachable),
    ] {
        let body = audited(verdict, differences);
        let server = Server::start(move |_| (200, "", body.clone()));
        let words = [
            "bucket",
            "audit",
            "2026-11-29T09:00Z",
            "--server",
            &server.url,
        ];
        let ran = run(&words).await;
        assert_eq!(ran.exit, exit, "{verdict}");
        assert_eq!(
            server.request().line,
            "GET /v1/ledger?minute=2026-11-29T09%3A00%3A00Z"
        );
        let row = rows(&ran.stdout)[1].join(" ");
        assert!(row.starts_with(&format!("3 {verdict}")), "{row}");
        assert!(
            row.ends_with("12 11 1 2 0 4 5 10 9 7 00000000000000ff"),
            "{row}"
        );
        let ran = run(&[&words[..], &["--json"]].concat()).await;
        let json: serde_json::Value =
            serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
        assert_eq!(json["verdict"], verdict);
    }
}

#[tokio::test]
async fn an_audit_says_of_a_minute_that_no_row_will_come() {
    for (closed_before, words) in [
        ("2026-11-29T09:00:00.000Z", "has no row yet"),
        ("2026-11-29T09:01:00.000Z", "has no row, and gets none"),
    ] {
        let closed = format!(r#""closed_before":"{closed_before}","digest""#);
        let body = audited("open", "").replace(r#""digest""#, &closed);
        let server = Server::start(move |_| (200, "", body.clone()));
        let words_said = ["bucket", "audit", "2026-11-29T09:00Z"];
        let ran = run(&[&words_said[..], &["--server", &server.url]].concat()).await;
        assert_eq!(ran.exit, Exit::Unreachable);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        let is_given_up = words.ends_with("gets none");
        let has_reason = ran
            .stderr
            .contains("before the first whole one after the first start");
        assert_eq!(has_reason, is_given_up, "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_replay_of_all_goes_on_until_there_are_no_more() {
    let calls = std::sync::atomic::AtomicU64::new(0);
    let server = Server::start(move |_| {
        let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (
            200,
            "",
            format!(
                "{{\"count\":10,\"unreadable\":{call},\"more\":{}}}",
                call < 2
            ),
        )
    });
    let ran = run(&["queue", "replay", "mail", "--all", "--server", &server.url])
        .await
        .ok();
    assert_eq!(ran.stdout, "replayed 30 dead letters of mail\n");
    assert_eq!(ran.stderr, "3 stay: their tasks cannot be understood\n");
    let json = run(&[
        "queue",
        "replay",
        "mail",
        "--all",
        "--json",
        "--server",
        &server.url,
    ])
    .await
    .ok()
    .json();
    assert_eq!(json[0]["count"], 10);
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_not_found() {
    let server = Server::start(|request| {
        let body = match request.line.as_str() {
            "GET /v1/queues" => json!({ "queues": [queue("mail", 0)] }),
            line if line.contains("dead-letters") => json!({ "dead_letters": [] }),
            _ => queue("x", 0),
        };
        (200, "", body.to_string())
    });
    for verb in ["show", "dead-letters"] {
        run(&["queue", verb, "mail", "--server", &server.url])
            .await
            .ok();
        let ran = run(&["queue", verb, "nope", "--server", &server.url]).await;
        assert_eq!(ran.exit, Exit::NotFound, "{verb}");
        assert!(
            ran.stderr.contains("there is no queue nope"),
            "{}",
            ran.stderr
        );
    }
}

#[tokio::test]
async fn before_the_first_publication_the_waiting_tasks_are_told() {
    for (tasks, told) in [
        (1, "; 1 task waits (minutehand task list)"),
        (2, "; 2 tasks wait (minutehand task list)"),
        (0, ""),
    ] {
        let server = Server::start(move |request| {
            let tasks = json!({ "tasks": vec![task(json!({})); tasks] }).to_string();
            let queues = r#"{"queues":[]}"#.to_owned();
            (
                200,
                "",
                if request.line.contains("/tasks") {
                    tasks
                } else {
                    queues
                },
            )
        });
        let ran = run(&["queue", "list", "--server", &server.url]).await.ok();
        assert_eq!(
            ran.stderr,
            format!("no queues: nothing has been published yet{told}\n")
        );
        let json = run(&["queue", "list", "--json", "--server", &server.url])
            .await
            .ok();
        assert_eq!((json.stdout.as_str(), json.stderr.as_str()), ("", ""));
    }
}

#[tokio::test]
async fn replaying_nothing_is_not_found_and_needs_a_selection() {
    let server = Server::always(200, r#"{"count":0,"unreadable":0,"more":false}"#);
    let ran = run(&["queue", "replay", "mail", "99999", "--server", &server.url]).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::NotFound, ""));
    assert!(
        ran.stderr
            .starts_with("error: mail has no dead letters of these numbers\n"),
        "{}",
        ran.stderr
    );
    let ran = run(&["queue", "replay", "mail", "--server", &server.url]).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.stderr.contains("--all"), "{}", ran.stderr);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn discarding_all_asks_a_person() {
    let server = Server::always(200, r#"{"count":2,"unreadable":0,"more":false}"#);
    let words = ["queue", "discard", "mail", "--all", "--server", &server.url];
    for answer in ["", "\n", "n\n", "yess\n"] {
        let ran = run_asked(&words, answer).await;
        assert_eq!(ran.exit, Exit::Failed, "{answer:?}");
        assert!(
            ran.stderr
                .starts_with("discard all dead letters of mail for good? [y/N] "),
            "{}",
            ran.stderr
        );
    }
    assert!(server.requests().is_empty());
    for answer in ["y\n", "YES\n"] {
        assert_eq!(
            run_asked(&words, answer).await.ok().stdout,
            "discarded 2 dead letters of mail\n"
        );
    }
    let sure = run_asked(&[&words[..], &["--yes"]].concat(), "").await.ok();
    assert_eq!(sure.stderr, "");
    run_asked(
        &["queue", "discard", "mail", "7", "--server", &server.url],
        "",
    )
    .await
    .ok();
    assert_eq!(server.requests().len(), 4);
}
