//! What can be typed, and what cannot.

use std::ffi::OsString;

use clap::CommandFactory;
use minutehand_cli::{Cli, Exit, Verb, parse_from, usage_error};

use crate::support::{Buffer, console, run};

fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
    parse_from([&["minutehand"], words].concat())
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_documented_command_line_is_understood() {
    for line in [
        "dev",
        "dev --data-dir d --http 127.0.0.1:0 --crontab a b --partitions 4",
        "bench engine --json",
        "sim --seeds 200 --from 7 --break fence --json",
        "task create --queue mail --in 5m --payload hi",
        "task create -q mail --at 2026-11-24T09:00:00+01:00 -H a=b -H c=d --id x --guarantee exactly-once",
        "task get x --server http://h:1 --namespace n",
        "task --server http://h:1 cancel x",
        "task reschedule x --at 2026-11-24T09:00:00Z --only-if-not-published",
        "task list --from 2026-11-24T09:00:00Z --until 2026-11-25T09:00:00Z --prefix a --limit 5",
        "task import -",
        "tasks import f.ndjson --all-errors",
        "schedule create s --cron '@daily' --tz UTC --queue q --dst skip --overlap skip --misfire latest",
        "schedule create s --every 5m --queue q --dry-run",
        "schedule patch s --cron @hourly --if-revision 3",
        "schedule get s",
        "schedule show s",
        "schedule pause s --note why",
        "schedule resume s",
        "schedule trigger s --overlap allow_all",
        "schedule backfill s --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z",
        "schedule backfills s",
        "schedule stop-backfill s 17",
        "schedule forget-runs s",
        "schedule patch s --run-timeout 3h",
        "schedule revisions s",
        "schedule rollback s --to 2",
        "schedule preview s -n 3",
        "schedule delete s",
        "schedule list",
        "queue list",
        "queue show mail",
        "queue dead-letters mail --limit 3",
        "queue replay mail 1 2 3",
        "queue replay mail --all",
        "queue replay mail --reason 503 --of-namespace shop",
        "queue discard mail --since 2026-11-30T07:00:00Z --before 2026-12-01T07:00:00Z --yes",
        "queue dead-letters mail --reason 503",
        "queue discard mail 7",
        "bucket list",
        "bucket audit 2026-11-29T09:00Z",
        "partition list",
        "import crontab /etc/crontab /etc/cron.d/php --dry-run --prefix host1",
        "import crontab f --format system --prune",
        "dev --crontab a --crontab-format user --http :0",
        "dev --http localhost:0",
        "task create -q q --in 1.5h --url http://h/x --time-limit PT5M",
        "task create -q q --in PT5M -H X-Foo:bar",
        "task import f --from-line 17",
        "queue discard mail --all --yes",
        "sim --break list --json",
        "config show --data-dir x",
        "completion bash",
        "man --dir d",
        "explain @daily --tz Europe/Berlin --dst literal --from 2027-03-14T00:00:00Z -n 3 --json",
        "explain --batch",
        "--json queue list",
    ] {
        let words: Vec<String> = line
            .split(' ')
            .map(|word| word.trim_matches('\'').to_owned())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert!(
            parse(&words).is_ok(),
            "{line}: {}",
            parse(&words).unwrap_err()
        );
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for line in [
        "",
        "tusk list",
        "task create --queue q --in 5m --at 2026-11-24T09:00:00Z",
        "task create --queue q --in soon",
        "task create --queue q --at tomorrow",
        "task create --queue q --in 5m --guarantee maybe",
        "task create --queue q --in 5m --payload a --payload-file b",
        "schedule create s --cron @daily --every 5m",
        "schedule backfill s --from 2026-11-01T00:00:00Z",
        "queue replay mail 1 --all",
        "queue replay mail 1 --reason 503",
        "queue replay mail --all --reason 503",
        "import crontab",
        "import crontab f --format both",
        "dev --crontab-format user",
        "task create --queue q --in -5s",
        "task create --queue q --in 5m --command x --url http://h",
        "task create --queue q --in 5m -H novalue",
        "task import f --from-line 0",
        "dev --http :x",
        "explain",
        "explain @daily --batch",
        "explain @daily -n 0",
        "explain @daily --dst maybe",
        "dev --http nowhere",
        "dev --partitions 0",
        "dev --set novalue",
        "completion klingon",
    ] {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let error = parse(&words).expect_err(line);
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{line}");
    }
    assert_eq!(parse(&["--help"]).expect_err("help").exit_code(), 0);
    assert_eq!(
        parse(&["task", "--version"])
            .expect_err("version")
            .exit_code(),
        0
    );
}

#[test]
fn help_names_the_exit_codes_and_no_secret() {
    let help = Cli::command().render_long_help().to_string();
    for code in [
        "0  done",
        "2  the command line",
        "3  not found",
        "4  conflict",
        "5  the input",
        "6  the server cannot be reached, or cannot do it now",
        "7  the token",
    ] {
        assert!(help.contains(code), "{help}");
    }
}

#[test]
fn a_token_is_never_shown() {
    let cli = parse(&["task", "list", "--token", "s3cret"]).expect("a command line");
    let shown = format!("{cli:?}");
    assert!(
        shown.contains("Token(not shown)") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[test]
fn flags_of_dev_are_settings_and_set_wins_over_them() {
    let words = [
        "dev",
        "--set",
        "gateway.listen=127.0.0.1:1",
        "--http",
        "127.0.0.1:2",
        "--partitions",
        "4",
    ];
    let Verb::Dev(args) = parse(&words).expect("a command line").verb else {
        panic!("not dev")
    };
    let expected = [
        ("gateway.listen", "127.0.0.1:2"),
        ("cluster.partitions", "4"),
        ("gateway.listen", "127.0.0.1:1"),
    ];
    let given = args.sources().set;
    let given: Vec<(&str, &str)> = given
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(given, expected);
}

/// What is not understood here may be understood there, so nothing is.
#[tokio::test]
async fn words_of_the_laboratory_are_passed_on_as_they_are() {
    for (line, passed_on) in [
        ("sim", "lab sim"),
        (
            "sim --seeds 3 --from 7 --break list",
            "lab sim --seeds 3 --from 7 --break list",
        ),
        ("sim --seeds 3 --json", "lab sim --seeds 3 --json"),
        ("--json sim --seeds 3", "lab sim --seeds 3 --json"),
        ("sim --json --seeds 3", "lab sim --seeds 3 --json"),
        ("bench paced --rate 5", "lab bench paced --rate 5"),
        ("bench --help", "lab bench --help"),
        ("sim --version -h", "lab sim --version -h"),
    ] {
        let ran = run(&line.split(' ').collect::<Vec<_>>()).await;
        assert_eq!(ran.stderr, format!("error: {passed_on}\n"), "{line}");
        assert_eq!(ran.exit, Exit::Failed);
    }
}

#[tokio::test]
async fn hooks_are_called_and_their_failures_shown() {
    let ran = run(&["dev", "--data-dir", "here"]).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Failed, ""));
    assert_eq!(ran.stderr, "error: dev in Some(\"here\")\nhint: a hint\n");
}

/// What is wrong with a command line is one problem on standard output, as every other failure is.
#[test]
fn usage_errors_are_problems_too() {
    let told = |line: &str| {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = parse_from(&words).expect_err(line);
        let (stdout, stderr) = (Buffer::default(), Buffer::default());
        let mut console = console(&stdout, &stderr, Box::new(std::io::empty()), false);
        (
            usage_error(&error, &words, &mut console),
            stdout.text(),
            stderr.text(),
        )
    };
    let (exit, stdout, stderr) = told("minutehand --json task create --in -5s");
    assert_eq!(exit, Exit::Usage);
    let problem: serde_json::Value = serde_json::from_str(&stdout).expect("one line of JSON");
    assert_eq!(problem["type"], "urn:minutehand:problem:usage");
    assert_eq!(problem["exit"], 2);
    let detail = problem["detail"].as_str().expect("text");
    assert!(
        detail.contains("'-5s'") && detail.contains("is negative"),
        "{detail}"
    );
    assert!(stderr.contains("is negative"), "{stderr}");
    for (line, detail) in [
        (
            "minutehand --json task get",
            "the following required arguments were not provided: <ID>",
        ),
        (
            "minutehand schedule --json",
            "a verb is missing; --help lists them",
        ),
        ("minutehand --json tusk", "unrecognized subcommand 'tusk'"),
        (
            "minutehand --json=yes queue list",
            "unexpected value 'yes' for '--json' found; no more were expected",
        ),
    ] {
        let (exit, stdout, _) = told(line);
        let problem: serde_json::Value = serde_json::from_str(&stdout).expect("one line of JSON");
        assert_eq!((exit, &problem["detail"]), (Exit::Usage, &detail.into()));
    }
    let (exit, stdout, stderr) = told("minutehand tusk");
    assert_eq!((exit, stdout.as_str()), (Exit::Usage, ""));
    assert!(stderr.contains("tusk"), "{stderr}");
}

#[test]
fn addresses_may_be_names_or_a_port() {
    let http = |word: &str| {
        let Verb::Dev(args) = parse(&["dev", "--http", word]).expect(word).verb else {
            panic!("not dev")
        };
        args.http.expect("given").to_string()
    };
    assert_eq!(http(":7556"), "127.0.0.1:7556");
    assert_eq!(http("[::1]:7556"), "[::1]:7556");
    assert!(http("localhost:7556").ends_with(":7556"));
}

#[tokio::test]
async fn settings_are_shown_with_their_origin() {
    let ran = run(&["config", "show", "--data-dir", "x"]).await.ok();
    let lines: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[1],
        ["embedded.data_dir", "x", "flag", "Everything", "durable"]
    );
    let json = run(&["config", "show", "--json", "--log", "info"])
        .await
        .ok()
        .json();
    assert_eq!(json[0]["name"], "telemetry.log");
    assert_eq!(json[0]["origin"], "flag");
}

/// What has gone out and has not ended is in no list.
#[test]
fn tasks_are_not_listed_as_published() {
    let refused = parse_from(["minutehand", "task", "list", "--state", "published"]);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("succeeded"), "{refused}");
    let listed = refused.lines().skip(1).collect::<String>();
    assert!(!listed.contains("published"), "{refused}");
}
