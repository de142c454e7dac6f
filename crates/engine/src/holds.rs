//! What is being moved: the times that are held until the log has said so, and what is asked about
//! far tasks.

use std::collections::{BTreeMap, BTreeSet};

use minutehand_model::{Fact, LogOffset, TaskKey, Timestamp, TimetableEntry};

use crate::input::RequestId;
use crate::retry::Single;

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

    /// Whether a task is held at a due time.
    pub(crate) fn holds(&self, due: Timestamp, key: TaskKey) -> bool {
        self.held.contains_key(&(due, key))
    }

    /// The due times that are held, the first one first.
    pub(crate) fn dues(&self) -> impl Iterator<Item = Timestamp> {
        self.held.keys().map(|(due, _)| *due)
    }

    /// A task is moved away from a due time: decided, but not sent yet.
    pub(crate) fn hold(&mut self, due: Timestamp, key: TaskKey) {
        self.held.insert((due, key), Hold::Decided);
    }

    /// What has been decided leaves with the tick that is being sent.
    pub(crate) fn decisions_sent(&mut self) {
        self.advance(Hold::Decided, Hold::Sent);
    }

    /// The log has taken the decisions of the tick under way, below this offset.
    pub(crate) fn decisions_stored(&mut self, below: LogOffset) {
        self.advance(Hold::Sent, Hold::Below(below));
    }

    fn advance(&mut self, from: Hold, to: Hold) {
        let holds = self.held.values_mut();
        holds
            .filter(|hold| **hold == from)
            .for_each(|hold| *hold = to);
    }

    /// Ends what the log has taken below an offset that has been applied.
    pub(crate) fn end_below(&mut self, applied: LogOffset) {
        self.held
            .retain(|_, hold| !matches!(hold, Hold::Below(offset) if *offset <= applied));
    }

    /// Ends whatever is held of a task.
    pub(crate) fn forget(&mut self, key: TaskKey) {
        self.held.retain(|(_, held), _| *held != key);
    }

    /// Whether the timetable is being asked about anything.
    pub(crate) fn looks_anything_up(&self) -> bool {
        !self.look_ups.is_empty()
    }

    /// Whether the question of the record at this offset is answered; `None` when it was not asked.
    pub(crate) fn is_answered(&self, offset: LogOffset) -> Option<bool> {
        self.look_ups
            .get(&offset)
            .map(|look_up| look_up.is_answered)
    }

    /// Asks about tasks at their due times for the records at these offsets, as far as there is
    /// room.
    pub(crate) fn look_up(&mut self, moves: impl Iterator<Item = (LogOffset, TaskKey, Timestamp)>) {
        let room = LOOK_UPS_MAX.saturating_sub(self.look_ups.len());
        let asked: Vec<_> = moves
            .filter(|(offset, ..)| !self.look_ups.contains_key(offset))
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
            self.look_ups.insert(offset, look_up);
        }
    }

    /// The questions that may be sent now: as operations, with task and due time.
    pub(crate) fn unasked(
        &mut self,
        now: Timestamp,
    ) -> impl Iterator<Item = (&mut Single, TaskKey, Timestamp)> {
        let look_ups = self.look_ups.values_mut();
        look_ups
            .filter(move |look_up| !look_up.is_answered && look_up.asking.is_free(now))
            .map(|look_up| (&mut look_up.asking, look_up.key, look_up.due))
    }

    /// An answer. Before-a: what lies above the move says nothing about it.
    pub(crate) fn found(&mut self, request: RequestId, entries: &[TimetableEntry]) {
        for (offset, look_up) in &mut self.look_ups {
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

    /// A fact of a task leaves memory because it is stored: an answer on its way may have been
    /// given before.
    pub(crate) fn note_leaving(&mut self, key: TaskKey, due: Timestamp, fact: (LogOffset, bool)) {
        for look_up in self.look_ups.values_mut() {
            if (look_up.key, look_up.due) == (key, due) {
                look_up.facts.insert(fact);
            }
        }
    }

    /// What was found for the record at this offset, which is about to be decided.
    pub(crate) fn take_facts(&mut self, offset: LogOffset) -> BTreeSet<(LogOffset, bool)> {
        self.look_ups
            .remove(&offset)
            .map(|look_up| look_up.facts)
            .unwrap_or_default()
    }

    /// The questions to the timetable, as operations.
    pub(crate) fn asking(&self) -> impl Iterator<Item = &Single> {
        self.look_ups.values().map(|look_up| &look_up.asking)
    }

    /// The same, to be changed.
    pub(crate) fn asking_mut(&mut self) -> impl Iterator<Item = &mut Single> {
        self.look_ups
            .values_mut()
            .map(|look_up| &mut look_up.asking)
    }
}
