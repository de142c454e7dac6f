//! Gates before a queue in memory, and before rules that others change meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{
    DeliveryToken, Epoch, LogOffset, Namespace, NamespaceRules, OrderKey, PartitionId, Priority,
    Purge, Task, TaskId, TaskKey,
};
use minutehand_ports::{
    ExecutionQueue, QueueDepth, RulesChange, Settlement, Stop, StopListeners, StopReceiver,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::sluice::Purpose;
use super::*;
use crate::Worker;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn mail() -> QueueName {
    QueueName::parse("mail").unwrap()
}

fn id(sequence: u64) -> DeliveryId {
    DeliveryId {
        partition: PartitionId::own(0),
        sequence,
    }
}

/// Rules of which those who hand out hear late.
struct Book {
    kept: Mutex<QueueRules>,
    told: watch::Sender<Option<RulesOfQueues>>,
    has_changed: Notify,
}

impl Book {
    fn new(rules: QueueRules) -> Arc<Book> {
        let all = [(mail(), rules.clone())].into();
        Arc::new(Book {
            kept: Mutex::new(rules),
            told: watch::Sender::new(Some(Arc::new(all))),
            has_changed: Notify::new(),
        })
    }

    fn kept(&self) -> MutexGuard<'_, QueueRules> {
        self.kept.lock().unwrap()
    }
}

#[async_trait]
impl QueueRulebook for Book {
    async fn change(
        &self,
        _: &QueueName,
        change: RulesChange,
    ) -> Result<Option<QueueRules>, PortError> {
        let mut kept = self.kept();
        let changed = change(&kept);
        if let Some(rules) = &changed {
            kept.clone_from(rules);
        }
        self.has_changed.notify_one();
        Ok(changed)
    }

    fn rules(&self) -> watch::Receiver<Option<RulesOfQueues>> {
        self.told.subscribe()
    }
}

/// A queue that hands out what it has.
#[derive(Default)]
struct Port {
    waiting: Mutex<VecDeque<Delivery>>,
    came: Notify,
    /// What was asked for and was not answered yet.
    asked: AtomicUsize,
    /// It does not know its share yet.
    is_new: bool,
    stops: StopListeners,
}

struct Outstanding<'a>(&'a AtomicUsize, usize);

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::SeqCst);
    }
}

impl Port {
    fn of(waiting: impl IntoIterator<Item = Delivery>) -> Arc<Port> {
        Arc::new(Port {
            waiting: Mutex::new(waiting.into_iter().collect()),
            ..Port::default()
        })
    }
}

#[async_trait]
impl ExecutionQueue for Port {
    async fn poll(
        &self,
        _: &QueueName,
        _: &str,
        count_max: usize,
    ) -> Result<Vec<Delivery>, PortError> {
        self.asked.fetch_add(count_max, Ordering::SeqCst);
        let _asked = Outstanding(&self.asked, count_max);
        loop {
            let came = self.came.notified();
            let polled: Vec<Delivery> = {
                let mut waiting = self.waiting.lock().unwrap();
                let count = waiting.len().min(count_max);
                waiting.drain(..count).collect()
            };
            if !polled.is_empty() {
                return Ok(polled);
            }
            came.await;
        }
    }

    async fn settle(
        &self,
        _: &QueueName,
        _: &str,
        _: Vec<Settlement>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        Ok(Vec::new())
    }

    fn let_go(&self, _: &QueueName, _: &str, ids: Vec<DeliveryId>) {
        let back = ids.iter().map(|id| keyed(id.sequence));
        let mut waiting = self.waiting.lock().unwrap();
        *waiting = back.chain(std::mem::take(&mut *waiting)).collect();
        drop(waiting);
        self.came.notify_waiters();
    }

    fn share(&self, _: &QueueName, _: &str) -> f64 {
        if self.is_new { 0.0 } else { 1.0 }
    }

    fn partitions(&self) -> u32 {
        1
    }

    async fn ask_to_stop(&self, _: &QueueName, _: Vec<Stop>) -> Result<(), PortError> {
        Ok(())
    }

    fn stops(&self, _: &QueueName) -> StopReceiver {
        self.stops.listen()
    }

    async fn queues(&self) -> Result<Vec<QueueName>, PortError> {
        Ok(vec![mail()])
    }

    async fn depth(&self, _: &QueueName, _: &str) -> Result<QueueDepth, PortError> {
        Ok(QueueDepth::default())
    }
}

fn delivery(sequence: u64) -> Delivery {
    Delivery {
        id: id(sequence),
        epoch: Epoch(1),
        token: DeliveryToken::default(),
        offset: LogOffset::START,
        published_at: at(sequence as i64),
        key: TaskKey(1),
        due: at(0),
        encoded: Bytes::new(),
        may_have_run: false,
    }
}

