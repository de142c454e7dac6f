//! Gates: what operators have said of queues, obeyed by whoever hands out.
//!
//! Every hand-out of a process goes through [`Gates::poll`]. While a queue is paused its executions
//! stay in it, so that nothing of them is burnt; what an earlier poll has brought and has not been
//! started goes back.

mod sluice;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use minutehand_model::{Opening, OutcomeKind, QueueName, QueueRules, Timestamp};
use minutehand_ports::{Delivery, DeliveryId, PortError, QueueRulebook, RulesOfQueues};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use self::sluice::{Next, Purpose, Sluice};
use crate::settings::Settings;

/// How long one waits while it is not known what holds; whoever learns it wakes those who wait.
const UNKNOWN: Duration = Duration::from_secs(10);
/// How long a poll waits for executions that were purged: they are there, or there are none.
const SWEEP_LOOK: Duration = Duration::from_millis(200);
/// Who opens a gate whose probe has succeeded.
const PROBE: &str = "a probe that succeeded";

/// The gates of a process's queues. Clones are the same; by default all are open.
#[derive(Clone, Default)]
pub struct Gates(Option<Arc<Inner>>);

struct Inner {
    book: Arc<dyn QueueRulebook>,
    rules: watch::Receiver<Option<RulesOfQueues>>,
    /// Of the groups on queues of which something was said.
    sluices: Mutex<BTreeMap<(QueueName, String), Sluice>>,
}

impl Gates {
    /// Gates that obey what is said there.
    pub fn new(book: Arc<dyn QueueRulebook>) -> Gates {
        let rules = book.rules();
        Gates(Some(Arc::new(Inner {
            book,
            rules,
            sluices: Mutex::default(),
        })))
    }

    /// Whether a queue hands anything out now, and be it one execution from time to time.
    pub fn hands_out(&self, queue: &QueueName, now: Timestamp) -> bool {
        let is_shut = |rules: &QueueRules| {
            let closed = rules.closed(now);
            closed.is_some_and(|gate| gate.probe_every_ms.is_none())
        };
        !self.asks(queue, is_shut)
    }

