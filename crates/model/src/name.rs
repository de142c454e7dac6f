//! Names that callers choose: namespaces, queues, task and schedule ids.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::{
    GROUP_BYTES_MAX, ID_BYTES_MAX, NAME_BYTES_MAX, ORDER_KEY_BYTES_MAX, SCHEDULE_ID_BYTES_MAX,
    TOPIC_NAME_BYTES_MAX,
};

/// Why a name was refused: the field, the limit and what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("{field} is empty; give 1 to {bytes_max} characters of {allowed}")]
    Empty {
        /// Which name.
        field: &'static str,
        /// The longest accepted length in bytes.
        bytes_max: usize,
        /// The accepted characters.
        allowed: &'static str,
    },
    /// More bytes than allowed.
    #[error("{field} is {bytes} bytes long; at most {bytes_max} are allowed")]
    TooLong {
        /// Which name.
        field: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The longest accepted length in bytes.
        bytes_max: usize,
    },
    /// A character outside the accepted set.
    #[error("{field} has {found:?} at position {position}; allowed are {allowed}")]
    Character {
        /// Which name.
        field: &'static str,
        /// The character.
        found: char,
        /// Its place, counted in characters from 1.
        position: usize,
        /// The accepted characters.
        allowed: &'static str,
    },
    /// A part of a path that every client and server takes for "here" or "one up".
    #[error("{field} is {given:?}, which means another place in a path; take another name")]
    Dots {
        /// Which name.
        field: &'static str,
        /// What was given.
        given: &'static str,
    },
}

/// What cannot be a name because paths give it a meaning.
const DOTS: [&str; 2] = [".", ".."];

fn check(
    text: &str,
    field: &'static str,
    bytes_max: usize,
    allowed: &'static str,
    is_allowed: fn(char) -> bool,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty {
            field,
            bytes_max,
            allowed,
        });
    }
    if text.len() > bytes_max {
        return Err(NameError::TooLong {
            field,
            bytes: text.len(),
            bytes_max,
        });
    }
    if let Some(given) = DOTS.into_iter().find(|dots| *dots == text) {
        return Err(NameError::Dots { field, given });
    }
    match text.chars().enumerate().find(|(_, c)| !is_allowed(*c)) {
        Some((index, found)) => Err(NameError::Character {
            field,
            found,
            position: index + 1,
            allowed,
        }),
        None => Ok(()),
    }
}

const NAME_CHARACTERS: &str = "letters, digits, '.', '_' and '-'";
const ID_CHARACTERS: &str = "letters, digits and . _ - : @ + = ~ /";
const GROUP_CHARACTERS: &str = "any characters but control characters";

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn is_id_character(c: char) -> bool {
    is_name_character(c) || matches!(c, ':' | '@' | '+' | '=' | '~' | '/')
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $field:literal, $max:expr, $allowed:expr, $is_allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Refuses what [`Self::parse`] refuses, without keeping the name.
            pub fn check(text: &str) -> Result<(), NameError> {
                check(text, $field, $max, $allowed, $is_allowed)
            }

            /// Parses a name; see [`NameError`] for what is refused.
            pub fn parse(text: &str) -> Result<$type, NameError> {
                check(text, $field, $max, $allowed, $is_allowed)?;
                Ok($type(Arc::from(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<$type, NameError> {
                $type::parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<$type, NameError> {
                $type::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name!(
    /// A tenant's name space: ids are unique within it.
    Namespace, "namespace", NAME_BYTES_MAX, NAME_CHARACTERS, is_name_character
);
name!(
    /// A named stream of executions.
    QueueName, "queue", NAME_BYTES_MAX, NAME_CHARACTERS, is_name_character
);
name!(
    /// A topic of Kafka, of others than the scheduler.
    TopicName, "topic", TOPIC_NAME_BYTES_MAX, NAME_CHARACTERS, is_name_character
);
name!(
    /// A task's id, unique together with its due time within a namespace.
    TaskId, "id", ID_BYTES_MAX, ID_CHARACTERS, is_id_character
);
name!(
    /// A schedule's id, unique within a namespace.
    ScheduleId, "id", SCHEDULE_ID_BYTES_MAX, ID_CHARACTERS, is_id_character
);
name!(
    /// A worker group: who takes its own share of what is published to queues.
    GroupName, "group", GROUP_BYTES_MAX, GROUP_CHARACTERS, |c| !c.is_control()
);
name!(
    /// What tasks share that live in one partition and may be run in their order: a customer, an
    /// account. It is a part of a task's name, beside namespace and id.
    OrderKey, "key", ORDER_KEY_BYTES_MAX, ID_CHARACTERS, is_id_character
);

impl GroupName {
    /// The group of whoever names none.
    pub const DEFAULT: &'static str = "default";
}

impl Default for GroupName {
    fn default() -> GroupName {
        GroupName(Arc::from(GroupName::DEFAULT))
    }
}

impl Namespace {
    /// The namespace that always exists.
    pub const DEFAULT: &'static str = "default";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_field_the_limit_and_the_value() {
        let cases = [
            (
                "",
                "queue is empty; give 1 to 64 characters of letters, digits, '.', '_' and '-'",
            ),
            (
                "a b",
                "queue has ' ' at position 2; allowed are letters, digits, '.', '_' and '-'",
            ),
            (
                "ab\n",
                "queue has '\\n' at position 3; allowed are letters, digits, '.', '_' and '-'",
            ),
            (
                "café",
                "queue has 'é' at position 4; allowed are letters, digits, '.', '_' and '-'",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(QueueName::parse(text).unwrap_err().to_string(), message);
        }
        let long = "x".repeat(65);
        assert_eq!(
            QueueName::parse(&long).unwrap_err().to_string(),
            "queue is 65 bytes long; at most 64 are allowed"
        );
        assert!(TaskId::parse("order/2026:17@eu+1=~").is_ok());
    }

    #[test]
    fn what_paths_give_a_meaning_is_no_name() {
        for dots in [".", ".."] {
            let refused = [
                Namespace::parse(dots).err(),
                QueueName::parse(dots).err(),
                TaskId::parse(dots).err(),
                ScheduleId::parse(dots).err(),
            ];
            for error in refused {
                assert!(
                    matches!(error, Some(NameError::Dots { given, .. }) if given == dots),
                    "{error:?}"
                );
            }
        }
        for name in ["...", ".a", "a.", "a..b"] {
            assert!(
                QueueName::parse(name).is_ok() && TaskId::parse(name).is_ok(),
                "{name}"
            );
        }
    }
}
