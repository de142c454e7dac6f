//! The due times that a worker has given to retries: a task is named by its id and due time, so two
//! tasks of one id that fail in the same millisecond must not be given the same one.

use std::sync::{Arc, Mutex, PoisonError};

use minutehand_model::{FreeDues, TaskKey, Timestamp};

/// The newest due times given to retries. Clones share them: an id may be in several queues, so the
/// workers of one process are given the same.
#[derive(Clone, Default)]
pub struct GivenDues(Arc<Mutex<FreeDues>>);

impl GivenDues {
    /// The first due time at or after `due` that was not given to the task before.
    pub(crate) fn give(&self, key: TaskKey, due: Timestamp) -> Timestamp {
        let mut dues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let given = dues.give_anew(key, due);
        assert!(given >= due, "no retry comes before the time it is due at");
        given
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::GIVEN_DUES_MAX;

    use super::*;

    #[test]
    fn no_due_time_is_given_twice_to_a_task() {
        let (dues, due) = (GivenDues::default(), Timestamp::from_millis(5));
        let given = [1, 1, 2, 1].map(|key| dues.give(TaskKey(key), due).as_millis());
        assert_eq!(given, [5, 6, 5, 7]);
        assert_eq!(
            dues.give(TaskKey(1), Timestamp::from_millis(7)).as_millis(),
            8
        );
        for key in 9..2 * GIVEN_DUES_MAX as u128 {
            assert_eq!(dues.give(TaskKey(key), due), due);
        }
        assert_eq!(dues.0.lock().unwrap().len(), GIVEN_DUES_MAX);
    }
}
