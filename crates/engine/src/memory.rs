//! How much memory a partition takes, and what waits when it takes enough: commands in the log,
//! tasks in the timetable.
//!
//! What is counted lies in counters, so that the question may be asked for every record. Nothing is
//! ever refused for want of memory, only later: each limit leaves room for what frees the memory of
//! the others.

use minutehand_model::{Phase, Place};

use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::rules::Rules;

/// A place in the calendar queue, padded.
const PLACE_BYTES: usize = 16;
/// What a fact costs beside its task while its block is being written: the entry, and its bytes on
/// the way to the store.
const WRITING_BYTES: usize = 256;
/// What is due within this time is read even when memory is short, in milliseconds.
const URGENT_MS: i64 = 1_000;
/// What one answer of the timetable may bring, as a share of the budget.
const PAGE_SHARE: usize = 8;
/// What one answer of the log may bring: less, for a short record takes many times its payload.
const LOG_SHARE: usize = 32;

/// Bytes in memory, about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Tasks, and what is on its way to or from a store.
    pub busy: usize,
    /// The part of that which is due soon or overdue.
    pub near: usize,
    /// What has run and is remembered.
    pub resting: usize,
}

impl Memory {
    /// All of it.
    pub fn total(self) -> usize {
        self.busy + self.resting
    }
}

impl<R: Rules> Partition<R> {
    /// What the partition takes in memory.
    pub fn memory(&self) -> Memory {
        let tasks = (
            self.tasks.bytes(),
            self.tasks.resting_bytes(),
            self.tasks.near_bytes(),
        );
        self.memory_with(
            tasks,
            self.log.inbox().bytes() + self.outgoing.memory_bytes(),
        )
    }

    /// The same with what is kept in counters counted anew: for tests.
    #[doc(hidden)]
    pub fn memory_counted_anew(&self) -> Memory {
        let records =
            self.log.inbox().bytes_counted_anew() + self.outgoing.memory_bytes_counted_anew();
        self.memory_with(self.tasks.counted_anew(), records)
    }

    fn memory_with(&self, (tasks, resting, near): (usize, usize, usize), records: usize) -> Memory {
        let places = (self.due.len() + self.writes.pending().len()) * PLACE_BYTES;
        let writing: usize = self
            .writes
            .sent()
            .map(|write| write.facts().len() * WRITING_BYTES)
            .sum();
        Memory {
            busy: tasks - resting + places + writing + records,
            near,
            resting,
        }
    }

    /// What is counted against the budget. What rests goes by itself, in its time: it counts up to
    /// one half, or the log could not be applied, and its time would not come. What waits to be
    /// applied is one answer of the log, which only its application frees.
    fn counted_bytes(&self) -> usize {
        let Memory { busy, resting, .. } = self.memory();
        let busy = if self.breaks(PlantedBug::MemoryInbox) {
            busy
        } else {
            busy - self.log.inbox().bytes()
        };
        busy + resting.min(self.config.memory_bytes_max / 2)
    }

    /// Whether more of the log may be applied. What is being moved is held until the log has said
    /// so, and F with it; and while a successor replays, F stands, and only what is being written
    /// makes room.
    pub(crate) fn has_room_to_apply(&self) -> bool {
        let is_freed_by_nothing = self.phase() == Phase::Replaying && self.writes.is_empty();
        self.counted_bytes() < self.config.memory_bytes_max
            || self.holds.holds_anything()
            || is_freed_by_nothing
            || self.breaks(PlantedBug::MemoryUnbounded)
    }

    /// The same, when what is done with has been let go.
    pub(crate) fn finds_room_to_apply(&mut self) -> bool {
        if self.is_short_of_memory() {
            self.tasks.let_idle_pages_go();
        }
        self.has_room_to_apply()
    }

    /// Whether there is no room for more, so that what waits for its block had better be written.
    pub(crate) fn is_short_of_memory(&self) -> bool {
        self.counted_bytes() >= self.config.memory_bytes_max
    }

    /// Whether reading ahead in the timetable has to wait until tasks have fired. What has run
    /// lately must be known at any rate, and so must the next that is due, or nothing would ever
    /// fire.
    pub(crate) fn is_memory_full(&self) -> bool {
        if self.coverage.loaded() <= self.frontier.front().due {
            return false;
        }
        let budget = self.config.memory_bytes_max;
        let is_urgent = self.coverage.loaded() <= self.reachable_present().plus_millis(URGENT_MS);
        let limit = if is_urgent {
            budget.saturating_add(budget / 4)
        } else {
            budget / 4 * 3
        };
        self.counted_bytes() >= limit && (!is_urgent || self.has_something_to_fire())
    }

    fn has_something_to_fire(&self) -> bool {
        self.due
            .on_time
            .reaches(Place::end_of(self.frontier_bound().min(self.now)))
    }

    /// Whether more of the backlog may be read: while there is room, and when nothing else of it is
    /// left to publish.
    pub(crate) fn has_room_behind(&self) -> bool {
        let has_room = self.counted_bytes() < self.config.memory_bytes_max / 2
            && self.due.behind.len() < 4 * self.config.tick_publications_max;
        has_room || !self.due.behind.reaches(self.catch_up_limit())
    }

    /// How much one read of the timetable may bring.
    pub(crate) fn page_bytes_max(&self) -> usize {
        self.config
            .page_bytes_max
            .min(self.config.memory_bytes_max / PAGE_SHARE)
    }

    /// How much one read of the log may bring.
    pub(crate) fn log_read_bytes_max(&self) -> usize {
        self.config
            .log_read_bytes_max
            .min(self.config.memory_bytes_max / LOG_SHARE)
    }
}
