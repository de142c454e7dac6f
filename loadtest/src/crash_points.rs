//! Guarantees by crash point: a worker is killed at every step of a run, and what each guarantee
//! promises is looked for afterwards.
//!
//! A child process creates tasks of every guarantee, some that succeed and some that never do, and
//! kills itself (SIGKILL) when its worker passes a point for the n-th time. Another child lets
//! everything end that is left. The handler writes a line for every effect before anything else can
//! happen, so that what happened outside is known whatever becomes of the process. Every task is
//! followed by another, whichever way it ends: each must be there once.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use minutehand_embedded::{Config as StoreConfig, EmbeddedStore};
use minutehand_engine::Config;
use minutehand_model::chain::PARENT_ID_HEADER;
use minutehand_model::{
    Backoff, Chain, ChainedTask, Guarantee, OutcomeKind, QueueName, RetryPolicy, Task, TaskId,
    choice,
};
use minutehand_node::{Clock, SystemClock, ValidTask};
use minutehand_ports::{
    Claim, Delivery, DeliveryId, ExecutionQueue, History, PortError, QueueDepth, Report,
    Settlement, Stop, StopReceiver,
};
use minutehand_standalone::Scheduler;
use minutehand_worker::{Handler, HistoryPolicy, Run, Verdict, Worker};

use crate::Figure;
use crate::end_to_end::Failure;
use crate::engine::sample_task;

choice!(
    /// Where a worker is killed, in the order in which a run passes.
    CrashPoint, "point" {
        /// Executions were handed out; the worker has not seen them.
        HandedOut = "handed-out",
        /// At-most-once executions are about to be claimed.
        BeforeClaim = "before-claim",
        /// The claim is on its way to the store.
        DuringClaim = "during-claim",
        /// The claim is durable; the worker has not heard of it.
        AfterClaim = "after-claim",
        /// The handler has begun; nothing has happened.
        BeforeEffect = "before-effect",
        /// The effect has happened; the handler has not returned.
        AfterEffect = "after-effect",
        /// Ends are about to be settled.
        BeforeSettle = "before-settle",
        /// The settlement is on its way to the store.
        DuringSettle = "during-settle",
        /// The settlement is durable; the worker has not heard of it.
        AfterSettle = "after-settle",
        /// The end of a claimed run is about to be reported.
        BeforeReport = "before-report",
        /// The report is on its way to the store.
        DuringReport = "during-report",
        /// The report is durable; the worker has not heard of it.
        AfterReport = "after-report",
    }
);

/// Tasks of each guarantee that succeed, and as many that never do.
const TASKS: u64 = 4;
/// Attempts of those that never succeed.
const ATTEMPTS_MAX: u32 = 2;
/// Where what follows the tasks goes.
const FOLLOWERS: &str = "followers";
/// The journal of effects, and the report of the second child.
const EFFECTS: &str = "effects";
const ENDS: &str = "ends";
/// How long something on its way is left alone before the kill, at most.
const ON_ITS_WAY_MAX: Duration = Duration::from_millis(4);
/// Longest time that everything may take to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was found after runs at one point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Runs whose worker was killed there; in the others it did not come so far.
    pub killed: u64,
    /// Effects of at-most-once tasks that happened twice.
    pub ran_twice: u64,
    /// At-most-once tasks of whose end nothing is told.
    pub untold: u64,
    /// Other tasks that had no effect.
    pub lost: u64,
    /// What the scheduler keeps once (an end, a retry, a dead letter) and was there never or twice.
    pub not_once: u64,
    /// Tasks of every guarantee whose end was followed by no other task, or by two.
    pub not_followed_once: u64,
    /// Effects of other tasks that happened again: allowed, and refused by whoever remembers the
    /// message.
    pub effects_again: u64,
    /// At-most-once tasks that were lost: allowed.
    pub allowed_losses: u64,
}

impl Audit {
    /// Promises that were not kept.
    pub fn broken(&self) -> u64 {
        self.ran_twice + self.untold + self.lost + self.not_once + self.not_followed_once
    }
}

/// Kills itself when a point is passed for the n-th time.
struct Killer {
    point: Option<CrashPoint>,
    passes_left: AtomicU64,
}

impl Killer {
    /// Whether this is the moment.
    fn is_due(&self, point: CrashPoint) -> bool {
        self.point == Some(point) && self.passes_left.fetch_sub(1, Ordering::SeqCst) == 1
    }

    fn passes(&self, point: CrashPoint) {
        if self.is_due(point) {
            die();
        }
    }

