//! Gates before a queue in memory, and before rules that others change meanwhile.

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{DeliveryToken, Epoch, LogOffset, PartitionId, Purge, TaskKey};
use minutehand_ports::{
    ExecutionQueue, QueueDepth, RulesChange, Settlement, Stop, StopListeners, StopReceiver,
};
use tokio::sync::Notify;

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
    asked: Mutex<Vec<usize>>,
    stops: StopListeners,
}

#[async_trait]
impl ExecutionQueue for Port {
    async fn poll(
        &self,
        _: &QueueName,
        _: &str,
        count_max: usize,
    ) -> Result<Vec<Delivery>, PortError> {
        self.asked.lock().unwrap().push(count_max);
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
        let mut waiting = self.waiting.lock().unwrap();
        ids.iter()
            .rev()
            .for_each(|id| waiting.push_front(delivery(id.sequence)));
        drop(waiting);
        self.came.notify_waiters();
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
        .with_sluice(&mail(), &settings.group, |sluice| {
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
