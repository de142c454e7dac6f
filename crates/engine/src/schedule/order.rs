//! In which order schedules decide their next occurrences: those on time on F's way, those that F
//! has left behind beside it. Who is behind is a fact of F; where all goes in one order those
//! decide on F's way as well, the oldest first.
//!
//! One that is behind has a turn on F's way as well, at each of its own times: then it decides the
//! oldest that it owes. So it falls back no further, however long it takes to catch up with the rest.

use std::collections::{BTreeMap, BTreeSet};

use minutehand_model::{Frontier, Place};

/// The number of a schedule that lives; numbers are used again.
pub(super) type Number = usize;

/// Every schedule that has a next occurrence, by its place.
#[derive(Debug)]
pub(super) struct DecisionOrder {
    on_time: BTreeSet<(Place, Number)>,
    /// Those that are behind: F goes on without them.
    behind: BTreeSet<(Place, Number)>,
    /// The next turns of those that are behind.
    turns: BTreeSet<(Place, Number)>,
    /// The same by schedule, of those whose next turn has been looked up. `None`: it has none, since
    /// it names nothing more.
    turn_of: BTreeMap<Number, Option<Place>>,
    /// Those that are behind and whose next turn has still to be looked up.
    turn_unknown: BTreeSet<Number>,
    /// Those that are behind and had a turn for which F was too slow: it is made up for beside F's
    /// way, and is not counted there.
    missed_turn: BTreeSet<Number>,
    /// Whose missed turn was made up for last: they take turns in that as well.
    made_up_for: Number,
    /// Nothing is decided beside F's way: all goes in one order, the oldest first.
    is_one: bool,
    /// Head and gaps of F: who has a next occurrence that it has come past is behind.
    frontier: Frontier,
    /// F comes past this in the present step.
    coming_past: Place,
}

impl DecisionOrder {
    pub(super) fn new(is_one: bool) -> DecisionOrder {
        DecisionOrder {
            on_time: BTreeSet::new(),
            behind: BTreeSet::new(),
            turns: BTreeSet::new(),
            turn_of: BTreeMap::new(),
            turn_unknown: BTreeSet::new(),
            missed_turn: BTreeSet::new(),
            made_up_for: 0,
            is_one,
            frontier: Frontier::START,
            coming_past: Place::START,
        }
    }

    /// The first of those on time.
    pub(super) fn first_on_time(&self) -> Option<(Place, Number)> {
        self.on_time.first().copied()
    }

    /// Who decides next on F's way, at which place, and whether that is a turn of one that is behind.
    pub(super) fn first_on_way(&self) -> Option<(Place, Number, bool)> {
        let turn = self.first_turn();
        let behind = self.first_behind().filter(|_| self.is_one);
        let next = self.first_on_time().into_iter().chain(behind).min();
        let is_turn = turn.is_some_and(|turn| next.is_none_or(|next| turn < next));
        let (place, number) = if is_turn { turn } else { next }?;
        Some((place, number, is_turn))
    }

    /// The first of the turns of those that are behind.
    fn first_turn(&self) -> Option<(Place, Number)> {
        self.turns.first().copied()
    }

    /// The next turn of one that is behind; one that is not has none.
    pub(super) fn has_turn(&mut self, number: Number, turn: Option<Place>) {
        let is_behind = self.turn_unknown.remove(&number) | self.forget_turn(number);
        if is_behind {
            self.turns.extend(turn.map(|place| (place, number)));
            self.turn_of.insert(number, turn);
        }
    }

    /// Its calendar may be another one by now: its next turn is to be looked up again.
    pub(super) fn renew_turn(&mut self, number: Number) {
        if self.forget_turn(number) {
            self.turn_unknown.insert(number);
        }
    }

    /// Turns up to a place are left behind. Those after `made_up_after` are made up for: F was too
    /// slow for them. Before that it stood.
    pub(super) fn leave_turns(&mut self, through: Place, made_up_after: Place) {
        while let Some((place, number)) = self.first_turn().filter(|(place, _)| *place <= through) {
            self.renew_turn(number);
            if place > made_up_after {
                self.missed_turn.insert(number);
            }
        }
    }

    /// How many missed turns are to be made up for.
    pub(super) fn missed_turns(&self) -> usize {
        self.missed_turn.len()
    }

    /// Whose missed turn is made up for next; it counts as made up for.
    pub(super) fn make_up_for_turn(&mut self) -> Option<Number> {
        let later = self.missed_turn.range(self.made_up_for.saturating_add(1)..);
        let number = later.chain(&self.missed_turn).next().copied()?;
        self.missed_turn.remove(&number);
        self.made_up_for = number;
        Some(number)
    }

    /// Nobody's next turn is known any more.
    pub(super) fn renew_all_turns(&mut self) {
        self.turns.clear();
        let numbers = std::mem::take(&mut self.turn_of).into_keys();
        self.turn_unknown.extend(numbers);
    }

    /// Some of those whose next turn has to be looked up.
    pub(super) fn turn_unknown(&self, count_max: usize) -> Vec<Number> {
        self.turn_unknown.iter().copied().take(count_max).collect()
    }

    fn forget_turn(&mut self, number: Number) -> bool {
        let Some(turn) = self.turn_of.remove(&number) else {
            return false;
        };
        if let Some(place) = turn {
            self.turns.remove(&(place, number));
        }
        true
    }

    /// The first of those that decide beside F's way.
    pub(super) fn first_beside(&self) -> Option<(Place, Number)> {
        self.first_behind().filter(|_| !self.is_one)
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
        self.frontier.head = frontier.head;
        if self.frontier.gaps != frontier.gaps {
            self.frontier.gaps.clone_from(&frontier.gaps);
        }
        self.coming_past = Place::START;
    }