    /// Dies while something is on its way.
    fn passes_soon(&self, point: CrashPoint) {
        if self.is_due(point) {
            std::thread::spawn(|| {
                let nanos = SystemClock.now().as_millis().unsigned_abs() % 5;
                std::thread::sleep(ON_ITS_WAY_MAX * u32::try_from(nanos).unwrap_or(0) / 4);
                die();
            });
        }
    }
}

/// The process ends as a whole, at once, without a word to anybody.
fn die() -> ! {
    use rustix::process::{Signal, getpid, kill_process};
    kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
    unreachable!("it was killed");
}

/// A queue whose worker dies at a point.
struct Deadly {
    inner: Arc<EmbeddedStore>,
    killer: Arc<Killer>,
}

#[async_trait]
impl ExecutionQueue for Deadly {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }

    async fn poll(
        &self,
        queue: &QueueName,
        group: &str,
        count_max: usize,
    ) -> Result<Vec<Delivery>, PortError> {
        let handed_out = self.inner.poll(queue, group, count_max).await;
        self.killer.passes(CrashPoint::HandedOut);
        handed_out
    }

    async fn settle(
        &self,
        queue: &QueueName,
        group: &str,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        self.killer.passes(CrashPoint::BeforeSettle);
        self.killer.passes_soon(CrashPoint::DuringSettle);
        let settled = self.inner.settle(queue, group, settlements).await;
        self.killer.passes(CrashPoint::AfterSettle);
        settled
    }

    async fn claim(
        &self,
        queue: &QueueName,
        group: &str,
        claims: Vec<Claim>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        self.killer.passes(CrashPoint::BeforeClaim);
        self.killer.passes_soon(CrashPoint::DuringClaim);
        let claimed = self.inner.claim(queue, group, claims).await;
        self.killer.passes(CrashPoint::AfterClaim);
        claimed
    }

    async fn report(
        &self,
        queue: &QueueName,
        group: &str,
        reports: Vec<Report>,
    ) -> Result<(), PortError> {
        self.killer.passes(CrashPoint::BeforeReport);
        self.killer.passes_soon(CrashPoint::DuringReport);
        let reported = self.inner.report(queue, group, reports).await;
        self.killer.passes(CrashPoint::AfterReport);
        reported
    }

    fn let_go(&self, queue: &QueueName, group: &str, ids: Vec<DeliveryId>) {
        self.inner.let_go(queue, group, ids);
    }

    async fn ask_to_stop(&self, queue: &QueueName, stops: Vec<Stop>) -> Result<(), PortError> {
        self.inner.ask_to_stop(queue, stops).await
    }

    fn stops(&self, queue: &QueueName) -> StopReceiver {
        self.inner.stops(queue)
    }

    async fn queues(&self) -> Result<Vec<QueueName>, PortError> {
        self.inner.queues().await
    }

    async fn depth(&self, queue: &QueueName, group: &str) -> Result<QueueDepth, PortError> {
        self.inner.depth(queue, group).await
    }
}

/// Has its effect, which is a line in a file, and succeeds or fails as the task's id says.
struct Effects {
    journal: Mutex<File>,
    killer: Arc<Killer>,
}

#[async_trait]
impl Handler for Effects {
    async fn run(&self, run: Run) -> Verdict {
        // Gives the others their turn, so that they are at different steps.
        tokio::task::yield_now().await;
        self.killer.passes(CrashPoint::BeforeEffect);
        let execution = run.execution();
        let line = format!("{} {}\n", execution.task.id, execution.task.attempt);
        {
            let mut journal = self.journal.lock().expect("no holder panics");
            journal
                .write_all(line.as_bytes())
                .expect("the journal can be written");
        }
        self.killer.passes(CrashPoint::AfterEffect);
        match execution.task.id.as_str().contains("good") {
            true => Verdict::success(),
            false => Verdict::failure("it never succeeds"),
        }
    }
}

/// Every task there is.
fn tasks() -> Vec<Task> {
    let now = SystemClock.now();
    let next = || {
        let queue = QueueName::parse(FOLLOWERS).expect("a valid name");
        Some(Box::new(ChainedTask::new(queue)))
    };
    let mut tasks = Vec::new();
    for guarantee in Guarantee::ALL {
        for number in 0..2 * TASKS {
            let kind = if number < TASKS { "good" } else { "bad" };
            let id = format!("{}-{kind}-{number}", guarantee.as_str());
            tasks.push(Task {
                id: TaskId::parse(&id).expect("a valid id"),
                guarantee: *guarantee,
                chain: Chain {
                    on_success: next(),
                    on_failure: next(),
                },
                retry: RetryPolicy {
                    backoff: Backoff::Immediate,
                    attempts_max: ATTEMPTS_MAX,
                    ..RetryPolicy::default()
                },
                ..sample_task(number, now, 16)
            });
        }
    }
    tasks
}

