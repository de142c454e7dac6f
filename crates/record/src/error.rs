//! Why bytes could not be understood.

use std::borrow::Cow;

/// Bytes that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct DecodeError {
    /// Which record they were taken for: `command`, `block`.
    pub what: &'static str,
    /// Why, in words for an operator.
    pub reason: String,
}

/// A reason on its way to becoming a [`DecodeError`], before the record it concerns is named.
#[derive(Debug)]
pub(crate) struct Fault(Cow<'static, str>);

impl Fault {
    /// Names the record.
    #[cold]
    pub(crate) fn of(self, what: &'static str) -> DecodeError {
        DecodeError {
            what,
            reason: self.0.into_owned(),
        }
    }

    /// Puts the part that is at fault in front.
    #[cold]
    pub(crate) fn within(self, part: &str) -> Fault {
        Fault(format!("{part}: {}", self.0).into())
    }
}

impl From<&'static str> for Fault {
    fn from(reason: &'static str) -> Fault {
        Fault(Cow::Borrowed(reason))
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Fault {
        Fault(Cow::Owned(reason))
    }
}

macro_rules! fault_from {
    ($($error:ty),+) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Fault {
                Fault(Cow::Owned(error.to_string()))
            }
        })+
    };
}

fault_from!(
    minutehand_model::NameError,
    minutehand_model::PriorityError,
    minutehand_model::policy::RetryPolicyError,
    prost::DecodeError,
    DecodeError
);
