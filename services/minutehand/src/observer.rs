//! What a worker's queues tell the metrics and the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use minutehand_metrics::{LeaseMetrics, OTHER, PoolMetrics, QueueStanding, Queues};
use minutehand_model::{GroupName, QueueName, Timestamp};
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::{ExecutionQueue, PortError, QueueDepth};
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

    /// Brings the depths of what is served here to the metrics, some of them each second, and tells
    /// which lines were left out.
    pub(crate) async fn watch(
        self: Arc<Observer>,
        port: Arc<dyn ExecutionQueue>,
        mut served: Served,
        gates: Gates,
        mut shutdown: watch::Receiver<bool>,
    ) {
        while !*shutdown.borrow_and_update() {
            let depths = served.look(&*port).await;
            self.queues
                .stand(depths.iter().map(|((queue, group), depth)| QueueStanding {
                    queue: queue.as_str(),
                    group,
                    depth: depth.waiting,
                    dead_letters: depth.dead_letters,
                    is_paused: !gates.hands_out(queue, SystemClock.now()),
                }));
            self.lines.flush(SystemClock.now());
            a_moment(&mut shutdown).await;
        }
    }
}

/// A queue and a group that takes from it.
type Pair = (QueueName, String);

/// What a process serves, whose depths it tells. Of a queue that others serve it knows nothing: for
/// a group that takes nothing from it all that the brokers keep would wait.
#[derive(Default)]
pub(crate) struct Served {
    /// By workers of queues that are named.
    named: BTreeSet<Pair>,
    /// By programs that lease.
    leases: Option<Leases>,
    /// By workers of the default group: every queue there is.
    has_all: bool,
    leased: Lately,
    untaken: Untaken,
    depths: BTreeMap<Pair, QueueDepth>,
    /// The last one that was asked for.
    asked: Option<Pair>,
}

/// Depths that are asked of brokers within one look: each may need a consumer of its group.
const ASKED_AT_ONCE: usize = 8;

impl Served {
    /// Workers of a group, of these queues.
    #[cfg(feature = "cluster")]
    pub(crate) fn by_workers(queues: &[QueueName], group: &GroupName) -> Served {
        let of_group = |queue: &QueueName| (queue.clone(), group.to_string());
        Served {
            named: queues.iter().map(of_group).collect(),
            ..Served::default()
        }
    }

    /// Programs that lease from a gateway.
    #[cfg(feature = "cluster")]
    pub(crate) fn by_leases(leases: Leases) -> Served {
        Served {
            leases: Some(leases),
            ..Served::default()
        }
    }

    /// All queues, by workers of the default group and by programs that lease.
    pub(crate) fn by_one_process(leases: Leases) -> Served {
        Served {
            leases: Some(leases),
            has_all: true,
            ..Served::default()
        }
    }

    /// How full all of it is, some of it as of an earlier look.
    async fn look(&mut self, port: &dyn ExecutionQueue) -> &BTreeMap<Pair, QueueDepth> {
        let pairs = self.pairs(port).await;
        self.depths.retain(|pair, _| pairs.contains(pair));
        let at_once = match self.has_all {
            true => pairs.len(),
            false => ASKED_AT_ONCE,
        };
        for pair in next_of(&pairs, self.asked.as_ref(), at_once) {
            if let Ok(depth) = port.depth(&pair.0, &pair.1).await {
                self.depths.insert(pair.clone(), depth);
            }
            self.asked = Some(pair);
        }
        &self.depths
    }

    async fn pairs(&mut self, port: &dyn ExecutionQueue) -> BTreeSet<Pair> {
        let now = SystemClock.now();
        let mut pairs = self.named.clone();
        if let Some(leases) = &self.leases {
            pairs.extend(self.leased.with(leases.served(), now));
        }
        if self.has_all {
            let queues = port.queues().await.unwrap_or_default();
            let of_default = |queue| (queue, GroupName::DEFAULT.to_owned());
            pairs.extend(queues.into_iter().map(of_default));
        }
        let nobodys = self.untaken.at(port, now).await.iter();
        pairs.extend(nobodys.map(|queue| (queue.clone(), NOBODY.to_owned())));
        pairs
    }
}

