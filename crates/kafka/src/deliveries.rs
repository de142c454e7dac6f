//! What became of the records that a producer was given.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minutehand_model::Timestamp;
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;

use crate::listener::tell;
use crate::names::TopicNames;

/// Remembers why a record was not delivered, and to which topic.
#[derive(Clone, Default)]
pub(crate) struct Failures(Arc<Mutex<Option<(KafkaError, String)>>>);

impl Failures {
    pub(crate) fn take(&self) -> Option<KafkaError> {
        self.take_with_topic().map(|(error, _)| error)
    }

    pub(crate) fn take_with_topic(&self) -> Option<(KafkaError, String)> {
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
        if let Err((error, message)) = result {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| (error.clone(), message.topic().to_owned()));
        }
    }
}

/// What became of a tick's records: failures, how far the commands among them reach in their log,
/// and the broker's time of the checkpoint.
#[derive(Clone, Default)]
pub(crate) struct Deliveries {
    pub(crate) failures: Failures,
    commands: Arc<str>,
    checkpoints: Arc<str>,
    places: Arc<Mutex<Places>>,
}

/// Where and when the cluster took a tick.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Places {
    /// Behind the last command, in the topic.
    pub(crate) commands_end: Option<u64>,
    /// The broker's time of the checkpoint.
    pub(crate) taken_at: Option<Timestamp>,
}

impl Deliveries {
    pub(crate) fn of(names: &TopicNames) -> Deliveries {
        Deliveries {
            commands: names.commands.as_str().into(),
            checkpoints: names.checkpoints.as_str().into(),
            ..Deliveries::default()
        }
    }

    /// Forgets what earlier ticks left.
    pub(crate) fn clear(&self) {
        self.failures.take();
        *self.places() = Places::default();
    }

    pub(crate) fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
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
        let Ok(message) = result else { return };
        if message.topic() == &*self.commands
            && let Ok(offset) = u64::try_from(message.offset())
        {
            let mut places = self.places();
            places.commands_end = places.commands_end.max(Some(offset + 1));
        } else if message.topic() == &*self.checkpoints {
            // The topic goes by the broker's time, which comes back with the acknowledgement.
            self.places().taken_at = message.timestamp().to_millis().map(Timestamp::from_millis);
        }
    }
}
