//! What librdkafka tells besides answers: errors of connections. Most of them it mends by itself;
//! that we are not let in it does not, and only here it says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use minutehand_ports::{ErrorClass, PortError};
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::{class_of, port_error};

/// Trouble of one kind is logged at most this often, whichever of the many connections has it.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// What this process's log has been told.
static TOLD: Told = Told(Mutex::new(Vec::new()));

/// Kinds of trouble, and when each was told last.
struct Told(Mutex<Vec<(RDKafkaErrorCode, Instant)>>);

impl Told {
    /// Whether it is time to tell; it counts as told then.
    fn is_due(&self, code: RDKafkaErrorCode, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |(known, at): &(RDKafkaErrorCode, Instant)| {
            *known == code && now.duration_since(*at) < TELL_INTERVAL
        };
        if told.iter().any(is_fresh) {
            return false;
        }
        told.retain(|(known, _)| *known != code);
        told.push((code, now));
        true
    }
}

/// Logs what the library says of its connections. That a partition has ended is said as an error
/// too, and is none.
pub(crate) fn tell(error: &KafkaError, reason: &str) {
    let Some(code) = error.rdkafka_error_code() else {
        return;
    };
    if code != RDKafkaErrorCode::PartitionEOF && TOLD.is_due(code, Instant::now()) {
        tracing::warn!(%error, reason, "Kafka");
    }
}

/// Logs what consumers tell, and remembers why they were not let in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listener {
    refusal: Arc<Mutex<Option<(RDKafkaErrorCode, String)>>>,
}

impl Listener {
    /// The error of a call that failed: why we were not let in, where that is known, and else the
    /// driver's own.
    pub(crate) fn explain(&self, action: impl Into<String>, error: KafkaError) -> PortError {
        let refusal = self
            .refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match refusal {
            Some((code, reason)) => {
                let told = port_error(action, KafkaError::Global(code));
                PortError {
                    reason: format!("{}: {reason}", told.reason),
                    ..told
                }
            }
            None => port_error(action, error),
        }
    }
}

impl ClientContext for Listener {
    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        tell(&error, reason);
        if class_of(code) == ErrorClass::Fatal {
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Listener {}

/// A consumer whose partitions are assigned by hand.
pub(crate) type Consumer = BaseConsumer<Listener>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_told_now_and_then_and_another_at_once() {
        let (told, start) = (Told(Mutex::default()), Instant::now());
        let all_down = |after| told.is_due(RDKafkaErrorCode::AllBrokersDown, start + after);
        assert!(all_down(Duration::ZERO));
        assert!(!all_down(TELL_INTERVAL / 2));
        assert!(told.is_due(RDKafkaErrorCode::Authentication, start + TELL_INTERVAL / 2));
        assert!(all_down(TELL_INTERVAL));
        assert!(!all_down(TELL_INTERVAL));
    }
}
