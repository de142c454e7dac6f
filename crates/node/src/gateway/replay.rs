//! Dead letters that are run again, each as a task of its own.

use std::collections::{HashMap, HashSet};

use minutehand_model::{Origin, PartitionId, Task, TaskKey, Timestamp};

use super::{FindTasks, Gateway};

/// The due times of one replay. A task is named by its id and due time, so no two letters of an id
/// get the same one, and none gets that of a task that lives.
pub(super) struct Replays {
    now: Timestamp,
    /// The last due time given, by task.
    given: HashMap<TaskKey, Timestamp>,
    /// Due times of tasks that the owners know.
    taken: HashSet<(TaskKey, Timestamp)>,
}

impl Replays {
    /// Due times from `now` on.
    pub(super) fn starting_at(now: Timestamp) -> Replays {
        Replays {
            now,
            given: HashMap::new(),
            taken: HashSet::new(),
        }
    }

    /// A due time that is not free.
    pub(super) fn take(&mut self, key: TaskKey, due: Timestamp) {
        self.taken.insert((key, due));
    }

    /// The newest due time given; `None` before the first.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.given.values().max().copied()
    }

    /// The task as a first attempt that is due now, and in any case after its former due time. It
    /// stays the message that it was, and its schedule, which heard of its end when it was given
    /// up, is not told again.
    pub(super) fn anew(&mut self, former: Task) -> Task {
        let key = former.key();
        let mut due = self.now.max(former.due.plus_millis(1));
        if let Some(last) = self.given.get(&key) {
            due = due.max(last.plus_millis(1));
        }
        while self.taken.contains(&(key, due)) {
            due = due.plus_millis(1);
        }
        self.given.insert(key, due);
        let replay_of = Some(former.message_due());
        let origin = former.origin.map(|origin| Origin {
            completion_wanted: false,
            ..origin
        });
        Task {
            due,
            first_due: due,
            attempt: 1,
            replay_of,
            origin,
            ..former
        }
    }
}

impl Gateway {
    /// Notes which due times of these tasks the owner of a partition knows. A partition without an
    /// owner has none to tell.
    pub(super) async fn note_taken(
        &self,
        replays: &mut Replays,
        partition: PartitionId,
        keys: Vec<TaskKey>,
    ) {
        let query = FindTasks { keys: keys.clone() };
        let known = self.owners.ask(partition, query).await.unwrap_or_default();
        for (key, tasks) in keys.into_iter().zip(known) {
            tasks.iter().for_each(|task| replays.take(key, task.due));
        }
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{Namespace, QueueName, ScheduleId, TaskId};

    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn given_up(id: &str, due_ms: i64) -> Task {
        Task {
            payload: bytes::Bytes::from_static(b"p"),
            attempt: 10,
            first_due: at(due_ms - 600_000),
            origin: Some(Origin {
                schedule: ScheduleId::parse("s").unwrap(),
                nominal: at(due_ms),
                completion_wanted: true,
            }),
            ..Task::new(
                Namespace::parse("default").unwrap(),
                TaskId::parse(id).unwrap(),
                QueueName::parse("mail").unwrap(),
                at(due_ms),
            )
        }
    }

    #[test]
    fn letters_of_one_id_are_tasks_of_their_own() {
        let mut replays = Replays::starting_at(at(NOW_MS));
        replays.take(given_up("a", 0).key(), at(NOW_MS + 1));
        let dues =
            [("a", -5_000), ("a", -3_000), ("b", 0), ("a", 70), ("b", -1)].map(|(id, due_ms)| {
                let anew = replays.anew(given_up(id, NOW_MS + due_ms));
                assert_eq!(anew.first_due, anew.due);
                anew.due.as_millis() - NOW_MS
            });
        assert_eq!(dues, [0, 2, 1, 71, 2]);
        assert_eq!(replays.newest(), Some(at(NOW_MS + 71)));
    }

    #[test]
    fn a_replay_is_the_same_message_and_tells_nobody_of_its_end() {
        let former = given_up("a", NOW_MS - 5_000);
        let again = Replays::starting_at(at(NOW_MS)).anew(former.clone());
        assert_eq!((again.attempt, again.message_due()), (1, former.first_due));
        assert!(!again.origin.as_ref().unwrap().completion_wanted);
        let twice = Replays::starting_at(at(NOW_MS + 9)).anew(Task {
            attempt: 10,
            ..again
        });
        assert_eq!(twice.message_due(), former.first_due);
        assert_eq!(
            (&twice.payload, twice.retry),
            (&former.payload, former.retry)
        );
    }
}
