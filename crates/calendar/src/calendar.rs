//! A schedule's whole calendar: a recurrence within a start, an end and exclusions.

use minutehand_model::Timestamp;

use crate::exclusions::Exclusions;
use crate::recurrence::Recurrence;
use crate::{FIRST_SECOND, LAST_SECOND, at_second, second_after};

/// Excluded stretches one search walks past before it gives up. A stretch is a whole excluded day, hour or minute
/// when the exclusion covers it whole, so a daily schedule that finds nothing has been excluded for 54 years.
const EXCLUDED_LIMIT: u32 = 20_000;

/// When a schedule fires: a recurrence, from a start to an end, without the excluded times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// What makes it fire again and again.
    pub recurrence: Recurrence,
    /// When it does not fire all the same.
    pub exclusions: Exclusions,
    /// The earliest nominal time, itself included.
    pub start: Option<Timestamp>,
    /// The latest nominal time, itself included.
    pub end: Option<Timestamp>,
}

impl Calendar {
    /// A calendar without start, end and exclusions.
    #[must_use]
    pub fn new(recurrence: Recurrence) -> Calendar {
        Calendar { recurrence, exclusions: Exclusions::none(), start: None, end: None }
    }

    /// The same calendar without the excluded times.
    #[must_use]
    pub fn with_exclusions(mut self, exclusions: Exclusions) -> Calendar {
        self.exclusions = exclusions;
        self
    }

    /// The same calendar from `start` on, itself included.
    #[must_use]
    pub fn starting_at(mut self, start: Timestamp) -> Calendar {
        self.start = Some(start);
        self
    }

    /// The same calendar up to `end`, itself included.
    #[must_use]
    pub fn ending_at(mut self, end: Timestamp) -> Calendar {
        self.end = Some(end);
        self
    }

    /// The first nominal time strictly later than `after`; `None` when there is none any more.
    ///
    /// Called again with its own result it gives every nominal time once, in strictly rising order.
    ///
    /// The search is bounded: at most 20,000 excluded stretches (each the longest of a day, an hour, a minute or a
    /// second that an exclusion covers whole) are walked past, then the answer is `None`; for what bounds the walk
    /// between two of them see [`Cron::next_after`](crate::Cron::next_after).
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.next_second(second_after(after), LAST_SECOND).map(at_second)
    }

    /// The last nominal time at or before `at` that is not before `not_before`; `None` when there is none.
    ///
    /// Bounded: steps back by doubling distances until a nominal time lies between, then halves the rest; a
    /// hundred or so of [`next_after`](Calendar::next_after)'s searches, however far apart the two ends are.
    #[must_use]
    pub fn latest_at_or_before(&self, at: Timestamp, not_before: Timestamp) -> Option<Timestamp> {
        let last = at.as_millis().div_euclid(1_000).min(LAST_SECOND);
        let first = second_after(not_before.plus_millis(-1));
        let next_until_last = |from_s: i64| self.next_second(from_s, last);
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
        let first = self.next_after(from.plus_millis(-1));
        std::iter::successors(first, |previous| self.next_after(*previous))
            .take_while(move |time| *time <= to)
    }

    /// The first nominal second from `from_s` to `last_s`.
    fn next_second(&self, from_s: i64, last_s: i64) -> Option<i64> {
        let start_s = self.start.map_or(FIRST_SECOND, |start| second_after(start.plus_millis(-1)));
        let end_s = self.end.map_or(last_s, |end| end.as_millis().div_euclid(1_000).min(last_s));
        let mut from_s = from_s.max(start_s);
        for _ in 0..EXCLUDED_LIMIT {
            let found = self.recurrence.next_second(from_s).filter(|found| *found <= end_s)?;
            match self.exclusions.excluded_until(found) {
                None => return Some(found),
                Some(until) => from_s = until,
            }
        }
        None
    }
}
