//! Queue names as numbers, so that a waiting task keeps two bytes instead of a name.
//!
//! Names are anybody's to make up. When there are more than numbers, the name of a task is read
//! from the task itself, whenever it is wanted: nothing is lost by it, and nothing waits.

use std::collections::BTreeMap;

use bytes::Bytes;
use minutehand_model::{QueueName, TaskRecord};

/// Stands for every name that has no number of its own.
const UNNUMBERED: u16 = u16::MAX;

/// Names in the order in which they were first seen.
#[derive(Debug, Default)]
pub(crate) struct QueueNames {
    names: Vec<QueueName>,
    numbers: BTreeMap<QueueName, u16>,
    /// The last answer: neighbours in the log mostly share a queue.
    latest: u16,
    /// Names of tasks that have been applied, to be let go together: a shared counter waits for all
    /// stores before it.
    spent: Vec<QueueName>,
}

impl QueueNames {
    /// The number of a task's queue; `None` when it has none of its own, and the task cannot be
    /// read.
    pub(crate) fn number(&mut self, task: &TaskRecord) -> Option<u16> {
        let name = &task.queue;
        if self.names.get(usize::from(self.latest)) == Some(name) {
            return Some(self.latest);
        }
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None if self.names.len() < usize::from(UNNUMBERED) => {
                let number = self.names.len() as u16;
                self.names.push(name.clone());
                self.numbers.insert(name.clone(), number);
                number
            }
            None => return (read(&task.encoded)? == *name).then_some(UNNUMBERED),
        };
        self.latest = number;
        Some(number)
    }

    /// A name is needed no more.
    pub(crate) fn spend(&mut self, name: QueueName) {
        self.spent.push(name);
    }

    /// Lets go what is needed no more.
    pub(crate) fn let_spent_go(&mut self) {
        self.spent.clear();
    }

    /// The name of the queue of a task that is still kept.
    pub(crate) fn name(&self, number: u16, encoded: &Bytes) -> QueueName {
        let known = self.known_name(number);
        known
            .or_else(|| read(encoded))
            .expect("a task without a number was read when it came")
    }

    /// The name of a queue, as long as it has a number.
    pub(crate) fn known_name(&self, number: u16) -> Option<QueueName> {
        self.names.get(usize::from(number)).cloned()
    }
}

fn read(encoded: &Bytes) -> Option<QueueName> {
    let task = minutehand_record::task::decode(encoded).ok()?;
    Some(task.queue)
}

#[cfg(test)]
mod tests {
    use minutehand_model::{Namespace, Task, TaskId, Timestamp};

    use super::*;

    fn task(number: usize) -> TaskRecord {
        minutehand_record::task::record(&Task::new(
            Namespace::parse("default").unwrap(),
            TaskId::parse("a").unwrap(),
            QueueName::parse(&format!("queue-{number}")).unwrap(),
            Timestamp::from_millis(1),
        ))
    }

    #[test]
    fn names_beyond_the_numbers_are_read_from_their_tasks() {
        let mut names = QueueNames::default();
        let all = 0..usize::from(UNNUMBERED) + 3;
        let numbers: Vec<u16> = all
            .clone()
            .map(|number| names.number(&task(number)).expect("it can be read"))
            .collect();
        for (number, given) in all.zip(numbers) {
            let task = task(number);
            assert_eq!(names.name(given, &task.encoded), task.queue);
            assert_eq!(
                names.known_name(given).is_some(),
                number < usize::from(UNNUMBERED)
            );
        }
        let damaged = TaskRecord {
            encoded: Bytes::from_static(b"\xff"),
            ..task(70_000)
        };
        assert_eq!(names.number(&damaged), None);
        assert_eq!(names.number(&task(7)), Some(7));
    }
}
