//! Sharing the text of queue names between the many records that carry the same few.

use minutehand_model::{NameError, QueueName};

/// The queue names seen lately, so that records of the same queue share one allocation.
#[derive(Clone, Debug, Default)]
pub struct QueueNames {
    /// The one used last stands first.
    names: Vec<QueueName>,
}

/// More names than this are not remembered.
const NAMES_MAX: usize = 64;

impl QueueNames {
    /// Remembers nothing yet.
    pub fn new() -> QueueNames {
        QueueNames::default()
    }

    /// The name, shared when it was seen lately.
    pub fn parse(&mut self, text: &str) -> Result<QueueName, NameError> {
        if let Some(index) = self.names.iter().position(|name| name.as_str() == text) {
            self.names.swap(0, index);
            return Ok(self.names[0].clone());
        }
        let name = QueueName::parse(text)?;
        if self.names.len() == NAMES_MAX {
            self.names.pop();
        }
        self.names.insert(0, name.clone());
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_right_beyond_what_is_remembered() {
        let mut names = QueueNames::new();
        for round in 0..3 {
            for number in 0..200 {
                let text = format!("queue-{number}");
                assert_eq!(names.parse(&text).unwrap().as_str(), text, "round {round}");
            }
        }
        assert!(names.names.len() <= NAMES_MAX);
        assert!(names.parse("a b").is_err());
    }
}
