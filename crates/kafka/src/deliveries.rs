//! What became of the records that a producer was given.

use std::sync::{Arc, Mutex, PoisonError};

use minutehand_model::LogOffset;
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;

use crate::listener::tell;

/// Remembers why a record was not delivered.
#[derive(Clone, Default)]
pub(crate) struct Failures(Arc<Mutex<Option<KafkaError>>>);

impl Failures {
    pub(crate) fn take(&self) -> Option<KafkaError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Failures {
    fn error(&self, error: KafkaError, reason: &str) {
        tell(&error, reason);
    }
}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
    }
}

/// What became of a tick's records: failures, and how far the commands among them reach in their log.
#[derive(Clone, Default)]
pub(crate) struct Deliveries {
    pub(crate) failures: Failures,
    commands: Arc<str>,
    commands_end: Arc<Mutex<Option<LogOffset>>>,
}

impl Deliveries {
    pub(crate) fn of(commands: &str) -> Deliveries {
        Deliveries { commands: commands.into(), ..Deliveries::default() }
    }

    /// Forgets what earlier ticks left.
    pub(crate) fn clear(&self) {
        self.failures.take();
        self.take_commands_end();
    }

    pub(crate) fn take_commands_end(&self) -> Option<LogOffset> {
        self.commands_end.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        tell(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.failures.delivery(result, ());
        if let Ok(message) = result
            && message.topic() == &*self.commands
            && let Ok(offset) = LogOffset::try_from(message.offset())
        {
            let mut end = self.commands_end.lock().unwrap_or_else(PoisonError::into_inner);
            *end = (*end).max(Some(offset + 1));
        }
    }
}
