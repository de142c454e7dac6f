//! What goes wrong at the start, as the program's last words and its exit code.

use std::error::Error;

use minutehand_cli::{Exit, Failure};
use minutehand_cluster::StartError;
use minutehand_ports::with_causes;

/// A setting that cannot be used.
pub(super) fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, message)
}

/// What keeps a role from beginning.
pub(super) fn start(error: StartError) -> Failure {
    match error {
        StartError::Settings(error) => error.into(),
        StartError::Refused(cause) => usage(with_causes(&*cause)),
        StartError::Unreachable(cause) => Failure::new(Exit::Unreachable, with_causes(&*cause)),
        StartError::Failed(cause) => failed(&*cause),
        StartError::Differs(message) => Failure::new(Exit::Conflict, message).with_hint(
            "a count of partitions is fixed once the schema has been applied; settings of topics are set right on the cluster",
        ),
    }
}

/// What ended that was to run on.
pub(super) fn failed(error: &dyn Error) -> Failure {
    Failure::new(Exit::Failed, with_causes(error))
}
