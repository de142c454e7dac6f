//! Queue names as numbers, so that a waiting task keeps two bytes instead of a name.

use std::collections::BTreeMap;

use minutehand_model::QueueName;

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
    /// The number of a name; `None` when there are more names than numbers.
    pub(crate) fn number(&mut self, name: &QueueName) -> Option<u16> {
        if self.names.get(usize::from(self.latest)) == Some(name) {
            return Some(self.latest);
        }
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => {
                let number = u16::try_from(self.names.len()).ok()?;
                self.names.push(name.clone());
                self.numbers.insert(name.clone(), number);
                number
            }
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

    pub(crate) fn name(&self, number: u16) -> QueueName {
        self.names[usize::from(number)].clone()
    }
}
