//! The process executor, with real processes.
//!
//! Whether a process still lives is seen through a FIFO that it holds open for writing: its reader
//! comes to the end when the last holder is gone, and not before.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use minutehand_model::{Task, Timestamp};
use minutehand_worker::{
    CapturedOutput, Confinement, DETAIL_BYTES_MAX, Handler, OutputStore, ProcessConfig,
    ProcessExecutor, Run, StopCause, TIMEOUT_HEADER, Variable, Verdict,
};
use tempfile::TempDir;

use crate::support::{FakeQueue, NOW_MS, execution_of, queue, task_named};

pub(crate) fn run_of(task: Task) -> Run {
    Run::new(execution_of(task), Timestamp::from_millis(NOW_MS))
}

fn line(line: &str) -> Task {
    let headers = vec![("minutehand-command".to_owned(), line.to_owned())];
    Task {
        headers,
        payload: bytes::Bytes::new(),
        ..task_named("job")
    }
}

fn described(json: &str) -> Task {
    Task {
        payload: json.to_owned().into(),
        ..task_named("job")
    }
}

async fn verdict_of(task: Task) -> Verdict {
    executor().run(run_of(task)).await
}

fn executor() -> ProcessExecutor {
    ProcessExecutor::new(&ProcessConfig::default()).unwrap()
}

fn said(detail: &str) -> Verdict {
    Verdict::Success {
        detail: detail.to_owned(),
    }
}

/// A FIFO in a folder of its own.
pub(crate) struct Fifo {
    _folder: TempDir,
    pub(crate) path: PathBuf,
}

impl Fifo {
    pub(crate) fn new() -> Fifo {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        Fifo {
            _folder: folder,
            path,
        }
    }

    /// Waits until a process has opened it for writing.
    pub(crate) async fn opened(&self) -> Opened {
        let path = self.path.clone();
        Opened(
            tokio::task::spawn_blocking(move || File::open(path).unwrap())
                .await
                .unwrap(),
        )
    }
}

pub(crate) struct Opened(File);

impl Opened {
    /// Waits until no process has it open any more.
    pub(crate) async fn released(mut self) {
        let read =
            tokio::task::spawn_blocking(move || self.0.read_to_end(&mut Vec::new()).unwrap());
        read.await.unwrap();
    }
}

/// A store that keeps the last output.
#[derive(Default)]
struct Kept(Mutex<Option<(Vec<u8>, u64, String)>>);

#[async_trait]
impl OutputStore for Kept {
    async fn keep(&self, output: CapturedOutput<'_>) -> io::Result<()> {
        assert_eq!(output.execution.task.id.as_str(), "job");
        *self.0.lock().unwrap() = Some((
            output.bytes.to_vec(),
            output.bytes_left_out,
            output.ended.to_owned(),
        ));
        Ok(())
    }
}

fn keeping(config: ProcessConfig) -> (ProcessExecutor, Arc<Kept>) {
    let kept = Arc::new(Kept::default());
    let executor = ProcessExecutor::new(&config).unwrap();
    (executor.keeping(kept.clone()), kept)
}

#[tokio::test]
async fn the_exit_code_decides() {
    for (command, expected) in [
        ("true", said("")),
        ("echo done; echo really >&2", said("done\nreally")),
        ("exit 3", Verdict::failure("exit code 3")),
        (
            "echo first; echo no such disk >&2; exit 255",
            Verdict::failure("exit code 255: first\nno such disk"),
        ),
        ("kill -9 $$", Verdict::failure("ended by signal 9")),
        (
            "no-such-program-anywhere 2>/dev/null",
            Verdict::failure("exit code 127"),
        ),
    ] {
        assert_eq!(verdict_of(line(command)).await, expected, "{command}");
    }
}

#[tokio::test]
async fn a_task_may_describe_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let cwd = folder.path().canonicalize().unwrap();
    let json = serde_json::json!({
        "argv": ["/bin/sh", "-c", "echo \"$1|$LEVEL|$(pwd)|$(cat)\"", "sh", "two  words"],
        "env": {"LEVEL": "3"},
        "cwd": cwd,
        "stdin": "from stdin",
    });
    let expected = format!("two  words|3|{}|from stdin", cwd.display());
    assert_eq!(
        verdict_of(described(&json.to_string())).await,
        said(&expected)
    );
}

