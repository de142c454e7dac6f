//! What an error of librdkafka means for the caller.

use minutehand_ports::{ErrorClass, PortError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What the caller may do after a code.
pub(crate) fn class_of(code: RDKafkaErrorCode) -> ErrorClass {
    use RDKafkaErrorCode as Code;
    match code {
        // A later producer holds the transactional id.
        Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::Fenced
        | Code::FencedInstanceId => ErrorClass::Fenced,
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
        | Code::InconsistentGroupProtocol
        | Code::UnsupportedAssignor
        | Code::NotConfigured
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

/// What is the matter with a topic that did not take a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopicTrouble {
    /// It is not there, or has other partitions than before.
    Gone,
    /// It takes smaller records only.
    Size,
    /// It does not take the record, whatever its size.
    Refuses,
}

impl TopicTrouble {
    /// Whether the reason why a record was not taken lies in its topic.
    pub(crate) fn of(code: RDKafkaErrorCode) -> Option<TopicTrouble> {
        use RDKafkaErrorCode as Code;
        match code {
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                Some(TopicTrouble::Gone)
            }
            Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => Some(TopicTrouble::Size),
            Code::InvalidRecord
            | Code::InvalidMessage
            | Code::InvalidTimestamp
            | Code::InvalidTopic
            | Code::PolicyViolation
            | Code::TopicAuthorizationFailed
            | Code::UnsupportedCompressionType
            | Code::UnsupportedForMessageFormat => Some(TopicTrouble::Refuses),
            _ => None,
        }
    }
}

/// A code in words, with what an operator can do about it.
pub(crate) fn in_words(code: RDKafkaErrorCode) -> String {
    match advice(code) {
        Some(advice) => format!("{code}; {advice}"),
        None => code.to_string(),
    }
}

/// The error of a port, from the driver's.
pub(crate) fn port_error(action: impl Into<String>, error: KafkaError) -> PortError {
    let (class, reason) = match &error {
        KafkaError::Transaction(transaction)
            if transaction.code() == RDKafkaErrorCode::OperationTimedOut =>
        {
            (
                ErrorClass::Retry,
                "the broker did not answer in time".to_owned(),
            )
        }
        KafkaError::Transaction(transaction) => {
            (class_of(transaction.code()), transaction.string())
        }
        KafkaError::ClientConfig(_, description, key, value) => {
            // The value of a secret is never shown.
            let shown = if key.contains("password") {
                "***"
            } else {
                value
            };
            (
                ErrorClass::Fatal,
                format!("{key} is {shown:?}: {description}"),
            )
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

/// Whether records are damaged where brokers keep them, so that reading them again does not help.
pub(crate) fn is_damage(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code_of(error),
        Some(Code::BadMessage | Code::BadCompression | Code::InvalidMessage)
    )
}

/// The library's code behind an error.
pub(crate) fn code_of(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(transaction) => Some(transaction.code()),
        other => other.rdkafka_error_code(),
    }
}

/// What fences nobody of ours, and is tried again: another producer of the same transactional id
/// began at the same moment, or the broker has given up a transaction that took too long.
pub(crate) fn softened(error: PortError) -> PortError {
    match error.class {
        ErrorClass::Fenced => PortError {
            class: ErrorClass::Retry,
            ..error
        },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::types::RDKafkaRespErr;

    use super::*;

    /// Numbers of the protocol and of the library, as their documentation lists them.
    const FENCED: &[i32] = &[-144, 47, 82, 90];
    #[rustfmt::skip]
    const FATAL: &[i32] = &[
        // Local: no resources, bad argument, TLS, unknown protocol, not implemented,
        // authentication, no offset, unsupported, not configured, no initial offset, a truncated
        // log.
        -194, -186, -181, -171, -170, -169, -168, -165, -145, -140, -139,
        // Offsets and sizes.
        1, 10, 12, 18, 28,
        // Requests that this cluster refuses.
        17, 21, 23, 24, 26, 32, 35, 37, 38, 39, 40, 43, 44, 50, 73, 76, 87, 112,
        // Who we are, and what we may do.
        29, 30, 31, 33, 34, 53, 54, 58, 61, 62, 63, 64, 65, 66, 67, 93, 97,
    ];
    /// Every other number that the library knows, by first and last.
    #[rustfmt::skip]
    const RETRY: &[(i32, i32)] = &[
        (-200, -195), (-193, -187), (-185, -182), (-180, -172), (-167, -166), (-164, -146), (-143, -141),
        (-138, -137), (-100, -100), (-1, 0), (2, 9), (11, 11), (13, 16), (19, 20), (22, 22), (25, 25), (27, 27),
        (36, 36), (41, 42), (45, 46), (48, 49), (51, 52), (55, 57), (59, 60), (68, 72), (74, 75), (77, 81),
        (83, 86), (88, 89), (91, 92), (94, 96), (99, 111), (113, 130),
    ];

    #[test]
    fn every_code_of_the_library_has_the_class_that_it_should() {
        let mut known = 0;
        for number in -200..=130 {
            let Ok(code) = RDKafkaRespErr::try_from(number).map(RDKafkaErrorCode::from) else {
                continue;
            };
            known += 1;
            let is_in = |numbers: &[i32]| numbers.contains(&number);
            let may_retry = RETRY
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&number));
            let classes = [
                (is_in(FENCED), ErrorClass::Fenced),
                (is_in(FATAL), ErrorClass::Fatal),
                (may_retry, ErrorClass::Retry),
            ];
            let expected: Vec<ErrorClass> = classes
                .iter()
                .filter(|(is_one, _)| *is_one)
                .map(|(_, class)| *class)
                .collect();
            assert_eq!([class_of(code)], expected[..], "{number}: {code:?}");
        }
        assert!(known > 150, "{known} codes are known");
    }

    #[test]
    fn a_password_is_not_told() {
        let error = KafkaError::ClientConfig(
            rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
            "it is refused".to_owned(),
            "sasl.password".to_owned(),
            "geheim".to_owned(),
        );
        let told = port_error("set up the client", error);
        assert_eq!(told.class, ErrorClass::Fatal);
        assert!(!told.to_string().contains("geheim"), "{told}");
    }
}
