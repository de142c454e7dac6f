//! The nominal times of a calendar: the next one, the last one, and those of a stretch.

use minutehand_model::Timestamp;

use crate::budget::{SearchBudget, SearchExhausted};
use crate::calendar::Calendar;
use crate::search::Search;
use crate::{LAST_SECOND, at_second, second_after};

impl Calendar {
    /// The first nominal time strictly later than `after`; `None` when there is none any more.
    ///
    /// Called again with its own result it gives every nominal time once, in strictly rising order.
    ///
    /// The search is exact and bounded: exclusions count by what they cover together, however they
    /// are cut into expressions. Only a search that would take more than
    /// [`SEARCH_STEPS_MAX`](minutehand_model::limits::SEARCH_STEPS_MAX) steps is given up, with
    /// `None`; that takes dozens of exclusions made for it, and
    /// [`first_times`](Calendar::first_times) says so.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        next_of(&mut Search::new(self), second_after(after), LAST_SECOND).map(at_second)
    }

    /// The first `count` nominal times from `from` to `to`, both included; fewer when there are no
    /// more.
    ///
    /// # Errors
    /// When the budget does not suffice for all of them.
    pub fn first_times(
        &self,
        from: Timestamp,
        to: Timestamp,
        count: usize,
        budget: &mut SearchBudget,
    ) -> Result<Vec<Timestamp>, SearchExhausted> {
        self.within(from, to, budget).take(count).collect()
    }

    /// The last of the first `count` nominal times from `from` to `to`, both included; of fewer when
    /// there are no more, or when the budget does not suffice.
    #[must_use]
    pub fn last_of_first(
        &self,
        from: Timestamp,
        to: Timestamp,
        count: usize,
        budget: &mut SearchBudget,
    ) -> Option<Timestamp> {
        let times = self.within(from, to, budget).take(count);
        times.map_while(Result::ok).last()
    }

    /// The nominal times from `from` to `to`, both included, in rising order, all of them within one
    /// budget; an error where it does not suffice.
    fn within(
        &self,
        from: Timestamp,
        to: Timestamp,
        budget: &mut SearchBudget,
    ) -> impl Iterator<Item = Result<Timestamp, SearchExhausted>> {
        let mut search = Search::new(self);
        let last_s = last_second_of(to);
        let mut from_s = second_after(from.plus_millis(-1));
        std::iter::from_fn(move || {
            let found = search.next_second(from_s, last_s, budget).transpose()?;
            Some(found.map(|found| {
                from_s = found + 1;
                at_second(found)
            }))
        })
    }

    /// The last nominal time at or before `at` that is not before `not_before`; `None` when there
    /// is none.
    ///
    /// Bounded: steps back by doubling distances until a nominal time lies between, then halves the
    /// rest; a hundred or so of [`next_after`](Calendar::next_after)'s searches, however far apart
    /// the two ends are.
    #[must_use]
    pub fn latest_at_or_before(&self, at: Timestamp, not_before: Timestamp) -> Option<Timestamp> {
        let last = last_second_of(at);
        let first = second_after(not_before.plus_millis(-1));
        let mut search = Search::new(self);
        let mut next_until_last = |from_s: i64| next_of(&mut search, from_s, last);
        let mut searched_from = last;
        let mut distance_s = 1;
        let mut found = loop {
            if searched_from < first {
                return None;
            }
            match next_until_last(searched_from) {
                Some(found) => break found,
                None if searched_from == first => return None,
                None => searched_from = (searched_from - distance_s).max(first),
            }
            distance_s *= 2;
        };
        // `found` is a nominal time and none lies in `empty_from..=last`: halve what is between.
        let mut empty_from = last + 1;
        while found + 1 < empty_from {
            let middle = found + 1 + (empty_from - found - 1) / 2;
            match next_until_last(middle) {
                Some(later) => found = later,
                None => empty_from = middle,
            }
        }
        Some(at_second(found))
    }

    /// The nominal times from `from` to `to`, both included, in rising order.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        let mut search = Search::new(self);
        let last_s = last_second_of(to);
        let mut from_s = second_after(from.plus_millis(-1));
        std::iter::from_fn(move || {
            let found = next_of(&mut search, from_s, last_s)?;
            from_s = found + 1;
            Some(at_second(found))
        })
    }
}

fn last_second_of(to: Timestamp) -> i64 {
    to.as_millis().div_euclid(1_000).min(LAST_SECOND)
}

/// The next second of a search that has the budget of one time; none when that does not suffice.
fn next_of(search: &mut Search<'_>, from_s: i64, last_s: i64) -> Option<i64> {
    search
        .next_second(from_s, last_s, &mut SearchBudget::of_one_time())
        .unwrap_or(None)
}
