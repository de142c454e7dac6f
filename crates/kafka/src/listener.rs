//! What librdkafka tells besides answers: errors of connections, which it mends by itself.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
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

/// Why connections fail, which the calls on them do not say.
#[derive(Debug, Default)]
pub(crate) struct FailureListener {
    heard: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl FailureListener {
    /// The first reason.
    pub(crate) fn heard(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for FailureListener {
    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down follows from what was told of each.
        let code = error.rdkafka_error_code().filter(|code| *code != RDKafkaErrorCode::AllBrokersDown);
        if let Some(code) = code {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.get_or_insert_with(|| (code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for FailureListener {}