/// One of a key, of which every other is more urgent.
fn keyed(sequence: u64) -> Delivery {
    let namespace = Namespace::parse("default").unwrap();
    let id = TaskId::parse(&sequence.to_string()).unwrap();
    let task = Task {
        order_key: Some(OrderKey::parse("k").unwrap()),
        priority: Priority::of_level(5 + sequence % 2).unwrap(),
        ..Task::new(namespace, id, mail(), at(0))
    };
    Delivery {
        encoded: minutehand_record::task::encode(&task),
        ..delivery(sequence)
    }
}

fn settings(port: &Arc<Port>) -> Settings {
    let port: Arc<dyn ExecutionQueue> = Arc::clone(port) as _;
    let settings = Worker::builder(port).into_settings();
    Settings {
        clock: Arc::new(|| at(1_000_000)),
        ..settings
    }
}

fn breaker() -> Breaker {
    Breaker {
        failures_max: 1,
        probe_every_ms: 1_000,
        drain_per_second: None,
    }
}

fn purge() -> Option<Purge> {
    let by = "ops".to_owned();
    Some(Purge { through: at(9), by })
}

fn with_breaker() -> QueueRules {
    QueueRules {
        breaker: Some(breaker()),
        ..QueueRules::default()
    }
}

fn probing() -> QueueRules {
    QueueRules {
        gate: Some(closed_by(&breaker(), at(5))),
        ..with_breaker()
    }
}

/// A run ends, after somebody has said other things of the queue that are not known here yet; what
/// holds then.
async fn after_an_end(known: QueueRules, said: QueueRules, kind: OutcomeKind) -> QueueRules {
    let book = Book::new(known);
    let gates = Gates::new(Arc::clone(&book) as _);
    let settings = settings(&Arc::default());
    gates
        .0
        .as_ref()
        .unwrap()
        .with_sluice(&mail(), settings.group.as_str(), |sluice| {
            let came = (Instant::now(), 1.0);
            sluice.came(&probing(), Purpose::Probe, vec![delivery(7)], came)
        });
    *book.kept() = said;
    let ended = match kind {
        OutcomeKind::Succeeded => id(7),
        _ => id(8),
    };
    gates.ended(&settings, &mail(), ended, kind);
    book.has_changed.notified().await;
    book.kept().clone()
}

#[tokio::test]
async fn a_breaker_leaves_alone_what_was_said_meanwhile() {
    let said = QueueRules {
        purge: purge(),
        ..with_breaker()
    };
    let after = after_an_end(with_breaker(), said.clone(), OutcomeKind::Dead).await;
    assert_eq!(after.purge, purge());
    assert_eq!(after.gate.unwrap().closed_by, BREAKER);
    let lifted = QueueRules::default();
    let after = after_an_end(with_breaker(), lifted.clone(), OutcomeKind::Dead).await;
    assert_eq!(after, lifted, "it has no breaker any more");
}

#[tokio::test]
async fn a_probe_leaves_alone_what_was_said_meanwhile() {
    let said = QueueRules {
        purge: purge(),
        ..probing()
    };
    let after = after_an_end(probing(), said, OutcomeKind::Succeeded).await;
    assert_eq!(after.purge, purge());
    assert_eq!(after.gate.unwrap().opened.unwrap().by, PROBE);
    let mut paused = probing();
    paused.gate.as_mut().unwrap().closed_by = "ops".to_owned();
    let after = after_an_end(probing(), paused.clone(), OutcomeKind::Succeeded).await;
    assert_eq!(after, paused, "somebody has paused it");
}

/// Callers that wait at one queue.
struct Callers {
    book: Arc<Book>,
    port: Arc<Port>,
    gates: Gates,
    settings: Settings,
    seat: Seat,
}

impl Callers {
    fn new(rules: QueueRules, port: Arc<Port>) -> Callers {
        let book = Book::new(rules);
        let gates = Gates::new(Arc::clone(&book) as _);
        let settings = settings(&port);
        Callers {
            seat: gates.seat(&settings, &mail()).unwrap(),
            book,
            port,
            gates,
            settings,
        }
    }

    fn say(&self, rules: QueueRules) {
        let all = [(mail(), rules)].into();
        self.book.told.send_replace(Some(Arc::new(all)));
    }

    async fn call(&self, count: usize, wait: Duration) -> Vec<Handed> {
        let mail = mail();
        let poll = self
            .gates
            .poll(&self.settings, &mail, Some(&self.seat), count);
        let polled = tokio::time::timeout(wait, poll).await;
        polled.map_or_else(|_| Vec::new(), Result::unwrap)
    }

    /// So much comes, once whoever is there waits.
    async fn comes(&self, sequences: std::ops::Range<u64>) {
        tokio::task::yield_now().await;
        self.port.let_go(&mail(), "", sequences.map(id).collect());
    }

