//! Moves: "move it if it has not run" depends on F, so it is decided once, by whoever moves A over
//! it, and the decision is appended to the log by the next tick. Two things wait:
//!
//! - A waits until all is known of the task. What is due before `loaded` is in memory; of what is
//!   due later memory may know a part or nothing, so the timetable is asked as well.
//! - The old time waits, and F with it, until the log has been applied to the end of the tick that
//!   carries the decision: all that reached the log before the decision is under it.

use std::collections::{BTreeMap, BTreeSet};

use minutehand_model::{
    Command, Fact, LogOffset, Place, TaskKey, TaskRecord, Timestamp, TimetableEntry,
};

use crate::effect::Effect;
use crate::fact::flag;
use crate::input::{InputRecord, RequestId};
use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::retry::Single;
use crate::rules::Rules;
use crate::task_store::TaskIndex;

/// Most tasks that the timetable is asked about at once.
const LOOK_UPS_MAX: usize = 64;

/// How far the decision about a time that is being moved from has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// It waits for a tick.
    Decided,
    /// It is in the tick under way.
    Sent,
    /// The log has it, below this offset.
    Below(LogOffset),
}

/// A far task that is to be moved, and what is known of it outside of memory.
#[derive(Debug)]
struct LookUp {
    key: TaskKey,
    due: Timestamp,
    asking: Single,
    is_answered: bool,
    /// What the timetable knows, and what has left memory since it was asked: offset, and whether
    /// the task runs.
    facts: BTreeSet<(LogOffset, bool)>,
}

/// What is being moved.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// Times that are moved from: decided, but not yet read back from the log.
    held: BTreeMap<(Timestamp, TaskKey), Hold>,
    /// The far tasks that records of the inbox want to move, by the offset of the record.
    look_ups: BTreeMap<LogOffset, LookUp>,
}

impl Holds {
    /// Whether anything is held. F and the backlog wait for it.
    pub(crate) fn holds_anything(&self) -> bool {
        !self.held.is_empty()
    }

    /// The due times that are held, the first one first.
    pub(crate) fn dues(&self) -> impl Iterator<Item = Timestamp> {
        self.held.keys().map(|(due, _)| *due)
    }

    /// The questions to the timetable, as operations.
    pub(crate) fn asking(&self) -> impl Iterator<Item = &Single> {
        self.look_ups.values().map(|look_up| &look_up.asking)
    }

    pub(crate) fn asking_mut(&mut self) -> impl Iterator<Item = &mut Single> {
        self.look_ups
            .values_mut()
            .map(|look_up| &mut look_up.asking)
    }
}

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
        if let Some(look_up) = self.holds.look_ups.get(offset) {
            return look_up.is_answered;
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
        let room = LOOK_UPS_MAX.saturating_sub(self.holds.look_ups.len());
        let asked: Vec<_> = far_moves
            .filter(|(offset, ..)| !self.holds.look_ups.contains_key(offset))
            .take(room)
            .collect();
        for (offset, key, due) in asked {
            let look_up = LookUp {
                key,
                due,
                asking: Single::default(),
                is_answered: false,
                facts: BTreeSet::new(),
            };
            self.holds.look_ups.insert(offset, look_up);
        }
        self.ask_timetable();
    }

    /// Sends what has not been asked yet, and again what failed.
    pub(crate) fn ask_timetable(&mut self) {
        for look_up in self.holds.look_ups.values_mut() {
            if !look_up.is_answered && look_up.asking.is_free(self.now) {
                let request = self.effects.next_request();
                look_up.asking.start(request);
                let LookUp { key, due, .. } = *look_up;
                self.effects.push(Effect::FindTask { request, key, due });
            }
        }
    }

    /// Before-a: what lies above the move says nothing about it.
    pub(crate) fn found(&mut self, request: RequestId, entries: &[TimetableEntry]) {
        for (offset, look_up) in &mut self.holds.look_ups {
            if look_up.asking.answers(request) {
                look_up.is_answered = true;
                let before = entries.iter().filter(|entry| {
                    (entry.key, entry.due) == (look_up.key, look_up.due) && entry.offset < *offset
                });
                look_up.facts.extend(
                    before.map(|entry| (entry.offset, matches!(entry.fact, Fact::Runs(_)))),
                );
            }
        }
    }

    /// A fact leaves memory because it is stored: an answer on its way may have been given before.
    pub(crate) fn note_leaving(&mut self, index: TaskIndex) {
        if self.holds.look_ups.is_empty() {
            return;
        }
        let fact = *self.tasks.get(index);
        for look_up in self.holds.look_ups.values_mut() {
            if (look_up.key, look_up.due) == (fact.key(), fact.due) {
                look_up.facts.insert((fact.offset, !fact.is(flag::VOID)));
            }
        }
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
        let looked_up = self.holds.look_ups.remove(&offset);
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
        facts.extend(looked_up.into_iter().flat_map(|look_up| look_up.facts));
        let is_waiting = opened_at(&facts).is_some_and(|opened_at| {
            !self.frontier.has_passed(Place {
                due,
                offset: opened_at,
            })
        });
        if is_waiting && !self.holds.held.contains_key(&(due, key)) {
            self.outgoing.derive(Command::Moved { key, due, task });
            if !self.breaks(PlantedBug::Hold) {
                self.holds.held.insert((due, key), Hold::Decided);
            }
        }
    }

    /// What has been decided leaves with the tick that is being sent.
    pub(crate) fn decisions_sent(&mut self) {
        for hold in self
            .holds
            .held
            .values_mut()
            .filter(|hold| **hold == Hold::Decided)
        {
            *hold = Hold::Sent;
        }
    }

    /// The log has taken the decisions of the tick under way, below this offset.
    pub(crate) fn decisions_stored(&mut self, below: LogOffset) {
        for hold in self
            .holds
            .held
            .values_mut()
            .filter(|hold| **hold == Hold::Sent)
        {
            *hold = Hold::Below(below);
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
        self.holds
            .held
            .retain(|_, hold| !matches!(hold, Hold::Below(offset) if *offset <= next));
    }

    /// With the rule `hold` broken in one of two ways: whatever else is said about the task ends
    /// it.
    pub(crate) fn overtake_hold(&mut self, key: TaskKey) {
        if self.breaks(PlantedBug::HoldOvertaken) {
            self.holds.held.retain(|(_, held), _| *held != key);
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
