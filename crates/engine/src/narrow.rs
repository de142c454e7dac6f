//! The look-ahead is narrowed again when it reaches too far, because the clock by which it was read
//! was ahead.
//!
//! Otherwise all that comes for the time up to there would stay in memory, however much that is,
//! and for as long as the clock was ahead; in a small one commands would then wait, and with them
//! what is due soon.

use std::collections::BTreeSet;

use minutehand_model::Timestamp;
use minutehand_model::time::MINUTE_MS;

use crate::fact::flag;
use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::retry::Write;
use crate::rules::Rules;
use crate::task_store::TaskIndex;

/// A look-ahead that is longer than it should be by no more than this share of itself is left
/// alone: clocks are set back by a little all the time.
const LONGER_SHARE: i64 = 4;

impl<R: Rules> Partition<R> {
    /// What lies far beyond the look-ahead leaves memory.
    pub(crate) fn narrow_look_ahead(&mut self) {
        let look_ahead_ms = self.config.look_ahead_ms;
        let until = self.reachable_present().plus_millis(look_ahead_ms);
        let is_too_long = self.coverage.horizon() > until.plus_millis(look_ahead_ms / LONGER_SHARE);
        if !is_too_long || !self.knows_the_time() || self.breaks(PlantedBug::LookAheadWide) {
            return;
        }
        self.coverage.end_at(until);
        let begun = self.sent_between(until, until.floor_to_minute().plus_millis(MINUTE_MS));
        for index in [
            self.due.on_time.take_from(until),
            self.due.behind.take_from(until),
        ]
        .concat()
        {
            match self.will_be_read_again(index, until) && !begun.contains(&index) {
                true => self.leave_for_the_timetable(index),
                false => self.queue(index),
            }
        }
    }

    /// Facts due in a stretch of time whose blocks are on their way.
    fn sent_between(&self, from: Timestamp, until: Timestamp) -> BTreeSet<TaskIndex> {
        let sent = self.writes.sent().flat_map(Write::facts);
        sent.filter(|index| (from..until).contains(&self.tasks.get(*index).due))
            .collect()
    }

    /// Whether a fact is found by reading on from a time, which is at or before its own. Blocks are
    /// of one minute and are found by where they begin: of what is stored of the first minute
    /// nobody knows.
    fn will_be_read_again(&self, index: TaskIndex, from: Timestamp) -> bool {
        let fact = self.tasks.get(index);
        let is_of_first_minute = fact.due.floor_to_minute() <= from;
        fact.may_wait_in_the_timetable() && (fact.is(flag::UNSETTLED) || !is_of_first_minute)
    }

    /// A fact of the calendar queue leaves it for its block, and memory when that is stored.
    fn leave_for_the_timetable(&mut self, index: TaskIndex) {
        self.tasks.leave_near(index);
        let fact = *self.tasks.get(index);
        if fact.is(flag::WRITING) {
            return;
        }
        if fact.is(flag::UNSETTLED) {
            self.await_block(index);
        } else {
            self.note_leaving(index);
            self.tasks.remove(index);
        }
    }
}
