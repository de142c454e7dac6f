//! The tasks in memory that are to run, in the order in which they are due: what is on time, and
//! what F has left behind.

use minutehand_model::Timestamp;

use crate::calendar_queue::CalendarQueue;
use crate::pace::Pace;

/// Two queues: F goes through the first, the backlog through the second.
#[derive(Debug)]
pub(crate) struct DueTasks {
    pub(crate) on_time: CalendarQueue,
    /// The tasks of the backlog that are in memory.
    pub(crate) behind: CalendarQueue,
    /// The rate at which both backlogs publish.
    pub(crate) pace: Pace,
    /// Of the room that tasks and schedules share, what schedules owe had the larger half last.
    pub(crate) owed_had_turn: bool,
    /// Of the schedules that are behind, not of these tasks, the one that owes the oldest decided
    /// last, and the one that is the least behind does so next.
    pub(crate) owed_newest_next: bool,
    /// When what is behind is next looked through for what the timetable does not have.
    pub(crate) looked_through_at: Timestamp,
}

impl Default for DueTasks {
    fn default() -> DueTasks {
        let (on_time, behind) = (CalendarQueue::default(), CalendarQueue::default());
        DueTasks {
            on_time,
            behind,
            pace: Pace::default(),
            owed_had_turn: false,
            owed_newest_next: false,
            looked_through_at: Timestamp::MIN,
        }
    }
}

impl DueTasks {
    /// Nothing was done, and nothing is put off, by a clock that was ahead.
    pub(crate) fn clock_went_back(&mut self, now: Timestamp) {
        self.pace.clock_went_back(now);
        self.looked_through_at = self.looked_through_at.min(now);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.on_time.len() + self.behind.len()
    }
}
