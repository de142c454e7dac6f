//! Due times that are still free: a task is named by its id and due time, so no two tasks of one id
//! may have the same one.

use std::collections::{HashMap, VecDeque};

use crate::{TaskKey, Timestamp};

/// Due times remembered. Two that fail in one millisecond are told within a moment of each other,
/// never this far apart.
pub const GIVEN_DUES_MAX: usize = 16 * 1024;

/// The newest due times that were given to tasks, each with who holds it.
#[derive(Debug, Default)]
pub struct FreeDues {
    holders: HashMap<(TaskKey, Timestamp), u64>,
    order: VecDeque<(TaskKey, Timestamp)>,
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
