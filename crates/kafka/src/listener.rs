//! What librdkafka tells besides answers: errors of connections. Most of them it mends by itself; that we are not let in
//! it does not, and only here it says so.

use std::sync::{Arc, Mutex, PoisonError};

use minutehand_ports::{ErrorClass, PortError};
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::{class_of, port_error};

/// Logs what consumers tell, and remembers why they were not let in. That a partition has ended is told as an error too,
/// and is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listener {
    refusal: Arc<Mutex<Option<(RDKafkaErrorCode, String)>>>,
}

impl Listener {
    /// The error of a call that failed: why we were not let in, where that is known, and else the driver's own.
    pub(crate) fn explain(&self, action: impl Into<String>, error: KafkaError) -> PortError {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
        match refusal {
            Some((code, reason)) => {
                let told = port_error(action, KafkaError::Global(code));
                PortError { reason: format!("{}: {reason}", told.reason), ..told }
            }
            None => port_error(action, error),
        }
    }
}

impl ClientContext for Listener {
    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if code == RDKafkaErrorCode::PartitionEOF {
            return;
        }
        tracing::warn!(%error, reason, "Kafka");
        if class_of(code) == ErrorClass::Fatal {
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Listener {}

/// A consumer whose partitions are assigned by hand.
pub(crate) type Consumer = BaseConsumer<Listener>;
