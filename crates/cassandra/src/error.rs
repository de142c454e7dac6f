//! What a failure of the driver means: what the caller may do, and in words for an operator.

use minutehand_ports::{ErrorClass, PortError};
use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError,
    IntoRowsResultError, MetadataError, MetadataFetchErrorKind, NewSessionError, PrepareError,
    RequestAttemptError, RequestError, RowsError, SchemaAgreementError, UseKeyspaceError,
};

/// What an operator does about a schema that does not fit.
const APPLY: &str = "run `minutehand schema apply`";

/// A class and a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) class: ErrorClass,
    pub(crate) reason: String,
}

fn retry(reason: impl Into<String>) -> Verdict {
    Verdict {
        class: ErrorClass::Retry,
        reason: reason.into(),
    }
}

fn fatal(reason: impl Into<String>) -> Verdict {
    Verdict {
        class: ErrorClass::Fatal,
        reason: reason.into(),
    }
}

/// An error of the driver that can be judged.
pub(crate) trait Judge: std::error::Error + Send + Sync + 'static {
    fn verdict(&self) -> Verdict;
}

/// Wraps an error of the driver at the port.
pub(crate) fn failed<E: Judge>(action: &str, error: E) -> PortError {
    let Verdict { class, reason } = error.verdict();
    PortError::new(class, action, reason).caused_by(error)
}

impl Judge for ExecutionError {
    fn verdict(&self) -> Verdict {
        match self {
            ExecutionError::LastAttemptError(error) => error.verdict(),
            ExecutionError::RequestTimeout(after) => {
                retry(format!("no answer within {} ms", after.as_millis()))
            }
            ExecutionError::ConnectionPoolError(error) => error.verdict(),
            ExecutionError::EmptyPlan => retry("no node of the local datacenter can be asked"),
            ExecutionError::PrepareError(error) => error.verdict(),
            ExecutionError::UseKeyspaceError(error) => error.verdict(),
            ExecutionError::SchemaAgreementError(error) => error.verdict(),
            ExecutionError::MetadataError(error) => error.verdict(),
            ExecutionError::BadQuery(error) => {
                fatal(format!("the statement does not fit its values: {error}"))
            }
            other => retry(other.to_string()),
        }
    }
}

impl Judge for RequestError {
    fn verdict(&self) -> Verdict {
        self.clone().into_execution_error().verdict()
    }
}

impl Judge for PrepareError {
    fn verdict(&self) -> Verdict {
        match self {
            PrepareError::ConnectionPoolError(error) => error.verdict(),
            PrepareError::AllAttemptsFailed { first_attempt } => first_attempt.verdict(),
            PrepareError::PreparedStatementIdsMismatch => retry(
                "the nodes disagree about a statement; a change of the schema may be under way",
            ),
            other => retry(other.to_string()),
        }
    }
}

impl Judge for RequestAttemptError {
    fn verdict(&self) -> Verdict {
        match self {
            RequestAttemptError::DbError(error, message) => of_server(error, message),
            RequestAttemptError::BrokenConnectionError(_) => retry("the connection broke"),
            RequestAttemptError::UnableToAllocStreamId => retry("too many requests are under way"),
            RequestAttemptError::SerializationError(error) => fatal(format!(
                "a value does not fit its column ({error}); {APPLY}"
            )),
            RequestAttemptError::CqlRequestSerialization(error) => {
                fatal(format!("the request cannot be sent: {error}"))
            }
            RequestAttemptError::BodyExtensionsParseError(_)
            | RequestAttemptError::CqlResultParseError(_)
            | RequestAttemptError::CqlErrorParseError(_)
            | RequestAttemptError::UnexpectedResponse(_) => {
                retry("the server's answer cannot be understood")
            }
            RequestAttemptError::RepreparedIdChanged { .. }
            | RequestAttemptError::RepreparedIdMissingInBatch => {
                retry("the server lost a prepared statement; the schema may have been changed")
            }
            RequestAttemptError::NonfinishedPagingState => {
                retry("the server's answer was cut short")
            }
            other => retry(other.to_string()),
        }
    }
}

/// What a server said.
fn of_server(error: &DbError, message: &str) -> Verdict {
    match error {
        DbError::Unavailable {
            consistency,
            required,
            alive,
        } => retry(format!(
            "{alive} of the {required} replicas that {consistency} needs are up"
        )),
        DbError::ReadTimeout {
            received, required, ..
        }
        | DbError::WriteTimeout {
            received, required, ..
        } => retry(format!(
            "{received} of {required} replicas answered in time"
        )),
        DbError::ReadFailure { numfailures, .. } | DbError::WriteFailure { numfailures, .. } => {
            retry(format!("{numfailures} replicas failed: {message}"))
        }
        DbError::Overloaded | DbError::RateLimitReached { .. } => {
            retry("the cluster is overloaded")
        }
        DbError::IsBootstrapping => retry("the node is still starting"),
        DbError::TruncateError
        | DbError::ServerError
        | DbError::Unprepared { .. }
        | DbError::Other(_) => retry(format!("the server failed: {message}")),
        DbError::AuthenticationError | DbError::Unauthorized if could_not_look(message) => retry(
            format!("the server could not look up who may do what: {message}"),
        ),
        DbError::AuthenticationError => fatal(format!(
            "the user or password was refused; check cassandra.username and cassandra.password: {message}"
        )),
        DbError::Unauthorized => fatal(format!("the user may not do this: {message}")),
        DbError::Invalid if is_about_schema(message) => fatal(format!("{message}; {APPLY}")),
        DbError::Invalid
        | DbError::SyntaxError
        | DbError::ConfigError
        | DbError::AlreadyExists { .. }
        | DbError::FunctionFailure { .. } => fatal(format!("the server refused it: {message}")),
        DbError::ProtocolError => fatal(format!(
            "the server does not speak this protocol: {message}"
        )),
        other => retry(format!("{other}: {message}")),
    }
}

