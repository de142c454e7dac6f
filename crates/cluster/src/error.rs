//! What keeps a role from beginning, by what can be done about it.

use std::error::Error;

use minutehand_ports::{ErrorClass, PortError, StoreError};
use minutehand_settings::SettingsError;

type Cause = Box<dyn Error + Send + Sync>;

/// Why a role cannot begin, or why what its servers hold cannot be looked at or created.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings do not fit each other.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A setting cannot be used, by the word of the part that obeys it.
    #[error(transparent)]
    Refused(Cause),
    /// A server does not answer; it may later.
    #[error(transparent)]
    Unreachable(Cause),
    /// A server refuses, or what lies there is not what this build needs: an operator must act.
    #[error(transparent)]
    Failed(Cause),
    /// What lies there was made with other settings.
    #[error("{0}")]
    Differs(String),
}

impl From<PortError> for StartError {
    fn from(error: PortError) -> StartError {
        match error.class {
            ErrorClass::Retry => StartError::Unreachable(error.into()),
            ErrorClass::Fenced | ErrorClass::Fatal => StartError::Failed(error.into()),
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> StartError {
        match error {
            StoreError::Setting(message) => StartError::Refused(message.into()),
            StoreError::Store(error) => error.into(),
            StoreError::Contents(contents) => StartError::Failed(contents),
        }
    }
}

impl From<minutehand_etcd::StartError> for StartError {
    fn from(error: minutehand_etcd::StartError) -> StartError {
        use minutehand_etcd::StartError as Etcd;
        match error {
            Etcd::Config(_) | Etcd::File { .. } => StartError::Refused(error.into()),
            Etcd::Etcd { may_pass: true, .. } => StartError::Unreachable(error.into()),
            _ => StartError::Failed(error.into()),
        }
    }
}

impl From<minutehand_peers::ClientError> for StartError {
    fn from(error: minutehand_peers::ClientError) -> StartError {
        StartError::Refused(error.into())
    }
}