/// The child that creates the tasks and dies at a point, or (without one) lets everything end and
/// tells how.
pub async fn child(folder: &Path, point: Option<(CrashPoint, u64)>) -> Result<(), Failure> {
    let config = StoreConfig::new(folder.join("data"), 2, Arc::new(|| SystemClock.now()));
    let store = EmbeddedStore::open(config)?;
    let scheduler = Scheduler::start(Arc::clone(&store), Config::default());
    scheduler.ready().await?;
    let killer = Arc::new(Killer {
        point: point.map(|(point, _)| point),
        passes_left: AtomicU64::new(point.map_or(0, |(_, passes)| passes)),
    });
    if point.is_some() {
        let now = SystemClock.now();
        let valid = tasks().into_iter().map(|task| ValidTask::new(task, now));
        let valid = valid.collect::<Result<Vec<_>, _>>()?;
        for created in scheduler.gateway().create(valid).await {
            created?;
        }
    }
    let effects = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(EFFECTS))?;
    let handler = Effects {
        journal: Mutex::new(effects),
        killer: Arc::clone(&killer),
    };
    let port: Arc<dyn ExecutionQueue> = Arc::new(Deadly {
        inner: Arc::clone(&store),
        killer,
    });
    let worker = Worker::builder(port)
        .history(HistoryPolicy::All)
        .handle(QueueName::parse("bench")?, handler, 64)
        .build()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run(async {
        stopped.await.ok();
    }));
    let ends = until_all_have_ended(&store).await?;
    stop.send(()).ok();
    worker.await??;
    scheduler.stop().await?;
    std::fs::write(folder.join(ENDS), ends)?;
    Ok(())
}

