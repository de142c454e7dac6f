//! End to end, durable: tasks are created in bulk, fire, and a no-op handler acknowledges them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use minutehand_embedded::{Config as StoreConfig, EmbeddedStore};
use minutehand_engine::Config;
use minutehand_model::{QueueName, Task, Timestamp};
use minutehand_node::{Clock, SystemClock, ValidTask};
use minutehand_ports::ExecutionQueue;
use minutehand_standalone::Scheduler;
use minutehand_worker::{FnHandler, Gates, Handler, HistoryPolicy, Run, Verdict, Worker};
use tokio::sync::{Semaphore, oneshot};

use crate::Figure;
use crate::engine::sample_task;
use crate::lateness::Lateness;

/// Why a measurement could not be made.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Tasks in one call of the gateway, as the bulk endpoint makes them.
const BULK: u64 = 1_000;
/// Calls under way at once.
const CALLS_MAX: usize = 8;
/// Executions of a queue that run at once.
const RUNS_MAX: usize = 16_384;

/// The queue of work that was missed. It is not that of [`sample_task`]: a queue hands out what was
/// published first, so what falls due meanwhile would wait there behind all that was missed.
pub(crate) fn missed_queue() -> QueueName {
    QueueName::parse("missed").expect("a valid name")
}

/// What a handler counts.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    pub(crate) ran: Arc<AtomicU64>,
    pub(crate) lateness: Arc<Lateness>,
}

impl Counts {
    /// A run has begun, and ends at once.
    fn began(&self, run: &Run) {
        let late_ms = run.started_at().millis_since(run.task().due);
        self.lateness.record(late_ms);
        self.ran.fetch_add(1, Ordering::Relaxed);
    }
}

/// What kind of worker a rig has.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    /// Executions of a queue that run at once.
    pub(crate) runs_max: usize,
    /// Whether it obeys what is said of queues, and lets namespaces take turns.
    pub(crate) has_gates: bool,
}

/// A scheduler on a folder, with a no-op worker that counts and measures.
pub(crate) struct Rig {
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) ran: Arc<AtomicU64>,
    pub(crate) lateness: Arc<Lateness>,
    stop_worker: oneshot::Sender<()>,
    worker: tokio::task::JoinHandle<()>,
}

impl Rig {
    /// Opens the store, waits until the partitions fire, and starts the worker.
    pub(crate) async fn start(folder: &Path) -> Result<Rig, Failure> {
        Rig::start_with(folder, |_| ()).await
    }

    /// The same, with something to be done in every run.
    pub(crate) async fn start_with(
        folder: &Path,
        in_run: impl Fn(&Run) + Send + Sync + 'static,
    ) -> Result<Rig, Failure> {
        let counts = Counts::default();
        let counted = counts.clone();
        let handler = FnHandler(move |run: &Run| {
            counted.began(run);
            in_run(run);
            Verdict::success()
        });
        Rig::of(folder, Arc::new(handler), counts).await
    }

    /// The same with a handler that counts for itself.
    pub(crate) async fn of(
        folder: &Path,
        handler: Arc<dyn Handler>,
        counts: Counts,
    ) -> Result<Rig, Failure> {
        let work = Work {
            runs_max: RUNS_MAX,
            has_gates: false,
        };
        Rig::working(folder, handler, counts, work).await
    }

    /// The same with a worker of that kind.
    pub(crate) async fn working(
        folder: &Path,
        handler: Arc<dyn Handler>,
        Counts { ran, lateness }: Counts,
        work: Work,
    ) -> Result<Rig, Failure> {
        let config = StoreConfig::new(folder, 2, Arc::new(|| SystemClock.now()));
        let store = EmbeddedStore::open(config)?;
        let scheduler = Arc::new(Scheduler::start(store, Config::default()));
        scheduler.ready().await?;
        let port: Arc<dyn ExecutionQueue> = scheduler.store().clone();
        let gates = match work.has_gates {
            true => Gates::new(scheduler.store().clone()),
            false => Gates::default(),
        };
        let worker = Worker::builder(port)
            .history(HistoryPolicy::All)
            .gates(gates)
            .handle_shared(QueueName::parse("bench")?, handler.clone(), work.runs_max)
            .handle_shared(missed_queue(), handler, work.runs_max)
            .build()?;
        let (stop_worker, stopped) = oneshot::channel();
        let worker = tokio::spawn(async move {
            let stopped = async {
                stopped.await.ok();
            };
            if let Err(error) = worker.run(stopped).await {
                tracing::error!(error = %error, "the worker of the benchmark stopped");
            }
        });
        Ok(Rig {
            scheduler,
            ran,
            lateness,
            stop_worker,
            worker,
        })
    }

