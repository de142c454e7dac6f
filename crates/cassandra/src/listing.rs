//! What the list of days says: which generations of the index there are, and up to which one each
//! level of a day is sealed.
//!
//! A seal stands for all generations up to it. It is written before their rows are read for a
//! merge, and stays when they are gone: whoever writes to one of them, however late, finds it
//! behind the seal and files its rows again.

use std::collections::{BTreeMap, BTreeSet};

use minutehand_model::Timestamp;

use crate::task_index::{self, Shelf};

/// A level of a day.
type DayLevel = (Timestamp, i16);

/// The list of some days of one partition, as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    shelves: BTreeSet<(Timestamp, Shelf)>,
    /// The seals of each level of a day; the highest counts.
    seals: BTreeMap<DayLevel, BTreeSet<Shelf>>,
    has_unindexed: bool,
}

impl Listing {
    /// Takes a row of the list.
    pub(crate) fn note(&mut self, day: Timestamp, number: i16) {
        if number == task_index::NOT_INDEXED {
            self.has_unindexed = true;
        } else if let Some(shelf) = Shelf::of_number(number) {
            self.shelves.insert((day, shelf));
        } else if let Some(shelf) = Shelf::of_seal(number) {
            let level = (day, shelf.level());
            self.seals.entry(level).or_default().insert(shelf);
        }
    }

    /// Whether a day has tasks that are not indexed.
    pub(crate) fn has_unindexed(&self) -> bool {
        self.has_unindexed
    }

    /// Whether rows that were filed there are found: it is listed, and was not sealed.
    pub(crate) fn keeps(&self, day: Timestamp, shelf: Shelf) -> bool {
        self.shelves.contains(&(day, shelf)) && !self.is_sealed(day, shelf)
    }

    fn sealed_up_to(&self, level: DayLevel) -> Option<Shelf> {
        self.seals.get(&level)?.last().copied()
    }

    fn is_sealed(&self, day: Timestamp, shelf: Shelf) -> bool {
        self.sealed_up_to((day, shelf.level()))
            .is_some_and(|sealed| shelf <= sealed)
    }

    /// The generations of a level of a day that are there, oldest first.
    pub(crate) fn of_level(&self, level: DayLevel) -> impl Iterator<Item = Shelf> {
        self.shelves
            .iter()
            .filter(move |(day, shelf)| (*day, shelf.level()) == level)
            .map(|(_, shelf)| *shelf)
    }

    /// The highest generation of a level that was ever used, as far as the list says.
    pub(crate) fn newest(&self, level: DayLevel) -> Option<Shelf> {
        self.of_level(level).last().max(self.sealed_up_to(level))
    }

    /// Seals of a level below another one, which stands for them as well.
    pub(crate) fn seals_below(&self, day: Timestamp, seal: Shelf) -> impl Iterator<Item = Shelf> {
        let seals = self.seals.get(&(day, seal.level())).into_iter().flatten();
        seals.copied().filter(move |one| *one < seal)
    }

    /// Which generations to read, one group after the other. Rows wander from a level into the next
    /// one and are taken away where they were only then; so where a merge may be under way the
    /// lower level is read first.
    pub(crate) fn reading_order(&self) -> Vec<Vec<(Timestamp, Shelf)>> {
        let is_moving = self
            .shelves
            .iter()
            .any(|(day, one)| self.is_sealed(*day, *one));
        if !is_moving {
            return vec![self.shelves.iter().copied().collect()];
        }
        let mut by_level: BTreeMap<i16, Vec<(Timestamp, Shelf)>> = BTreeMap::new();
        for (day, shelf) in &self.shelves {
            let level = by_level.entry(shelf.level()).or_default();
            level.push((*day, *shelf));
        }
        debug_assert_eq!(
            by_level.values().map(Vec::len).sum::<usize>(),
            self.shelves.len(),
            "everything is read once"
        );
        by_level.into_values().collect()
    }

    /// Whether what was read by this list is all there was to read, when the list is now another
    /// one: nothing was taken away, and no merge has begun.
    pub(crate) fn holds_in(&self, now: &Listing) -> bool {
        let sealed = |listing: &Listing| -> Vec<(DayLevel, Option<Shelf>)> {
            let levels = listing.seals.keys();
            levels
                .map(|level| (*level, listing.sealed_up_to(*level)))
                .collect()
        };
        self.shelves.is_subset(&now.shelves) && sealed(self) == sealed(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Timestamp = Timestamp::from_millis(1_800_057_600_000);

    fn generation(level: i16, count: usize) -> Shelf {
        let all = std::iter::successors(Some(Shelf::first(level)), |shelf| Some(shelf.next()));
        all.take(count + 1).last().unwrap()
    }

    fn listing(numbers: &[i16]) -> Listing {
        let mut listing = Listing::default();
        numbers.iter().for_each(|number| listing.note(DAY, *number));
        listing
    }

    #[test]
    fn a_seal_stands_for_every_generation_up_to_it() {
        let [first, second, third] = [0, 1, 2].map(|count| generation(1, count));
        let list = listing(&[first.number(), third.number(), second.seal()]);
        assert!(!list.keeps(DAY, first), "it is sealed");
        assert!(!list.keeps(DAY, second), "it is sealed, and gone");
        assert!(list.keeps(DAY, third));
        assert!(!list.keeps(DAY, third.next()), "it is not listed");
        assert_eq!(list.newest((DAY, 1)), Some(third));
        assert_eq!(listing(&[third.seal()]).newest((DAY, 1)), Some(third));
        assert_eq!(list.newest((DAY, 0)), None);
        let both = listing(&[first.seal(), second.seal()]);
        assert_eq!(both.seals_below(DAY, second).collect::<Vec<_>>(), [first]);
    }

    #[test]
    fn where_a_merge_may_be_under_way_lower_levels_come_first() {
        let (low, high) = (generation(0, 1), generation(1, 0));
        let quiet = listing(&[low.number(), high.number()]);
        assert_eq!(quiet.reading_order().len(), 1);
        let merging = listing(&[high.number(), low.number(), low.seal()]);
        assert_eq!(
            merging.reading_order(),
            [vec![(DAY, low)], vec![(DAY, high)]]
        );
    }

    #[test]
    fn an_answer_holds_when_nothing_went_and_no_merge_began() {
        let (low, next, high) = (generation(0, 0), generation(0, 1), generation(1, 0));
        let before = listing(&[low.number()]);
        assert!(before.holds_in(&before));
        assert!(before.holds_in(&listing(&[low.number(), next.number()])));
        assert!(!before.holds_in(&listing(&[high.number()])), "merged");
        let listed_anew = listing(&[low.number(), high.number(), low.seal()]);
        assert!(!before.holds_in(&listed_anew), "merged, and listed again");
    }

    #[test]
    fn a_day_without_an_index_is_noticed() {
        assert!(listing(&[task_index::NOT_INDEXED]).has_unindexed());
        let list = listing(&[generation(4, 0).number(), generation(4, 0).seal()]);
        assert!(!list.has_unindexed());
    }
}
