//! Gates: what operators have said of queues, obeyed by whoever hands out.
//!
//! Every hand-out of a process goes through [`Gates::poll`]. While a queue is paused its executions
//! stay in it, so that nothing of them is burnt; what an earlier poll has brought and has not been
//! started goes back. What an open queue hands out comes by way of a [`room`], where it waits for
//! its turn.

mod bucket;
mod room;
mod sluice;
mod sluices;
mod take;
#[cfg(test)]
mod tests;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use minutehand_model::{Breaker, Gate, Opening, OutcomeKind, QueueName, QueueRules, Timestamp};
use minutehand_ports::{Delivery, DeliveryId, PortError, QueueRulebook, RulesOfQueues};
use tokio::sync::watch;
use tracing::{info, warn};

use self::room::Rooms;
pub(crate) use self::room::{Handed, Hold, Seat};
use self::sluice::Sluice;
use self::sluices::Sluices;
use self::take::Taker;
use crate::settings::Settings;

/// How long one waits while it is not known what holds; whoever learns it wakes those who wait.
const UNKNOWN: Duration = Duration::from_secs(10);
/// How long a poll waits for executions that were purged: they are there, or there are none.
const SWEEP_LOOK: Duration = Duration::from_millis(200);
/// Who opens a gate whose probe has succeeded.
const PROBE: &str = "a probe that succeeded";
/// Who closes a gate after too many failures.
const BREAKER: &str = "its breaker";

/// The gates of a process's queues. Clones are the same; by default all are open.
#[derive(Clone, Default)]
pub struct Gates(Option<Arc<Inner>>);

struct Inner {
    book: Arc<dyn QueueRulebook>,
    rules: watch::Receiver<Option<RulesOfQueues>>,
    sluices: Sluices,
    rooms: Rooms,
}

