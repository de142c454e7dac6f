//! Sets of small numbers, the values a field of an expression allows.

use crate::civil::{FIRST_YEAR, LAST_YEAR};

/// A set of numbers from 0 to 63.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BitSet(pub(crate) u64);

impl BitSet {
    /// The numbers from `first` to `last` in steps of `step`.
    pub(crate) fn stepped(first: u8, last: u8, step: u8) -> BitSet {
        let mut set = BitSet::default();
        for value in (first..=last).step_by(usize::from(step.max(1))) {
            set.insert(value);
        }
        set
    }

    /// Adds a number below 64; a larger one is ignored.
    pub(crate) fn insert(&mut self, value: u8) {
        self.0 |= 1u64.checked_shl(u32::from(value)).unwrap_or(0);
    }

    pub(crate) fn contains(self, value: u8) -> bool {
        self.next(value) == Some(value)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The smallest member at or above `from`.
    pub(crate) fn next(self, from: u8) -> Option<u8> {
        let rest = u64::MAX.checked_shl(u32::from(from)).unwrap_or(0) & self.0;
        (rest != 0).then(|| rest.trailing_zeros() as u8)
    }

    /// The smallest member; 0 when there is none.
    pub(crate) fn first(self) -> u8 {
        self.next(0).unwrap_or(0)
    }

    /// The members in rising order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        std::iter::successors(self.next(0), move |value| self.next(value + 1))
    }
}

/// A set of years from 1970 to 9999.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum YearSet {
    /// Every year.
    All,
    /// The years listed, rising.
    Listed(Vec<u16>),
}

impl YearSet {
    /// The smallest member at or above `from`.
    pub(crate) fn next(&self, from: i32) -> Option<i32> {
        match self {
            YearSet::All => (from <= LAST_YEAR).then_some(from.max(FIRST_YEAR)),
            YearSet::Listed(years) => {
                let index = years.partition_point(|year| i32::from(*year) < from);
                years.get(index).map(|year| i32::from(*year))
            }
        }
    }

    /// The last year a search from `from` needs to look at, when the dates of every `period` years
    /// are alike.
    pub(crate) fn horizon(&self, from: i32, period: i32) -> i32 {
        match self {
            YearSet::All => from + period,
            YearSet::Listed(_) => LAST_YEAR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_sets_step_and_search() {
        let set = BitSet::stepped(5, 59, 15);
        assert_eq!(set.iter().collect::<Vec<_>>(), [5, 20, 35, 50]);
        assert_eq!((set.first(), set.len()), (5, 4));
        assert_eq!(
            (set.next(20), set.next(21), set.next(51), set.next(200)),
            (Some(20), Some(35), None, None)
        );
        assert!(set.contains(35) && !set.contains(36) && !set.contains(255));
        assert!(BitSet::default().is_empty());
    }

    #[test]
    fn year_sets_search() {
        let listed = YearSet::Listed(vec![2027, 2031]);
        assert_eq!(
            (listed.next(1970), listed.next(2028), listed.next(2032)),
            (Some(2027), Some(2031), None)
        );
        assert_eq!(
            (
                YearSet::All.next(1900),
                YearSet::All.next(9999),
                YearSet::All.next(10_000)
            ),
            (Some(1970), Some(9999), None)
        );
    }
}
