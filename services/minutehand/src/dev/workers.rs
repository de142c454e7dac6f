//! The workers of `dev`: every queue gets one as soon as something is published to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use minutehand_model::{GroupName, QueueName};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::ExecutionQueue;
use minutehand_standalone::EmbeddedStore;
use minutehand_worker::{
    Gates, GivenDues, Handler, Idleness, Leases, LeasesConfig, Places, Worker,
};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::executors::Executors;
use crate::observer::{Observer, Served};
use crate::settings::{Unclaimed, WorkerConfig};

/// Workers there may be at once without a wait. A burst of tasks for thousands of queues then costs
/// the memory of this many.
const WORKERS_AT_ONCE: usize = 128;
/// How often as many more are let in while queues wait for a worker: where all are busy for long,
/// each queue gets its own.
const LET_IN_EVERY: Duration = Duration::from_secs(1);
/// When a worker has had nothing to do for this long, it ends; its queue gets one when there is
/// something to do again.
const IDLE_MS: i64 = 60_000;
/// The same while other queues wait for a worker.
const IDLE_CROWDED_MS: i64 = 5;

/// The queue of crontab lines.
pub(super) const CRONTAB_QUEUE: &str = "crontab";

/// What workers share with leases.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) observer: Arc<Observer>,
    pub(super) dues: GivenDues,
    pub(super) gates: Gates,
}

impl Shared {
    pub(super) fn new(store: &Arc<EmbeddedStore>) -> Shared {
        Shared {
            observer: Observer::new(true),
            dues: GivenDues::default(),
            gates: Gates::new(store.clone()),
        }
    }

    /// Executions on lease; whoever leases from a queue serves it.
    pub(super) fn leases(
        &self,
        store: &Arc<EmbeddedStore>,
        config: &WorkerConfig,
        stopping: watch::Receiver<bool>,
    ) -> Leases {
        let port: Arc<dyn ExecutionQueue> = store.clone();
        let builder = Worker::builder(port)
            .observer(self.observer.clone())
            .given_dues(self.dues.clone())
            .gates(self.gates.clone());
        let left = Arc::downgrade(store);
        let left = move |queue: &QueueName| {
            if let Some(store) = left.upgrade() {
                store.leave(queue, GroupName::DEFAULT);
            }
        };
        let leases = LeasesConfig {
            left: Arc::new(left),
            ..LeasesConfig::new(stopping)
        };
        Leases::new(
            builder
                .history(config.history)
                .dead_letter_hook(config.dead_letter_hook()),
            leases,
        )
    }

    /// Tells how full the queues are, for workers and for programs that lease.
    pub(super) fn watch(
        &self,
        store: &Arc<EmbeddedStore>,
        leases: Leases,
        stopping: &watch::Receiver<bool>,
    ) {
        let port: Arc<dyn ExecutionQueue> = store.clone();
        let served = Served::by_one_process(leases);
        let observer = Arc::clone(&self.observer);
        tokio::spawn(observer.watch(port, served, self.gates.clone(), stopping.clone()));
    }

    /// Begins the workers of all queues, which wait until it is told what they run.
    pub(super) fn begin(
        self,
        store: &Arc<EmbeddedStore>,
        config: &WorkerConfig,
        runs_max: usize,
        stopping: &watch::Receiver<bool>,
    ) -> (oneshot::Sender<Executors>, JoinHandle<()>) {
        let (known, executors_known) = oneshot::channel();
        let (store, config, stopping) = (store.clone(), config.clone(), stopping.clone());
        let workers = tokio::spawn(async move {
            if let Ok(executors) = executors_known.await {
                run(store, executors, config, runs_max, self, stopping).await;
            }
        });
        (known, workers)
    }
}

