//! What librdkafka tells besides answers: errors of connections. Most of them it mends by itself;
//! that we are not let in it does not, and only here it says so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use minutehand_ports::{ErrorClass, PortError};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, Statistics};

use crate::error::{class_of, port_error};
use crate::memory::EVENT_BYTES;

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
    /// Bytes of what was fetched and not handed over, where somebody counts them.
    queued: Option<Arc<AtomicU64>>,
}

impl Listener {
    /// The same for a consumer whose fetched records are counted.
    pub(crate) fn counting(&self, queued: &Arc<AtomicU64>) -> Listener {
        Listener {
            queued: Some(Arc::clone(queued)),
            ..self.clone()
        }
    }

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

/// What the library has fetched and not handed over, in bytes.
fn queued_bytes(statistics: &Statistics) -> u64 {
    let topics = statistics.topics.values();
    let partitions = topics.flat_map(|topic| topic.partitions.values());
    let bytes = |count: i64, values: u64| count.max(0) as u64 * EVENT_BYTES as u64 + values;
    partitions
        .map(|partition| bytes(partition.fetchq_cnt, partition.fetchq_size))
        .sum()
}

impl ClientContext for Listener {
    fn stats(&self, statistics: Statistics) {
        if let Some(queued) = &self.queued {
            queued.store(queued_bytes(&statistics), Ordering::Relaxed);
        }
    }

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
