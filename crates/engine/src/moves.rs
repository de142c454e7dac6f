//! Moves: "move it if it has not run" depends on F, so it is decided once, by whoever moves A over
//! it, and the decision is appended to the log by the next tick. Two things wait:
//!
//! - A waits until all is known of the task. What is due before `loaded` is in memory; of what is
//!   due later memory may know a part or nothing, so the timetable is asked as well.
//! - The old time waits, and F with it, until the log has been applied to the end of the tick that
//!   carries the decision: all that reached the log before the decision is under it.

use std::collections::BTreeSet;

use minutehand_model::{Command, LogOffset, Place, TaskKey, TaskRecord, Timestamp, TimetableEntry};

use crate::effect::Effect;
use crate::fact::flag;
use crate::input::{InputRecord, RequestId};
use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::rules::Rules;
use crate::task_store::TaskIndex;

impl<R: Rules> Partition<R> {
    /// Whether all is known that the next record's decision needs; if not, the timetable is being
    /// asked.
    pub(crate) fn knows_what_is_moved(&mut self) -> bool {
        let Some(InputRecord {
            offset,
            command: Ok(Command::Move { due, .. }),
            ..
        }) = self.log.inbox().first()
        else {
            return true;
        };
        let is_far = self.log.is_new(*offset) && !self.coverage.is_loaded(*due);
        if !is_far || self.breaks(PlantedBug::MoveUnasked) {
            return true;
        }
        if let Some(is_answered) = self.holds.is_answered(*offset) {
            return is_answered;
        }
        self.look_up_far_moves();
        false
    }

    /// Asks about the far tasks that the records read so far want to move, many at once.
    fn look_up_far_moves(&mut self) {
        let far_moves = self
            .log
            .inbox()
            .iter()
            .filter_map(|record| match &record.command {
                Ok(Command::Move { key, due, .. }) if !self.coverage.is_loaded(*due) => {
                    Some((record.offset, *key, *due))
                }
                _ => None,
            });
        self.holds.look_up(far_moves);
        self.ask_timetable();
    }

    /// Sends what has not been asked yet, and again what failed.
    pub(crate) fn ask_timetable(&mut self) {
        for (asking, key, due) in self.holds.unasked(self.now) {
            let request = self.effects.next_request();
            asking.start(request);
            self.effects.push(Effect::FindTask { request, key, due });
        }
    }

    /// The timetable has told what it holds of a task.
    pub(crate) fn found(&mut self, request: RequestId, entries: &[TimetableEntry]) {
        self.holds.found(request, entries);
    }

    /// A fact leaves memory because it is stored: an answer on its way may have been given before.
    pub(crate) fn note_leaving(&mut self, index: TaskIndex) {
        if !self.holds.looks_anything_up() {
            return;
        }
        let fact = *self.tasks.get(index);
        self.holds
            .note_leaving(fact.key(), fact.due, (fact.offset, !fact.is(flag::VOID)));
    }

    /// A move runs only if the task has not: decided now, appended to the log by the next tick,
    /// held until read back.
    pub(crate) fn resolve_move(
        &mut self,
        offset: LogOffset,
        key: TaskKey,
        due: Timestamp,
        task: TaskRecord,
    ) {
        let looked_up = self.holds.take_facts(offset);
        let is_guessed = self.breaks(PlantedBug::MoveUnasked) && !self.coverage.is_loaded(due);
        let in_memory = self
            .tasks
            .chain(key)
            .map(|(_, fact)| fact)
            .filter(|fact| fact.due == due);
        let mut facts: BTreeSet<(LogOffset, bool)> = in_memory
            .map(|fact| (fact.offset, !fact.is(flag::VOID)))
            .collect();
        if is_guessed && facts.is_empty() {
            facts.insert((offset, true));
        }
        facts.extend(looked_up);
        let is_waiting = opened_at(&facts).is_some_and(|opened_at| {
            !self.frontier.has_passed(Place {
                due,
                offset: opened_at,
            })
        });
        if is_waiting && !self.holds.holds(due, key) {
            self.outgoing.derive(Command::Moved { key, due, task });
            if !self.breaks(PlantedBug::Hold) {
                self.holds.hold(due, key);
            }
        }
    }

    /// A hold ends when the log has been applied to where its decision must lie, whether the record
    /// could be understood or not. Nothing else ends it: what replaces, cancels or creates the task
    /// meanwhile, or moves another onto its time, stands before the decision in the log, and so is
    /// under it.
    pub(crate) fn end_holds(&mut self) {
        let next = if self.breaks(PlantedBug::HoldUnread) {
            LogOffset::MAX
        } else {
            self.log.next()
        };
        self.holds.end_below(next);
    }

    /// With the rule `hold` broken in one of two ways: whatever else is said about the task ends
    /// it.
    pub(crate) fn overtake_hold(&mut self, key: TaskKey) {
        if self.breaks(PlantedBug::HoldOvertaken) {
            self.holds.forget(key);
        }
    }
}

/// The creation that opened the generation in which the task stands after these facts; `None` when
/// it is to run no more.
fn opened_at(facts: &BTreeSet<(LogOffset, bool)>) -> Option<LogOffset> {
    facts.iter().fold(None, |open, (offset, runs)| {
        runs.then(|| open.unwrap_or(*offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_lasts_from_first_creation_to_next_void() {
        let opened = |facts: &[(u64, bool)]| {
            let facts = facts
                .iter()
                .map(|(position, runs)| (LogOffset::at(*position), *runs))
                .collect();
            opened_at(&facts).map(LogOffset::position)
        };
        assert_eq!(opened(&[]), None);
        assert_eq!(opened(&[(3, true), (5, true)]), Some(3));
        assert_eq!(opened(&[(5, false), (3, true)]), None);
        assert_eq!(
            opened(&[(3, true), (5, false), (7, true), (8, true)]),
            Some(7)
        );
        assert_eq!(
            opened(&[(3, true), (5, false), (5, true)]),
            Some(5),
            "voided and created by one record"
        );
    }
}
