//! Leasing: from a group's share of the queue to leases, waiting for it for a while.

use std::sync::Arc;
use std::time::Duration;

use minutehand_model::limits::PAGE_BYTES_MAX;
use minutehand_model::{GroupName, QueueName, Task};
use minutehand_ports::{DeliveryId, PortError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::id::LeaseId;
use super::lane::{LeaseLane, LeasedRun};
use super::leases::{Ends, Inner, Leased, Leases};
use super::table::{Grant, LaneName};
use crate::attempt::{Prepared, prepare};
use crate::commit::commit;
use crate::gates::Handed;
use crate::handler::Verdict;
use crate::observer::LeaseEnd;
use crate::run::Run;
use crate::settings::duration_ms;

/// The least time that a store is given to look, in milliseconds: a call that is not to wait takes
/// so long when there is nothing.
const LOOK_MS_MIN: i64 = 100;
/// How long a lease waits for at-most-once runs to be claimed; what is claimed later is due again
/// at once.
const CLAIM_MAX: Duration = Duration::from_secs(10);
/// What a lease costs in an answer beside its task, in bytes, about.
const LEASE_BYTES: usize = 512;
/// Between two polls that found nothing at once.
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// From which queue.
    pub queue: QueueName,
    /// For which worker group.
    pub group: GroupName,
    /// How many at most; fewer where they are large.
    pub count_max: usize,
    /// How long to wait for the first one, in milliseconds.
    pub wait_ms: i64,
    /// How long a lease lasts, in milliseconds.
    pub visibility_ms: i64,
}

/// Why nothing is leased.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Others wait already.
    #[error("{max} calls wait for leases here already")]
    TooManyWaiters {
        /// How many may wait.
        max: usize,
    },
    /// So much is out that nothing more may be.
    #[error("{leases} leases of {bytes} bytes are out here already; answer some, or let them end")]
    TooManyLeases {
        /// How many are out.
        leases: usize,
        /// How many bytes their tasks have.
        bytes: usize,
        /// How many may be out.
        leases_max: usize,
        /// How many bytes may be.
        bytes_max: usize,
    },
    /// So many groups on queues are leased from that there is no room for another.
    #[error("{max} groups on queues are leased from here already")]
    TooManyGroups {
        /// How many there may be.
        max: usize,
    },
    /// The queue does not answer.
    #[error(transparent)]
    Store(#[from] PortError),
}

/// A call that waits, however it ends.
struct Waiting<'a>(&'a Inner);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.table().end_wait();
    }
}

/// Deliveries in hand that are given back unless somebody takes them.
struct InHand<'a> {
    lane: &'a LeaseLane,
    ready: Vec<Prepared>,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.lane.let_go(
            self.ready
                .drain(..)
                .map(|prepared| prepared.ticket.delivery)
                .collect(),
        );
    }
}

impl Leases {
    /// Leases up to so many executions, waiting until there is one. None when there was none in
    /// that time, or the process begins to stop. A call that is dropped has leased nothing.
    ///
    /// # Errors
    /// Too much out, too many waiting, or a queue that does not answer.
    pub async fn lease(&self, request: LeaseRequest) -> Result<Vec<Leased>, LeaseError> {
        let inner = &self.0;
        let LeaseRequest {
            queue,
            group,
            count_max,
            wait_ms,
            visibility_ms,
        } = request;
        let lanes_max = inner.lanes.lanes_max();
        let lane = inner.lane(LaneName { queue, group });
        let lane = lane.ok_or(LeaseError::TooManyGroups { max: lanes_max })?;
        let deadline = Instant::now() + duration_ms(wait_ms.max(LOOK_MS_MIN));
        loop {
            let polled = inner
                .wait_for_deliveries(&lane, count_max, deadline)
                .await?;
            lane.is_used_now();
            if polled.is_empty() {
                return Ok(Vec::new());
            }
            let leased = inner.grant_some(&lane, polled, visibility_ms).await;
            // All of what came may have been stopped or purged.
            if !leased.is_empty() || Instant::now() >= deadline {
                return Ok(leased);
            }
        }
    }
}

