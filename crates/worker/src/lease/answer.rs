//! Answers: what the holder of a lease says of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use minutehand_model::{LeaseWord, QueueName};
use minutehand_ports::DeliveryId;

use super::id::{LeaseId, LeaseKey};
use super::lane::LeasedRun;
use super::leases::{Ends, Inner, Leases};
use super::table::Over;
use crate::attempt::Prepared;
use crate::decide::after_stop;
use crate::handler::Verdict;
use crate::observer::LeaseEnd;
use crate::run::StopCause;

/// How long answers wait to become durable before the caller is told that it is not known yet.
const DURABLE_MAX: Duration = Duration::from_secs(20);

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is durable.
    Done,
    /// There is no such lease, or none any more: the execution is, or will be, in other hands, or
    /// was answered before.
    Lost,
    /// The run is to stop, so its lease does not last longer. It goes on to its end.
    StopRequested,
    /// It is not known whether it became durable. What was not is handed out again.
    Unknown,
}

impl Leases {
    /// Takes answers to leases of a queue; what became of each, in their order.
    pub async fn answer(
        &self,
        queue: &QueueName,
        answers: Vec<(LeaseId, LeaseWord)>,
    ) -> Vec<Answered> {
        let inner = &self.0;
        let mut told = vec![Answered::Lost; answers.len()];
        let (mut ends, mut places) = (Ends::default(), BTreeMap::new());
        for (index, (id, answer)) in answers.into_iter().enumerate() {
            if id.holder != inner.holder {
                continue;
            }
            match inner.take(queue, id.key, answer, &mut ends) {
                Taken::At(lane, delivery) => {
                    places.insert((lane, delivery), index);
                }
                Taken::Told(answered) => told[index] = answered,
            }
        }
        for (index, answered) in inner.durable(ends, &places).await {
            told[index] = answered;
        }
        let is_lost = |answered: &&Answered| **answered == Answered::Lost;
        inner.tell_lost(queue, told.iter().filter(is_lost).count());
        told
    }
}

/// What can be said of an answer at once.
enum Taken {
    /// What follows from it is the end of that delivery, of the lane at that place.
    At(usize, DeliveryId),
    /// All.
    Told(Answered),
}

impl Inner {
    fn tell_lost(&self, queue: &QueueName, count: usize) {
        if count > 0 {
            // A name that nobody leases from is anybody's to make up: it gets no series.
            let known = Some(queue).filter(|queue| self.lanes.serves(queue));
            (0..count).for_each(|_| self.settings.observer.lease_lost(known));
        }
    }

    fn take(
        self: &Arc<Self>,
        queue: &QueueName,
        key: LeaseKey,
        answer: LeaseWord,
        ends: &mut Ends,
    ) -> Taken {
        let mut table = self.table();
        if let LeaseWord::Extend { visibility_ms } = answer
            && visibility_ms > 0
        {
            let Some(leased) = table.content(queue, key) else {
                return Taken::Told(Answered::Lost);
            };
            leased.lane.is_used_now();
            if leased.run.stop_cause() == Some(StopCause::Requested) {
                return Taken::Told(Answered::StopRequested);
            }
            let is_extended =
                table.extend(queue, key, self.steady_now().plus_millis(visibility_ms));
            drop(table);
            self.deadlines_changed();
            return Taken::Told(if is_extended {
                Answered::Done
            } else {
                Answered::Lost
            });
        }
        let Some(over) = table.end(queue, key) else {
            return Taken::Told(Answered::Lost);
        };
        drop(table);
        over.content.lane.is_used_now();
        self.end(over, answer, ends)
    }

    fn end(self: &Arc<Self>, over: Over<LeasedRun>, answer: LeaseWord, ends: &mut Ends) -> Taken {
        let Over { bytes, content, .. } = over;
        let (lane, delivery) = (Arc::clone(&content.lane), content.ticket.delivery);
        let observer = &lane.settings.observer;
        let is_to_stop = content.run.stop_cause() == Some(StopCause::Requested);
        let verdict = match answer {
            // Whoever wants it back or later does not hear of the stop: this is its end.
            LeaseWord::Extend { .. } | LeaseWord::Snooze { .. } if is_to_stop => Verdict::Cancelled,
            LeaseWord::Ack { result } => Verdict::Success { detail: result },
            LeaseWord::Nack { error, delay_ms } => Verdict::Failure {
                reason: error,
                retry_after_ms: delay_ms,
            },
            LeaseWord::Extend { .. } if !content.ticket.is_claimed => {
                observer.lease_ended(&lane.name.queue, LeaseEnd::Released);
                lane.let_go(vec![delivery]);
                self.table().close(bytes);
                return Taken::Told(Answered::Done);
            }
            LeaseWord::Extend { .. } => {
                return put_off(content, bytes, 0, LeaseEnd::Released, ends);
            }
            LeaseWord::Snooze { delay_ms } => {
                return put_off(content, bytes, delay_ms, LeaseEnd::Snoozed, ends);
            }
        };
        let verdict = match content.run.stop_cause() {
            Some(cause) => after_stop(Some(verdict), cause, 0).unwrap_or(Verdict::Cancelled),
            None => verdict,
        };
        ends.settle(bytes, &content, verdict);
        Taken::At(ends.place(&lane), delivery)
    }

    /// Makes ends durable, also when the caller waits no longer; what became of each, by the place
    /// of its answer.
    async fn durable(
        self: &Arc<Self>,
        ends: Ends,
        places: &BTreeMap<(usize, DeliveryId), usize>,
    ) -> Vec<(usize, Answered)> {
        let commits = ends.0.into_iter().map(|end| {
            let inner = Arc::clone(self);
            let commit = tokio::spawn(async move { inner.make_durable(end).await });
            tokio::time::timeout(DURABLE_MAX, commit)
        });
        let committed = join_all(commits).await;
        let answered = |(lane, delivery): &(usize, DeliveryId)| match committed.get(*lane) {
            Some(Ok(Ok(Ok(lost)))) if lost.contains(delivery) => Answered::Lost,
            Some(Ok(Ok(Ok(_)))) => Answered::Done,
            _ => Answered::Unknown,
        };
        places
            .iter()
            .map(|(place, index)| (*index, answered(place)))
            .collect()
    }
}

/// A run that has not begun goes back to the scheduler.
fn put_off(
    content: LeasedRun,
    bytes: usize,
    delay_ms: i64,
    how: LeaseEnd,
    ends: &mut Ends,
) -> Taken {
    let LeasedRun { lane, ticket, run } = content;
    let delivery = ticket.delivery;
    lane.settings.observer.lease_ended(&lane.name.queue, how);
    let prepared = Prepared {
        ticket,
        execution: run.execution().clone(),
    };
    ends.of(&lane, Some(bytes))
        .put_off(&lane.settings, prepared, delay_ms);
    Taken::At(ends.place(&lane), delivery)
}