/// Waits until every task has an end that is none before a retry; answers a line for every outcome
/// and every dead letter.
async fn until_all_have_ended(store: &EmbeddedStore) -> Result<String, Failure> {
    let queue = QueueName::parse("bench")?;
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let (mut lines, mut open) = (String::new(), Vec::new());
        for task in tasks() {
            let outcomes = store.outcomes(task.key()).await?;
            let is_end = |kind: OutcomeKind| kind != OutcomeKind::Retried;
            if !outcomes.iter().any(|outcome| is_end(outcome.kind)) {
                open.push(task.id.to_string());
            }
            for outcome in outcomes {
                lines += &format!("{} {}\n", task.id, outcome.kind.as_str());
            }
        }
        // What was handed out twice may still be settled a second time.
        if open.is_empty() && store.depth(&queue, "default").await?.waiting == 0 {
            let letters = store.dead_letters(&queue, 0, 1_000).await?;
            for (_, letter) in letters.letters {
                let task = minutehand_record::task::decode(&letter.encoded)?;
                lines += &format!("{} letter\n", task.id);
            }
            return Ok(lines + &followers(store, deadline).await?);
        }
        if std::time::Instant::now() > deadline {
            return Err(format!("{open:?} have not ended in {} s", PATIENCE.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until each task has been followed; answers a line for every one that follows. What should
/// not come had time to come with what should.
async fn followers(store: &EmbeddedStore, deadline: std::time::Instant) -> Result<String, Failure> {
    let queue = QueueName::parse(FOLLOWERS)?;
    let wanted = tasks().len() as u64;
    let (mut lines, mut taken) = (String::new(), 0);
    loop {
        // What was handed out and not settled waits still; one poll need not hand out everything.
        let waiting = store.depth(&queue, "default").await?.waiting;
        if waiting > taken {
            for delivery in store.poll(&queue, "default", 1_000).await? {
                let task = minutehand_record::task::decode(&delivery.encoded)?;
                let mut headers = task.headers.iter();
                let parent = headers.find(|(name, _)| name == PARENT_ID_HEADER);
                let (_, parent) = parent.ok_or("a task follows none")?;
                lines += &format!("{parent} follower\n");
                taken += 1;
            }
        } else if taken >= wanted || std::time::Instant::now() > deadline {
            break;
        } else {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(lines)
}

/// Kills a worker so often at every point, each time in a new folder; the first word of `program`'s
/// arguments is `child`.
pub fn run(program: &Path, folder: &Path, runs: u64) -> Result<Vec<(CrashPoint, Audit)>, Failure> {
    let mut audits = Vec::new();
    for point in CrashPoint::ALL {
        let mut audit = Audit::default();
        for run in 0..runs {
            let folder = folder.join(format!("{}-{run}", point.as_str()));
            std::fs::create_dir_all(&folder)?;
            // Early, and later ones: several passes happen in every run.
            let passes = 1 + run % 5;
            audit.killed += u64::from(was_killed(program, &folder, *point, passes)?);
            let ended = start(program, &folder, None)?;
            if !ended.success() {
                return Err(
                    format!("{}: the second child ended with {ended}", point.as_str()).into(),
                );
            }
            look_at(&folder, &mut audit)?;
            std::fs::remove_dir_all(&folder)?;
        }
        audits.push((*point, audit));
    }
    Ok(audits)
}

/// Whether the first child died at its point; else it has let everything end.
fn was_killed(
    program: &Path,
    folder: &Path,
    point: CrashPoint,
    passes: u64,
) -> Result<bool, Failure> {
    use std::os::unix::process::ExitStatusExt;
    let ended = start(program, folder, Some((point, passes)))?;
    match ended.signal() {
        Some(9) => Ok(true),
        _ if ended.success() => Ok(false),
        _ => Err(format!("{}: the first child ended with {ended}", point.as_str()).into()),
    }
}

fn start(
    program: &Path,
    folder: &Path,
    point: Option<(CrashPoint, u64)>,
) -> Result<std::process::ExitStatus, Failure> {
    let mut command = Command::new(program);
    command
        .args(["child", "crash-point", "--data-dir"])
        .arg(folder);
    if let Some((point, passes)) = point {
        command
            .args(["--point", point.as_str(), "--passes"])
            .arg(passes.to_string());
    }
    Ok(command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?)
}

/// Counts what happened by task, and holds it against the promises.
fn look_at(folder: &Path, audit: &mut Audit) -> Result<(), Failure> {
    let effects = counts(&std::fs::read_to_string(folder.join(EFFECTS))?);
    let ends = counts(&std::fs::read_to_string(folder.join(ENDS))?);
    for task in tasks() {
        let of = |counts: &BTreeMap<String, u64>, what: &str| {
            counts
                .get(&format!("{} {what}", task.id))
                .copied()
                .unwrap_or(0)
        };
        let effects: Vec<u64> = (1..=ATTEMPTS_MAX)
            .map(|attempt| of(&effects, &attempt.to_string()))
            .collect();
        audit.not_followed_once += u64::from(of(&ends, "follower") != 1);
        let is_good = task.id.as_str().contains("good");
        let (succeeded, dead, lost) =
            (of(&ends, "succeeded"), of(&ends, "dead"), of(&ends, "lost"));
        let (retried, letters) = (of(&ends, "retried"), of(&ends, "letter"));
        if task.guarantee.settles_first() {
            audit.ran_twice += u64::from(effects.iter().sum::<u64>() > 1);
            audit.untold += u64::from(succeeded + dead + lost == 0);
            audit.allowed_losses += u64::from(lost > 0);
            continue;
        }
        let attempts = if is_good { 1 } else { ATTEMPTS_MAX as usize };
        audit.lost += u64::from(effects[..attempts].contains(&0));
        audit.effects_again += effects.iter().filter(|effects| **effects > 1).count() as u64;
        let expected = match is_good {
            true => (1, 0, 0, 0),
            false => (0, 1, 1, 1),
        };
        audit.not_once += u64::from((succeeded, dead, retried, letters) != expected || lost > 0);
    }
    Ok(())
}

fn counts(text: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        *counts.entry(line.to_owned()).or_insert(0) += 1;
    }
    counts
}

/// The figures of audits.
pub fn figures(audits: &[(CrashPoint, Audit)], runs: u64) -> Vec<Figure> {
    let figure = |(point, audit): &(CrashPoint, Audit)| {
        let broken = audit.broken() as f64;
        Figure::new(
            "crash-points",
            format!("{}: broken promises", point.as_str()),
            broken,
            "tasks",
        )
        .with("runs", runs)
        .with("killed", audit.killed)
        .with("effects_again", audit.effects_again)
        .with("at_most_once_lost", audit.allowed_losses)
    };
    audits.iter().map(figure).collect()
}
