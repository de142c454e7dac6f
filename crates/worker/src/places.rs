//! Places: how many runs may wait for something at once, over all queues of a process.
//!
//! Nobody gets all of them. Whoever holds some is given another one only while it holds fewer than
//! are free: one queue whose runs hang comes to hold half of the places, two hold two thirds, and
//! there is always one left for whoever has none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// A number of places. Clones share them.
#[derive(Clone, Debug)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: usize,
    taken: AtomicUsize,
    freed: Arc<Notify>,
}

impl Places {
    /// So many places.
    pub fn new(total: usize) -> Places {
        Places(Arc::new(Shared {
            total,
            taken: AtomicUsize::new(0),
            freed: Arc::default(),
        }))
    }

    /// Enough for everybody: the queues' own limits decide alone.
    pub(crate) fn unlimited() -> Places {
        Places::new(usize::MAX)
    }

    /// Whether somebody who holds so many places would be given another one.
    pub(crate) fn has_one_for(&self, held: usize) -> bool {
        may_take(
            held,
            self.0
                .total
                .saturating_sub(self.0.taken.load(Ordering::Relaxed)),
        )
    }

    /// Takes a place for somebody who holds so many.
    pub(crate) fn take(&self, held: usize) -> Option<Place> {
        let total = self.0.total;
        let one_more =
            |taken: usize| may_take(held, total.saturating_sub(taken)).then(|| taken + 1);
        let taken = self
            .0
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Place(Arc::clone(&self.0)))
    }

    /// Ends when a place has been given back after this call.
    pub(crate) fn freed(&self) -> OwnedNotified {
        Arc::clone(&self.0.freed).notified_owned()
    }
}

/// The rule of shares: one more only while fewer are held than are free.
pub(crate) fn may_take(held: usize, free: usize) -> bool {
    held < free
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        let before = self.0.taken.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(
            (1..=self.0.total).contains(&before),
            "a place is given back once: {before} of {} were taken",
            self.0.total
        );
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(places: &Places) -> Vec<Place> {
        let mut held = Vec::new();
        while let Some(place) = places.take(held.len()) {
            held.push(place);
        }
        held
    }

    #[test]
    fn whoever_takes_all_it_can_leaves_a_share_for_the_others() {
        for total in [1, 2, 3, 10, 100, 1_024] {
            let places = Places::new(total);
            let first = take_all(&places);
            assert_eq!(first.len(), total.div_ceil(2), "of {total}");
            let second = take_all(&places);
            assert_eq!(second.len(), (total - first.len()).div_ceil(2));
            drop(first);
            assert!(places.has_one_for(0));
        }
    }

    #[tokio::test]
    async fn a_place_that_is_given_back_is_heard_of() {
        let places = Places::new(1);
        let place = places.take(0).unwrap();
        assert!(places.take(0).is_none());
        let freed = places.freed();
        drop(place);
        freed.await;
        assert!(places.take(0).is_some());
    }
}