    /// How many each of some callers at once is handed.
    async fn call_all(&self, callers: usize, wait: Duration) -> Vec<usize> {
        let calls = (0..callers).map(|_| self.call(1, wait));
        let handed = futures::future::join_all(calls).await;
        handed.iter().map(Vec::len).collect()
    }
}

const SHORT: Duration = Duration::from_millis(900);

#[tokio::test(start_paused = true)]
async fn of_all_who_wait_one_is_handed_a_probe() {
    let callers = Callers::new(probing(), Port::of([]));
    let (handed, ()) = tokio::join!(callers.call_all(8, SHORT), callers.comes(0..8));
    assert_eq!(handed.iter().sum::<usize>(), 1);
    let handed = callers.call_all(8, 4 * SHORT).await;
    assert_eq!(handed.iter().sum::<usize>(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_rate_holds_however_many_wait() {
    let limited = QueueRules {
        per_second_max: Some(1),
        ..QueueRules::default()
    };
    let callers = Callers::new(limited, Port::of([]));
    let (handed, ()) = tokio::join!(callers.call_all(20, SHORT), callers.comes(0..20));
    assert_eq!(handed.iter().sum::<usize>(), 1);
    let handed = callers.call_all(20, 4 * SHORT).await;
    assert_eq!(handed.iter().sum::<usize>(), 4);
}

/// One asks for what is reserved, and goes; then another asks.
#[tokio::test(start_paused = true)]
async fn who_goes_leaves_its_place_to_another() {
    for rules in [
        probing(),
        QueueRules {
            per_second_max: Some(1),
            ..QueueRules::default()
        },
    ] {
        let callers = Callers::new(rules, Port::of([]));
        let goes = async {
            assert!(callers.call(1, SHORT).await.is_empty());
            callers.comes(1..2).await;
        };
        let (_, handed) = tokio::join!(goes, callers.call(1, 2 * SHORT));
        assert_eq!(handed.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_keys_holds_for_what_was_looked_at() {
    let callers = Callers::new(QueueRules::default(), Port::of((0..10).map(keyed)));
    for _ in 0..2 {
        assert_eq!(callers.call(1, SHORT).await.len(), 1);
    }
    callers.say(QueueRules {
        per_key_max: Some(1),
        ..QueueRules::default()
    });
    let first = callers.call(10, SHORT).await;
    assert_eq!(first.len(), 1);
    assert!(callers.call(10, SHORT).await.is_empty());
    drop(first);
    assert_eq!(callers.call(10, SHORT).await.len(), 1);
}

fn one_a_second_of_each() -> QueueRules {
    QueueRules {
        of_each_namespace: NamespaceRules {
            weight: 1,
            per_second_max: Some(1),
        },
        ..QueueRules::default()
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_sleeps_past_the_time_of_a_namespace() {
    let callers = Callers::new(one_a_second_of_each(), Port::of([]));
    let long = Duration::from_secs(12);
    let (handed, ()) = tokio::join!(callers.call_all(3, long), callers.comes(0..6));
    assert_eq!(handed, [1, 1, 1]);
    // Nor when the one goes who knew the time.
    let (first, second) = tokio::join!(
        callers.call(1, Duration::from_millis(100)),
        callers.call(1, long),
    );
    assert_eq!((first.len(), second.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_share_that_was_not_known_yet_slows_nothing_down() {
    let port = Port {
        is_new: true,
        waiting: Mutex::new((0..2).map(keyed).collect()),
        ..Port::default()
    };
    let callers = Callers::new(one_a_second_of_each(), Arc::new(port));
    let handed = callers.call_all(2, Duration::from_secs(3)).await;
    assert_eq!(handed, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_look_ahead_of_many_callers_is_bounded() {
    let weight = NamespaceRules {
        weight: 2,
        per_second_max: None,
    };
    let weights = BTreeMap::from([(Namespace::parse("default").unwrap(), weight)]);
    let rules = QueueRules {
        of_namespaces: Arc::new(weights),
        ..QueueRules::default()
    };
    let callers = Callers::new(rules, Port::of([]));
    let calls = callers.call_all(100, Duration::from_secs(9));
    let look = async {
        tokio::task::yield_now().await;
        let asked = callers.port.asked.load(Ordering::SeqCst);
        assert_eq!(asked, turns::WAITING_MAX);
        callers.comes(0..200).await;
    };
    let (handed, ()) = tokio::join!(calls, look);
    assert_eq!(handed, [1; 100], "those as well who did not ask at first");
}

#[tokio::test(start_paused = true)]
async fn who_could_not_ask_does_when_others_go() {
    let callers = Callers::new(one_a_second_of_each(), Port::of([]));
    let others = futures::future::join_all((0..8).map(|_| callers.call(1, SHORT)));
    let goes = async {
        others.await;
        callers.comes(0..1).await;
    };
    let ((), asks) = tokio::join!(goes, callers.call(1, 4 * SHORT));
    assert_eq!(asks.len(), 1);
}
