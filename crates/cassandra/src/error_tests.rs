//! Every failure that can be made has the class that its caller needs.

use std::sync::Arc;
use std::time::Duration;

use scylla::errors::{BadQuery, BrokenConnectionErrorKind, OperationType, WriteType};
use scylla::frame::types::Consistency;

use super::*;

const CONSISTENCY: Consistency = Consistency::LocalQuorum;

/// Every error that a server can answer with, and its class.
fn server_errors() -> Vec<(DbError, ErrorClass)> {
    let (keyspace, table) = (String::new(), String::new());
    let (received, required, numfailures, data_present) = (1, 2, 1, false);
    let write_type = || WriteType::Simple;
    vec![
        (DbError::SyntaxError, ErrorClass::Fatal),
        (DbError::Invalid, ErrorClass::Fatal),
        (
            DbError::AlreadyExists {
                keyspace: keyspace.clone(),
                table,
            },
            ErrorClass::Fatal,
        ),
        (
            DbError::FunctionFailure {
                keyspace,
                function: String::new(),
                arg_types: Vec::new(),
            },
            ErrorClass::Fatal,
        ),
        (DbError::AuthenticationError, ErrorClass::Fatal),
        (DbError::Unauthorized, ErrorClass::Fatal),
        (DbError::ConfigError, ErrorClass::Fatal),
        (DbError::ProtocolError, ErrorClass::Fatal),
        (
            DbError::Unavailable {
                consistency: CONSISTENCY,
                required,
                alive: 1,
            },
            ErrorClass::Retry,
        ),
        (DbError::Overloaded, ErrorClass::Retry),
        (DbError::IsBootstrapping, ErrorClass::Retry),
        (DbError::TruncateError, ErrorClass::Retry),
        (
            DbError::ReadTimeout {
                consistency: CONSISTENCY,
                received,
                required,
                data_present,
            },
            ErrorClass::Retry,
        ),
        (
            DbError::WriteTimeout {
                consistency: CONSISTENCY,
                received,
                required,
                write_type: write_type(),
            },
            ErrorClass::Retry,
        ),
        (
            DbError::ReadFailure {
                consistency: CONSISTENCY,
                received,
                required,
                numfailures,
                data_present,
            },
            ErrorClass::Retry,
        ),
        (
            DbError::WriteFailure {
                consistency: CONSISTENCY,
                received,
                required,
                numfailures,
                write_type: write_type(),
            },
            ErrorClass::Retry,
        ),
        (
            DbError::Unprepared {
                statement_id: bytes::Bytes::new(),
            },
            ErrorClass::Retry,
        ),
        (DbError::ServerError, ErrorClass::Retry),
        (
            DbError::RateLimitReached {
                op_type: OperationType::Write,
                rejected_by_coordinator: true,
            },
            ErrorClass::Retry,
        ),
        (DbError::Other(0x7777), ErrorClass::Retry),
    ]
}

#[test]
fn users_that_cannot_be_looked_up_are_not_refused() {
    let verdict = |error, message: &str| of_server(&error, message).class;
    let unanswered = [
        "Unable to perform authentication: Cannot achieve consistency level QUORUM",
        "Unable to perform authorization of permissions: Operation timed out - received only 0 responses.",
        "auth: operation timed out for system_auth.roles",
    ];
    for message in unanswered {
        assert_eq!(
            verdict(DbError::AuthenticationError, message),
            ErrorClass::Retry,
            "{message}"
        );
        assert_eq!(
            verdict(DbError::Unauthorized, message),
            ErrorClass::Retry,
            "{message}"
        );
    }
    for message in [
        "Provided username a and/or password are incorrect",
        "Username and/or password are incorrect",
    ] {
        assert_eq!(
            verdict(DbError::AuthenticationError, message),
            ErrorClass::Fatal,
            "{message}"
        );
    }
    let forbidden = "User a has no MODIFY permission on <table k.timetable> or any of its parents";
    assert_eq!(verdict(DbError::Unauthorized, forbidden), ErrorClass::Fatal);
}

#[test]
fn every_answer_of_a_server_has_its_class_wherever_it_comes_up() {
    for (error, class) in server_errors() {
        let attempt = || RequestAttemptError::DbError(error.clone(), "said the server".to_owned());
        let prepare = || PrepareError::AllAttemptsFailed {
            first_attempt: attempt(),
        };
        let verdicts = [
            attempt().verdict(),
            ExecutionError::LastAttemptError(attempt()).verdict(),
            RequestError::LastAttemptError(attempt()).verdict(),
            prepare().verdict(),
            ExecutionError::PrepareError(prepare()).verdict(),
            UseKeyspaceError::RequestError(attempt()).verdict(),
            ExecutionError::UseKeyspaceError(UseKeyspaceError::RequestError(attempt())).verdict(),
            SchemaAgreementError::RequestError(attempt()).verdict(),
            ExecutionError::SchemaAgreementError(SchemaAgreementError::PrepareError(prepare()))
                .verdict(),
        ];
        for verdict in verdicts {
            assert_eq!(verdict.class, class, "{error:?}");
            assert!(!verdict.reason.is_empty());
        }
    }
}

