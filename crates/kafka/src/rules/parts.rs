//! The parts of what is said of a queue. Each has a record of its own, so that whoever says
//! something of one part does not repeat what it knew of the others.

use minutehand_model::{QueueName, QueueRules};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Gate,
    Purge,
    /// Everything else.
    Limits,
}

impl Part {
    pub(super) const ALL: [Part; 3] = [Part::Gate, Part::Purge, Part::Limits];

    fn word(self) -> &'static str {
        match self {
            Part::Gate => "gate",
            Part::Purge => "purge",
            Part::Limits => "limits",
        }
    }

    /// The key of its records. No name of a queue has a slash.
    pub(super) fn key(self, queue: &QueueName) -> String {
        format!("{queue}/{}", self.word())
    }

    /// Of which queue and part a record tells, by its key; without a part, of all of them.
    pub(super) fn of(key: &[u8]) -> Option<(QueueName, Option<Part>)> {
        let key = std::str::from_utf8(key).ok()?;
        let (queue, part) = match key.split_once('/') {
            None => (key, None),
            Some((queue, word)) => {
                let part = Part::ALL.into_iter().find(|part| part.word() == word)?;
                (queue, Some(part))
            }
        };
        Some((QueueName::parse(queue).ok()?, part))
    }

    /// Puts what some rules say of this part in the place of what others do.
    pub(super) fn copy(self, from: &QueueRules, into: &mut QueueRules) {
        match self {
            Part::Gate => into.gate.clone_from(&from.gate),
            Part::Purge => into.purge.clone_from(&from.purge),
            Part::Limits => {
                *into = QueueRules {
                    gate: into.gate.take(),
                    purge: into.purge.take(),
                    ..from.clone()
                }
            }
        }
    }

    /// What rules say of this part, and nothing else.
    pub(super) fn only(self, rules: &QueueRules) -> QueueRules {
        let mut only = QueueRules::default();
        self.copy(rules, &mut only);
        only
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{Purge, Timestamp};

    use super::*;

    #[test]
    fn a_part_leaves_the_others_alone() {
        let purge = Purge {
            through: Timestamp::from_millis(7),
            by: "ops".to_owned(),
        };
        let whole = QueueRules {
            purge: Some(purge),
            per_second_max: Some(9),
            ..QueueRules::default()
        };
        let mut limits = Part::Limits.only(&whole);
        assert_eq!((&limits.purge, limits.per_second_max), (&None, Some(9)));
        Part::Purge.copy(&whole, &mut limits);
        assert_eq!(limits, whole);
        Part::Limits.copy(&QueueRules::default(), &mut limits);
        assert_eq!(limits, Part::Purge.only(&whole));
    }

    #[test]
    fn a_key_names_the_queue_and_the_part() {
        let mail = QueueName::parse("mail").unwrap();
        for part in Part::ALL {
            let key = part.key(&mail);
            assert_eq!(Part::of(key.as_bytes()), Some((mail.clone(), Some(part))));
        }
        assert_eq!(Part::of(b"mail"), Some((mail, None)));
        assert_eq!(Part::of(b"mail/else"), None);
    }
}
