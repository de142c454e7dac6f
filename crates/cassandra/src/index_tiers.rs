//! In which generation of which level a process files index rows, and when rows are merged into the
//! next level.
//!
//! What is written at once decides the level of its rows (`task_index.rs`). Many small writes leave
//! many rows at a low level, and a look-up reads all of its shard: after a day of small writes that
//! would be megabytes. So the rows of a level are merged into the next one, which has eight times
//! as many shards, as soon as there are some; a look-up reads a bounded number of rows of each
//! level, whatever the day has brought.
//!
//! Nobody writes to a generation that is being merged. A writer holds its generation until the
//! store has acknowledged its rows; a generation is sealed when a new one begins, and merged when
//! nobody holds it any more. Each ownership begins generations of its own, above those that it
//! finds. An earlier owner that does not know yet that it was superseded may still write to them,
//! and count up to them: each write is followed by a look at the list of the day, and filed again
//! where its generation was sealed meanwhile (`refile.rs`). So nothing depends on what another
//! process holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minutehand_model::{PartitionId, Timestamp};

use crate::listing::Listing;
use crate::task_index::{LEVEL_MAX, Shelf};

/// Writes into one generation before it is merged: as many rows of a shard does a look-up read at
/// each level, about twice.
const ROWS_MERGED: u32 = 64;
/// Generations of earlier owners that are left as they are.
const FOUND_MAX: usize = 8;

/// The day of a partition, and a level of its index.
pub(crate) type Tier = (PartitionId, Timestamp, i16);

/// A generation that somebody writes to, or waits to be merged.
pub(crate) type Held = Arc<Shelf>;

#[derive(Debug, Default)]
struct State {
    /// What others have filed is known.
    is_known: bool,
    /// Where rows are filed at present, and how many times that was done.
    current: Option<(Held, u32)>,
    /// Generations before it, oldest first, and whether each is known to be full.
    sealed: Vec<(Held, bool)>,
    /// The highest generation that was ever used: no number is used twice.
    used: Option<Shelf>,
}

impl State {
    /// Where rows are filed; a new generation where there is none that takes any.
    fn filing(&mut self, level: i16) -> &mut (Held, u32) {
        let used = &mut self.used;
        self.current.get_or_insert_with(|| {
            let shelf = used.map_or(Shelf::first(level), Shelf::next);
            *used = Some(shelf);
            (Arc::new(shelf), 0)
        })
    }
}

/// The generations of every day that this process has written to since it owns the partition.
#[derive(Debug, Default)]
pub(crate) struct IndexTiers(Mutex<BTreeMap<Tier, State>>);

impl IndexTiers {
    fn tiers(&self) -> MutexGuard<'_, BTreeMap<Tier, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is known which generations of a day are there.
    pub(crate) fn knows(&self, partition: PartitionId, day: Timestamp) -> bool {
        self.tiers()
            .get(&(partition, day, 0))
            .is_some_and(|state| state.is_known)
    }

    /// This was found in the store when the day was looked at first.
    pub(crate) fn found(&self, partition: PartitionId, day: Timestamp, listing: &Listing) {
        let mut tiers = self.tiers();
        for level in 0..=LEVEL_MAX {
            let state = tiers.entry((partition, day, level)).or_default();
            if state.is_known {
                continue;
            }
            // What was filed before it was known is an earlier ownership's, and found by now.
            let there = listing.of_level((day, level));
            *state = State {
                is_known: true,
                current: None,
                sealed: there.map(|shelf| (Arc::new(shelf), false)).collect(),
                used: listing.newest((day, level)),
            };
        }
    }

    /// Where a row of a level is filed; held until it is acknowledged.
    pub(crate) fn file(&self, (partition, day, level): Tier) -> Held {
        let mut tiers = self.tiers();
        let state = tiers.entry((partition, day, level)).or_default();
        let is_full = |(held, count): &(Held, u32)| *count >= ROWS_MERGED && !held.is_last();
        if level < LEVEL_MAX && state.current.as_ref().is_some_and(is_full) {
            state
                .sealed
                .extend(state.current.take().map(|(held, _)| (held, true)));
        }
        let (held, count) = state.filing(level);
        debug_assert_eq!(held.level(), level, "a row is filed at its level");
        *count += 1;
        Arc::clone(held)
    }

    /// The generations of a level that are to be merged now: when there are many, all that nobody
    /// writes to.
    pub(crate) fn to_merge(&self, tier: Tier) -> Vec<Held> {
        let tiers = self.tiers();
        let Some(state) = tiers.get(&tier).filter(|_| tier.2 < LEVEL_MAX) else {
            return Vec::new();
        };
        let current = state.current.as_ref().map(|(held, _)| **held);
        // Behind the seal of the last one nothing could be filed any more.
        let is_idle = |held: &Held| {
            Arc::strong_count(held) == 1 && current != Some(**held) && !held.is_last()
        };
        let idle: Vec<&(Held, bool)> = state
            .sealed
            .iter()
            .filter(|(held, _)| is_idle(held))
            .collect();
        match idle.iter().any(|(_, is_full)| *is_full) || idle.len() >= FOUND_MAX {
            true => idle.into_iter().map(|(held, _)| Arc::clone(held)).collect(),
            false => Vec::new(),
        }
    }

