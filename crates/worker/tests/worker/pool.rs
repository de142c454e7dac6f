//! The pool, with real children: a shell that does what the payload says.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use minutehand_model::Task;
use minutehand_worker::{
    Confinement, Handler, NoPoolObserver, PoolConfig, PoolEnd, PoolExecutor, PoolObserver,
    StopCause, TIMEOUT_HEADER, Variable, Verdict,
};

use crate::process::{Fifo, run_of};
use crate::support::{FakeQueue, queue, task_named};

/// A child; `F` is the path of a FIFO.
const CHILD: &str = r#"
say() { printf '{"execution_id":"%s",%s}\n' "$id" "$1"; }
echo '{"ready": 1}'
while read -r line; do
  id=${line#*'"execution_id":"'}; id=${id%%'"'*}
  payload=${line#*'"payload":"'}; payload=${payload%%'"'*}
  case $payload in
    who) say "\"result\":\"$$\"" ;;
    env) say "\"result\":\"$(env | cut -d= -f1 | sort | tr '\n' ' ')\"" ;;
    fail) say '"error":"the printer is out of paper","delay_ms":7000' ;;
    discard) say '"error":"there is no printer","retry":false' ;;
    die) echo 'out of memory' >&2; kill -9 $$ ;;
    leave) exit 3 ;;
    close) exec >&-; sleep 1000 ;;
    garbage) echo 'Traceback (most recent call last):' ;;
    other) id=x-7; say '"result":"of another"' ;;
    flood) head -c 100000 /dev/zero | tr '\0' a; sleep 1000 ;;
    twice) say '"result":"once"'; say '"result":"twice"' ;;
    hang) trap '' TERM; exec 3> F; while :; do sleep 1000; done ;;
    late) trap 'say "\"result\":\"late\""; exit' TERM; exec 3> F; while :; do sleep 0.01; done ;;
    fork) (exec 3> F; sleep 1000) & say "\"result\":\"$$\"" ;;
    turn) while :; do :; done ;;
    *) say '"result":""' ;;
  esac
done
"#;

fn config(child: &str) -> PoolConfig {
    PoolConfig {
        queues: vec![queue()],
        command: ["/bin/sh", "-c", child].map(str::to_owned).to_vec(),
        children_max: 1,
        answer_bytes_max: 1_024,
        kill_after_ms: 50,
        ..PoolConfig::default()
    }
}

fn pool(config: PoolConfig) -> PoolExecutor {
    PoolExecutor::new(config, Arc::new(NoPoolObserver))
        .unwrap()
        .expect("it has queues")
}

fn pool_with(fifo: &Path) -> PoolExecutor {
    pool(config(
        &CHILD.replace('F', &format!("'{}'", fifo.display())),
    ))
}

/// Each is an execution of its own.
fn to(payload: &str) -> Task {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Task {
        payload: payload.to_owned().into(),
        ..task_named(&format!("job-{count}"))
    }
}

async fn ask(pool: &PoolExecutor, payload: &str) -> Verdict {
    pool.run(run_of(to(payload))).await
}

/// The number of the child that runs.
async fn who(pool: &PoolExecutor) -> String {
    match ask(pool, "who").await {
        Verdict::Success { detail } if !detail.is_empty() => detail,
        other => panic!("{other:?}"),
    }
}

/// Whether an answer names a reason.
fn has_failed(verdict: &Verdict, parts: &[&str]) -> bool {
    matches!(verdict, Verdict::Failure { reason, .. } if parts.iter().all(|part| reason.contains(part)))
}

#[tokio::test]
async fn one_child_answers_one_run_after_the_other() {
    let pool = pool(config(CHILD));
    let first = who(&pool).await;
    assert_eq!(
        ask(&pool, "fail").await,
        Verdict::Failure {
            reason: "the printer is out of paper".to_owned(),
            retry_after_ms: Some(7_000),
        }
    );
    assert_eq!(
        ask(&pool, "discard").await,
        Verdict::discard("there is no printer")
    );
    assert_eq!(who(&pool).await, first);
}

#[tokio::test]
async fn a_child_that_misbehaves_is_replaced_and_its_run_told() {
    let pool = pool(config(CHILD));
    for (payload, parts) in [
        ("die", &["ended by signal 9", "out of memory"][..]),
        ("leave", &["exit code 3"]),
        ("close", &["it closed its input or output, and went on"]),
        (
            "garbage",
            &["it answered \"Traceback (most recent call last):\""],
        ),
        ("other", &["it answered execution \"x-7\""]),
        ("flood", &["longer than 1024 bytes"]),
    ] {
        let before = who(&pool).await;
        let verdict = ask(&pool, payload).await;
        assert!(has_failed(&verdict, parts), "{payload}: {verdict:?}");
        assert_ne!(who(&pool).await, before, "{payload}");
    }
}