#[tokio::test]
async fn a_task_without_a_sensible_command_is_discarded() {
    for (payload, reason) in [
        (
            "hello",
            "the task says no command: it has no header minutehand-command, and its payload is not ",
        ),
        ("", "the task says no command"),
        (
            r#"{"argv": ["true"], "user": "root"}"#,
            "unknown field `user`",
        ),
        (r#"{"argv": []}"#, "argv is empty"),
        (r#"{"argv": [""]}"#, "argv is empty"),
        (r#"{"argv": ["tr\u0000ue"]}"#, "zero byte"),
        (
            r#"{"argv": ["true"], "env": {"A=B": "1"}}"#,
            "env has \"A=B\"",
        ),
        (r#"{"argv": ["true"], "env": {"": "1"}}"#, "env has \"\""),
    ] {
        let Verdict::Discard { reason: given } = verdict_of(described(payload)).await else {
            panic!("{payload} ran")
        };
        assert!(given.contains(reason), "{payload}: {given}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_a_failure_that_names_it() {
    let verdict = verdict_of(described(
        r#"{"argv":["/bin/true"],"cwd":"/no/such/folder"}"#,
    ))
    .await;
    let Verdict::Failure { reason, .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert!(
        reason.starts_with("could not run \"/bin/true\" in the folder \"/no/such/folder\": "),
        "{reason}"
    );
    let Verdict::Failure { reason, .. } =
        verdict_of(described(r#"{"argv": ["/nowhere/backup"]}"#)).await
    else {
        panic!("it ran")
    };
    assert!(
        reason.starts_with("could not run \"/nowhere/backup\": "),
        "{reason}"
    );
}

#[tokio::test]
async fn a_command_sees_its_execution_and_none_of_the_workers_secrets() {
    assert!(
        std::env::var_os("CARGO_MANIFEST_DIR").is_some(),
        "the test's own environment has more than the command's"
    );
    let task = Task {
        attempt: 2,
        ..line("env | sort")
    };
    let execution = execution_of(task.clone());
    let with = |confinement| {
        let config = ProcessConfig {
            confinement,
            ..ProcessConfig::default()
        };
        ProcessExecutor::new(&config).unwrap()
    };
    let mailing = with(Confinement {
        env: vec![Variable::new("MAILTO", "ops").unwrap()],
        ..Confinement::default()
    });
    let Verdict::Success { detail } = mailing.run(run_of(task)).await else {
        panic!()
    };
    let lines: Vec<&str> = detail.lines().collect();
    for expected in [
        "MAILTO=ops".to_owned(),
        format!("MINUTEHAND_MESSAGE_ID={}", execution.message),
        format!("MINUTEHAND_EXECUTION_ID={}", execution.id),
        format!("MINUTEHAND_DELIVERY_TOKEN={}", execution.token),
        "MINUTEHAND_TASK_ID=job".to_owned(),
        "MINUTEHAND_ATTEMPT=2".to_owned(),
        format!("MINUTEHAND_DUE_AT={}", Timestamp::from_millis(NOW_MS)),
    ] {
        assert!(lines.contains(&&*expected), "{expected} is not in {detail}");
    }
    assert!(lines.iter().any(|line| line.starts_with("PATH=")));
    assert!(!detail.contains("CARGO"), "{detail}");
    let passing = with(Confinement {
        env_passed: vec!["CARGO_PKG_NAME".into()],
        ..Confinement::default()
    });
    let verdict = passing.run(run_of(line("echo $CARGO_PKG_NAME"))).await;
    assert_eq!(verdict, said("minutehand-worker"));
}

#[tokio::test]
async fn a_large_standard_input_is_read_or_not_as_the_command_likes() {
    let large = bytes::Bytes::from(vec![b'x'; 256 * 1024]);
    for (command, expected) in [
        ("wc -c | tr -d ' '", "262144"),
        ("true", ""),
        ("exec 0<&-; echo on", "on"),
    ] {
        let task = Task {
            payload: large.clone(),
            ..line(command)
        };
        assert_eq!(verdict_of(task).await, said(expected), "{command}");
    }
    // Both directions at once, more than any pipe holds.
    let (executor, kept) = keeping(ProcessConfig::default());
    executor
        .run(run_of(Task {
            payload: large,
            ..line("cat")
        }))
        .await;
    assert_eq!(kept.0.lock().unwrap().as_ref().unwrap().0.len(), 64 * 1024);
}

#[tokio::test]
async fn the_end_of_the_output_is_kept() {
    let (executor, kept) = keeping(ProcessConfig::default());
    let command = "i=0; while [ $i -lt 30000 ]; do echo \"line $i\"; i=$((i+1)); done; exit 1";
    let Verdict::Failure { reason, .. } = executor.run(run_of(line(command))).await else {
        panic!()
    };
    assert!(
        reason.starts_with("exit code 1: ") && reason.ends_with("line 29999"),
        "{reason}"
    );
    assert!(reason.len() <= DETAIL_BYTES_MAX);
    let everything: String = (0..30_000)
        .map(|number| format!("line {number}\n"))
        .collect();
    let from = everything.len() - 64 * 1024;
    let (bytes, left_out, ended) = kept.0.lock().unwrap().take().unwrap();
    assert_eq!(
        (bytes.len(), left_out, &*ended),
        (64 * 1024, from as u64, "exit code 1")
    );
    assert!(
        bytes == everything.as_bytes()[from..],
        "the bytes are the last ones"
    );

    let (executor, kept) = keeping(ProcessConfig {
        output_bytes_max: 3,
        ..ProcessConfig::default()
    });
    executor.run(run_of(line("printf abcdefgh"))).await;
    assert_eq!(
        *kept.0.lock().unwrap(),
        Some((b"fgh".to_vec(), 5, "exit code 0".to_owned()))
    );
}

#[tokio::test]
async fn output_that_is_no_text_does_no_harm() {
    let Verdict::Success { detail } = verdict_of(line("printf '\\377\\000\\376ok'")).await else {
        panic!()
    };
    assert!(detail.ends_with("ok"), "{detail:?}");
}

/// A shell line that starts a process of its own which holds the FIFO open, and then waits.
fn with_descendant(path: &Path, before: &str, after: &str) -> Task {
    line(&format!(
        "{before} (sleep 1000 > '{}') & {after}",
        path.display()
    ))
}

#[tokio::test]
async fn a_stop_reaches_the_whole_group() {
    let fifo = Fifo::new();
    let run = run_of(with_descendant(&fifo.path, "", "wait"));
    let running = tokio::spawn({
        let run = run.clone();
        async move { executor().run(run).await }
    });
    let held = fifo.opened().await;
    run.ask_to_stop(StopCause::TimedOut);
    assert_eq!(
        running.await.unwrap(),
        Verdict::failure("ended by signal 15")
    );
    held.released().await;
}

#[tokio::test]
async fn a_group_that_ignores_the_request_is_killed() {
    let fifo = Fifo::new();
    let run = run_of(with_descendant(
        &fifo.path,
        "trap '' TERM; echo started;",
        "wait; sleep 1000",
    ));
    let (executor, kept) = keeping(ProcessConfig {
        kill_after_ms: 50,
        ..ProcessConfig::default()
    });
    let running = tokio::spawn({
        let run = run.clone();
        async move { executor.run(run).await }
    });
    let held = fifo.opened().await;
    run.ask_to_stop(StopCause::Requested);
    assert_eq!(running.await.unwrap(), Verdict::Cancelled);
    held.released().await;
    let kept = kept.0.lock().unwrap().take();
    assert_eq!(
        kept,
        Some((b"started\n".to_vec(), 0, "ended by signal 9".to_owned()))
    );
}

/// Every way to hold on to life, in every combination: nothing of it outlives the run, asked to
/// stop or dropped.
#[tokio::test]
async fn nothing_that_a_command_does_keeps_it_alive() {
    const BEFORE: [&str; 3] = ["", "trap '' TERM;", "trap '' TERM INT HUP QUIT;"];
    const HOLDERS: [&str; 5] = [
        "(sleep 1000 > F) &",
        "(trap '' TERM; sleep 1000 > F; sleep 1000) &",
        "((sleep 1000 > F) &);",
        "nohup sleep 1000 > F 2> /dev/null < /dev/null &",
        "exec 3> F; sleep 1000 &",
    ];
    const AFTER: [&str; 3] = ["wait", "wait; sleep 1000", "while :; do sleep 1; done"];
    let config = ProcessConfig {
        kill_after_ms: 20,
        ..ProcessConfig::default()
    };
    let executor = ProcessExecutor::new(&config).unwrap();
    let mut cases = tokio::task::JoinSet::new();
    for before in BEFORE {
        for holder in HOLDERS {
            for (after, is_dropped) in AFTER
                .iter()
                .flat_map(|after| [(after, true), (after, false)])
            {
                let (fifo, executor) = (Fifo::new(), executor.clone());
                let held_by = holder.replace('F', &format!("'{}'", fifo.path.display()));
                let run = run_of(line(&format!("{before} {held_by} {after}")));
                cases.spawn(async move {
                    let running = tokio::spawn({
                        let run = run.clone();
                        async move { executor.run(run).await }
                    });
                    let held = fifo.opened().await;
                    if is_dropped {
                        running.abort();
                    } else {
                        run.ask_to_stop(StopCause::Requested);
                        // One whose child is not its own any more has nothing to wait for, and ends
                        // well.
                        let verdict = running.await.unwrap();
                        let has_ended =
                            matches!(verdict, Verdict::Success { .. } | Verdict::Cancelled);
                        assert!(has_ended, "{verdict:?}");
                    }
                    held.released().await;
                });
            }
        }
    }
    assert_eq!(cases.join_all().await.len(), 90);
}

#[tokio::test]
async fn a_dropped_run_leaves_nothing_behind() {
    let fifo = Fifo::new();
    let run = run_of(with_descendant(&fifo.path, "trap '' TERM;", "wait"));
    let running = tokio::spawn(async move { executor().run(run).await });
    let held = fifo.opened().await;
    running.abort();
    held.released().await;
}

#[tokio::test]
async fn a_finished_command_leaves_nothing_behind() {
    let fifo = Fifo::new();
    // The command ends once the FIFO was opened; its descendant would live on, with the output
    // still open.
    let marker = fifo.path.with_extension("opened");
    let command = format!(
        "(exec > '{}'; touch '{marker}'; exec sleep 1000) & while [ ! -e '{marker}' ]; do :; done; echo over",
        fifo.path.display(),
        marker = marker.display(),
    );
    let (verdict, held) = tokio::join!(verdict_of(line(&command)), fifo.opened());
    assert_eq!(verdict, said("over"));
    held.released().await;
}

#[tokio::test]
async fn a_worker_times_a_command_out() {
    let fake = FakeQueue::new();
    let mut task = line("sleep 1000");
    task.headers
        .push((TIMEOUT_HEADER.to_owned(), "100".to_owned()));
    task.retry = minutehand_model::RetryPolicy::NEVER;
    fake.deliver(&task);
    let worker = fake
        .worker()
        .handle(queue(), executor(), 1)
        .build()
        .unwrap();
    worker.run(fake.until_settled(1)).await.unwrap();
    let letter = fake.state().settled[0].dead_letter.clone().unwrap();
    assert_eq!(letter.reason, "timed out after 100 ms: ended by signal 15");
}

#[tokio::test]
async fn limits_hold_for_a_command_from_its_start() {
    let config = ProcessConfig {
        confinement: Confinement {
            memory_bytes_max: 256 << 20,
            cpu_s_max: 2,
            open_files_max: 40,
            file_bytes_max: 8 * 1024,
            ..Confinement::default()
        },
        ..ProcessConfig::default()
    };
    let executor = ProcessExecutor::new(&config).unwrap();
    let of = |command: &str| executor.run(run_of(line(command)));
    let limits = "ulimit -v; ulimit -t; ulimit -n; ulimit -f";
    assert_eq!(of(limits).await, said("262144\n2\n40\n16"));
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("long");
    let fills = format!(
        "trap '' XFSZ; head -c 100000 /dev/zero > '{}'",
        long.display()
    );
    assert!(matches!(of(&fills).await, Verdict::Failure { .. }));
    assert_eq!(std::fs::metadata(long).unwrap().len(), 8 * 1024);
    let turns = of("while :; do :; done").await;
    assert!(
        matches!(&turns, Verdict::Failure { reason, .. } if reason.starts_with("ended by signal")),
        "{turns:?}"
    );
    let missing = executor.run(run_of(described(r#"{"argv": ["/nowhere/backup"]}"#)));
    let Verdict::Failure { reason, .. } = missing.await else {
        panic!("it ran")
    };
    assert!(
        reason.contains("exit code 127") && reason.contains("/nowhere/backup"),
        "{reason}"
    );
}

#[test]
fn a_user_that_is_not_there_is_refused() {
    let config = ProcessConfig {
        confinement: Confinement {
            user: Some("nobody-of-that-name".to_owned()),
            ..Confinement::default()
        },
        ..ProcessConfig::default()
    };
    let Err(error) = ProcessExecutor::new(&config) else {
        panic!("it was made")
    };
    assert!(error.to_string().starts_with("process.user is "), "{error}");
}
