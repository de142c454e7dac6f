//! In which order schedules decide their next occurrences: those on time on F's way, those that F
//! has left behind beside it.

use std::collections::BTreeSet;

use minutehand_model::{Frontier, Gap, Place};

/// The number of a schedule that lives; numbers are used again.
pub(super) type Number = usize;

/// Every schedule that has a next occurrence, by its place.
#[derive(Debug)]
pub(super) struct DecisionOrder {
    on_time: BTreeSet<(Place, Number)>,
    /// Those that are behind: F goes on without them.
    behind: BTreeSet<(Place, Number)>,
    /// What F has come past, as [`Frontier::has_come_past`] says: who has a next occurrence there is
    /// behind.
    head: Place,
    gaps: Vec<Gap>,
}

impl Default for DecisionOrder {
    fn default() -> DecisionOrder {
        DecisionOrder {
            on_time: BTreeSet::new(),
            behind: BTreeSet::new(),
            head: Place::START,
            gaps: Vec::new(),
        }
    }
}

impl DecisionOrder {
    /// The first of those on time.
    pub(super) fn first_on_time(&self) -> Option<(Place, Number)> {
        self.on_time.first().copied()
    }

    /// The first of those that are behind.
    pub(super) fn first_behind(&self) -> Option<(Place, Number)> {
        self.behind.first().copied()
    }

    /// The last of those that are behind whose next occurrence lies at or before a place.
    pub(super) fn last_behind(&self, through: Place) -> Option<(Place, Number)> {
        let up_to = self.behind.range(..=(through, Number::MAX));
        up_to.copied().next_back()
    }

    /// How many are behind.
    pub(super) fn behind(&self) -> usize {
        self.behind.len()
    }

    /// F stands here.
    pub(super) fn frontier_is(&mut self, frontier: &Frontier) {
        self.head = frontier.head;
        if self.gaps != frontier.gaps {
            self.gaps.clone_from(&frontier.gaps);
        }
    }

    /// Whether nobody on time has anything to decide that F has come past.
    pub(super) fn is_in_time(&self) -> bool {
        let next = self.first_on_time();
        next.is_none_or(|(place, _)| !self.has_come_past(place))
    }

    fn has_come_past(&self, place: Place) -> bool {
        place <= self.head && !self.gaps.iter().any(|gap| gap.owes(place))
    }

    /// Those on time whose next occurrence lies at or before a place, in their order.
    pub(super) fn late(&self, through: Place) -> impl Iterator<Item = (Place, Number)> {
        self.on_time.range(..=(through, Number::MAX)).copied()
    }

    /// Those on time up to this one are behind from now on, although F has still to come past them.
    pub(super) fn leave_behind(&mut self, (place, number): (Place, Number)) {
        let on_time = self.on_time.split_off(&(place, number.saturating_add(1)));
        let late = std::mem::replace(&mut self.on_time, on_time);
        if self.behind.is_empty() {
            self.behind = late;
        } else {
            // Few as a rule, and they may be many that are behind already: not to be built anew.
            self.behind.extend(late);
        }
    }

    /// The next occurrence of a schedule lies at another place. One that was left behind stays so
    /// as long as it has not decided what it was left behind with.
    pub(super) fn moved(&mut self, number: Number, from: Option<Place>, to: Option<Place>) {
        if from == to {
            return;
        }
        if let Some(place) = from {
            let is_on_time = self.on_time.remove(&(place, number));
            let is_behind = self.behind.remove(&(place, number));
            assert!(is_on_time != is_behind, "each stands in one order");
        }
        if let Some(place) = to {
            let order = match self.has_come_past(place) {
                true => &mut self.behind,
                false => &mut self.on_time,
            };
            order.insert((place, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{LogOffset, Timestamp};

    use super::*;

    fn place(ms: i64) -> Place {
        Place {
            due: Timestamp::from_millis(ms),
            offset: LogOffset::at(1),
        }
    }

    fn at(head_ms: i64) -> Frontier {
        Frontier {
            head: Place::end_of(Timestamp::from_millis(head_ms)),
            ..Frontier::START
        }
    }

    #[test]
    fn one_that_is_left_behind_stays_so_until_it_has_decided() {
        let mut order = DecisionOrder::default();
        order.frontier_is(&at(5));
        order.moved(7, None, Some(place(10)));
        order.moved(8, None, Some(place(30)));
        assert_eq!(order.late(place(20)).collect::<Vec<_>>(), [(place(10), 7)]);
        order.leave_behind((place(20), Number::MAX));
        order.moved(7, Some(place(10)), Some(place(10)));
        assert_eq!(order.first_on_time(), Some((place(30), 8)));
        order.frontier_is(&at(25));
        assert_eq!(order.first_behind(), Some((place(10), 7)));
        order.moved(7, Some(place(10)), Some(place(20)));
        assert_eq!(
            (order.first_behind(), order.behind()),
            (Some((place(20), 7)), 1)
        );
        order.moved(7, Some(place(20)), Some(place(26)));
        assert_eq!(
            (order.first_on_time(), order.behind()),
            (Some((place(26), 7)), 0)
        );
        order.moved(7, Some(place(26)), None);
        assert_eq!(order.first_on_time(), Some((place(30), 8)));
    }

    #[test]
    fn what_a_gap_owes_is_on_time() {
        let mut order = DecisionOrder::default();
        let gap = Gap {
            after: place(10),
            through: place(20),
            from_offset: LogOffset::at(1),
        };
        order.frontier_is(&Frontier {
            gaps: vec![gap],
            ..at(30)
        });
        order.moved(1, None, Some(place(15)));
        order.moved(2, None, Some(place(25)));
        assert_eq!(order.first_on_time(), Some((place(15), 1)));
        assert_eq!(order.first_behind(), Some((place(25), 2)));
    }
}