/// Whether a refusal is none: the replicas that keep users and permissions did not answer, and
/// every scheduler that took that for a wrong password would end in the same minute.
fn could_not_look(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["unable to perform", "consistency", "timed out", "timeout"]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether a refusal says that a keyspace, a table or a column is missing.
fn is_about_schema(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "unconfigured table",
        "undefined column",
        "unknown identifier",
        "does not exist",
        "unrecognized name",
    ]
    .iter()
    .any(|words| message.contains(words))
}

impl Judge for ConnectionPoolError {
    fn verdict(&self) -> Verdict {
        match self {
            ConnectionPoolError::Broken {
                last_connection_error,
            } => of_connection(last_connection_error),
            ConnectionPoolError::Initializing => retry("connections are still being made"),
            ConnectionPoolError::NodeDisabledByHostFilter => fatal("the node is not to be used"),
            other => retry(other.to_string()),
        }
    }
}

fn of_connection(error: &ConnectionError) -> Verdict {
    match error {
        ConnectionError::ConnectTimeout => retry("nobody answers in time"),
        ConnectionError::IoError(error) => match tls_failure(error) {
            Some(reason) => fatal(reason),
            None => retry(format!("it cannot be reached: {error}")),
        },
        ConnectionError::BrokenConnection(error) => retry(format!(
            "the connection broke: {error}; is TLS wanted, or a client certificate?"
        )),
        ConnectionError::ConnectionSetupRequestError(error) => match error.get_error() {
            ConnectionSetupRequestErrorKind::DbError(error, message) => of_server(error, message),
            ConnectionSetupRequestErrorKind::MissingAuthentication => {
                fatal("the cluster asks for a user and a password; none is set")
            }
            ConnectionSetupRequestErrorKind::BrokenConnection(error) => retry(format!(
                "the connection broke: {error}; is TLS wanted, or a client certificate?"
            )),
            ConnectionSetupRequestErrorKind::StartAuthSessionError(error)
            | ConnectionSetupRequestErrorKind::AuthChallengeEvaluationError(error)
            | ConnectionSetupRequestErrorKind::AuthFinishError(error) => {
                fatal(format!("the user could not be authenticated: {error}"))
            }
            other => retry(other.to_string()),
        },
        ConnectionError::UseKeyspaceError(error) => error.verdict(),
        ConnectionError::NoSourcePortForShard(_) => retry("no local port is free"),
        ConnectionError::TranslationError(error) => retry(error.to_string()),
        other => retry(other.to_string()),
    }
}

/// In words, when a handshake failed: this side refused the server's certificate, or the server
/// this side's.
fn tls_failure(error: &std::io::Error) -> Option<String> {
    let inner = error.get_ref()?;
    let said = inner.to_string();
    let is_tls = inner.is::<openssl::ssl::Error>() || inner.is::<openssl::error::ErrorStack>();
    if !is_tls && !said.contains("certificate") && !said.contains("SSL") {
        return None;
    }
    Some(format!("TLS failed: {said}"))
}

impl Judge for UseKeyspaceError {
    fn verdict(&self) -> Verdict {
        match self {
            UseKeyspaceError::RequestError(error) => error.verdict(),
            UseKeyspaceError::RequestTimeout(after) => {
                retry(format!("no answer within {} ms", after.as_millis()))
            }
            UseKeyspaceError::BadKeyspaceName(_)
            | UseKeyspaceError::KeyspaceNameMismatch { .. } => fatal(self.to_string()),
            other => retry(other.to_string()),
        }
    }
}

impl Judge for SchemaAgreementError {
    fn verdict(&self) -> Verdict {
        match self {
            SchemaAgreementError::ConnectionPoolError(error) => error.verdict(),
            SchemaAgreementError::PrepareError(error) => error.verdict(),
            SchemaAgreementError::RequestError(error) => error.verdict(),
            SchemaAgreementError::Timeout(after) => retry(format!(
                "the nodes do not agree on the schema after {} ms",
                after.as_millis()
            )),
            other => retry(other.to_string()),
        }
    }
}

impl Judge for MetadataError {
    fn verdict(&self) -> Verdict {
        match self {
            MetadataError::ConnectionPoolError(error) => error.verdict(),
            MetadataError::FetchError(error) => match &error.error {
                MetadataFetchErrorKind::PrepareError(error) => error.verdict(),
                other => retry(format!("{} cannot be read: {other}", error.table)),
            },
            other => retry(other.to_string()),
        }
    }
}

impl Judge for NewSessionError {
    fn verdict(&self) -> Verdict {
        match self {
            NewSessionError::MetadataError(error) => error.verdict(),
            NewSessionError::UseKeyspaceError(error) => error.verdict(),
            NewSessionError::FailedToResolveAnyHostname(hosts) => retry(format!(
                "none of these names can be resolved: {}",
                hosts.join(", ")
            )),
            NewSessionError::EmptyKnownNodesList => fatal("no node is named"),
            NewSessionError::IllegalConfig(reason) => fatal(reason.to_string()),
            other => retry(other.to_string()),
        }
    }
}

/// Rows that do not have the columns they should have.
macro_rules! judge_rows {
    ($($error:ty),+) => {
        $(impl Judge for $error {
            fn verdict(&self) -> Verdict {
                fatal(format!("a table is not as it should be; {APPLY}"))
            }
        })+
    };
}

judge_rows!(
    IntoRowsResultError,
    RowsError,
    scylla::errors::DeserializationError
);

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
