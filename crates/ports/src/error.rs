//! How a port fails: what was tried, and what the caller may do about it.

use std::error::Error;

/// What the caller may do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Try again, after a pause; the effect may or may not have happened.
    Retry,
    /// Somebody else owns the partition: stop.
    Fenced,
    /// Trying again will not help; an operator must act.
    Fatal,
}

/// A failed operation of a port.
#[derive(Debug, thiserror::Error)]
#[error("could not {action}: {reason}")]
pub struct PortError {
    /// What the caller may do.
    pub class: ErrorClass,
    /// What was tried, as words that follow "could not": `append to the log of partition 3`.
    pub action: String,
    /// Why it failed, and for an operator what to do.
    pub reason: String,
    /// The store has no room left.
    pub is_full: bool,
    /// The driver's own error.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl PortError {
    /// An error without a driver's error behind it.
    pub fn new(
        class: ErrorClass,
        action: impl Into<String>,
        reason: impl Into<String>,
    ) -> PortError {
        PortError {
            class,
            action: action.into(),
            reason: reason.into(),
            is_full: false,
            source: None,
        }
    }

    /// The same of a store that has no room left, or of one that may have.
    #[must_use]
    pub fn of_a_full_store(self, is_full: bool) -> PortError {
        PortError { is_full, ..self }
    }

    /// The same with the driver's error.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> PortError {
        self.source = Some(source.into());
        self
    }
}

/// An error and what caused it in one line, as far as the causes say more.
pub fn with_causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = inner.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cause_repeats_is_said_once() {
        let cause = PortError::new(ErrorClass::Retry, "connect", "nobody listens there");
        let error = PortError::new(ErrorClass::Retry, "append", "the broker is away");
        let error = error.caused_by(cause.caused_by("nobody listens there"));
        assert_eq!(
            with_causes(&error),
            "could not append: the broker is away: could not connect: nobody listens there"
        );
    }
}
