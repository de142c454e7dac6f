//! What goes wrong with etcd, in words, and what the caller may do about it.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use minutehand_ports::{ErrorClass, PortError};

use crate::config::ConfigError;

/// Why a process could not begin to work with etcd.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error("the configuration of etcd cannot be used")]
    Config(#[from] ConfigError),
    /// A certificate or key cannot be read.
    #[error("could not read {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// etcd cannot be reached, or refuses us.
    #[error("could not {action} at etcd ({endpoints}): {reason}")]
    Etcd {
        /// What was tried.
        action: &'static str,
        /// Where.
        endpoints: String,
        /// Why not, and what to look at.
        reason: String,
        /// Whether trying again later may help.
        may_pass: bool,
        /// The driver's own error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The region was created with another number of partitions.
    #[error(
        "the region has {stored} partitions (etcd key {key}), and this process is configured for {wanted}; \
         the number is fixed when a region is created"
    )]
    PartitionCount {
        /// Where the number is stored.
        key: String,
        /// The region's number.
        stored: u32,
        /// The configured one.
        wanted: u32,
    },
    /// The thread that keeps the lease cannot be started.
    #[error(
        "could not start the thread that keeps the lease; look at the limit of threads (ulimit -u, TasksMax)"
    )]
    Thread(#[source] std::io::Error),
    /// A value that cannot be understood.
    #[error("the etcd key {key} holds something that this release cannot read")]
    Damaged {
        /// Which key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No answer; the effect may or may not have happened.
    #[error("etcd did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The driver's error.
    #[error("{}", reason(.0))]
    Etcd(Box<etcd_client::Error>),
    /// A watch or a stream that ended.
    #[error("{0}")]
    Ended(String),
}

impl From<etcd_client::Error> for CallError {
    fn from(error: etcd_client::Error) -> CallError {
        CallError::Etcd(Box::new(error))
    }
}

impl CallError {
    /// What the caller may do.
    pub(crate) fn class(&self) -> ErrorClass {
        match self {
            CallError::TimedOut(_) | CallError::Ended(_) => ErrorClass::Retry,
            CallError::Etcd(error) => class(error),
        }
    }

    /// Whether waiting may help somebody who begins. A process that runs goes by the class:
    /// certificates are renewed under it.
    pub(crate) fn may_pass(&self) -> bool {
        let lasts = |error: &etcd_client::Error| {
            diagnosis(&chain(error)).is_some_and(|(_, may_pass)| !may_pass)
        };
        let is_final = matches!(self, CallError::Etcd(error) if lasts(error));
        self.class() == ErrorClass::Retry && !is_final
    }

    /// As the port's error.
    pub(crate) fn during(self, action: String) -> PortError {
        PortError::new(self.class(), action, self.to_string()).caused_by(self)
    }
}

/// The classes of the driver's errors. Nothing is `Fenced`: etcd does not know who still writes.
fn class(error: &etcd_client::Error) -> ErrorClass {
    use etcd_client::Error::{
        EndpointsNotManaged, GRpcStatus, InvalidArgs, InvalidMetadataValue, InvalidUri, Utf8Error,
    };
    match error {
        GRpcStatus(status) => class_of(status.code() as i32, status.message()),
        InvalidArgs(_)
        | InvalidUri(_)
        | InvalidMetadataValue(_)
        | Utf8Error(_)
        | EndpointsNotManaged => ErrorClass::Fatal,
        _ => ErrorClass::Retry,
    }
}

/// The class of a gRPC status.
fn class_of(code: i32, message: &str) -> ErrorClass {
    match code {
        // Users and roles were changed meanwhile: the driver asks for a new token.
        3 if message.contains("revision of auth store is old") => ErrorClass::Retry,
        // Invalid argument (a wrong password too), permission denied, failed precondition
        // (authentication is off), unimplemented, data loss (a corrupt cluster).
        3 | 7 | 9 | 12 | 15 => ErrorClass::Fatal,
        // Among them unauthenticated: a token that ran out is renewed.
        _ => ErrorClass::Retry,
    }
}

/// What an operator is told, by words in the driver's error, and whether it may pass by itself.
const DIAGNOSES: [(&[&str], &str, bool); 14] = [
    (
        &["authentication failed", "invalid user ID or password"],
        "the user name or the password is wrong; check etcd.username and etcd.password",
        false,
    ),
    (
        &["user name is empty"],
        "etcd asks for a user name and a password, and none are configured",
        false,
    ),
    (
        &["PermissionDenied", "permission denied"],
        "the user may not use the region's keys; grant it readwrite on their prefix",
        false,
    ),
    (
        &["authentication is not enabled"],
        "a user is configured, but authentication is switched off in etcd",
        false,
    ),
    (
        &["Expired", "certificate expired", "CertificateExpired"],
        "a certificate has expired: etcd's, or the one shown to it",
        false,
    ),
    (
        &[
            "UnknownIssuer",
            "BadSignature",
            "UnknownCA",
            "unknown certificate authority",
        ],
        "etcd's certificate was not issued by the configured authority, or ours not by one that etcd knows",
        false,
    ),
    (
        &["NotValidForName"],
        "etcd's certificate does not bear the name of the endpoint",
        false,
    ),
    (
        &["CertificateRequired"],
        "etcd asks for a client certificate, and none is configured",
        false,
    ),
    (
        &["database space exceeded"],
        "etcd's database is full: compact and defragment it, then disarm its alarm",
        true,
    ),
    (&["Connection refused"], "nobody listens there", true),
    (
        &[
            "broken pipe",
            "connection closed",
            "ConnectionReset",
            "Connection reset",
            "h2 protocol error",
        ],
        "etcd closed the connection at once; it may ask for TLS, or for a client certificate",
        true,
    ),
    (
        &["InvalidContentType", "corrupt message"],
        "TLS is configured, but etcd does not speak it there",
        true,
    ),
    (
        &["grpc-status header missing"],
        "what answers there is not etcd",
        true,
    ),
    (
        &["dns error", "failed to lookup", "Name or service not known"],
        "the host name is unknown",
        true,
    ),
];

/// Why it failed, for an operator.
pub(crate) fn reason(error: &etcd_client::Error) -> String {
    let said = chain(error);
    match diagnosis(&said) {
        Some((hint, _)) => format!("{hint} ({said})"),
        None => said,
    }
}

fn diagnosis(said: &str) -> Option<(&'static str, bool)> {
    let fits = |words: &[&str]| words.iter().any(|word| said.contains(word));
    DIAGNOSES
        .iter()
        .find(|(words, ..)| fits(words))
        .map(|(_, hint, may_pass)| (*hint, *may_pass))
}

/// The error and what is behind it, each said once.
fn chain(error: &etcd_client::Error) -> String {
    let mut said = match error {
        etcd_client::Error::GRpcStatus(status) => {
            format!("{:?}: {}", status.code(), status.message())
        }
        other => other.to_string(),
    };
    let mut next: Option<&(dyn Error + 'static)> = match error {
        etcd_client::Error::GRpcStatus(status) => status.source(),
        etcd_client::Error::TransportError(error) => error.source(),
        _ => None,
    };
    while let Some(cause) = next {
        let words = cause.to_string();
        if !said.contains(&words) {
            said = format!("{said}: {words}");
        }
        next = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grpc_code_has_a_class() {
        use ErrorClass::{Fatal, Retry};
        let classes = [
            (0, "ok", Retry),
            (1, "cancelled", Retry),
            (2, "unknown", Retry),
            (3, "invalid argument", Fatal),
            (4, "deadline exceeded", Retry),
            (5, "not found: the lease", Retry),
            (6, "already exists", Retry),
            (7, "permission denied", Fatal),
            (8, "resource exhausted", Retry),
            (9, "failed precondition", Fatal),
            (10, "aborted", Retry),
            (11, "out of range: compacted", Retry),
            (12, "unimplemented", Fatal),
            (13, "internal", Retry),
            (14, "unavailable", Retry),
            (15, "data loss", Fatal),
            (16, "unauthenticated: the token ran out", Retry),
        ];
        for (code, words, class) in classes {
            assert_eq!(class_of(code, words), class, "{words}");
        }
        assert_eq!(
            class_of(3, "etcdserver: revision of auth store is old"),
            Retry
        );
    }

    #[test]
    fn errors_of_the_driver_itself_have_a_class() {
        let of = |error: etcd_client::Error| CallError::from(error).class();
        assert_eq!(
            of(etcd_client::Error::InvalidArgs(
                "empty endpoints".to_owned()
            )),
            ErrorClass::Fatal
        );
        assert_eq!(
            of(etcd_client::Error::WatchError("closed".to_owned())),
            ErrorClass::Retry
        );
        assert_eq!(
            CallError::TimedOut(Duration::from_secs(1)).class(),
            ErrorClass::Retry
        );
    }
}