    /// Waits until so many runs have been settled.
    pub(crate) async fn until_settled(&self, count: u64) -> Result<(), Failure> {
        let queue = QueueName::parse("bench")?;
        loop {
            if self.ran.load(Ordering::Relaxed) >= count {
                let depth = self.scheduler.store().depth(&queue, "default").await?;
                if depth.settled >= count {
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn stop(self) -> Result<(), Failure> {
        self.stop_worker.send(()).ok();
        self.worker.await?;
        self.scheduler.stop().await?;
        Ok(())
    }

    /// Creates tasks `numbers`, each due when `due` says, several bulk calls at a time.
    pub(crate) async fn create(
        &self,
        numbers: std::ops::Range<u64>,
        payload_bytes: usize,
        due: impl Fn(u64) -> Timestamp,
    ) -> Result<(), Failure> {
        self.create_tasks(numbers, |n| sample_task(n, due(n), payload_bytes))
            .await
    }

    /// Creates the tasks of these numbers, several bulk calls at a time.
    pub(crate) async fn create_tasks(
        &self,
        numbers: std::ops::Range<u64>,
        task: impl Fn(u64) -> Task,
    ) -> Result<(), Failure> {
        let calls = Arc::new(Semaphore::new(CALLS_MAX));
        for first in numbers.clone().step_by(BULK as usize) {
            let permit = Arc::clone(&calls).acquire_owned().await?;
            let valid = |n| ValidTask::new(task(n), SystemClock.now());
            let tasks = (first..numbers.end.min(first + BULK))
                .map(valid)
                .collect::<Result<_, _>>()?;
            let gateway = Arc::clone(self.scheduler.gateway());
            tokio::spawn(async move {
                for answer in gateway.create(tasks).await {
                    if let Err(error) = answer {
                        tracing::error!(error = %error, "a task of the benchmark was refused");
                    }
                }
                drop(permit);
            });
        }
        drop(calls.acquire_many_owned(CALLS_MAX as u32).await?);
        Ok(())
    }
}

/// Creates `tasks` tasks that are due at once, and waits until every run is acknowledged durably.
pub async fn throughput(
    folder: &Path,
    tasks: u64,
    payload_bytes: usize,
) -> Result<Vec<Figure>, Failure> {
    let rig = Rig::start(folder).await?;
    let warm_up = tasks / 10;
    rig.create(0..warm_up, payload_bytes, |_| SystemClock.now())
        .await?;
    rig.until_settled(warm_up).await?;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    rig.create(warm_up..warm_up + tasks, payload_bytes, |_| {
        SystemClock.now()
    })
    .await?;
    let created = began.elapsed().as_secs_f64();
    rig.until_settled(warm_up + tasks).await?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    rig.stop().await?;
    Ok(vec![
        Figure::new(
            "end-to-end",
            "created, fired, acknowledged; all durable",
            tasks as f64 / seconds,
            "tasks/s",
        )
        .with("tasks", tasks)
        .with("payload_bytes", payload_bytes),
        Figure::new(
            "end-to-end",
            "created, durable",
            tasks as f64 / created,
            "tasks/s",
        ),
        Figure::new(
            "end-to-end",
            "CPU per 100,000 tasks",
            cpu / tasks as f64 * 100_000.0,
            "s",
        ),
    ])
}

/// User and system time of this process in seconds, from /proc; 0 where the system does not say.
pub(crate) fn cpu_seconds() -> f64 {
    cpu_seconds_of("self")
}

/// The same of a process, by its number.
pub(crate) fn cpu_seconds_of(process: &str) -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The second field is the name in brackets; user and system time are the 14th and 15th.
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks = |field: usize| {
        fields
            .get(field)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}
