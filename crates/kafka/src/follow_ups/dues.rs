//! The due times that were given to follow-ups of a partition, and to executions that it has put
//! off: no two of them are one task.

use bytes::Bytes;
use minutehand_model::{Command, FreeDues, Task, Timestamp};
use minutehand_record::{command, task};

/// The newest due times, each held by the offset that it was given to, or by what was put off.
#[derive(Default)]
pub(super) struct Dues(FreeDues);

impl Dues {
    /// When an execution that cannot be published at `at` comes again.
    pub(super) fn put_off(&mut self, task: &Task, at: Timestamp) -> Timestamp {
        self.0.put_off(task, at)
    }

    /// The follow-up at an offset, due at a time that no other of its id has. What creates no task
    /// stays as it is.
    pub(super) fn made_distinct(&mut self, offset: u64, payload: Bytes) -> Bytes {
        let Ok(Command::Create(record)) = command::decode(payload.clone()) else {
            return payload;
        };
        let due = self.0.give(record.key, record.due, offset);
        if due == record.due {
            return payload;
        }
        // What cannot be read is refused by the partition that applies it.
        let Ok(task) = task::decode(&record.encoded) else {
            return payload;
        };
        // Its id is that of one end: told twice, it is one task.
        if task.is_first_of_a_chain() {
            return payload;
        }
        command::encode(&Command::Create(task::record(&Task { due, ..task })))
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{GroupName, Namespace, QueueName, TaskId, Timestamp};

    use super::*;

    fn creation(id: &str, queue: &str, due_ms: i64) -> Bytes {
        let (namespace, id) = (
            Namespace::parse("default").unwrap(),
            TaskId::parse(id).unwrap(),
        );
        let due = Timestamp::from_millis(due_ms);
        let task = Task {
            attempt: 2,
            ..Task::new(namespace, id, QueueName::parse(queue).unwrap(), due)
        };
        command::encode(&Command::Create(task::record(&task)))
    }

    fn due_and_queue(payload: Bytes) -> (i64, String) {
        let Command::Create(record) = command::decode(payload).unwrap() else {
            panic!("a creation")
        };
        let task = task::decode(&record.encoded).unwrap();
        assert_eq!((record.due, record.queue), (task.due, task.queue.clone()));
        (task.due.as_millis(), task.queue.as_str().to_owned())
    }

    #[test]
    fn two_retries_of_one_id_and_millisecond_stay_two() {
        let mut dues = Dues::default();
        let story = [
            (3, "a", "mail", 5, 5),
            (4, "a", "post", 5, 6),
            (6, "b", "post", 5, 5),
            (7, "a", "mail", 6, 7),
        ];
        // Read again from the beginning, each is given what it had.
        for (offset, id, queue, due_ms, given_ms) in story.into_iter().chain(story) {
            let payload = dues.made_distinct(offset, creation(id, queue, due_ms));
            assert_eq!(
                due_and_queue(payload),
                (given_ms, queue.to_owned()),
                "offset {offset}"
            );
        }
    }

    #[test]
    fn a_retry_and_what_is_put_off_stay_two() {
        let mut dues = Dues::default();
        let Command::Create(record) = command::decode(creation("a", "mail", 1_000)).unwrap() else {
            panic!("a creation")
        };
        let late = task::decode(&record.encoded).unwrap();
        let at = Timestamp::from_millis(1_001);
        assert_eq!(
            due_and_queue(dues.made_distinct(1, creation("a", "mail", 1_251))).0,
            1_251
        );
        assert_eq!(dues.put_off(&late, at).as_millis(), 1_252);
        assert_eq!(
            due_and_queue(dues.made_distinct(2, creation("a", "mail", 1_252))).0,
            1_253
        );
    }

    #[test]
    fn a_chained_task_that_is_told_twice_stays_one() {
        let mut dues = Dues::default();
        let id = format!("x-{}~success", "0f".repeat(16));
        let first = |attempt, group: Option<&str>| {
            let Command::Create(record) = command::decode(creation(&id, "mail", 5)).unwrap() else {
                panic!("a creation")
            };
            let task = task::decode(&record.encoded).unwrap();
            let group = group.map(|group| GroupName::parse(group).unwrap());
            let task = Task {
                attempt,
                group,
                ..task
            };
            command::encode(&Command::Create(task::record(&task)))
        };
        for (offset, attempt, group, given_ms) in [
            (1, 1, None, 5),
            (2, 1, None, 5),
            (3, 2, None, 7),
            // Two groups put it off: each to a time of its own.
            (4, 1, Some("one"), 8),
            (5, 1, Some("two"), 9),
        ] {
            let payload = dues.made_distinct(offset, first(attempt, group));
            assert_eq!(due_and_queue(payload).0, given_ms, "offset {offset}");
        }
    }

    #[test]
    fn what_creates_no_task_stays_as_it_is() {
        let mut dues = Dues::default();
        for payload in [&b""[..], b"no command", b"\x00\xff"] {
            let payload = Bytes::from_static(payload);
            assert_eq!(dues.made_distinct(1, payload.clone()), payload);
        }
    }
}