#[tokio::test]
async fn what_a_child_says_unasked_is_no_answer_to_the_next_run() {
    let pool = pool(config(CHILD));
    for _ in 0..20 {
        let before = who(&pool).await;
        assert_eq!(
            ask(&pool, "twice").await,
            Verdict::Success {
                detail: "once".to_owned()
            }
        );
        // Whether the second line came before or after the next run began: nobody takes it for an
        // answer.
        match ask(&pool, "who").await {
            Verdict::Success { detail } => assert_ne!(detail, before),
            verdict => assert!(
                has_failed(&verdict, &["it answered execution"]),
                "{verdict:?}"
            ),
        }
    }
}

#[tokio::test]
async fn a_child_that_ignores_a_stop_is_killed_with_its_group() {
    let fifo = Fifo::new();
    let pool = Arc::new(pool_with(&fifo.path));
    for (cause, expected) in [
        (StopCause::Requested, Verdict::Cancelled),
        (
            StopCause::TimedOut,
            Verdict::failure("the pool's child: the child gave no answer"),
        ),
    ] {
        let run = run_of(to("hang"));
        let running = tokio::spawn({
            let (pool, run) = (Arc::clone(&pool), run.clone());
            async move { pool.run(run).await }
        });
        let held = fifo.opened().await;
        run.ask_to_stop(cause);
        assert_eq!(running.await.unwrap(), expected);
        held.released().await;
    }
    who(&pool).await;
}

#[tokio::test]
async fn an_answer_that_comes_after_the_request_to_stop_counts() {
    let fifo = Fifo::new();
    let slow = PoolConfig {
        kill_after_ms: 60_000,
        ..config(&CHILD.replace('F', &format!("'{}'", fifo.path.display())))
    };
    let pool = Arc::new(pool(slow));
    let run = run_of(to("late"));
    let running = tokio::spawn({
        let (pool, run) = (Arc::clone(&pool), run.clone());
        async move { pool.run(run).await }
    });
    let held = fifo.opened().await;
    run.ask_to_stop(StopCause::Requested);
    let late = Verdict::Success {
        detail: "late".to_owned(),
    };
    assert_eq!(running.await.unwrap(), late);
    held.released().await;
}

#[tokio::test]
async fn what_children_start_dies_with_them() {
    let fifo = Fifo::new();
    let pool = pool_with(&fifo.path);
    let (verdict, held) = tokio::join!(ask(&pool, "fork"), fifo.opened());
    assert!(matches!(verdict, Verdict::Success { .. }), "{verdict:?}");
    drop(pool);
    held.released().await;
}

#[tokio::test]
async fn a_dropped_run_leaves_no_child_behind() {
    let fifo = Fifo::new();
    let pool = Arc::new(pool_with(&fifo.path));
    let running = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { ask(&pool, "hang").await }
    });
    let held = fifo.opened().await;
    running.abort();
    held.released().await;
    who(&pool).await;
}

#[tokio::test]
async fn a_child_sees_only_what_is_listed() {
    let pool = pool(PoolConfig {
        confinement: Confinement {
            env: vec![Variable::new("KEY", "value").unwrap()],
            env_passed: vec!["CARGO_PKG_NAME".to_owned()],
            ..Confinement::default()
        },
        ..config(CHILD)
    });
    let Verdict::Success { detail } = ask(&pool, "env").await else {
        panic!("it failed")
    };
    // A shell adds the last one by itself.
    assert_eq!(detail.trim(), "CARGO_PKG_NAME KEY PATH PWD");
}

/// Keeps what it was told.
#[derive(Default)]
struct Told(Mutex<Vec<Option<PoolEnd>>>);

impl PoolObserver for Told {
    fn started(&self) {
        self.0.lock().unwrap().push(None);
    }

    fn ended(&self, why: PoolEnd) {
        self.0.lock().unwrap().push(Some(why));
    }
}

