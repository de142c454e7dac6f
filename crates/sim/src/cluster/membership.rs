//! Leases, assignments, taking over and giving back: how a node follows the coordinator.

use minutehand_engine::{Input, Partition};
use minutehand_model::{Epoch, LogOffset, PartitionId, Timestamp};

use super::event::{Event, OwnerId};
use super::network::Store;
use super::node::Owner;
use super::speaker::Speaker;
use crate::trace::Who;

/// How long a node waits before it asks again for a partition that somebody holds, in milliseconds.
const ACQUIRE_AGAIN_MS: i64 = 250;
/// The longest time that an owner waits for its successor before a hand-over, in milliseconds.
const SUCCESSOR_AWAITED_MS: i64 = 3_000;

impl super::World {
    fn is_alive(&self, node: usize, incarnation: u32) -> bool {
        self.nodes[node].is_up && self.nodes[node].incarnation == incarnation
    }

    pub(crate) fn is_cut_off(&self, node: usize) -> bool {
        self.network
            .cut_until(node, Store::Coordinator, self.now_ms)
            .is_some()
            || self.network.is_out(Store::Coordinator, self.now_ms)
    }

    /// A node renews its lease, and will again after a third of its time to live.
    pub(crate) fn renew(&mut self, node: usize, incarnation: u32) {
        if !self.is_alive(node, incarnation) {
            return;
        }
        let again_ms = self.now_ms + self.setup.engine.lease_ttl_ms / 3;
        self.queue
            .push(again_ms, Event::Renew { node, incarnation });
        self.send_renewal(node, incarnation);
    }

    fn send_renewal(&mut self, node: usize, incarnation: u32) {
        if self.is_cut_off(node) || self.rng.chance(self.model.lost_request) {
            return;
        }
        let lease = self.nodes[node].lease;
        let clock_ms = self.nodes[node].clock(self.now_ms).as_millis();
        let mut lands_ms = self.now_ms + self.wire_ms();
        lands_ms += self.slow_ms().unwrap_or_default();
        self.queue.push(
            lands_ms,
            Event::RenewLands {
                node,
                incarnation,
                lease,
                clock_ms,
            },
        );
    }

    pub(crate) fn renew_lands(&mut self, node: usize, incarnation: u32, lease: u64, clock_ms: i64) {
        let renewed = self.coordinator.renew((node, lease), self.now_ms);
        if renewed == Some(true) {
            let ends_ms = self.now_ms + self.setup.engine.lease_ttl_ms;
            self.queue.push(ends_ms, Event::LeaseEnds { node, lease });
            self.members_changed();
        }
        if !self.is_cut_off(node) {
            let at_ms = self.now_ms + self.wire_ms();
            let granted = renewed.is_some();
            self.queue.push(
                at_ms,
                Event::RenewAnswered {
                    node,
                    incarnation,
                    lease,
                    clock_ms,
                    granted,
                },
            );
        }
    }

    pub(crate) fn renew_answered(
        &mut self,
        node: usize,
        incarnation: u32,
        lease: u64,
        clock_ms: i64,
        granted: bool,
    ) {
        if !self.is_alive(node, incarnation) || self.nodes[node].lease != lease {
            return;
        }
        if !granted {
            self.note(Who::Node(node), "lease lost", [lease, 0], || {
                format!("lease {lease}")
            });
            self.nodes[node].lose_lease();
            self.send_renewal(node, incarnation);
            return;
        }
        let at = Timestamp::from_millis(clock_ms);
        self.nodes[node].lease_is_granted = true;
        self.nodes[node].confirmed_at = at;
        for partition in 0..self.setup.partitions {
            if let Some(id) = self.owner_id(node, partition) {
                self.handle(id, Input::LeaseConfirmed { at });
                self.drive(id);
            }
        }
        self.reconcile(node, incarnation);
    }

    pub(crate) fn lease_ends(&mut self, node: usize, lease: u64) {
        match self.coordinator.expire((node, lease), self.now_ms) {
            Err(ends_ms) => self.queue.push(ends_ms, Event::LeaseEnds { node, lease }),
            Ok(()) => {
                self.counts.expired_leases += 1;
                self.note(Who::Node(node), "lease ends", [lease, 0], || {
                    format!("lease {lease}")
                });
                self.members_changed();
            }
        }
    }

    /// Computes the assignment anew and tells everybody who can be reached.
    pub(crate) fn members_changed(&mut self) {
        if !self.coordinator.reassign() {
            return;
        }
        for node in 0..self.nodes.len() {
            if !self.is_cut_off(node) {
                let at_ms = self.now_ms + self.wire_ms();
                let incarnation = self.nodes[node].incarnation;
                self.queue
                    .push(at_ms, Event::Reconcile { node, incarnation });
            }
        }
    }

    /// Takes what is the node's own, and gives up what is not.
    pub(crate) fn reconcile(&mut self, node: usize, incarnation: u32) {
        if !self.is_alive(node, incarnation)
            || !self.nodes[node].lease_is_granted
            || self.is_cut_off(node)
        {
            return;
        }
        for partition in 0..self.setup.partitions {
            let is_wanted = self.coordinator.assignment(node).contains(&partition);
            match self.owner_id(node, partition) {
                Some(id) if !is_wanted => self.give_partition_up(id),
                Some(id) => {
                    if let Some(owner) = self.owner_mut(id) {
                        owner.unwanted_since_ms = None;
                    }
                }
                None if is_wanted && self.nodes[node].acquiring.insert(partition) => {
                    self.prepare(node, partition);
                    let lease = self.nodes[node].lease;
                    let at_ms = self.now_ms + self.wire_ms();
                    self.queue.push(
                        at_ms,
                        Event::AcquireLands {
                            node,
                            incarnation,
                            partition,
                            lease,
                        },
                    );
                }
                None if !is_wanted => drop(self.nodes[node].prepared.remove(&partition)),
                _ => {}
            }
        }
    }

