//! Which occurrence is decided next, of all schedules of a partition: on F's way, or beside it.

use std::sync::Arc;

use minutehand_model::{Frontier, Place, Timestamp};

use super::Outbox;
use super::book::ScheduleBook;
use super::order::Number;
use crate::rules::Rules;

impl<R: Rules> ScheduleBook<R> {
    /// The place of the next occurrence that is decided on F's way, or of the next turn of a
    /// schedule that is behind.
    pub(crate) fn peek(&self) -> Option<Place> {
        self.order.first_on_way().map(|(place, ..)| place)
    }

    /// Turns up to a place are left behind; those after `made_up_after` are made up for.
    pub(crate) fn leave_turns(&mut self, through: Place, made_up_after: Place) {
        self.order.leave_turns(through, made_up_after);
    }

    /// How many missed turns are to be made up for.
    pub(crate) fn missed_turns(&self) -> usize {
        self.order.missed_turns()
    }

    /// Whether turns have still to be looked up.
    pub(crate) fn lacks_turns(&self) -> bool {
        !self.order.turn_unknown(1).is_empty()
    }

    /// Looks up the next turns, after a time, of some of those whose next is not known.
    pub(crate) fn look_up_turns(&mut self, after: Timestamp, count_max: usize) {
        for number in self.order.turn_unknown(count_max) {
            let schedule = self.at(number);
            let next = schedule.next_place().map_or(after, |next| next.due);
            let turn = schedule.named_after(after.max(next));
            self.order.has_turn(number, turn);
        }
    }

    /// The next turns are to be looked up again, of all that are behind.
    pub(crate) fn renew_all_turns(&mut self) {
        self.order.renew_all_turns();
    }

    /// The place of the next occurrence that is decided beside F's way.
    pub(crate) fn peek_beside(&self) -> Option<Place> {
        self.order.first_beside().map(|(place, _)| place)
    }

    /// The place of the next occurrence of those that are behind, wherever it is decided.
    pub(crate) fn peek_behind(&self) -> Option<Place> {
        self.order.first_behind().map(|(place, _)| place)
    }

    /// The place of the next occurrence of the one that is the least behind, up to a limit.
    pub(crate) fn peek_newest_behind(&self, limit: Place) -> Option<Place> {
        self.order.last_behind(limit).map(|(place, _)| place)
    }

    /// How many are behind.
    pub(crate) fn behind(&self) -> usize {
        self.order.behind()
    }

    /// F stands here.
    pub(crate) fn frontier_is(&mut self, frontier: &Frontier) {
        self.order.frontier_is(frontier);
        debug_assert!(
            self.rules.broken().is_some() || self.order.is_in_time(),
            "F came past a decision: {:?}",
            self.order
        );
    }

    /// Those whose next occurrence lies at or before a place are behind from now on.
    pub(crate) fn leave_behind(&mut self, through: Place) {
        self.order.leave_behind((through, Number::MAX));
    }

    /// The same where F goes through a stretch again. Each notes how far it has come: what the
    /// checkpoint says holds only for those that were created before.
    pub(crate) fn leave_each_behind(&mut self, through: Place, count_max: usize) {
        let mut left = None;
        for (place, number) in self.order.late(through).take(count_max) {
            if let Some(schedule) = &mut self.schedules[number] {
                schedule.note_left();
                self.dirty.insert(number);
            }
            left = Some((place, number));
        }
        if let Some(last) = left {
            self.order.leave_behind(last);
        }
    }

    /// Decides the next occurrence, whose place the caller has peeked, and moves on to the
    /// following one.
    pub(crate) fn pass_next(&mut self, now: Timestamp, frontier: &Frontier, outbox: &mut Outbox) {
        let Some((place, number, is_turn)) = self.order.first_on_way() else {
            return;
        };
        let schedule = self.at(number);
        // Where a clock went back, what it owes at its turn may still lie ahead.
        let is_due = schedule.next_place().is_some_and(|next| next <= place);
        if is_turn {
            let following = schedule.named_after(place.due);
            self.order.has_turn(number, following);
            self.order.comes_past(place);
        }
        if is_due {
            self.pass(number, now, frontier, outbox);
        }
    }

    /// The same of one that is behind, whose place the caller has peeked.
    pub(crate) fn pass_behind(
        &mut self,
        place: Place,
        now: Timestamp,
        frontier: &Frontier,
        outbox: &mut Outbox,
    ) {
        if let Some((_, number)) = self.order.last_behind(place) {
            self.pass(number, now, frontier, outbox);
        }
    }

    /// The same for a turn that F was too slow for: the oldest that its schedule owes, if F has come
    /// past it by a limit.
    pub(crate) fn make_up_for_turn(
        &mut self,
        limit: Place,
        now: Timestamp,
        frontier: &Frontier,
        outbox: &mut Outbox,
    ) -> bool {
        let Some(number) = self.order.make_up_for_turn() else {
            return false;
        };
        let next = self.at(number).next_place();
        if next.is_some_and(|next| next <= limit) {
            self.pass(number, now, frontier, outbox);
        }
        true
    }

    fn pass(&mut self, number: Number, now: Timestamp, frontier: &Frontier, outbox: &mut Outbox) {
        let moment = self.moment(now);
        let schedule = self.at_mut(number);
        let mut is_dirty = false;
        if let Some((index, occurrence)) = schedule.next() {
            let segment = &mut schedule.segments[index];
            let (revision, compiled) = (segment.revision, Arc::clone(&segment.compiled));
            segment.pass();
            is_dirty = schedule.pay(revision, occurrence.nominal, frontier);
            is_dirty |= schedule.decide(compiled.definition(), occurrence, moment, outbox);
            schedule.segments.retain(|segment| segment.next.is_some());
            is_dirty |= schedule.note_decided(occurrence, frontier, moment);
        }
        self.changed(number, is_dirty);
    }
}