#[tokio::test]
async fn a_child_is_let_go_after_its_runs() {
    let told = Arc::new(Told::default());
    let two_runs = PoolConfig {
        runs_max: 2,
        kill_after_ms: 60_000,
        ..config(CHILD)
    };
    let pool = PoolExecutor::new(two_runs, told.clone()).unwrap().unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(who(&pool).await);
    }
    assert!(seen[0] == seen[1] && seen[1] != seen[2] && seen[2] == seen[3] && seen[3] != seen[4]);
    drop(pool);
    let told = told.0.lock().unwrap();
    let starts = told.iter().filter(|event| event.is_none()).count();
    assert_eq!(starts, 3);
    assert_eq!(told.last(), Some(&Some(PoolEnd::Stopped)));
}

#[tokio::test]
async fn a_child_that_is_never_ready_costs_no_attempt() {
    for (child, parts) in [
        (
            "echo 'no module named reports' >&2; exit 1",
            &["exit code 1", "no module named"][..],
        ),
        ("echo welcome; sleep 1000", &["it began with \"welcome\""]),
        (
            "echo '{\"ready\": 9}'; sleep 1000",
            &["it speaks version 9"],
        ),
        ("sleep 1000", &["not ready within 20 ms"]),
    ] {
        let start_timeout_ms = if child == "sleep 1000" { 20 } else { 60_000 };
        let told = Arc::new(Told::default());
        let soon = PoolConfig {
            start_timeout_ms,
            ..config(child)
        };
        let pool = PoolExecutor::new(soon, told.clone()).unwrap().unwrap();
        let run = run_of(to("who"));
        let running = tokio::spawn({
            let run = run.clone();
            async move { pool.run(run).await }
        });
        let not_ready = |told: &Told| {
            let events = told.0.lock().unwrap();
            events
                .iter()
                .filter(|event| **event == Some(PoolEnd::NotReady))
                .count()
        };
        while not_ready(&told) < 2 {
            tokio::task::yield_now().await;
        }
        assert!(!running.is_finished(), "{child}");
        run.ask_to_stop(StopCause::TimedOut);
        let verdict = running.await.unwrap();
        let parts = [parts, &["no child of the pool could be started"]].concat();
        assert!(has_failed(&verdict, &parts), "{child}: {verdict:?}");
    }
    let missing = PoolConfig {
        command: vec!["/nowhere/program".to_owned()],
        ..config("")
    };
    let run = run_of(to("who"));
    run.ask_to_stop(StopCause::TimedOut);
    let verdict = pool(missing).run(run).await;
    assert!(matches!(verdict, Verdict::Failure { .. }), "{verdict:?}");
}

#[tokio::test]
async fn limits_hold_for_each_run_of_a_child() {
    let limited = PoolConfig {
        confinement: Confinement {
            cpu_s_max: 1,
            ..Confinement::default()
        },
        ..config(CHILD)
    };
    let pool = pool(limited);
    let before = who(&pool).await;
    let verdict = ask(&pool, "turn").await;
    assert!(has_failed(&verdict, &["ended by signal"]), "{verdict:?}");
    assert_ne!(who(&pool).await, before);
}

#[tokio::test]
async fn a_worker_times_a_child_out_and_goes_on() {
    let fake = FakeQueue::new();
    let hangs = Task {
        headers: vec![(TIMEOUT_HEADER.to_owned(), "100".to_owned())],
        retry: minutehand_model::RetryPolicy::NEVER,
        ..to("close")
    };
    fake.deliver(&hangs);
    fake.deliver(&Task {
        id: minutehand_model::TaskId::parse("next").unwrap(),
        ..to("who")
    });
    let worker = fake
        .worker()
        .handle(queue(), pool(config(CHILD)), 8)
        .build()
        .unwrap();
    worker.run(fake.until_settled(2)).await.unwrap();
    let settled = fake.state().settled.clone();
    let letters: Vec<_> = settled
        .iter()
        .filter_map(|one| one.dead_letter.as_ref())
        .collect();
    assert_eq!(letters.len(), 1);
    assert!(
        letters[0].reason.contains("the pool's child"),
        "{}",
        letters[0].reason
    );
}

#[test]
fn a_pool_needs_queues_and_a_command() {
    let new = |config| PoolExecutor::new(config, Arc::new(NoPoolObserver));
    assert!(new(PoolConfig::default()).unwrap().is_none());
    let no_command = PoolConfig {
        command: Vec::new(),
        ..config("")
    };
    let error = new(no_command).err().unwrap().to_string();
    assert!(error.contains("pool.command is empty"), "{error}");
    let no_queue = PoolConfig {
        queues: Vec::new(),
        ..config("")
    };
    let error = new(no_queue).err().unwrap().to_string();
    assert!(error.contains("pool.queues is empty"), "{error}");
}