/// So many pairs behind the one that was asked for last, round and round.
fn next_of(pairs: &BTreeSet<Pair>, asked: Option<&Pair>, count: usize) -> Vec<Pair> {
    let is_behind = |pair: &&Pair| asked.is_none_or(|asked| *pair > asked);
    let behind = pairs.iter().filter(is_behind);
    let again = pairs.iter().filter(|pair| !is_behind(pair));
    behind.chain(again).take(count).cloned().collect()
}

/// Who leased lately: what waits for a program that has died is to be told of.
#[derive(Default)]
struct Lately(BTreeMap<Pair, Timestamp>);

/// How long a group is told of that has ceased to lease.
const LEASED_LATELY_MS: i64 = 24 * 3_600_000;
/// Most of them that are told of.
const LEASED_LATELY_MAX: usize = 64;

impl Lately {
    /// Those who lease now, and those who did lately.
    fn with(&mut self, leasing: Vec<(QueueName, GroupName)>, now: Timestamp) -> BTreeSet<Pair> {
        let named = leasing
            .into_iter()
            .map(|(queue, group)| ((queue, group.to_string()), now));
        self.0.extend(named);
        self.0
            .retain(|_, seen| now.millis_since(*seen) < LEASED_LATELY_MS);
        while self.0.len() > LEASED_LATELY_MAX
            && let Some(first) = self.0.iter().min_by_key(|(_, seen)| **seen)
        {
            let first = first.0.clone();
            self.0.remove(&first);
        }
        self.0.keys().cloned().collect()
    }
}

/// The group of a queue that no group takes from, in the metrics.
const NOBODY: &str = "nobody";
/// How often such queues are looked for.
const UNTAKEN_EVERY_MS: i64 = 60_000;
/// Most of them that are told of.
const UNTAKEN_MAX: usize = 16;

/// Queues that nobody takes from: a misspelt name, or workers that were forgotten.
#[derive(Default)]
struct Untaken {
    queues: Vec<QueueName>,
    looked_at: Option<Timestamp>,
}

impl Untaken {
    async fn at(&mut self, port: &dyn ExecutionQueue, now: Timestamp) -> &[QueueName] {
        let is_due = self
            .looked_at
            .is_none_or(|at| !(0..UNTAKEN_EVERY_MS).contains(&now.millis_since(at)));
        if is_due {
            self.looked_at = Some(now);
            if let Ok(queues) = port.untaken().await {
                self.queues = queues;
                self.queues.truncate(UNTAKEN_MAX);
            }
        }
        &self.queues
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths_are_asked_for_in_turn() {
        let pair = |queue: &str| {
            let queue = QueueName::parse(queue).expect("a valid name");
            (queue, "g".to_owned())
        };
        let pairs: BTreeSet<Pair> = ["a", "b", "c"].map(pair).into();
        let next = |asked: Option<&str>, count| {
            let next = next_of(&pairs, asked.map(pair).as_ref(), count);
            let names = next.into_iter().map(|(queue, _)| queue.to_string());
            names.collect::<Vec<String>>()
        };
        assert_eq!(next(None, 2), ["a", "b"]);
        assert_eq!(next(Some("b"), 2), ["c", "a"]);
        assert_eq!(next(Some("aa"), 9), ["b", "c", "a"]);
    }

    #[test]
    fn who_has_ceased_to_lease_is_told_of_for_a_day() {
        let pair = |queue: &str| {
            let queue = QueueName::parse(queue).expect("a valid name");
            (queue, GroupName::default())
        };
        let at = |hours: i64| Timestamp::from_millis(hours * 3_600_000);
        let mut lately = Lately::default();
        assert_eq!(lately.with(vec![pair("mail")], at(0)).len(), 1);
        assert_eq!(lately.with(vec![pair("text")], at(23)).len(), 2);
        assert_eq!(lately.with(Vec::new(), at(24)).len(), 1);
        let many = (0..2 * LEASED_LATELY_MAX).map(|n| pair(&format!("q{n}")));
        assert_eq!(lately.with(many.collect(), at(25)).len(), LEASED_LATELY_MAX);
    }
}
