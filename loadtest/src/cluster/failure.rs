//! Why a benchmark could not be carried out.

use std::error::Error;

/// A failure in words, with its chain.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    /// A failure in words.
    pub fn new(text: impl Into<String>) -> Failure {
        Failure(text.into())
    }

    fn of(error: &dyn Error) -> Failure {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Failure(text)
    }
}

impl From<minutehand_ports::PortError> for Failure {
    fn from(error: minutehand_ports::PortError) -> Failure {
        Failure::of(&error)
    }
}

impl From<minutehand_cassandra::SchemaError> for Failure {
    fn from(error: minutehand_cassandra::SchemaError) -> Failure {
        Failure::of(&error)
    }
}

impl From<minutehand_cassandra::ReplicationError> for Failure {
    fn from(error: minutehand_cassandra::ReplicationError) -> Failure {
        Failure::of(&error)
    }
}
