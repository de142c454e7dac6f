//! `minutehand import crontab`

use minutehand_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Ran, Server, input, run, run_with, schedule as whole_schedule};

const SYSTEM: &str = "\
SHELL=/bin/bash
@reboot root /bin/start
17 * * * * root cd / && run-parts /etc/cron.hourly
CRON_TZ=Europe/Berlin
0 5 * * 1 www-data mail%hello%you
";

/// Imports a crontab of that format, in UTC.
async fn import(format: &str, text: &str, rest: &[&str]) -> Ran {
    let words = ["import", "crontab", "-", "--tz", "UTC", "--format", format];
    run_with(&[&words[..], rest].concat(), input(text)).await
}

#[tokio::test]
async fn a_dry_run_shows_each_line_and_asks_no_server() {
    let words = ["--dry-run", "--json"];
    let lines = import("system", SYSTEM, &words).await.ok().json();
    let seen: Vec<(u64, &str, &str, &str, &Value)> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().expect("text");
            (
                line["line"].as_u64().expect("a number"),
                text("outcome"),
                text("cron"),
                text("tz"),
                &line["next"],
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (
                2,
                "not imported: runs at start",
                "@reboot",
                "UTC",
                &Value::Null
            ),
            (
                3,
                "create",
                "17 * * * *",
                "UTC",
                &json!("2026-11-24T08:17:00Z")
            ),
            (
                5,
                "create",
                "0 5 * * 1",
                "Europe/Berlin",
                &json!("2026-11-30T04:00:00Z")
            ),
        ]
    );
    assert_eq!(lines[2]["stdin"], "hello\nyou\n");
    assert!(
        lines[1]["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("crontab/-/1-")),
        "{lines:?}"
    );
    let ran = import("system", SYSTEM, &words).await.ok();
    assert_eq!(
        ran.stderr,
        "a worker runs a command as its own user or not at all; the files name root, www-data (header minutehand-user)\n"
    );
}