impl Inner {
    async fn wait_for_deliveries(
        &self,
        lane: &LeaseLane,
        count_max: usize,
        deadline: Instant,
    ) -> Result<Vec<Handed>, LeaseError> {
        if !self.table().begin_wait() {
            return Err(LeaseError::TooManyWaiters {
                max: self.table().limits().waiters_max,
            });
        }
        let _waiting = Waiting(self);
        loop {
            let count = self.count_to_poll(lane, count_max)?;
            let (settings, seat) = (&lane.settings, lane.seat.as_ref());
            tokio::select! {
                biased;
                () = self.begins_to_stop() => return Ok(Vec::new()),
                polled = settings.gates.poll(settings, &lane.name.queue, seat, count) => {
                    let polled = polled?;
                    if !polled.is_empty() {
                        return Ok(polled);
                    }
                    tokio::time::sleep(POLL_PAUSE).await;
                }
                () = tokio::time::sleep_until(deadline) => return Ok(Vec::new()),
            }
        }
    }

    pub(super) async fn begins_to_stop(&self) {
        // Whoever could say so may be gone: then it does not.
        if self
            .stopping
            .clone()
            .wait_for(|stopping| *stopping)
            .await
            .is_err()
        {
            std::future::pending().await
        }
    }

    /// How many executions to take: no more than there is room for, here and in the answer.
    fn count_to_poll(&self, lane: &LeaseLane, count_max: usize) -> Result<usize, LeaseError> {
        let bytes_each = lane.bytes_average();
        let table = self.table();
        let room = table.room(bytes_each);
        if room == 0 {
            let (limits, standing) = (table.limits(), table.standing());
            return Err(LeaseError::TooManyLeases {
                leases: standing.leases,
                bytes: standing.bytes,
                leases_max: limits.leases_max,
                bytes_max: limits.bytes_max,
            });
        }
        let of_an_answer = PAGE_BYTES_MAX / (bytes_each + LEASE_BYTES);
        Ok(count_max.min(room).min(of_an_answer).max(1))
    }

    /// Leases what fits into an answer; the others are given back.
    async fn grant_some(
        self: &Arc<Self>,
        lane: &Arc<LeaseLane>,
        polled: Vec<Handed>,
        visibility_ms: i64,
    ) -> Vec<Leased> {
        lane.came(
            polled.len(),
            polled
                .iter()
                .map(|handed| handed.delivery.encoded.len())
                .sum(),
        );
        let (mut in_hand, mut claims) = (
            InHand {
                lane,
                ready: Vec::new(),
            },
            Vec::new(),
        );
        let (mut ends, mut bytes, mut surplus) = (Ends::default(), 0, Vec::new());
        let queue = &lane.name.queue;
        for Handed {
            delivery,
            hold,
            put_off,
        } in polled
        {
            let id = delivery.id;
            if bytes >= PAGE_BYTES_MAX {
                surplus.push(id);
                continue;
            }
            match (prepare(&delivery), put_off) {
                (Err(error), _) => {
                    ends.of(lane, None)
                        .set_aside(&lane.settings, queue, delivery, &error)
                }
                (Ok(prepared), _) if prepared.ticket.is_claimed && delivery.may_have_run => {
                    ends.of(lane, None).doubt(&lane.settings, queue, prepared);
                }
                (Ok(prepared), Some(delay)) => {
                    ends.of(lane, None)
                        .put_off_whole(&lane.settings, prepared, delay);
                }
                (Ok(mut prepared), None) => {
                    prepared.ticket.hold = hold;
                    bytes += LEASE_BYTES + answer_bytes(&prepared.execution.task);
                    if prepared.ticket.is_claimed {
                        claims.push(prepared);
                    } else {
                        in_hand.ready.push(prepared);
                    }
                }
            }
        }
        lane.let_go(surplus);
        self.end_apart(ends);
        let claimed = self.claim(lane, claims).await;
        let mut ready = std::mem::take(&mut in_hand.ready);
        ready.extend(claimed);
        self.grant(lane, ready, visibility_ms)
    }

