//! The tasks in memory that are to run, in the order in which they are due: what is on time, and
//! what F has left behind.

use minutehand_model::Timestamp;

use crate::calendar_queue::CalendarQueue;

/// Two queues: F goes through the first, the backlog through the second.
#[derive(Debug)]
pub(crate) struct DueTasks {
    pub(crate) on_time: CalendarQueue,
    /// The tasks of the backlog that are in memory.
    pub(crate) behind: CalendarQueue,
    /// When one of the backlogs last published something.
    pub(crate) caught_up_at: Timestamp,
    /// What schedules owe had the larger half of their room last.
    pub(crate) owed_had_turn: bool,
    /// Of the schedules that are behind the one that owes the oldest decided last, and the one that
    /// is the least behind does so next.
    pub(crate) owed_newest_next: bool,
    /// When what is behind is next looked through for what the timetable does not have.
    pub(crate) looked_through_at: Timestamp,
}

impl Default for DueTasks {
    fn default() -> DueTasks {
        let (on_time, behind) = (CalendarQueue::default(), CalendarQueue::default());
        let (caught_up_at, looked_through_at) = (Timestamp::MIN, Timestamp::MIN);
        DueTasks {
            on_time,
            behind,
            caught_up_at,
            owed_had_turn: false,
            owed_newest_next: false,
            looked_through_at,
        }
    }
}

impl DueTasks {
    /// Nothing was done, and nothing is put off, by a clock that was ahead.
    pub(crate) fn clock_went_back(&mut self, now: Timestamp) {
        self.caught_up_at = self.caught_up_at.min(now);
        self.looked_through_at = self.looked_through_at.min(now);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.on_time.len() + self.behind.len()
    }
}
