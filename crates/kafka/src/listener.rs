//! What librdkafka tells besides answers: errors of connections, which it mends by itself.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Logs what consumers tell. That a partition has ended is told as an error too, and is none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listener;

impl ClientContext for Listener {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(%error, reason, "Kafka");
        }
    }
}

impl ConsumerContext for Listener {}

/// A consumer whose partitions are assigned by hand.
pub(crate) type Consumer = BaseConsumer<Listener>;

/// What was heard of a connection that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In the library's words, without the name of its thread.
    pub(crate) message: String,
}

impl Failure {
    /// Whether trying again would end the same: who we are, or who they are, is not accepted.
    pub(crate) fn is_refusal(&self) -> bool {
        self.is_about_user() || self.is_about_certificates()
    }

    fn is_about_user(&self) -> bool {
        self.message.contains("SASL")
    }

    fn is_about_certificates(&self) -> bool {
        self.message.contains("SSL handshake")
    }

    /// What an operator can look at.
    pub(crate) fn advice(&self) -> &'static str {
        if self.is_about_user() {
            "check the user, the password and the mechanism in [kafka]"
        } else if self.is_about_certificates() {
            "check tls in [kafka]: the authority, the certificate and its dates"
        } else {
            "check the brokers in [kafka], and that they can be reached from here"
        }
    }
}

/// Remembers why connections failed, which the calls on them do not say.
#[derive(Debug, Default)]
pub(crate) struct AdminListener {
    last: Mutex<Option<Failure>>,
}

impl AdminListener {
    /// The newest failure of a connection.
    pub(crate) fn last_failure(&self) -> Option<Failure> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for AdminListener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // `[thrd:NAME]: MESSAGE`
        let message = message.split_once("]: ").map_or(message, |(_, message)| message);
        tracing::debug!(?level, facility, message, "Kafka");
        if facility == "FAIL" {
            let failure = Failure { message: message.to_owned() };
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        }
    }
}
