//! Why a benchmark could not be carried out.

use std::error::Error;

use minutehand_testkit::with_causes;

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
        Failure(with_causes(error))
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

impl From<minutehand_etcd::StartError> for Failure {
    fn from(error: minutehand_etcd::StartError) -> Failure {
        Failure::of(&error)
    }
}

impl From<minutehand_cassandra::ReplicationError> for Failure {
    fn from(error: minutehand_cassandra::ReplicationError) -> Failure {
        Failure::of(&error)
    }
}
