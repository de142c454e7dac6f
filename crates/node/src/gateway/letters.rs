//! Which dead letters are meant.

use std::collections::BTreeSet;

use minutehand_model::{Namespace, Task, Timestamp};
use minutehand_ports::DeadLetter;

use super::tasks::find::decode;

/// Longest text that is looked for in reasons, in bytes.
pub const REASON_FILTER_BYTES_MAX: usize = 1_024;

/// What a dead letter must be like; what is not given is no matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Its task's namespace. Of a task that cannot be understood nobody knows it.
    pub namespace: Option<Namespace>,
    /// A part of its reason.
    pub reason: Option<String>,
    /// It was given up at this time or later.
    pub since: Option<Timestamp>,
    /// It was given up before this time.
    pub before: Option<Timestamp>,
}

impl LetterFilter {
    /// Whether it wants every letter.
    pub fn is_empty(&self) -> bool {
        *self == LetterFilter::default()
    }

    /// Whether a letter is meant, whose task is known already.
    pub(super) fn wants_with(&self, letter: &DeadLetter, task: Option<&Task>) -> bool {
        let is_of = |namespace: &Namespace| task.is_some_and(|task| task.namespace == *namespace);
        self.is_like(letter) && self.namespace.as_ref().is_none_or(is_of)
    }

    /// Whether a letter is meant.
    pub(super) fn wants(&self, letter: &DeadLetter) -> bool {
        if self.namespace.is_none() || !self.is_like(letter) {
            return self.is_like(letter);
        }
        self.wants_with(letter, decode(&letter.encoded).ok().as_ref())
    }

    /// Whether all but the namespace is as it should be.
    fn is_like(&self, letter: &DeadLetter) -> bool {
        let has = |part: &String| letter.reason.contains(part.as_str());
        self.reason.as_ref().is_none_or(has)
            && self.since.is_none_or(|since| letter.at >= since)
            && self.before.is_none_or(|before| letter.at < before)
    }
}

/// Which dead letters are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those with these numbers.
    Numbers(BTreeSet<u64>),
    /// Those that are like this, up to 10,000 in one call.
    Matching(LetterFilter),
}

impl Selection {
    /// All there are, up to 10,000 in one call.
    pub fn all() -> Selection {
        Selection::Matching(LetterFilter::default())
    }

    /// Whether a letter is meant.
    pub(super) fn has(&self, number: u64, letter: &DeadLetter) -> bool {
        match self {
            Selection::Numbers(numbers) => numbers.contains(&number),
            Selection::Matching(filter) => filter.wants(letter),
        }
    }

    /// Where to begin to read.
    pub(super) fn first(&self) -> Option<u64> {
        match self {
            Selection::Numbers(numbers) => numbers.first().copied(),
            Selection::Matching(_) => Some(0),
        }
    }

    /// Where to read on, when something selected may lie there.
    pub(super) fn next(&self, next: Option<u64>) -> Option<u64> {
        match self {
            Selection::Matching(_) => next,
            Selection::Numbers(numbers) => numbers.range(next?..).next().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{PartitionId, QueueName, TaskId};

    use super::*;

    fn letter(namespace: &str, reason: &str, at: i64) -> DeadLetter {
        let queue = QueueName::parse("mail").unwrap();
        let at = Timestamp::from_millis(at);
        let task = Task::new(
            Namespace::parse(namespace).unwrap(),
            TaskId::parse("a").unwrap(),
            queue.clone(),
            at,
        );
        DeadLetter {
            queue,
            partition: PartitionId::own(0),
            key: task.key(),
            at,
            attempts: 1,
            reason: reason.to_owned(),
            encoded: minutehand_record::task::encode(&task),
        }
    }

    #[test]
    fn a_filter_wants_what_is_like_it_in_everything() {
        let one = letter("shop", "HTTP 503: busy", 100);
        let namespace = |name| Some(Namespace::parse(name).unwrap());
        let reason = |text: &str| Some(text.to_owned());
        let at = |ms| Some(Timestamp::from_millis(ms));
        let all = LetterFilter::default();
        for (filter, wants) in [
            (all.clone(), true),
            (
                LetterFilter {
                    namespace: namespace("shop"),
                    ..all.clone()
                },
                true,
            ),
            (
                LetterFilter {
                    namespace: namespace("sho"),
                    ..all.clone()
                },
                false,
            ),
            (
                LetterFilter {
                    reason: reason("503"),
                    ..all.clone()
                },
                true,
            ),
            (
                LetterFilter {
                    reason: reason("504"),
                    ..all.clone()
                },
                false,
            ),
            (
                LetterFilter {
                    since: at(100),
                    ..all.clone()
                },
                true,
            ),
            (
                LetterFilter {
                    since: at(101),
                    ..all.clone()
                },
                false,
            ),
            (
                LetterFilter {
                    before: at(101),
                    ..all.clone()
                },
                true,
            ),
            (
                LetterFilter {
                    before: at(100),
                    ..all.clone()
                },
                false,
            ),
            (
                LetterFilter {
                    namespace: namespace("shop"),
                    reason: reason("504"),
                    ..LetterFilter::default()
                },
                false,
            ),
        ] {
            assert_eq!(filter.wants(&one), wants, "{filter:?}");
            assert_eq!(filter.is_empty(), filter == all);
        }
        let unreadable = DeadLetter {
            encoded: bytes::Bytes::from_static(b"?"),
            ..one
        };
        let of_shop = LetterFilter {
            namespace: namespace("shop"),
            ..LetterFilter::default()
        };
        assert!(all.wants(&unreadable) && !of_shop.wants(&unreadable));
    }
}
