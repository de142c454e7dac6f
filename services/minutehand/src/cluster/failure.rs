//! What goes wrong at the start, as the program's last words and its exit code.

use std::error::Error;

use minutehand_cli::{Exit, Failure};
use minutehand_etcd::StartError;
use minutehand_ports::{ErrorClass, PortError, StoreError};

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

/// The timetable's store, or what lies there, cannot be used.
pub(super) fn timetable(error: &StoreError) -> Failure {
    match error {
        StoreError::Setting(message) => usage(message),
        StoreError::Store(error) => store(error),
        StoreError::Contents(_) => Failure::new(Exit::Failed, words(error)),
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
