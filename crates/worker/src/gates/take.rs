//! Taking from a queue for a group, as what is said of the queue allows.

use std::time::Duration;

use minutehand_model::{QueueName, QueueRules};
use minutehand_ports::PortError;
use tokio::sync::watch;
use tokio::time::Instant;

use super::room::{self, Came, Handed, Look, Seat};
use super::sluice::{Next, Purpose};
use super::turns::Terms;
use super::{Inner, RulesOfQueues, SWEEP_LOOK, UNKNOWN, changed, wait};
use crate::settings::Settings;

type News = watch::Receiver<Option<RulesOfQueues>>;

/// Who takes from a queue.
pub(super) struct Taker<'a> {
    pub(super) inner: &'a Inner,
    pub(super) settings: &'a Settings,
    pub(super) queue: &'a QueueName,
    pub(super) seat: &'a Seat,
}

/// So much is reserved for one who takes, until this is dropped.
struct Reserved<'a> {
    taker: &'a Taker<'a>,
    count: usize,
    purpose: Purpose,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let Taker {
            inner,
            settings,
            queue,
            seat,
        } = self.taker;
        inner.with_sluice(queue, settings.group.as_str(), |sluice| {
            sluice.release(self.count, self.purpose);
        });
        seat.room.released.notify_one();
    }
}