#[test]
fn what_never_reached_a_server_has_its_class() {
    let broken = || {
        RequestAttemptError::BrokenConnectionError(BrokenConnectionErrorKind::ChannelError.into())
    };
    let unreachable = |kind: std::io::ErrorKind| {
        let last_connection_error = ConnectionError::IoError(Arc::new(kind.into()));
        ConnectionPoolError::Broken {
            last_connection_error,
        }
    };
    let cases = [
        (broken().verdict(), ErrorClass::Retry),
        (
            RequestAttemptError::UnableToAllocStreamId.verdict(),
            ErrorClass::Retry,
        ),
        (
            RequestAttemptError::NonfinishedPagingState.verdict(),
            ErrorClass::Retry,
        ),
        (
            RequestAttemptError::RepreparedIdMissingInBatch.verdict(),
            ErrorClass::Retry,
        ),
        (ExecutionError::EmptyPlan.verdict(), ErrorClass::Retry),
        (RequestError::EmptyPlan.verdict(), ErrorClass::Retry),
        (
            ExecutionError::RequestTimeout(Duration::from_secs(1)).verdict(),
            ErrorClass::Retry,
        ),
        (
            RequestError::RequestTimeout(Duration::from_secs(1)).verdict(),
            ErrorClass::Retry,
        ),
        (
            ExecutionError::BadQuery(BadQuery::TooManyQueriesInBatchStatement(9)).verdict(),
            ErrorClass::Fatal,
        ),
        (
            PrepareError::PreparedStatementIdsMismatch.verdict(),
            ErrorClass::Retry,
        ),
        (
            unreachable(std::io::ErrorKind::ConnectionRefused).verdict(),
            ErrorClass::Retry,
        ),
        (
            ExecutionError::ConnectionPoolError(unreachable(std::io::ErrorKind::HostUnreachable))
                .verdict(),
            ErrorClass::Retry,
        ),
        (
            PrepareError::ConnectionPoolError(ConnectionPoolError::Initializing).verdict(),
            ErrorClass::Retry,
        ),
        (
            ConnectionPoolError::NodeDisabledByHostFilter.verdict(),
            ErrorClass::Fatal,
        ),
        (
            of_connection(&ConnectionError::ConnectTimeout),
            ErrorClass::Retry,
        ),
        (
            of_connection(&ConnectionError::NoSourcePortForShard(1)),
            ErrorClass::Retry,
        ),
        (
            SchemaAgreementError::Timeout(Duration::from_secs(1)).verdict(),
            ErrorClass::Retry,
        ),
        (
            UseKeyspaceError::RequestTimeout(Duration::from_secs(1)).verdict(),
            ErrorClass::Retry,
        ),
        (
            NewSessionError::EmptyKnownNodesList.verdict(),
            ErrorClass::Fatal,
        ),
        (
            NewSessionError::IllegalConfig("x".into()).verdict(),
            ErrorClass::Fatal,
        ),
        (
            NewSessionError::FailedToResolveAnyHostname(vec!["nowhere".into()]).verdict(),
            ErrorClass::Retry,
        ),
        (
            NewSessionError::MetadataError(MetadataError::ConnectionPoolError(unreachable(
                std::io::ErrorKind::ConnectionRefused,
            )))
            .verdict(),
            ErrorClass::Retry,
        ),
    ];
    for (verdict, class) in cases {
        assert_eq!(verdict.class, class, "{}", verdict.reason);
    }
}

#[test]
fn what_the_schema_lacks_is_said_with_the_remedy() {
    for message in [
        "unconfigured table timetable",
        "Undefined column name bytes",
        "keyspace x does not exist",
    ] {
        let error = RequestAttemptError::DbError(DbError::Invalid, message.to_owned());
        let verdict = error.verdict();
        assert!(
            verdict.reason.contains(message) && verdict.reason.contains("schema apply"),
            "{verdict:?}"
        );
    }
    let error = RequestAttemptError::DbError(DbError::Invalid, "ttl is too large".to_owned());
    assert!(!error.verdict().reason.contains("schema apply"));
}

#[test]
fn a_failed_handshake_is_not_tried_again() {
    let error = std::io::Error::other("certificate verify failed (certificate has expired)");
    let verdict = of_connection(&ConnectionError::IoError(Arc::new(error)));
    assert_eq!(verdict.class, ErrorClass::Fatal);
    assert!(verdict.reason.contains("expired"), "{}", verdict.reason);
}
