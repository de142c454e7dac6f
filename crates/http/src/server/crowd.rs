//! All connections of a server, and whom of them to let go.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::standing::{Standing, Waits};

/// All connections of a server.
pub(super) struct Crowd {
    held_bytes_max: usize,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    next: u64,
    /// Those within.
    within: BTreeMap<u64, Arc<Standing>>,
}

impl Crowd {
    pub(super) fn new(held_bytes_max: usize) -> Crowd {
        Crowd {
            held_bytes_max,
            members: Mutex::default(),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection in; by the number it is counted out.
    pub(super) fn enter(&self, standing: &Arc<Standing>) -> u64 {
        let mut members = self.locked();
        let number = members.next;
        members.next += 1;
        members.within.insert(number, Arc::clone(standing));
        number
    }

    pub(super) fn leave(&self, number: u64) {
        self.locked().within.remove(&number);
    }

    /// Lets go, of the peer that keeps most connections waiting, the one that does so longest.
    /// Nobody, while every connection waits for us or has been let go already.
    pub(super) fn let_one_go(&self) {
        let members = self.locked();
        let is_under_way = members
            .within
            .values()
            .any(|standing| standing.is_closing());
        if let Some(standing) = longest_of_most(members.within.values()).filter(|_| !is_under_way) {
            standing.let_go();
        }
    }

    /// Lets connections go until the others hold no more than there is room for.
    pub(super) fn shed(&self) {
        let members = self.locked();
        let mut held: usize = members
            .within
            .values()
            .map(|standing| standing.held_bytes())
            .sum();
        while held > self.held_bytes_max {
            let holding = members
                .within
                .values()
                .filter(|standing| standing.held_bytes() > 0);
            let Some(standing) = longest_of_most(holding) else {
                return;
            };
            let bytes = standing.held_bytes();
            if !standing.let_go() {
                return;
            }
            tracing::debug!(
                peer = %standing.peer, bytes,
                "a connection was let go: bodies and answers in memory have no more room"
            );
            held -= bytes;
        }
    }
}

/// Of the peer with most of these connections that wait for it, the one that has waited longest; of
/// peers with as many, the longest of all.
fn longest_of_most<'a>(
    standings: impl Iterator<Item = &'a Arc<Standing>>,
) -> Option<&'a Arc<Standing>> {
    let mut waiting: BTreeMap<Network, Vec<_>> = BTreeMap::new();
    for standing in standings.filter(|standing| !standing.is_closing()) {
        let (waits, since) = standing.waits();
        if waits != Waits::Us {
            waiting
                .entry(network(standing.peer))
                .or_default()
                .push((since, standing));
        }
    }
    let longest = |waiting: Vec<(Instant, &'a Arc<Standing>)>| {
        let count = waiting.len();
        let (since, standing) = waiting.into_iter().min_by_key(|(since, _)| *since)?;
        Some(((count, Reverse(since)), standing))
    };
    let of_each = waiting.into_values().filter_map(longest);
    of_each
        .max_by_key(|(order, _)| *order)
        .map(|(_, standing)| standing)
}

/// Addresses that one caller has at its disposal: one of IPv4, 2^64 of IPv6.
type Network = u128;

fn network(peer: IpAddr) -> Network {
    match peer.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::standing::{Open, Share};
    use super::*;

    async fn enter(crowd: &Crowd, peer: &str) -> Arc<Standing> {
        tokio::time::advance(Duration::from_millis(1)).await;
        let standing = Arc::new(Standing::new(peer.parse().unwrap(), false));
        crowd.enter(&standing);
        standing
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_most_gives_way_first() {
        let crowd = Crowd::new(usize::MAX);
        let quiet = enter(&crowd, "10.0.0.1").await;
        let busy = enter(&crowd, "2001:db8::1").await;
        let _served = Open::begin(&busy);
        let second = enter(&crowd, "2001:db8::2").await;
        let third = enter(&crowd, "2001:db8::ffff:3").await;
        crowd.let_one_go();
        assert!(
            second.is_closing(),
            "the longest of the network that has most"
        );
        crowd.let_one_go();
        assert!(!third.is_closing() && !quiet.is_closing(), "one at a time");
        crowd.leave(2);
        crowd.let_one_go();
        assert!(quiet.is_closing() && !busy.is_closing());
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_longest_with_bytes_in_memory_is_shed() {
        let crowd = Crowd::new(100);
        let empty = enter(&crowd, "10.0.0.1").await;
        let (first, second) = (
            enter(&crowd, "10.0.0.1").await,
            enter(&crowd, "10.0.0.1").await,
        );
        let opened = [&first, &second].map(|standing| {
            let (open, mut share) = (Open::begin(standing), Share::new(standing));
            share.on_peer(true);
            share.hold(60);
            (open, share)
        });
        crowd.shed();
        assert_eq!(
            [&empty, &first, &second].map(|standing| standing.is_closing()),
            [false, true, false]
        );
        drop(opened);
    }
}
