//! The coordinator: leases of nodes, who should own what, who does, under which epoch.

use std::collections::{BTreeMap, BTreeSet};

use minutehand_model::Epoch;
use minutehand_model::placement::place;

/// A lease: the node and which of its leases it is.
pub(crate) type Lease = (usize, u64);

/// The state of the coordination service.
#[derive(Debug)]
pub(crate) struct Coordinator {
    ttl_ms: i64,
    /// Live leases and when they run out.
    leases: BTreeMap<Lease, i64>,
    /// The newest lease a node ever had, so that one that ran out stays so.
    newest: BTreeMap<usize, u64>,
    /// Nodes that are to be left without work.
    drained: BTreeSet<usize>,
    held: Vec<Option<(Lease, Epoch)>>,
    epoch: u64,
    assigned: Vec<BTreeSet<usize>>,
    /// The present placement: for every partition the name of its node.
    placed: Vec<Option<String>>,
    /// Planted: a new owner gets the epoch of its predecessor.
    pub(crate) epochs_reused: bool,
}

impl Coordinator {
    pub(crate) fn new(nodes: usize, partitions: usize, ttl_ms: i64) -> Coordinator {
        Coordinator {
            ttl_ms,
            leases: BTreeMap::new(),
            newest: BTreeMap::new(),
            drained: BTreeSet::new(),
            held: vec![None; partitions],
            epoch: 0,
            assigned: vec![BTreeSet::new(); nodes],
            placed: vec![None; partitions],
            epochs_reused: false,
        }
    }

    fn members(&self) -> Vec<usize> {
        let mut members: Vec<usize> = self.leases.keys().map(|(node, _)| *node).collect();
        members.dedup();
        members.retain(|node| !self.drained.contains(node));
        members
    }

    /// Computes who should own what; answers whether anything changed.
    pub(crate) fn reassign(&mut self) -> bool {
        let members = self.members();
        let names = members.iter().map(|node| name(*node)).collect();
        self.placed = place(&names, &self.placed);
        let mut assigned = vec![BTreeSet::new(); self.assigned.len()];
        for node in members {
            let name = Some(name(node));
            assigned[node] = (0..self.placed.len())
                .filter(|index| self.placed[*index] == name)
                .collect();
        }
        let changed = assigned != self.assigned;
        self.assigned = assigned;
        changed
    }

    /// What a node should own.
    pub(crate) fn assignment(&self, node: usize) -> &BTreeSet<usize> {
        &self.assigned[node]
    }

    /// Renews a lease, or grants it when it is new. `None`: it has run out. Otherwise whether it is
    /// new.
    pub(crate) fn renew(&mut self, lease: Lease, now_ms: i64) -> Option<bool> {
        let newest = self.newest.entry(lease.0).or_default();
        let is_new = lease.1 > *newest;
        if !is_new && !self.leases.contains_key(&lease) {
            return None;
        }
        *newest = (*newest).max(lease.1);
        self.leases.insert(lease, now_ms + self.ttl_ms);
        Some(is_new)
    }

    /// Ends the lease if its time has come; otherwise answers when that will be.
    pub(crate) fn expire(&mut self, lease: Lease, now_ms: i64) -> Result<(), i64> {
        match self.leases.get(&lease) {
            Some(expires_ms) if *expires_ms > now_ms => Err(*expires_ms),
            _ => {
                self.leases.remove(&lease);
                for held in &mut self.held {
                    if held.is_some_and(|(holder, _)| holder == lease) {
                        *held = None;
                    }
                }
                Ok(())
            }
        }
    }

    /// Leaves a node without work, or no longer.
    pub(crate) fn drain(&mut self, node: usize, drained: bool) {
        if drained {
            self.drained.insert(node);
        } else {
            self.drained.remove(&node);
        }
    }

    /// Takes a partition that nobody holds (or the same lease does), under a new epoch.
    pub(crate) fn acquire(&mut self, lease: Lease, partition: usize) -> Option<Epoch> {
        let is_free = self.held[partition].is_none_or(|(holder, _)| holder == lease);
        if !is_free || !self.leases.contains_key(&lease) {
            return None;
        }
        if !self.epochs_reused || self.epoch == 0 {
            self.epoch += 1;
        }
        self.held[partition] = Some((lease, Epoch(self.epoch)));
        Some(Epoch(self.epoch))
    }

    /// Gives a partition back, if it is still held under that epoch.
    pub(crate) fn release(&mut self, partition: usize, epoch: Epoch) {
        if self.held[partition].is_some_and(|(_, held)| held == epoch) {
            self.held[partition] = None;
        }
    }
}

/// A node's name, as placements know it.
fn name(node: usize) -> String {
    format!("node-{node}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_free_after_lease_end_or_release() {
        let mut coordinator = Coordinator::new(2, 1, 5_000);
        assert_eq!(coordinator.renew((0, 1), 0), Some(true));
        assert_eq!(coordinator.renew((1, 1), 0), Some(true));
        let first = coordinator.acquire((0, 1), 0).expect("free");
        assert_eq!(coordinator.acquire((1, 1), 0), None);
        assert_eq!(coordinator.expire((0, 1), 4_999), Err(5_000));
        assert_eq!(coordinator.expire((0, 1), 5_000), Ok(()));
        assert_eq!(
            coordinator.renew((0, 1), 5_001),
            None,
            "a lease that ran out does not come back"
        );
        let second = coordinator.acquire((1, 1), 0).expect("free again");
        assert!(second > first);
        coordinator.release(0, first);
        assert_eq!(
            coordinator.acquire((0, 1), 0),
            None,
            "an old epoch releases nothing"
        );
        coordinator.release(0, second);
        assert_eq!(coordinator.renew((0, 2), 5_002), Some(true));
        assert!(coordinator.acquire((0, 2), 0).expect("released") > second);
    }
}
