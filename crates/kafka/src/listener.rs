//! What librdkafka tells besides answers: errors of connections, which it mends by itself.

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