    /// An owner goes on for a while, as if it waited for its successor, and then hands over.
    fn give_partition_up(&mut self, id: OwnerId) {
        let now_ms = self.now_ms;
        let OwnerId {
            node,
            incarnation,
            partition,
            ..
        } = id;
        let Some(owner) = self.owner_mut(id) else {
            return;
        };
        if owner.handing_over_since_ms.is_some() {
            return;
        }
        let since_ms = *owner.unwanted_since_ms.get_or_insert(now_ms);
        let waits_until_ms = since_ms + since_ms % SUCCESSOR_AWAITED_MS;
        if now_ms < waits_until_ms {
            let again = Event::Reconcile { node, incarnation };
            self.queue.push(waits_until_ms, again);
            return;
        }
        owner.handing_over_since_ms = Some(now_ms);
        self.note(
            Who::Owner(node, partition),
            "hand over",
            [0, 0],
            String::new,
        );
        let asked_at = self.nodes[node].clock(since_ms);
        self.handle(id, Input::HandOver { asked_at });
        self.drive(id);
    }

    pub(crate) fn acquire_lands(
        &mut self,
        node: usize,
        incarnation: u32,
        partition: usize,
        lease: u64,
    ) {
        let is_out = self.network.is_out(Store::Coordinator, self.now_ms);
        let epoch = if is_out {
            None
        } else {
            self.coordinator.acquire((node, lease), partition)
        };
        let mut at_ms = self.now_ms + self.wire_ms();
        let mut answered = epoch;
        if self.rng.chance(self.model.lost_answer) || self.is_cut_off(node) {
            (at_ms, answered) = (at_ms + 2_000, None);
            // Whether it was granted nobody knows: what is held under the lease and not owned is
            // given back.
            if let Some(epoch) = epoch {
                self.release_at(at_ms, (node, partition), epoch);
            }
        }
        let answer = Event::AcquireAnswered {
            node,
            incarnation,
            partition,
            lease,
            epoch: answered,
        };
        self.queue.push(at_ms, answer);
    }

    pub(crate) fn acquire_answered(
        &mut self,
        node: usize,
        incarnation: u32,
        partition: usize,
        lease: u64,
        epoch: Option<Epoch>,
    ) {
        if !self.is_alive(node, incarnation) || self.nodes[node].lease != lease {
            return;
        }
        self.nodes[node].acquiring.remove(&partition);
        let Some(epoch) = epoch else {
            self.queue.push(
                self.now_ms + ACQUIRE_AGAIN_MS,
                Event::Reconcile { node, incarnation },
            );
            return;
        };
        self.counts.take_overs += 1;
        self.note(
            Who::Owner(node, partition),
            "acquired",
            [epoch.0, 0],
            || format!("epoch {epoch}"),
        );
        self.instances += 1;
        let id = PartitionId::own(partition as u32);
        let engine = Partition::obeying(self.setup.rules, self.engine_config(), id);
        self.nodes[node].owners[partition] = Some(Owner {
            instance: self.instances,
            engine,
            epoch,
            session: 0,
            wakes_at_ms: None,
            growth_is_coming: false,
            reader: (LogOffset::START, Timestamp::MIN),
            is_deaf: false,
            prepared: self.nodes[node].prepared.remove(&partition),
            unwanted_since_ms: None,
            handing_over_since_ms: None,
            drives: 0,
            driven_at_ms: i64::MIN,
        });
        let Some(id) = self.owner_id(node, partition) else {
            return;
        };
        // It may find none, and stands until it hears of one.
        let told = self.speaker.as_ref().map(Speaker::told);
        if let Some(until) = told.filter(|_| !self.rng.chance(self.model.lost_answer)) {
            self.handle(id, Input::Horizon { until });
        }
        let at = self.nodes[node].confirmed_at;
        self.handle(id, Input::LeaseConfirmed { at });
        self.handle(id, Input::Acquired { epoch });
        self.drive(id);
        self.reconcile(node, incarnation);
    }

    fn release_at(&mut self, at_ms: i64, (node, partition): (usize, usize), epoch: Epoch) {
        let release = Event::ReleaseLands {
            node,
            partition,
            epoch,
        };
        self.queue.push(at_ms, release);
    }

    /// A node gives a partition back; it tries until the coordinator has heard of it.
    pub(crate) fn release_lands(&mut self, node: usize, partition: usize, epoch: Epoch) {
        if self.is_cut_off(node) {
            self.release_at(self.now_ms + 500, (node, partition), epoch);
            return;
        }
        self.coordinator.release(partition, epoch);
        for node in 0..self.nodes.len() {
            let incarnation = self.nodes[node].incarnation;
            let at_ms = self.now_ms + self.wire_ms();
            self.queue
                .push(at_ms, Event::Reconcile { node, incarnation });
        }
    }
}