    /// Claims at-most-once executions; those that may run. What is claimed when nobody waits for it
    /// any more is due again.
    async fn claim(
        self: &Arc<Self>,
        lane: &Arc<LeaseLane>,
        claims: Vec<Prepared>,
    ) -> Vec<Prepared> {
        if claims.is_empty() {
            return Vec::new();
        }
        let (tell, told) = oneshot::channel();
        let (inner, lane) = (Arc::clone(self), Arc::clone(lane));
        tokio::spawn(async move {
            let batch = crate::commit::Batch {
                claims,
                ..Default::default()
            };
            let ids = batch.ids();
            match commit(&lane.settings, &lane.name.queue, batch).await {
                Ok(committed) => {
                    if let Err(unwanted) = tell.send(committed.claimed) {
                        inner.put_off(&lane, unwanted).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(queue = %lane.name.queue, %error, "at-most-once runs could not be claimed");
                    lane.let_go(ids);
                }
            }
        });
        tokio::time::timeout(CLAIM_MAX, told)
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or_default()
    }

    /// Claimed runs that have not begun are due again at once.
    async fn put_off(self: &Arc<Self>, lane: &Arc<LeaseLane>, claimed: Vec<Prepared>) {
        let mut ends = Ends::default();
        for prepared in claimed {
            ends.of(lane, None).put_off(&lane.settings, prepared, 0);
        }
        for end in ends.0 {
            self.make_durable(end).await.ok();
        }
    }

    fn grant(
        self: &Arc<Self>,
        lane: &Arc<LeaseLane>,
        ready: Vec<Prepared>,
        visibility_ms: i64,
    ) -> Vec<Leased> {
        let (now, steady_now) = (lane.settings.now(), self.steady_now());
        let expires_at = now.plus_millis(visibility_ms);
        let (mut leased, mut replaced, mut ends) =
            (Vec::with_capacity(ready.len()), Vec::new(), Ends::default());
        let mut no_room: (Vec<DeliveryId>, Vec<Prepared>) = Default::default();
        for prepared in ready {
            let Prepared {
                mut ticket,
                execution,
            } = prepared;
            ticket.held_as = Some(execution.token);
            let run = Run::new(execution, now);
            // Whoever stops runs looks for them under the same lock.
            let mut table = self.table();
            let gates = &lane.settings.gates;
            let is_purged = gates.is_purged(&lane.name.queue, run.execution().published_at);
            if is_purged || lane.stops().has(ticket.key, run.task()) {
                drop(table);
                ends.of(lane, None).settle(
                    &lane.settings,
                    &lane.name.queue,
                    &ticket,
                    &run,
                    Verdict::Cancelled,
                );
                continue;
            }
            let grant = Grant {
                lane: Arc::clone(&lane.name),
                delivery: ticket.delivery,
                task: ticket.key,
                bytes: ticket.encoded.len(),
                secret: self.secret(),
                expires_at: steady_now.plus_millis(visibility_ms),
            };
            let content = LeasedRun {
                lane: Arc::clone(lane),
                ticket,
                run: run.clone(),
            };
            let granted = table.grant(grant, content);
            drop(table);
            match granted {
                Ok((key, before)) => {
                    replaced.extend(before);
                    let (due, published_at) = (run.task().due, run.execution().published_at);
                    let lateness_ms = now.millis_since(due);
                    let observer = &lane.settings.observer;
                    run.begins();
                    observer.started(
                        &lane.name.queue,
                        lateness_ms,
                        published_at.millis_since(due),
                    );
                    leased.push(Leased::new(
                        LeaseId {
                            holder: self.holder,
                            key,
                        },
                        run,
                        expires_at,
                    ));
                }
                Err(LeasedRun { ticket, run, .. }) if ticket.is_claimed => {
                    no_room.1.push(Prepared {
                        ticket,
                        execution: run.execution().clone(),
                    });
                }
                Err(LeasedRun { ticket, .. }) => no_room.0.push(ticket.delivery),
            }
        }
        lane.let_go(no_room.0);
        for prepared in no_room.1 {
            ends.of(lane, None).put_off(&lane.settings, prepared, 0);
        }
        for _ in replaced {
            lane.settings
                .observer
                .lease_ended(&lane.name.queue, LeaseEnd::Expired);
        }
        self.end_apart(ends);
        self.deadlines_changed();
        leased
    }
}

/// What a task takes in an answer in JSON, in bytes, about.
fn answer_bytes(task: &Task) -> usize {
    let headers: usize = task
        .headers
        .iter()
        .map(|(name, value)| name.len() + 2 * value.len() + 8)
        .sum();
    let written = |byte: &u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 | 0x7f => 6,
        _ => 1,
    };
    headers
        + task
            .payload
            .iter()
            .map(written)
            .sum::<usize>()
            .max(task.payload.len() * 4 / 3)
}
