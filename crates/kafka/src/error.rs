//! What an error of librdkafka means for the caller.

use minutehand_ports::{ErrorClass, PortError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What the caller may do after a code.
pub(crate) fn class_of(code: RDKafkaErrorCode) -> ErrorClass {
    use RDKafkaErrorCode as Code;
    match code {
        // A later producer holds the transactional id.
        Code::ProducerFenced | Code::InvalidProducerEpoch | Code::Fenced | Code::FencedInstanceId => {
            ErrorClass::Fenced
        }
        // Who we are, or what we may do, is refused.
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::SecurityDisabled
        | Code::SSL
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::DelegationTokenAuthorizationFailed
        | Code::DelegationTokenAuthDisabled
        | Code::DelegationTokenExpired
        | Code::DelegationTokenNotFound
        | Code::DelegationTokenOwnerMismatch
        | Code::DelegationTokenRequestNotAllowed
        | Code::InvalidPrincipalType
        | Code::PrincipalDeserializationFailure
        | Code::UnacceptableCredential => ErrorClass::Fatal,
        // What the log held is gone.
        Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::NoOffset | Code::LogTruncation => {
            ErrorClass::Fatal
        }
        // The cluster does not take what is asked for, and will not.
        Code::InvalidArgument
        | Code::NotImplemented
        | Code::UnsupportedFeature
        | Code::UnsupportedVersion
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedCompressionType
        | Code::UnknownProtocol
        | Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidReplicaAssignment
        | Code::InvalidConfig
        | Code::InvalidRequiredAcks
        | Code::InvalidTransactionTimeout
        | Code::InvalidGroupId
        | Code::InvalidSessionTimeout
        | Code::InvalidTimestamp
        | Code::InvalidRecord
        | Code::PolicyViolation
        | Code::MessageSizeTooLarge
        | Code::MessageBatchTooLarge
        | Code::OffsetMetadataTooLarge
        | Code::InvalidCommitOffsetSize
        | Code::TopicDeletionDisabled
        | Code::CriticalSystemResource => ErrorClass::Fatal,
        // Everything else passes: brokers restart, leaders move, calls time out.
        _ => ErrorClass::Retry,
    }
}

/// What an operator can do about a code, where something can be done.
fn advice(code: RDKafkaErrorCode) -> Option<&'static str> {
    use RDKafkaErrorCode as Code;
    Some(match code {
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "check the user, the password and the mechanism in [kafka]"
        }
        Code::SSL => "check tls in [kafka]: the authority, the certificate and its dates",
        Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve => {
            "check the brokers in [kafka], and that they can be reached from here"
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            "run `minutehand schema apply`"
        }
        Code::OffsetOutOfRange | Code::AutoOffsetReset => {
            "the log no longer keeps what has to be read again: raise command_retention_ms in [kafka]"
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => "allow it in the cluster's access rules",
        _ => return None,
    })
}

/// The error of a port, from the driver's.
pub(crate) fn port_error(action: impl Into<String>, error: KafkaError) -> PortError {
    let (class, reason) = match &error {
        KafkaError::Transaction(transaction) if transaction.code() == RDKafkaErrorCode::OperationTimedOut => {
            (ErrorClass::Retry, "the broker did not answer in time".to_owned())
        }
        KafkaError::Transaction(transaction) => (class_of(transaction.code()), transaction.string()),
        KafkaError::ClientConfig(_, description, key, value) => {
            // The value of a secret is never shown.
            let shown = if key.contains("password") { "***" } else { value };
            (ErrorClass::Fatal, format!("{key} is {shown:?}: {description}"))
        }
        KafkaError::ClientCreation(reason) => (ErrorClass::Fatal, reason.clone()),
        other => match other.rdkafka_error_code() {
            Some(code) => (class_of(code), code.to_string()),
            None => (ErrorClass::Retry, other.to_string()),
        },
    };
    let reason = match code_of(&error).and_then(advice) {
        Some(advice) => format!("{reason}; {advice}"),
        None => reason,
    };
    PortError::new(class, action, reason).caused_by(error)
}

/// The library's code behind an error.
pub(crate) fn code_of(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(transaction) => Some(transaction.code()),
        other => other.rdkafka_error_code(),
    }
}
