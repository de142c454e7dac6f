//! The tasks in memory that are to run, in the order in which they are due: what is on time, and what F has left behind.

use minutehand_model::Timestamp;

use crate::calendar_queue::CalendarQueue;

/// Two queues: F goes through the first, the backlog through the second.
#[derive(Debug)]
pub(crate) struct DueTasks {
    pub(crate) on_time: CalendarQueue,
    /// The tasks of the backlog that are in memory.
    pub(crate) behind: CalendarQueue,
    /// When the backlog last published something.
    pub(crate) caught_up_at: Timestamp,
}

impl Default for DueTasks {
    fn default() -> DueTasks {
        let (on_time, behind) = (CalendarQueue::default(), CalendarQueue::default());
        DueTasks { on_time, behind, caught_up_at: Timestamp::MIN }
    }
}

impl DueTasks {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.on_time.len() + self.behind.len()
    }
}
