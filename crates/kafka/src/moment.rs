//! Handing records to a producer, and letting a moment pass while it works.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};

/// Short against a commit, long against the cost of looking.
const MOMENT: Duration = Duration::from_micros(300);

/// Takes what has happened, and sleeps for a moment. The driver's own waiting counts in whole
/// milliseconds and spins through the last one: a thread that waits for its deliveries by it takes
/// half a core.
pub(crate) fn pass<C: ProducerContext>(producer: &BaseProducer<C>) {
    producer.poll(Duration::ZERO);
    std::thread::sleep(MOMENT);
}

/// Hands a record over, waiting while the producer's queue is full; not beyond the deadline, where
/// there is one.
pub(crate) fn send<C: ProducerContext>(
    producer: &BaseProducer<C>,
    mut record: BaseRecord<'_, [u8], [u8], C::DeliveryOpaque>,
    deadline: Option<Instant>,
) -> KafkaResult<()> {
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                if deadline.is_none_or(|deadline| Instant::now() < deadline) =>
            {
                record = back;
                pass(producer);
            }
            Err((error, _)) => return Err(error),
        }
    }
}
