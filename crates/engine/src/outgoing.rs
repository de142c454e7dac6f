//! What leaves with the next tick beside what is due: what came late, what was decided, what could
//! not be understood.

use minutehand_model::{Command, SetAside};

use crate::record_bytes::{RECORD_BYTES, command_bytes};
use crate::task_store::TaskIndex;

/// What waits for a tick, and the bytes it takes.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Came after F had passed their time.
    late: Vec<TaskIndex>,
    late_bytes: usize,
    /// Resolved decisions, to be appended to the log.
    derived: Vec<Command>,
    set_aside: Vec<SetAside>,
    /// Of the decisions, and of what is set aside.
    decided_bytes: usize,
    /// How many have been handed to a tick.
    set_aside_count: u64,
}

impl Outgoing {
    /// Came late: it leaves at once. The task stays where it is, and is counted there.
    pub(crate) fn push_late(&mut self, index: TaskIndex, bytes: usize) {
        self.late_bytes += bytes;
        self.late.push(index);
    }

    /// A decision is to be appended to the log.
    pub(crate) fn derive(&mut self, command: Command) {
        self.decided_bytes += RECORD_BYTES + command_bytes(&command);
        self.derived.push(command);
    }

    /// Something cannot be understood or kept.
    pub(crate) fn put_aside(&mut self, set_aside: SetAside) {
        self.decided_bytes += RECORD_BYTES + set_aside.bytes.len();
        self.set_aside.push(set_aside);
    }

    /// How many of all kinds wait.
    pub(crate) fn len(&self) -> usize {
        self.late.len() + self.derived.len() + self.set_aside.len()
    }

    /// What they take of a tick.
    pub(crate) fn tick_bytes(&self) -> usize {
        self.late_bytes + self.decided_bytes
    }

    /// What they take of memory, beside the tasks.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.decided_bytes
    }

    /// The same, counted anew.
    pub(crate) fn memory_bytes_counted_anew(&self) -> usize {
        let derived = self.derived.iter().map(command_bytes).sum::<usize>();
        let set_aside = self
            .set_aside
            .iter()
            .map(|set_aside| set_aside.bytes.len())
            .sum::<usize>();
        derived + set_aside + (self.derived.len() + self.set_aside.len()) * RECORD_BYTES
    }

    /// How many were set aside and have been handed to a tick.
    pub(crate) fn set_aside_count(&self) -> u64 {
        self.set_aside_count
    }

    /// What came late, for the tick. `count_max`: all, unless a rule is broken.
    pub(crate) fn take_late(&mut self, count_max: usize) -> Vec<TaskIndex> {
        let left = self.late.split_off(count_max.min(self.late.len()));
        self.late_bytes = 0;
        std::mem::replace(&mut self.late, left)
    }

    /// Decisions and what was set aside, for the tick.
    pub(crate) fn take_decided(&mut self) -> (Vec<Command>, Vec<SetAside>) {
        self.decided_bytes = 0;
        self.set_aside_count += self.set_aside.len() as u64;
        (
            std::mem::take(&mut self.derived),
            std::mem::take(&mut self.set_aside),
        )
    }
}