#[tokio::test]
async fn refused_lines_are_named_and_the_others_go_on() {
    let text = "61 * * * * root ls\n5 * * * * root ls\n";
    let ran = import("system", text, &["--dry-run"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stdout.contains("5 * * * *"), "{}", ran.stdout);
    assert!(ran.stderr.starts_with("-:1:1: "), "{}", ran.stderr);
    assert!(
        ran.stderr
            .ends_with("error: 1 of 2 lines were refused; the others were handled\n"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn lines_become_schedules_of_the_process_executor() {
    let server = Server::always(201, "{}");
    let words = [
        "--prefix",
        "host1",
        "--queue",
        "shell",
        "--server",
        &server.url,
    ];
    let ran = import("system", SYSTEM, &words).await.ok();
    assert_eq!(ran.stdout.matches("created").count(), 2, "{}", ran.stdout);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].line, "POST /v1/namespaces/default/schedules");
    let body = requests[1].json();
    assert!(
        body["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("host1/-/1-")),
        "{body}"
    );
    assert_eq!(body["cron"], "0 5 * * 1");
    assert_eq!(body["time_zone"], "Europe/Berlin");
    assert_eq!(body["queue"], "shell");
    let headers = json!({ "minutehand-executor": "process", "minutehand-user": "www-data" });
    assert_eq!(
        body["headers"], headers,
        "the command runs on whatever queue"
    );
    assert_eq!(
        body["misfire"]["rule"], "none",
        "cron does not make up for what was missed"
    );
    let payload: Value =
        serde_json::from_str(body["payload"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        payload,
        json!({
            "argv": ["/bin/bash", "-c", "mail"], "stdin": "hello\nyou\n",
            "env": { "SHELL": "/bin/bash", "CRON_TZ": "Europe/Berlin" },
        })
    );
}

/// A server that has every schedule already, as `present` makes it of what is wanted.
fn with_schedules(present: fn(Value) -> Value) -> Server {
    let wanted = std::sync::Mutex::new(Value::Null);
    Server::start(move |request| match request.line.split(' ').next() {
        Some("POST") => {
            *wanted.lock().unwrap() = request.json();
            (409, "", r#"{"title":"the schedule exists"}"#.to_owned())
        }
        Some("GET") => (
            200,
            "etag: \"4\"\r\n",
            present(wanted.lock().unwrap().clone()).to_string(),
        ),
        _ => (200, "", "{}".to_owned()),
    })
}

#[tokio::test]
async fn importing_again_changes_only_what_has_changed() {
    let text = "17 * * * * ls\n";
    let outcome = async |server: &Server| {
        let words = ["--json", "--server", &server.url];
        import("user", text, &words).await.ok().json()[0]["outcome"].clone()
    };
    let same = with_schedules(|wanted| {
        let mut present = wanted;
        present["paused"] = json!(false);
        present["misfire"]["grace_ms"] = json!(60_000);
        present
    });
    assert_eq!(outcome(&same).await, "unchanged");
    assert_eq!(same.requests().len(), 2);
    let other = with_schedules(|mut wanted| {
        wanted["cron"] = json!("18 * * * *");
        wanted
    });
    assert_eq!(outcome(&other).await, "changed");
    let patch = other.requests().pop().expect("a request");
    assert!(
        patch
            .line
            .starts_with("PATCH /v1/namespaces/default/schedules/crontab%2F-%2F1-"),
        "{}",
        patch.line
    );
    assert_eq!(patch.header("if-match"), Some("\"4\""));
    assert_eq!(patch.json()["cron"], "17 * * * *");
    assert!(patch.json().get("id").is_none(), "an id cannot be changed");
}

#[tokio::test]
async fn what_the_server_finds_the_same_is_unchanged() {
    let server = Server::always(200, "{}");
    let words = ["--json", "--server", &server.url];
    let lines = import("user", "17 * * * * ls\n", &words).await.ok().json();
    assert_eq!(lines[0]["outcome"], "unchanged");
    assert_eq!(server.requests().len(), 1);
}

/// What a command runs, longer than a payload may be.
fn too_long() -> String {
    format!("echo {}", "x".repeat(300_000))
}

#[tokio::test]
async fn a_line_that_no_server_takes_is_refused_by_a_dry_run_too() {
    let long = too_long();
    let text = format!("1 * * * * one\n2 * * * * {long}\n@reboot {long}\n4 * * * * four\n");
    let server = Server::always(201, "{}");
    for rest in [&["--dry-run"][..], &["--server", &server.url]] {
        let ran = import("user", &text, rest).await;
        assert_eq!(ran.exit, Exit::Refused);
        assert!(
            ran.stdout.contains("one") && ran.stdout.contains("four"),
            "{}",
            ran.stdout
        );
        let told: Vec<&str> = ran.stderr.lines().collect();
        for (told, line) in told.iter().zip([2, 3]) {
            let begins = format!("-:{line}:1: no schedule can be made of it: the command with");
            assert!(
                told.starts_with(&begins) && told.contains("256 KiB"),
                "{told}"
            );
        }
        assert_eq!(
            told[2..],
            ["error: 2 of 4 lines were refused; the others were handled"]
        );
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_line_that_the_server_refuses_does_not_stop_the_others() {
    let server = Server::start(|request| match request.json()["cron"].as_str() {
        Some("2 * * * *") => (422, "", r#"{"detail":"not on this server"}"#.to_owned()),
        _ => (201, "", "{}".to_owned()),
    });
    let words = ["--json", "--server", &server.url];
    let text = "1 * * * * one\n2 * * * * two\n3 * * * * three\n";
    let ran = import("user", text, &words).await;
    assert_eq!(ran.exit, Exit::Refused);
    let said: Vec<(Value, Value, Value)> = ran
        .json()
        .into_iter()
        .filter(|said| said.get("file").is_some())
        .map(|said| {
            (
                said["line"].clone(),
                said["outcome"].clone(),
                said["error"].clone(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            (json!(1), json!("created"), Value::Null),
            (json!(3), json!("created"), Value::Null),
            (json!(2), Value::Null, json!("not on this server")),
        ]
    );
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_ends_an_import() {
    let server = Server::always(401, r#"{"detail":"the token is not known"}"#);
    let ran = import(
        "user",
        "1 * * * * one\n2 * * * * two\n",
        &["--server", &server.url],
    )
    .await;
    assert_eq!(ran.exit, Exit::Denied);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_refusal_names_file_and_line() {
    let server = Server::always(422, r#"{"detail":"payload is too large"}"#);
    let ran = import("user", "\n17 * * * * ls\n", &["--server", &server.url]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert_eq!(
        ran.stderr,
        "-:2: payload is too large\nerror: 1 of 1 lines were refused; the others were handled\n"
    );
}

#[tokio::test]
async fn files_that_are_not_there_and_zones_that_do_not_exist() {
    let ran = run(&["import", "crontab", "/no/such/crontab", "--dry-run"]).await;
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.stderr.contains("/no/such/crontab"), "{}", ran.stderr);
    let ran = run(&["import", "crontab", "-", "--dry-run", "--tz", "Nowhere"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("--tz"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_format_that_cannot_be_told_is_refused() {
    let mixed = "17 * * * * root cd / && x\n0 2 * * * /usr/bin/ls /x\n";
    let server = Server::always(201, "{}");
    for rest in [&["--dry-run"][..], &["--server", &server.url]] {
        let words = [&["import", "crontab", "-", "--tz", "UTC"], rest].concat();
        let ran = run_with(&words, input(mixed)).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Refused, ""));
        assert_eq!(
            ran.stderr,
            "error: cannot tell whether - is a user's crontab or a system crontab: line 1 has a user column (root), and \
             line 2 has none (/usr/bin/ls)\nhint: say which it is: --format user or --format system\n"
        );
    }
    assert!(server.requests().is_empty());
    let lines = import("user", mixed, &["--dry-run", "--json"])
        .await
        .ok()
        .json();
    assert_eq!(
        lines[0]["command"], "root cd / && x",
        "what was said counts"
    );
}

#[tokio::test]
async fn a_random_delay_is_the_jitter_of_the_schedules() {
    let server = Server::always(201, "{}");
    import(
        "user",
        "@daily a\nRANDOM_DELAY=30\n@daily b\n",
        &["--server", &server.url],
    )
    .await
    .ok();
    let jitters: Vec<Value> = server
        .requests()
        .iter()
        .map(|request| request.json()["jitter_ms"].clone())
        .collect();
    assert_eq!(jitters, [Value::Null, json!(1_800_000)]);
}

/// A server with the schedules of an import of two lines.
fn with_two_lines() -> Server {
    Server::start(|request| match request.line.split(' ').next() {
        Some("GET") => {
            let schedule = |id: &str, cron: &str, command: &str| {
                let payload = json!({ "argv": ["/bin/sh", "-c", command] }).to_string();
                whole_schedule(
                    json!({ "id": id, "cron": cron, "time_zone": "UTC", "payload": payload }),
                )
            };
            let schedules = [
                schedule("crontab/-/1-aaaaaaaa", "0 1 * * *", "one"),
                schedule("crontab/-/1-bbbbbbbb", "0 2 * * *", "two"),
            ];
            (200, "", json!({ "schedules": schedules }).to_string())
        }
        _ => (201, "", "{}".to_owned()),
    })
}

#[tokio::test]
async fn files_of_one_name_are_not_imported_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a/f", "b/f"].map(|path| folder.path().join(path));
    for path in &paths {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "1 * * * * one\n").unwrap();
    }
    let [first, second] = [0, 1].map(|index| paths[index].to_str().unwrap());
    let words = ["import", "crontab", first, second, "--dry-run"];
    let ran = run(&[&words[..], &["--tz", "UTC", "--format", "user"]].concat()).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert_eq!(
        ran.stderr,
        format!(
            "error: the schedules of {first} and of {second} would have the same ids\n\
             hint: import them one by one, each with a --prefix of its own\n"
        )
    );
}

#[tokio::test]
async fn an_import_with_prune_follows_the_file() {
    let outcome = async |text: &str, rest: &[&str]| {
        let server = with_two_lines();
        let words = ["--json", "--prune", "--server", &server.url];
        let ran = import("user", text, &[&words[..], rest].concat()).await;
        let rows: Vec<(String, String)> = ran
            .json()
            .iter()
            .filter(|line| line["outcome"].is_string())
            .map(|line| {
                ["id", "outcome"]
                    .map(|name| line[name].as_str().unwrap_or_default().to_owned())
                    .into()
            })
            .collect();
        let writes: Vec<String> = server
            .requests()
            .iter()
            .filter(|request| !request.line.starts_with("GET"))
            .map(|request| request.line.clone())
            .collect();
        (rows, writes)
    };
    let row = |id: &str, outcome: &str| (id.to_owned(), outcome.to_owned());
    let (one, two) = ("crontab/-/1-aaaaaaaa", "crontab/-/1-bbbbbbbb");
    // One line has another time, the other another command.
    let (rows, writes) = outcome("5 1 * * * one\n0 2 * * * two --all\n", &[]).await;
    assert_eq!(rows, [row(one, "created"), row(two, "created")]);
    assert_eq!(writes.len(), 2);
    // A line has gone.
    let (rows, writes) = outcome("0 1 * * * one\n", &[]).await;
    assert_eq!(rows, [row(one, "created"), row(two, "deleted")]);
    assert_eq!(
        writes[1],
        "DELETE /v1/namespaces/default/schedules/crontab%2F-%2F1-bbbbbbbb"
    );
    let (rows, writes) = outcome("0 1 * * * one\n", &["--dry-run"]).await;
    assert_eq!(rows, [row(one, "create"), row(two, "delete")]);
    assert_eq!(writes, [""; 0]);
    // Another import, whose prefix is longer, is another's.
    let (rows, _) = outcome("0 3 * * * three\n", &["--dry-run", "--prefix", "host"]).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    // The line that has gone may be the one that cannot be read.
    let (rows, writes) = outcome("0 1 * * * one\n0 25 * * * two\n", &[]).await;
    assert_eq!(
        rows,
        [
            row(one, "created"),
            row(two, "kept: the file has refused lines")
        ]
    );
    assert_eq!(writes.len(), 1);
}