    /// F comes past the place of a turn; it will stand at or beyond it.
    pub(super) fn comes_past(&mut self, turn: Place) {
        self.coming_past = self.coming_past.max(turn);
    }

    /// Whether nobody on time has anything to decide that F has come past.
    pub(super) fn is_in_time(&self) -> bool {
        let next = self.first_on_time();
        next.is_none_or(|(place, _)| !self.has_come_past(place))
    }

    fn has_come_past(&self, place: Place) -> bool {
        self.frontier.has_come_past(place) || place <= self.coming_past
    }

    /// Those on time whose next occurrence lies at or before a place, in their order.
    pub(super) fn late(&self, through: Place) -> impl Iterator<Item = (Place, Number)> {
        self.on_time.range(..=(through, Number::MAX)).copied()
    }

    /// Those on time up to this one are behind from now on, although F has still to come past them.
    pub(super) fn leave_behind(&mut self, (place, number): (Place, Number)) {
        let on_time = self.on_time.split_off(&(place, number.saturating_add(1)));
        let mut late = std::mem::replace(&mut self.on_time, on_time);
        self.turn_unknown
            .extend(late.iter().map(|(_, number)| *number));
        if late.len() > self.behind.len() {
            std::mem::swap(&mut late, &mut self.behind);
        }
        self.behind.extend(late);
    }

    /// The next occurrence of a schedule lies at another place. One that was left behind stays so
    /// as long as it has not decided what it was left behind with.
    pub(super) fn moved(&mut self, number: Number, from: Option<Place>, to: Option<Place>) {
        if from == to {
            return;
        }
        let mut was_behind = false;
        if let Some(place) = from {
            let was_on_time = self.on_time.remove(&(place, number));
            was_behind = self.behind.remove(&(place, number));
            assert!(was_on_time != was_behind, "each stands in one order");
        }
        let is_behind = to.is_some_and(|place| self.has_come_past(place));
        if let Some(place) = to {
            let order = match is_behind {
                true => &mut self.behind,
                false => &mut self.on_time,
            };
            order.insert((place, number));
        }
        if is_behind && !was_behind && !self.is_one {
            self.turn_unknown.insert(number);
        } else if was_behind && !is_behind {
            self.turn_unknown.remove(&number);
            self.missed_turn.remove(&number);
            self.forget_turn(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{Gap, LogOffset, Timestamp};

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
        let mut order = DecisionOrder::new(false);
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
    fn one_that_is_behind_has_its_turns_until_it_is_on_time() {
        let mut order = DecisionOrder::new(false);
        order.frontier_is(&at(25));
        order.moved(7, None, Some(place(10)));
        assert_eq!((order.first_turn(), order.turn_unknown(9)), (None, vec![7]));
        order.has_turn(7, Some(place(30)));
        order.has_turn(8, Some(place(28)));
        assert_eq!(order.first_turn(), Some((place(30), 7)), "8 is not behind");
        order.moved(7, Some(place(10)), Some(place(20)));
        assert_eq!(order.first_turn(), Some((place(30), 7)));
        order.leave_turns(place(29), place(0));
        assert_eq!(order.first_turn(), Some((place(30), 7)));
        order.leave_turns(place(30), place(30));
        assert_eq!((order.first_turn(), order.turn_unknown(9)), (None, vec![7]));
        assert_eq!(order.missed_turns(), 0, "F stood then");
        order.has_turn(7, Some(place(40)));
        order.leave_turns(place(40), place(30));
        assert_eq!(order.make_up_for_turn(), Some(7), "F was too slow");
        assert_eq!(order.make_up_for_turn(), None);
        order.has_turn(7, Some(place(40)));
        order.moved(7, Some(place(20)), Some(place(40)));
        assert_eq!((order.first_turn(), order.turn_unknown(9)), (None, vec![]));
    }

    #[test]
    fn a_turn_leaves_behind_what_lies_before_it() {
        let mut order = DecisionOrder::new(false);
        order.frontier_is(&at(5));
        order.moved(7, None, Some(place(10)));
        order.leave_behind((place(10), Number::MAX));
        order.has_turn(7, Some(place(30)));
        order.comes_past(place(30));
        order.moved(7, Some(place(10)), Some(place(20)));
        assert_eq!(order.first_behind(), Some((place(20), 7)));
        order.moved(7, Some(place(20)), Some(place(40)));
        assert_eq!(order.first_on_time(), Some((place(40), 7)));
    }

    #[test]
    fn where_all_is_one_order_who_is_behind_goes_on_fs_way() {
        let mut order = DecisionOrder::new(true);
        order.frontier_is(&at(25));
        order.moved(7, None, Some(place(10)));
        order.moved(8, None, Some(place(30)));
        assert_eq!(order.first_on_way(), Some((place(10), 7, false)));
        assert_eq!(
            (order.first_behind(), order.behind()),
            (Some((place(10), 7)), 1),
            "it is behind all the same"
        );
        assert_eq!(order.first_beside(), None);
        assert!(order.turn_unknown(9).is_empty());
        assert!(order.is_in_time());
        order.moved(7, Some(place(10)), Some(place(40)));
        assert_eq!(
            (order.first_on_way(), order.behind()),
            (Some((place(30), 8, false)), 0)
        );
    }

    #[test]
    fn what_a_gap_owes_is_on_time() {
        let mut order = DecisionOrder::new(false);
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
