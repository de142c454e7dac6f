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

    pub(crate) fn name(&self, number: u16) -> QueueName {
        self.names[usize::from(number)].clone()
    }
}