/// Runs workers until `shutdown` turns true and all of them have drained. A queue has one as long
/// as there is something to do in it. At most `runs_max` runs are in progress at once.
async fn run(
    store: Arc<EmbeddedStore>,
    executors: Executors,
    config: WorkerConfig,
    runs_max: usize,
    shared: Shared,
    mut shutdown: watch::Receiver<bool>,
) {
    let executors = Arc::new(executors);
    let handler: Arc<dyn Handler> = executors.clone();
    let keeps_unclaimed = config.unclaimed == Unclaimed::Keep;
    let port: Arc<dyn ExecutionQueue> = store.clone();
    let places = Places::new(config.concurrency_total.min(runs_max));
    let (tell_crowd, is_crowded) = watch::channel(false);
    let mut waiting: BTreeSet<QueueName> = BTreeSet::new();
    // Queues that hand out nothing need no worker; it is looked from time to time.
    let mut paused: BTreeSet<QueueName> = BTreeSet::new();
    let hands_out = |queue: &QueueName| shared.gates.hands_out(queue, SystemClock.now());
    let mut workers = JoinSet::new();
    let mut workers_max = WORKERS_AT_ONCE;
    let mut let_in = tokio::time::interval(LET_IN_EVERY);
    while !*shutdown.borrow_and_update() {
        while workers.len() < workers_max
            && let Some(queue) = waiting.pop_first()
        {
            if keeps_unclaimed && queue.as_str() != CRONTAB_QUEUE && !executors.serves(&queue) {
                continue;
            }
            if !hands_out(&queue) {
                paused.insert(queue);
                continue;
            }
            let idleness = Idleness {
                after_ms: IDLE_MS,
                crowded_after_ms: IDLE_CROWDED_MS,
                is_crowded: is_crowded.clone(),
            };
            let worker = worker(
                &port,
                &queue,
                Arc::clone(&handler),
                &shared,
                &places,
                &config,
                idleness,
            );
            let mut shutdown = shutdown.clone();
            workers.spawn(async move {
                let stopped = async move {
                    shutdown.wait_for(|wanted| *wanted).await.ok();
                };
                let ended = match worker {
                    Ok(worker) => worker.run(stopped).await.map_err(|error| error.to_string()),
                    Err(error) => Err(error),
                };
                (queue, ended)
            });
        }
        tell_crowd.send_if_modified(|told| {
            std::mem::replace(told, !waiting.is_empty()) == waiting.is_empty()
        });
        tokio::select! {
            unserved = store.unserved_queues() => waiting.extend(unserved),
            Some(ended) = workers.join_next() => {
                // While it was ending, more may have come that nobody was told of.
                waiting.extend(ended_queue(ended).filter(|queue| store.has_waiting(queue, GroupName::DEFAULT)));
            }
            _ = let_in.tick() => {
                waiting.extend(paused.extract_if(.., |queue| hands_out(queue)));
                workers_max = if waiting.is_empty() { WORKERS_AT_ONCE } else { workers_max + WORKERS_AT_ONCE };
            }
            _ = shutdown.changed() => {}
        }
    }
    while let Some(ended) = workers.join_next().await {
        ended_queue(ended);
    }
}

/// The queue whose worker has ended as it should.
fn ended_queue(ended: Result<(QueueName, Result<(), String>), JoinError>) -> Option<QueueName> {
    match ended {
        Ok((queue, Ok(()))) => return Some(queue),
        Ok((queue, Err(error))) => tracing::error!(%queue, error, "a worker stopped"),
        Err(error) => tracing::error!(error = %error, "a worker panicked"),
    }
    None
}

fn worker(
    port: &Arc<dyn ExecutionQueue>,
    queue: &QueueName,
    handler: Arc<dyn Handler>,
    shared: &Shared,
    places: &Places,
    config: &WorkerConfig,
    idleness: Idleness,
) -> Result<Worker, String> {
    let built = Worker::builder(Arc::clone(port))
        .observer(shared.observer.clone())
        .places(places.clone())
        .given_dues(shared.dues.clone())
        .gates(shared.gates.clone())
        .history(config.history)
        .dead_letter_hook(config.dead_letter_hook())
        .run_timeout_ms(config.run_timeout_ms)
        .drain_ms(config.drain_ms)
        .ends_when_idle(idleness)
        .handle_shared(queue.clone(), handler, config.concurrency)
        .build();
    built.map_err(|error| error.to_string())
}