impl Taker<'_> {
    /// Takes up to so many.
    pub(super) async fn take(&self, count_max: usize) -> Result<Vec<Handed>, PortError> {
        let mut news = self.inner.rules.clone();
        let _waiter = room::Waiter(&self.seat.room);
        // Whether it was woken to look after what waits in the room.
        let mut looks_after = true;
        loop {
            if news.borrow_and_update().is_none() {
                wait(&mut news, UNKNOWN).await;
                continue;
            }
            let rules = self.inner.said(self.queue);
            let (next, _reserved) = self.next(rules.as_ref(), count_max);
            if self.is_closed(rules.as_ref()) {
                self.seat.give_back();
            }
            let handed = match next {
                Next::Wait(pause) => {
                    if std::mem::take(&mut looks_after) {
                        self.seat.room.pass_on();
                    }
                    self.rest(pause, &mut news).await;
                    None
                }
                Next::Poll(count, Purpose::Work) => {
                    looks_after = true;
                    self.work(count, &mut news).await?
                }
                Next::Poll(count, purpose) => {
                    let rules = rules.unwrap_or_default();
                    self.behind(&rules, count, purpose, &mut news).await?
                }
            };
            if let Some(handed) = handed {
                return Ok(handed);
            }
        }
    }

    /// Waits for so long, or until something else holds or somebody's poll is over.
    async fn rest(&self, pause: Duration, news: &mut News) {
        tokio::select! {
            () = wait(news, pause) => {}
            () = self.seat.room.released.notified() => {}
        }
    }

    /// What may be done next, reserved until it is over.
    fn next(&self, rules: Option<&QueueRules>, count_max: usize) -> (Next, Option<Reserved<'_>>) {
        let Some(rules) = rules else {
            return (Next::Poll(count_max, Purpose::Work), None);
        };
        let settings = self.settings;
        let (now, share) = (settings.now(), self.share());
        let next = self
            .inner
            .with_sluice(self.queue, settings.group.as_str(), |sluice| {
                let next = sluice.next(rules, (now, Instant::now()), share, count_max);
                if let Next::Poll(count, purpose) = next {
                    sluice.reserve(count, purpose);
                }
                next
            });
        let Next::Poll(count, purpose) = next else {
            return (next, None);
        };
        // There may be something left for the next one.
        self.seat.room.released.notify_one();
        let reserved = Reserved {
            taker: self,
            count,
            purpose,
        };
        (next, Some(reserved))
    }

    /// Whether what waits for its turn has to go back.
    fn is_closed(&self, rules: Option<&QueueRules>) -> bool {
        rules.is_some_and(|rules| rules.closed(self.settings.now()).is_some())
    }

    /// This process's share of what is said of the queue. Who has no partitions does not know it:
    /// it gets them by asking.
    fn share(&self) -> f64 {
        let Settings { port, group, .. } = self.settings;
        let share = port.share(self.queue, group.as_str());
        if share > 0.0 { share.min(1.0) } else { 1.0 }
    }

    /// What holds now, and whether only a look ahead can keep it.
    fn terms(&self) -> (Terms, bool) {
        let rules = self.inner.said(self.queue).unwrap_or_default();
        let terms = Terms::of(&rules, self.share());
        (terms, rules.needs_a_look_ahead())
    }

    /// Takes up to so many whose turn it is; `None` when one has to look again.
    async fn work(&self, count: usize, news: &mut News) -> Result<Option<Vec<Handed>>, PortError> {
        let Settings { port, group, .. } = self.settings;
        let group = group.as_str();
        let room = &self.seat.room;
        let look = room.look(self.terms(), count, Instant::now());
        self.seat.let_go(look.back);
        let Look {
            is_ready,
            asked,
            ready_at,
            ..
        } = look;
        let poll = port.poll(self.queue, group, asked.wanted);
        let polled = tokio::select! {
            biased;
            polled = poll, if asked.wanted > 0 => Some(polled?),
            // What is there is there at once.
            () = std::future::ready(()), if is_ready => None,
            () = changed(news) => return Ok(None),
            () = room.freed.notified() => return Ok(None),
            () = room.unasked.notified(), if asked.wanted == 0 => return Ok(None),
            () = room::ready_at(ready_at) => return Ok(None),
        };
        let came_empty = polled.as_ref().is_some_and(Vec::is_empty);
        let polled = polled.unwrap_or_default();
        // What holds, and this member's share, may be others than before the poll.
        let came = room.come((asked, polled), self.terms(), count, Instant::now());
        let Came { handed, back } = came;
        self.seat.let_go(back);
        self.started(&handed);
        // Who polls pauses when a queue says that it has nothing.
        Ok((came_empty || !handed.is_empty()).then_some(handed))
    }

    /// These were handed out.
    fn started(&self, handed: &[Handed]) {
        if let Some(rules) = self.inner.said(self.queue) {
            let group = self.settings.group.as_str();
            self.inner.with_sluice(self.queue, group, |sluice| {
                sluice.started(&rules, room::started(handed));
            });
        }
    }

    /// Takes what a queue hands out though it is paused, as long as nothing else holds.
    async fn behind(
        &self,
        rules: &QueueRules,
        count: usize,
        purpose: Purpose,
        news: &mut News,
    ) -> Result<Option<Vec<Handed>>, PortError> {
        tokio::select! {
            biased;
            looked = self.look_behind(rules, count, purpose) => looked,
            () = changed(news) => Ok(None),
        }
    }

    /// Takes what a queue hands out though it is paused: a probe, or what was purged. `None` when
    /// there was none.
    async fn look_behind(
        &self,
        rules: &QueueRules,
        count: usize,
        purpose: Purpose,
    ) -> Result<Option<Vec<Handed>>, PortError> {
        let Settings { port, group, .. } = self.settings;
        let group = group.as_str();
        let polled = tokio::select! {
            biased;
            polled = port.poll(self.queue, group, count) => polled?,
            () = tokio::time::sleep(SWEEP_LOOK), if purpose == Purpose::Sweep => Vec::new(),
        };
        let share = port.share(self.queue, group);
        let told = self.inner.with_sluice(self.queue, group, |sluice| {
            sluice.came(rules, purpose, polled, (Instant::now(), share))
        });
        self.seat.let_go(told.back);
        let handed: Vec<Handed> = told.taken.into_iter().map(Handed::plain).collect();
        Ok((!handed.is_empty()).then_some(handed))
    }
}