    /// These are no more.
    pub(crate) fn merged(&self, tier: Tier, gone: &[Held]) {
        let mut tiers = self.tiers();
        let Some(state) = tiers.get_mut(&tier) else {
            return;
        };
        state
            .sealed
            .retain(|(held, _)| !gone.iter().any(|gone| Arc::ptr_eq(gone, held)));
    }

    /// Others have changed what is there of a day: it is asked for again.
    pub(crate) fn forget_day(&self, partition: PartitionId, day: Timestamp) {
        self.tiers()
            .retain(|(of, its_day, _), _| (*of, *its_day) != (partition, day));
    }

    /// The partition is owned anew: others may have written since.
    pub(crate) fn forget(&self, partition: PartitionId) {
        self.tiers().retain(|(of, _, _), _| *of != partition);
    }

    /// Nothing will be written for days before this one, or what is there is asked for again.
    pub(crate) fn forget_before(&self, day: Timestamp) {
        self.tiers().retain(|(_, its_day, _), _| *its_day >= day);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Timestamp = Timestamp::from_millis(1_800_057_600_000);
    const TIER: Tier = (PartitionId::own(1), DAY, 0);

    fn listing(shelves: &[Shelf]) -> Listing {
        let mut listing = Listing::default();
        shelves
            .iter()
            .for_each(|one| listing.note(DAY, one.number()));
        listing
    }

    fn shelves(held: &[Held]) -> Vec<i16> {
        held.iter().map(|held| held.number()).collect()
    }

    #[test]
    fn a_full_generation_is_merged_when_nobody_holds_it() {
        let tiers = IndexTiers::default();
        tiers.found(TIER.0, DAY, &listing(&[]));
        let slow = tiers.file(TIER);
        for _ in 1..ROWS_MERGED {
            assert_eq!(tiers.file(TIER), slow);
        }
        assert_eq!(shelves(&tiers.to_merge(TIER)), [0; 0], "it is not full yet");
        let next = tiers.file(TIER);
        assert_ne!(next, slow);
        assert_eq!(
            shelves(&tiers.to_merge(TIER)),
            [0; 0],
            "a write is on its way"
        );
        let number = slow.number();
        drop(slow);
        let merging = tiers.to_merge(TIER);
        assert_eq!(shelves(&merging), [number]);
        tiers.merged(TIER, &merging);
        assert_eq!(shelves(&tiers.to_merge(TIER)), [0; 0]);
        assert_eq!(tiers.file(TIER), next);
    }

    #[test]
    fn an_owner_files_above_what_it_finds() {
        let tiers = IndexTiers::default();
        let found = [
            Shelf::first(0).next().next(),
            Shelf::first(0),
            Shelf::first(2),
        ];
        assert!(!tiers.knows(TIER.0, DAY));
        tiers.found(TIER.0, DAY, &listing(&found));
        assert!(tiers.knows(TIER.0, DAY));
        assert_eq!(*tiers.file(TIER), found[0].next());
        assert_eq!(*tiers.file((TIER.0, DAY, 2)), Shelf::first(2).next());
        tiers.forget(TIER.0);
        assert!(!tiers.knows(TIER.0, DAY));
        tiers.file(TIER);
        assert!(
            !tiers.knows(TIER.0, DAY),
            "a write of an ownership before says nothing of what is there"
        );
        tiers.found(TIER.0, DAY, &listing(&found));
        assert_eq!(*tiers.file(TIER), found[0].next());
    }

    #[test]
    fn a_generation_that_was_merged_is_never_filed_in_again() {
        let tiers = IndexTiers::default();
        let gone = Shelf::first(0).next().next();
        let mut left = listing(&[Shelf::first(0)]);
        left.note(DAY, gone.seal());
        tiers.found(TIER.0, DAY, &left);
        assert_eq!(*tiers.file(TIER), gone.next());
        tiers.forget_day(TIER.0, DAY);
        assert!(!tiers.knows(TIER.0, DAY));
    }

    #[test]
    fn the_last_generation_of_a_day_is_never_merged() {
        let tiers = IndexTiers::default();
        let all = std::iter::successors(Some(Shelf::first(0)), |shelf| Some(shelf.next()));
        let last = all.take(5_000).last().unwrap();
        tiers.found(TIER.0, DAY, &listing(&[last]));
        for _ in 0..=2 * ROWS_MERGED {
            assert_eq!(*tiers.file(TIER), last);
        }
        assert_eq!(shelves(&tiers.to_merge(TIER)), [0; 0]);
    }

    #[test]
    fn many_generations_of_earlier_owners_are_merged() {
        let tiers = IndexTiers::default();
        let all: Vec<Shelf> =
            std::iter::successors(Some(Shelf::first(0)), |shelf| Some(shelf.next()))
                .take(9)
                .collect();
        tiers.found(TIER.0, DAY, &listing(&all));
        let merging = tiers.to_merge(TIER);
        assert_eq!(merging.len(), 9);
        tiers.merged(TIER, &merging);
        assert_eq!(*tiers.file(TIER), all[8].next(), "no number is used twice");
    }
}
