//! What a worker's queues tell the metrics and the log.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use minutehand_metrics::{LeaseMetrics, OTHER, PoolMetrics, QueueStanding, Queues};
use minutehand_model::{GroupName, QueueName};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::{ExecutionQueue, PortError};
use minutehand_worker::{
    EndedRun, Gates, LeaseEnd, LeaseStanding, Leases, PoolEnd, PoolObserver, WorkerObserver,
};
use tokio::sync::watch;

use crate::lines::RunLines;
use crate::traces;

/// How often depths are looked at, and lines that were left out are told.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Brings a worker's observations to the metrics and the log.
pub(crate) struct Observer {
    queues: Queues,
    lines: RunLines,
}

impl Observer {
    /// An observer; `tells_successes`: there is a line for a run that succeeded as well.
    pub(crate) fn new(tells_successes: bool) -> Arc<Observer> {
        Arc::new(Observer {
            queues: Queues::new(),
            lines: RunLines::new(tells_successes),
        })
    }

    /// Brings the depths of all queues to the metrics, and tells which lines were left out, once a
    /// second.
    pub(crate) async fn watch(
        self: Arc<Observer>,
        port: Arc<dyn ExecutionQueue>,
        group: GroupName,
        gates: Gates,
        mut shutdown: watch::Receiver<bool>,
    ) {
        while !*shutdown.borrow_and_update() {
            let there = port.queues().await.unwrap_or_default();
            let mut standings = Vec::with_capacity(there.len());
            for queue in &there {
                if let Ok(depth) = port.depth(queue, group.as_str()).await {
                    let standing = QueueStanding {
                        depth: depth.waiting,
                        dead_letters: depth.dead_letters,
                        is_paused: !gates.hands_out(queue, SystemClock.now()),
                    };
                    standings.push((queue.as_str(), standing));
                }
            }
            self.queues.stand(standings);
            self.lines.flush(SystemClock.now());
            a_moment(&mut shutdown).await;
        }
    }
}

/// Until the next look, or the end.
async fn a_moment(shutdown: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(LOOK_INTERVAL) => {}
        _ = shutdown.changed() => {}
    }
}

/// Brings what is out on lease to the metrics, once a second.
pub(crate) async fn watch_leases(leases: Leases, mut shutdown: watch::Receiver<bool>) {
    let metrics = LeaseMetrics::new();
    while !*shutdown.borrow_and_update() {
        let LeaseStanding {
            leases,
            bytes,
            waiters,
        } = leases.standing();
        metrics.stand(leases, bytes, waiters);
        a_moment(&mut shutdown).await;
    }
}

impl WorkerObserver for Observer {
    fn started(&self, queue: &QueueName, start_lateness_ms: i64, _publish_lateness_ms: i64) {
        self.queues
            .queue(queue.as_str())
            .started(start_lateness_ms.max(0) as f64 / 1_000.0);
    }

    fn ended(&self, queue: &QueueName, run: EndedRun<'_>) {
        let duration_ms = run.ended_at.millis_since(run.started_at).max(0);
        let metrics = self.queues.queue(queue.as_str());
        if run.has_begun {
            metrics.ended(run.kind, duration_ms as f64 / 1_000.0);
        } else {
            metrics.ended_before_it_began(run.kind);
        }
        self.lines.ended(queue, run);
        traces::ended(queue, run);
    }

    fn put_off(&self, queue: &QueueName) {
        self.lines.put_off(queue, SystemClock.now());
    }

    fn abandoned(&self, queue: &QueueName) {
        self.queues.queue(queue.as_str()).abandoned();
    }

    fn lease_ended(&self, queue: &QueueName, how: LeaseEnd) {
        self.queues.queue(queue.as_str()).returned(match how {
            LeaseEnd::Expired => "expired",
            LeaseEnd::Released => "released",
            LeaseEnd::Snoozed => "snoozed",
        });
    }

    fn lease_lost(&self, queue: Option<&QueueName>) {
        let queue = queue.map_or(OTHER, QueueName::as_str);
        self.queues.queue(queue).answer_lost();
    }

    fn set_aside(&self, queue: &QueueName) {
        tracing::warn!(%queue, "an execution cannot be understood: it is a dead letter now");
    }

    fn troubled(&self, queue: &QueueName, error: &PortError) {
        tracing::warn!(%queue, error = %error, "a worker's queue failed");
    }
}

/// Brings the children of the pool to the metrics.
#[derive(Default)]
pub(crate) struct PoolChildren(OnceLock<PoolMetrics>);

impl PoolChildren {
    /// The handle, made when the first child is: there is a recorder by then.
    fn metrics(&self) -> &PoolMetrics {
        self.0.get_or_init(PoolMetrics::new)
    }
}

impl PoolObserver for PoolChildren {
    fn started(&self) {
        self.metrics().started();
    }

    fn ended(&self, why: PoolEnd) {
        self.metrics().ended(why.as_str());
    }
}
