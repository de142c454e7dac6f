//! `minutehand explain`

use std::io::{self, BufReader, Read};
use std::sync::mpsc;

use expect_test::expect;
use minutehand_cli::{Console, Exit, parse_from, run_on};
use serde_json::json;

use crate::support::{Buffer, Hooks, input, now, run, run_with};

#[tokio::test]
async fn a_person_reads_words_times_and_clock_changes() {
    let ran = run(&[
        "explain",
        "30 2 * * *",
        "--tz",
        "America/New_York",
        "--from",
        "2027-03-13T00:00:00Z",
        "-n",
        "3",
    ])
    .await
    .ok();
    expect![[r#"
        30 2 * * *
        at 02:30 (America/New_York)

        local (America/New_York)     UTC                   from now
        Sat 2027-03-13 02:30:00 EST  2027-03-13T07:30:00Z  in 109 d
        Sun 2027-03-14 03:00:00 EDT  2027-03-14T07:00:00Z  in 109 d 23 h
        Mon 2027-03-15 02:30:00 EDT  2027-03-15T06:30:00Z  in 110 d 23 h

        clock changes (rule vixie):
          2027-03-14: 02:30 does not exist in America/New_York (clocks go 02:00 -> 03:00); runs once, at 03:00 EDT
          2028-03-12: 02:30 does not exist in America/New_York (clocks go 02:00 -> 03:00); runs once, at 03:00 EDT
    "#]]
    .assert_eq(&ran.stdout);
}

#[tokio::test]
async fn the_default_is_utc_from_now() {
    let ran = run(&["explain", "0 9-17 * * 1-5", "-n", "2"]).await.ok();
    expect![[r#"
        0 9-17 * * 1-5
        every hour from 09:00 through 17:00, Monday through Friday (UTC)

        local (UTC)                  UTC                   from now
        Tue 2026-11-24 09:00:00 UTC  2026-11-24T09:00:00Z  in 1 h
        Tue 2026-11-24 10:00:00 UTC  2026-11-24T10:00:00Z  in 2 h
    "#]]
    .assert_eq(&ran.stdout);
}

#[tokio::test]
async fn scripts_read_next_in_utc() {
    let words = [
        "explain",
        "30 2 * * *",
        "--tz",
        "America/New_York",
        "--dst",
        "skip",
        "--from",
        "2027-03-13T00:00:00Z",
        "-n",
        "2",
        "--json",
    ];
    let json = &run(&words).await.ok().json()[0];
    assert_eq!(
        json["next"],
        json!(["2027-03-13T07:30:00Z", "2027-03-15T06:30:00Z"])
    );
    assert_eq!(json["local"][1], "Mon 2027-03-15 02:30:00 EDT");
    assert_eq!(json["zone"], "America/New_York");
    assert_eq!(json["dst"], "skip");
    assert_eq!(json["notes"][0]["kind"], "gap_skipped");
    let gap = run(&[
        "explain",
        "0 2 * * *",
        "--tz",
        "America/New_York",
        "--from",
        "2027-03-14T00:00:00-05:00",
        "-n",
        "1",
        "--json",
    ]);
    assert_eq!(
        gap.await.ok().json()[0]["next"],
        json!(["2027-03-14T07:00:00Z"])
    );
}

#[tokio::test]
async fn intervals_nicknames_and_zone_prefixes_are_explained() {
    let next = async |expression: &str| {
        let words = [
            "explain",
            expression,
            "--from",
            "2026-11-24T08:00:00Z",
            "-n",
            "2",
            "--json",
        ];
        run(&words).await.ok().json()[0]["next"].clone()
    };
    assert_eq!(
        next("@every 90s").await,
        json!(["2026-11-24T08:01:30Z", "2026-11-24T08:03:00Z"])
    );
    // An interval counts from 1970, as a schedule's does, not from the time asked for.
    assert_eq!(
        next("@every 7h").await,
        json!(["2026-11-24T13:00:00Z", "2026-11-24T20:00:00Z"])
    );
    assert_eq!(
        next("@daily").await,
        json!(["2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"])
    );
    assert_eq!(
        next("TZ=Europe/Berlin @daily").await,
        json!(["2026-11-24T23:00:00Z", "2026-11-25T23:00:00Z"])
    );
    assert_eq!(
        next("0 0 0 1 1 * 2027").await,
        json!(["2027-01-01T00:00:00Z"]),
        "fewer when there are no more"
    );
}

#[tokio::test]
async fn a_bad_expression_is_shown_with_a_caret() {
    let ran = run(&["explain", "0 25 * * *"]).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Refused, ""));
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(
        lines[..2],
        ["error: the expression cannot be read", "0 25 * * *"]
    );
    assert!(lines[2].starts_with("  ^^ "), "{}", ran.stderr);
    let ran = run(&["explain", "0 25 * * *", "--json"]).await;
    assert_eq!(ran.json()[0]["error"]["column"], 3);
    let ran = run(&["explain", "@daily", "--tz", "Europe/Berln"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert_eq!(
        ran.stderr,
        "error: unknown time zone \"Europe/Berln\"; did you mean Europe/Berlin?\n"
    );
}

#[tokio::test]
async fn a_batch_is_answered_line_by_line_in_order() {
    let questions = "\
        {\"expr\":\"0 9 * * *\",\"tz\":\"Europe/Berlin\",\"dst\":\"vixie\",\"from\":\"2026-11-24T00:00:00Z\",\"n\":2}\n\
        \n\
        {\"expr\":\"0 25 * * *\"}\r\n\
        {\"expr\":\"@daily\",\"tz\":\"Nowhere/At_All\"}\n\
        {\"expr\":\"@daily\",\"from\":\"yesterday\"}\n\
        {\"expr\":\"@daily\",\"n\":0}\n\
        {\"expr\":\"@daily\",\"dst\":\"maybe\"}\n\
        {\"expr\":\"@daily\",\"zone\":\"UTC\"}\n\
        nonsense\n\
        {\"expr\":\"@daily\"}";
    let ran = run_with(
        &[
            "explain",
            "--batch",
            "-n",
            "1",
            "--from",
            "2026-11-24T00:00:00Z",
        ],
        input(questions),
    )
    .await;
    let answers = ran.ok().json();
    assert_eq!(answers.len(), 9);
    assert_eq!(
        answers[0],
        json!({ "next": ["2026-11-24T08:00:00Z", "2026-11-25T08:00:00Z"] })
    );
    assert_eq!(answers[1]["error"]["column"], 3);
    for (index, words) in [
        (2, "Nowhere"),
        (3, "from"),
        (4, "n must be"),
        (5, "maybe"),
        (6, "zone"),
        (7, "question"),
    ] {
        let message = answers[index]["error"]["message"]
            .as_str()
            .expect("a message");
        assert!(message.contains(words), "{message}");
        assert!(answers[index]["error"]["column"].is_null(), "{message}");
    }
    assert_eq!(
        answers[8],
        json!({ "next": ["2026-11-25T00:00:00Z"] }),
        "the last line needs no end"
    );
}

#[tokio::test]
async fn an_overlong_line_is_one_error_and_the_next_is_answered() {
    let questions = format!(
        "{{\"expr\":\"{}\"}}\n{{\"expr\":\"@hourly\"}}\n",
        "x".repeat(200_000)
    );
    let answers = run_with(&["explain", "--batch", "-n", "1"], input(&questions))
        .await
        .ok()
        .json();
    assert!(
        answers[0]["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("65536")),
        "{answers:?}"
    );
    assert_eq!(answers[1], json!({ "next": ["2026-11-24T09:00:00Z"] }));
}

/// A standard input that hands out one line, then waits until it is told what the answer to it was.
struct Dialogue {
    lines: Vec<&'static str>,
    stdout: Buffer,
    seen: mpsc::Sender<String>,
}

impl Read for Dialogue {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.seen
            .send(self.stdout.text())
            .expect("the test listens");
        if self.lines.is_empty() {
            return Ok(0);
        }
        let line = self.lines.remove(0);
        buffer[..line.len()].copy_from_slice(line.as_bytes());
        Ok(line.len())
    }
}

#[tokio::test]
async fn an_answer_is_handed_out_before_the_next_question_is_awaited() {
    let (seen, answers) = mpsc::channel();
    let stdout = Buffer::default();
    let dialogue = Dialogue {
        lines: vec!["{\"expr\":\"@daily\"}\n", "{\"expr\":\"@hourly\"}\n"],
        stdout: stdout.clone(),
        seen,
    };
    let mut console = Console {
        stdout: Box::new(io::BufWriter::new(stdout)),
        stderr: Box::new(Buffer::default()),
        stdin: Box::new(BufReader::new(dialogue)),
        can_ask: false,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        colour: false,
        clock: now,
    };
    let cli = parse_from(["minutehand", "explain", "--batch", "-n", "1"]).expect("a command line");
    assert_eq!(run_on(cli, &Hooks, &mut console).await, Exit::Ok);
    let lines: Vec<usize> = answers
        .try_iter()
        .map(|text| text.lines().count())
        .collect();
    assert_eq!(
        lines,
        [0, 1, 2],
        "what stood on standard output at each read"
    );
}