impl Gates {
    /// Gates that obey what is said there.
    pub fn new(book: Arc<dyn QueueRulebook>) -> Gates {
        let rules = book.rules();
        Gates(Some(Arc::new(Inner {
            book,
            rules,
            sluices: Sluices::default(),
            rooms: Rooms::default(),
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

    /// A seat for somebody who takes from a queue for a group; `None` where nothing can be said of
    /// queues.
    pub(crate) fn seat(&self, settings: &Settings, queue: &QueueName) -> Option<Seat> {
        let Settings { port, group, .. } = settings;
        let group = group.as_str();
        let room = self.0.as_ref()?.rooms.room(queue, group);
        Some(Seat::new(room, Arc::clone(port), queue, group))
    }

    /// Takes executions from a queue for a group, as far as they may be handed out now and as it is
    /// their turn.
    pub(crate) async fn poll(
        &self,
        settings: &Settings,
        queue: &QueueName,
        seat: Option<&Seat>,
        count_max: usize,
    ) -> Result<Vec<Handed>, PortError> {
        let Settings { port, group, .. } = settings;
        let (Some(inner), Some(seat)) = (&self.0, seat) else {
            let polled = port.poll(queue, group.as_str(), count_max).await?;
            return Ok(polled.into_iter().map(Handed::plain).collect());
        };
        let taker = Taker {
            inner,
            settings,
            queue,
            seat,
        };
        taker.take(count_max).await
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

    /// A run has ended. When it was a probe and has succeeded, its queue is opened; when it is one of
    /// too many that failed in a row, the queue is paused.
    pub(crate) fn ended(
        &self,
        settings: &Settings,
        queue: &QueueName,
        id: DeliveryId,
        kind: OutcomeKind,
    ) {
        let Some(inner) = &self.0 else { return };
        let (now, group) = (settings.now(), settings.group.as_str());
        let all = inner.all();
        let Some(rules) = all.as_ref().and_then(|all| all.get(queue)) else {
            return;
        };
        let is_open = rules.closed(now).is_none();
        let was_probe = rules.gate.is_some()
            && inner.with_sluice(queue, group, |sluice| sluice.probe_ended(id));
        let (inner, queue) = (Arc::clone(inner), queue.clone());
        if was_probe {
            if kind != OutcomeKind::Succeeded {
                let outcome = kind.as_str();
                info!(%queue, outcome, "a probe did not succeed; the queue stays paused");
            } else if let Some(probed) = probed(rules, now) {
                tokio::spawn(async move { inner.open(queue, now, probed).await });
            }
        } else if let Some(breaker) = rules.breaker.as_ref().filter(|_| is_open) {
            let is_over = inner.with_sluice(&queue, group, |sluice| {
                sluice.has_failed_often(kind, breaker.failures_max)
            });
            if is_over {
                let breaker = breaker.clone();
                tokio::spawn(async move { inner.close(queue, now, breaker).await });
            }
        }
    }

    fn asks(&self, queue: &QueueName, ask: impl FnOnce(&QueueRules) -> bool) -> bool {
        let Some(inner) = &self.0 else { return false };
        let all = inner.rules.borrow();
        all.as_ref().and_then(|all| all.get(queue)).is_some_and(ask)
    }
}

impl Inner {
    /// What is said of all queues now.
    fn all(&self) -> Option<RulesOfQueues> {
        self.rules.borrow().clone()
    }

    /// What is said of a queue now.
    fn said(&self, queue: &QueueName) -> Option<QueueRules> {
        self.all()?.get(queue).cloned()
    }

    fn with_sluice<T>(
        &self,
        queue: &QueueName,
        group: &str,
        look: impl FnOnce(&mut Sluice) -> T,
    ) -> T {
        // Of queues of which nothing is said, and of groups that are gone, nothing is remembered.
        let is_needed = |name: &sluices::Name| {
            let all = self.rules.borrow();
            let is_ruled = all.as_ref().is_none_or(|all| all.contains_key(&name.0));
            is_ruled && self.rooms.has_seats(name)
        };
        let name = (queue.clone(), group.to_owned());
        self.sluices.with(name, is_needed, look)
    }

    /// Pauses a queue of which too much has failed, until a probe succeeds; not when somebody has
    /// said meanwhile that it is paused, or that it does not pause by itself.
    async fn close(&self, queue: QueueName, now: Timestamp, breaker: Breaker) {
        let failures = breaker.failures_max;
        let close = move |rules: &QueueRules| {
            let holds = rules.closed(now).is_none() && rules.breaker.as_ref() == Some(&breaker);
            holds.then(|| QueueRules {
                gate: Some(closed_by(&breaker, now)),
                ..rules.clone()
            })
        };
        match self.book.change(&queue, Box::new(close)).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                warn!(%queue, failures, "the queue is paused: that many attempts in a row failed")
            }
            Err(error) => {
                warn!(%queue, failures, %error, "that many attempts in a row failed, and the queue could not be paused")
            }
        }
    }

    /// Opens a queue of which a probe has succeeded; not when somebody has paused it in another way
    /// meanwhile.
    async fn open(&self, queue: QueueName, now: Timestamp, probed: Gate) {
        let open = move |rules: &QueueRules| {
            let gate = rules.closed(now).filter(|gate| **gate == probed)?;
            let by = PROBE.to_owned();
            let gate = Gate {
                opened: Some(Opening { at: now, by }),
                ..gate.clone()
            };
            Some(QueueRules {
                gate: Some(gate),
                ..rules.clone()
            })
        };
        match self.book.change(&queue, Box::new(open)).await {
            Ok(None) => {}
            Ok(Some(_)) => info!(%queue, "the queue is open again: a probe has succeeded"),
            Err(error) => {
                warn!(%queue, %error, "a probe has succeeded, and the queue could not be opened; the next one may")
            }
        }
    }
}

/// The gate that a probe opens by its success.
fn probed(rules: &QueueRules, now: Timestamp) -> Option<Gate> {
    let gate = rules.closed(now)?;
    gate.probe_every_ms.is_some().then(|| gate.clone())
}

/// The gate that a breaker closes.
fn closed_by(breaker: &Breaker, now: Timestamp) -> Gate {
    Gate {
        closed_at: now,
        closed_by: BREAKER.to_owned(),
        reason: format!("{} attempts in a row failed", breaker.failures_max),
        until: None,
        probe_every_ms: Some(breaker.probe_every_ms),
        drain_per_second: breaker.drain_per_second,
        opened: None,
    }
}

/// Waits until something else holds, or for so long.
async fn wait(news: &mut watch::Receiver<Option<RulesOfQueues>>, pause: Duration) {
    tokio::select! {
        () = changed(news) => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// Something else holds; for ever when nobody can say so any more.
async fn changed(news: &mut watch::Receiver<Option<RulesOfQueues>>) {
    if news.changed().await.is_err() {
        std::future::pending().await
    }
}
