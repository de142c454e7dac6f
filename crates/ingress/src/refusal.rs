//! Why a record was not understood.

use bytes::Bytes;
use minutehand_api::{InvalidField, Malformed, Unread};

/// Why a record was not understood: one sentence that names the field, what would be accepted, and
/// what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// The sentence.
    pub reason: String,
}

impl Refusal {
    /// A refused field.
    #[cold]
    pub(crate) fn of(
        field: &str,
        reason: &str,
        limit: &str,
        given: impl std::fmt::Display,
    ) -> Refusal {
        InvalidField::new(field, reason, limit, given).into()
    }

    /// The same with the part it concerns in front.
    #[cold]
    pub(crate) fn within(self, part: &str) -> Refusal {
        Refusal {
            reason: format!("{part}: {}", self.reason),
        }
    }

    /// Bytes for the place of the command: whoever decodes them gets this reason, and sets the
    /// record aside with it.
    pub fn stand_in(&self) -> Bytes {
        minutehand_record::command::refused(&self.reason)
    }
}

impl From<InvalidField> for Refusal {
    #[cold]
    fn from(invalid: InvalidField) -> Refusal {
        Refusal {
            reason: invalid.to_string(),
        }
    }
}

impl From<Unread> for Refusal {
    #[cold]
    fn from(unread: Unread) -> Refusal {
        match unread {
            Unread::Malformed(Malformed {
                detail,
                limit,
                given,
                ..
            }) => Refusal {
                reason: format!("{detail} (accepted: {limit}; given: {given})"),
            },
            Unread::Refused(refused) => refused.into(),
        }
    }
}
