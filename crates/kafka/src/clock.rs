//! The brokers' clock, and this machine's held against it. A record of a topic that goes by the
//! brokers' time bears the time at which it was taken; nothing else that Kafka answers tells it.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use minutehand_ports::{ErrorClass, PortError};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::client::{Client, blocking};
use crate::error::port_error;
use crate::listener::tell;

/// Asks the brokers for the time.
pub struct BrokerClock {
    client: Arc<Client>,
    producer: Mutex<Option<BaseProducer<Answer>>>,
}

impl BrokerClock {
    /// Of the brokers of a cluster. Nothing is asked yet.
    pub fn new(client: Arc<Client>) -> Arc<BrokerClock> {
        Arc::new(BrokerClock {
            client,
            producer: Mutex::default(),
        })
    }

    /// Compares this machine's clock with the brokers'.
    ///
    /// # Errors
    /// Class `Fatal` when they are too far apart (`KafkaConfig::clock_skew_ms_max`), `Retry` when
    /// no broker answers.
    pub async fn compare(self: &Arc<Self>) -> Result<(), PortError> {
        self.compare_by(now_ms).await
    }

    /// The same by another clock than the machine's.
    pub async fn compare_by(
        self: &Arc<Self>,
        now_ms: impl Fn() -> i64 + Send + 'static,
    ) -> Result<(), PortError> {
        let this = Arc::clone(self);
        blocking(move || {
            const ACTION: &str = "compare this machine's clock with the brokers'";
            let before_ms = now_ms();
            let broker_ms = this.ask().map_err(|error| port_error(ACTION, error))?;
            match skew(
                before_ms..=now_ms(),
                broker_ms,
                this.client.config().clock_skew_ms_max,
            ) {
                Some(reason) => Err(PortError::new(ErrorClass::Fatal, ACTION, reason)),
                None => Ok(()),
            }
        })
        .await
    }

    /// When a broker took a record that was sent for this alone. Blocks.
    fn ask(&self) -> Result<i64, KafkaError> {
        let mut kept = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        // One that failed is of no more use; see the crate's documentation.
        let producer = match kept.take() {
            Some(producer) => producer,
            None => self
                .client
                .config()
                .appender()
                .create_with_context(Answer::default())?,
        };
        let answer = producer.context().clone();
        answer.take();
        let record = BaseRecord::<[u8], [u8]>::to(&self.client.names().clock).partition(0);
        producer.send(record).map_err(|(error, _)| error)?;
        let deadline = Instant::now() + self.client.timeout();
        let taken_ms = loop {
            producer.poll(POLL);
            if let Some(answer) = answer.take() {
                break answer?;
            }
            if Instant::now() > deadline {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
        };
        *kept = Some(producer);
        Ok(taken_ms)
    }
}

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(20);

/// What became of the record.
#[derive(Clone, Default)]
struct Answer(Arc<Mutex<Option<Result<i64, KafkaError>>>>);

impl Answer {
    fn take(&self) -> Option<Result<i64, KafkaError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Answer {
    fn error(&self, error: KafkaError, reason: &str) {
        tell(&error, reason);
    }
}

impl ProducerContext for Answer {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let taken_ms = match result {
            Ok(message) => message.timestamp().to_millis().ok_or(KafkaError::Canceled),
            Err((error, _)) => Err(error.clone()),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken_ms);
    }
}

/// What is wrong with this machine's clock, when the broker gave a time to something that happened
/// between two of ours.
pub(crate) fn skew(ours_ms: RangeInclusive<i64>, broker_ms: i64, limit_ms: i64) -> Option<String> {
    let (ms, way, so) = match (ours_ms.start() - broker_ms, broker_ms - ours_ms.end()) {
        (ahead_ms, _) if ahead_ms > limit_ms => (ahead_ms, "ahead of", "early"),
        (_, behind_ms) if behind_ms > limit_ms => (behind_ms, "behind", "late"),
        _ => return None,
    };
    Some(format!(
        "this machine's clock is {ms} ms {way} the broker's, and at most {limit_ms} ms are allowed; tasks would run {so}: \
         set the clock right and start again"
    ))
}

/// The machine's clock, in milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_an_hour_off_is_told_apart_from_a_slow_answer() {
        const HOUR_MS: i64 = 3_600_000;
        assert_eq!(
            skew(1_000..=9_000, 3_000, 5_000),
            None,
            "the answer took eight seconds"
        );
        assert_eq!(skew(9_000..=9_001, 5_000, 5_000), None);
        let ahead = skew(HOUR_MS..=HOUR_MS + 5, 3, 5_000).unwrap();
        assert!(
            ahead.contains("3599997 ms ahead of") && ahead.contains("early"),
            "{ahead}"
        );
        let behind = skew(0..=5, HOUR_MS, 5_000).unwrap();
        assert!(
            behind.contains("3599995 ms behind") && behind.contains("late"),
            "{behind}"
        );
    }
}