    /// Takes executions from a queue for a group, as far as they may be handed out now.
    pub(crate) async fn poll(
        &self,
        settings: &Settings,
        queue: &QueueName,
        count_max: usize,
    ) -> Result<Vec<Delivery>, PortError> {
        let Settings { port, group, .. } = settings;
        let Some(inner) = &self.0 else {
            return port.poll(queue, group, count_max).await;
        };
        let mut news = inner.rules.clone();
        loop {
            let rules = {
                let all = news.borrow_and_update();
                all.as_ref().map(|all| all.get(queue).cloned())
            };
            let next = match &rules {
                None => Next::Wait(UNKNOWN),
                Some(None) => Next::Poll(count_max, Purpose::Work),
                Some(Some(rules)) => {
                    let (now, share) = (settings.now(), port.share(queue, group));
                    inner.with_sluice(queue, group, |sluice| {
                        sluice.next(rules, (now, Instant::now()), share, count_max)
                    })
                }
            };
            let (count, purpose) = match next {
                Next::Poll(count, purpose) => (count, purpose),
                Next::Wait(pause) => {
                    tokio::select! {
                        () = changed(&mut news) => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                    continue;
                }
            };
            let polled = tokio::select! {
                biased;
                polled = port.poll(queue, group, count) => polled?,
                () = changed(&mut news) => continue,
                () = tokio::time::sleep(SWEEP_LOOK), if purpose == Purpose::Sweep => Vec::new(),
            };
            let Some(Some(rules)) = &rules else {
                return Ok(polled);
            };
            let share = port.share(queue, group);
            let told = inner.with_sluice(queue, group, |sluice| {
                sluice.came(rules, purpose, polled, (Instant::now(), share))
            });
            if !told.back.is_empty() {
                port.let_go(queue, group, told.back);
            }
            if !told.taken.is_empty() || purpose == Purpose::Work {
                return Ok(told.taken);
            }
        }
    }

    /// Whether what was taken from a queue must go back to it instead of being started.
    pub(crate) fn holds_back(
        &self,
        queue: &QueueName,
        group: &str,
        delivery: &Delivery,
        now: Timestamp,
    ) -> bool {
        let is_closed = |rules: &QueueRules| {
            rules.closed(now).is_some() && !rules.is_purged(delivery.published_at)
        };
        let is_probe =
            |inner: &Inner| inner.with_sluice(queue, group, |sluice| sluice.is_probe(delivery.id));
        self.asks(queue, is_closed) && !self.0.as_deref().is_some_and(is_probe)
    }

    /// Whether what was published to a queue then is not to run.
    pub(crate) fn is_purged(&self, queue: &QueueName, published_at: Timestamp) -> bool {
        self.asks(queue, |rules| rules.is_purged(published_at))
    }

    /// A run has ended. When it was a probe and has succeeded, its queue is opened.
    pub(crate) fn ended(
        &self,
        settings: &Settings,
        queue: &QueueName,
        id: DeliveryId,
        kind: OutcomeKind,
    ) {
        let Some(inner) = &self.0 else { return };
        if !self.asks(queue, |rules| rules.gate.is_some()) {
            return;
        }
        let was_probe = inner.with_sluice(queue, &settings.group, |sluice| sluice.probe_ended(id));
        if !was_probe {
            return;
        }
        if kind != OutcomeKind::Succeeded {
            info!(%queue, outcome = kind.as_str(), "a probe did not succeed; the queue stays paused");
            return;
        }
        let (inner, queue, now) = (Arc::clone(inner), queue.clone(), settings.now());
        tokio::spawn(async move { inner.open(queue, now).await });
    }

    fn asks(&self, queue: &QueueName, ask: impl FnOnce(&QueueRules) -> bool) -> bool {
        let Some(inner) = &self.0 else { return false };
        let all = inner.rules.borrow();
        all.as_ref().and_then(|all| all.get(queue)).is_some_and(ask)
    }
}

impl Inner {
    fn with_sluice<T>(
        &self,
        queue: &QueueName,
        group: &str,
        look: impl FnOnce(&mut Sluice) -> T,
    ) -> T {
        let mut sluices = self.sluices();
        let sluice = sluices.entry((queue.clone(), group.to_owned()));
        look(sluice.or_insert_with(|| Sluice::new(Instant::now())))
    }

    fn sluices(&self) -> MutexGuard<'_, BTreeMap<(QueueName, String), Sluice>> {
        let mut sluices = self.sluices.lock().unwrap_or_else(PoisonError::into_inner);
        // Of queues of which nothing is said any more nothing need be remembered.
        let all = self.rules.borrow();
        if let Some(all) = all.as_ref().filter(|all| all.len() < sluices.len()) {
            sluices.retain(|(queue, _), _| all.contains_key(queue));
        }
        drop(all);
        sluices
    }

    async fn open(&self, queue: QueueName, now: Timestamp) {
        let rules = {
            let all = self.rules.borrow();
            all.as_ref().and_then(|all| all.get(&queue)).cloned()
        };
        let Some(mut rules) = rules.filter(|rules| rules.closed(now).is_some()) else {
            return;
        };
        if let Some(gate) = &mut rules.gate {
            gate.opened = Some(Opening {
                at: now,
                by: PROBE.to_owned(),
            });
        }
        match self.book.set_rules(&queue, rules).await {
            Ok(()) => info!(%queue, "the queue is open again: a probe has succeeded"),
            Err(error) => {
                warn!(%queue, %error, "a probe has succeeded, and the queue could not be opened; the next one may")
            }
        }
    }
}

/// Something else holds; for ever when nobody can say so any more.
async fn changed(news: &mut watch::Receiver<Option<RulesOfQueues>>) {
    if news.changed().await.is_err() {
        std::future::pending().await
    }
}
