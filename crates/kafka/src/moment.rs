//! Letting a moment pass while a producer works.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, ProducerContext};

/// Short against a commit, long against the cost of looking.
const MOMENT: Duration = Duration::from_micros(300);

/// Takes what has happened, and sleeps for a moment. The driver's own waiting counts in whole milliseconds and spins through
/// the last one: a thread that waits for its deliveries by it takes half a core.
pub(crate) fn pass<C: ProducerContext>(producer: &BaseProducer<C>) {
    producer.poll(Duration::ZERO);
    std::thread::sleep(MOMENT);
}
