//! Due times that are still free: a task is named by its id and due time, so no two tasks of one id
//! may have the same one.

use std::collections::{HashMap, VecDeque};

use crate::{Task, TaskKey, Timestamp};

/// Due times remembered. Two that fail in one millisecond are told within a moment of each other,
/// never this far apart.
pub const GIVEN_DUES_MAX: usize = 16 * 1024;

/// Shortest and longest that an execution is put off whose queue is not there yet, in milliseconds.
pub const PUT_OFF_MS: (i64, i64) = (250, 5_000);

/// The newest due times that were given to tasks, each with who holds it.
#[derive(Debug, Default)]
pub struct FreeDues {
    holders: HashMap<(TaskKey, Timestamp), u64>,
    order: VecDeque<(TaskKey, Timestamp)>,
    /// Holders without a name of their own: they are counted.
    unnamed: u64,
}

impl FreeDues {
    /// The first due time of a task at or after `due` that is free, or was given to the same
    /// holder.
    pub fn give(&mut self, key: TaskKey, due: Timestamp, holder: u64) -> Timestamp {
        let mut free = due;
        while let Some(known) = self.holders.get(&(key, free)) {
            if *known == holder {
                return free;
            }
            free = free.plus_millis(1);
        }
        self.holders.insert((key, free), holder);
        self.order.push_back((key, free));
        if self.order.len() > GIVEN_DUES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.holders.remove(&oldest);
        }
        free
    }

    /// The first due time of a task at or after `due` that was not given to it before.
    pub fn give_anew(&mut self, key: TaskKey, due: Timestamp) -> Timestamp {
        self.unnamed += 1;
        // Far above the offsets that name others.
        self.give(key, due, u64::MAX - self.unnamed)
    }

    /// When an execution that cannot be published at `at` comes again: as much later as it is late
    /// already, within limits; at a time of its own, at which it is nobody's repetition.
    pub fn put_off(&mut self, task: &Task, at: Timestamp) -> Timestamp {
        let (shortest_ms, longest_ms) = PUT_OFF_MS;
        let delay_ms = at
            .millis_since(task.first_due)
            .clamp(shortest_ms, longest_ms);
        // At its old due time it would be taken for itself, which counts as published.
        let due = at.plus_millis(delay_ms).max(task.due.plus_millis(1));
        self.give_anew(task.key(), due)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.holders.len()
    }

    /// Whether none has been given.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Namespace, QueueName, TaskId};

    fn task(first_due: i64) -> Task {
        Task::new(
            Namespace::parse("default").unwrap(),
            TaskId::parse("a").unwrap(),
            QueueName::parse("new").unwrap(),
            Timestamp::from_millis(first_due),
        )
    }

    #[test]
    fn what_is_put_off_of_one_id_stays_as_many() {
        let mut dues = FreeDues::default();
        let given = [
            // Of one tick, and of the next one: as late as the shortest and as the longest pause.
            (1_000, 1_003),
            (1_002, 1_003),
            (900, 1_010),
            (753, 1_003),
            (-9_000, 1_003),
            (-8_000, 1_003),
        ]
        .map(|(due, at)| {
            dues.put_off(&task(due), Timestamp::from_millis(at))
                .as_millis()
        });
        assert_eq!(given, [1_253, 1_254, 1_260, 1_255, 6_003, 6_004]);
    }

    #[test]
    fn what_is_put_off_ahead_of_its_time_comes_after_it() {
        let mut dues = FreeDues::default();
        let given = dues.put_off(&task(5_000), Timestamp::from_millis(1));
        assert_eq!(given.as_millis(), 5_001);
    }

    #[test]
    fn a_bounded_number_of_due_times_is_remembered() {
        let mut dues = FreeDues::default();
        for holder in 0..GIVEN_DUES_MAX as u64 + 10 {
            dues.give(
                TaskKey(u128::from(holder)),
                Timestamp::from_millis(1),
                holder,
            );
        }
        assert_eq!(
            (dues.holders.len(), dues.order.len()),
            (GIVEN_DUES_MAX, GIVEN_DUES_MAX)
        );
    }
}
