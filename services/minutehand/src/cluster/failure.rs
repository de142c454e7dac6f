//! What goes wrong at the start, as the program's last words and its exit code.

use std::error::Error;

use minutehand_cassandra::SchemaError;
use minutehand_cli::{Exit, Failure};
use minutehand_etcd::StartError;
use minutehand_ports::{ErrorClass, PortError};

/// An error and what caused it, as far as the causes say more.
pub(super) fn words(error: &dyn Error) -> String {
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

/// A setting that cannot be used.
pub(super) fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, message)
}

/// A store that failed: unreachable when trying again may help.
pub(super) fn store(error: &PortError) -> Failure {
    let exit = if error.class == ErrorClass::Retry {
        Exit::Unreachable
    } else {
        Exit::Failed
    };
    Failure::new(exit, words(error))
}

/// Cassandra, or what lies there, cannot be used.
pub(super) fn cassandra(error: &SchemaError) -> Failure {
    match error {
        SchemaError::Config(_) => usage(words(error)),
        SchemaError::Cluster(error) => store(error),
        _ => Failure::new(Exit::Failed, words(error)),
    }
}

/// etcd, or what lies there, cannot be used.
pub(super) fn etcd(error: &StartError) -> Failure {
    match error {
        StartError::Config(_) | StartError::File { .. } => usage(words(error)),
        StartError::Etcd { may_pass: true, .. } => Failure::new(Exit::Unreachable, words(error)),
        _ => Failure::new(Exit::Failed, words(error)),
    }
}
