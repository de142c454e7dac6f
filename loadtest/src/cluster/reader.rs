//! The reader: committed executions, and how late each is at the reader's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use minutehand_kafka::Client;
use minutehand_kafka::raw::{Begin, RawIncoming, RawReader};
use minutehand_model::Timestamp;
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::PortError;

use crate::Lateness;

/// What a reader has seen so far, and its end.
#[derive(Clone, Default)]
pub struct Seen {
    count: Arc<AtomicU64>,
    early: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Seen {
    /// Executions read.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Executions that came before their due time.
    pub fn early(&self) -> u64 {
        self.early.load(Ordering::Relaxed)
    }

    /// Ends the reading.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// When an execution was due.
pub fn due_of(message: &RawIncoming<'_>) -> Option<Timestamp> {
    let value = Bytes::copy_from_slice(message.value?);
    minutehand_record::task::read_record(value).ok().map(|record| record.due)
}

/// Reads on the calling thread until it is told to stop; answers how late executions came that were due within
/// two times.
///
/// # Errors
/// When the topic cannot be read.
pub fn run(
    client: &Client,
    topic: &str,
    within: (Timestamp, Timestamp),
    seen: &Seen,
) -> Result<Lateness, PortError> {
    let reader = RawReader::open(client, topic, Begin::Now)?;
    let lateness = Lateness::default();
    while !seen.stop.load(Ordering::Relaxed) {
        let mut dues = Vec::new();
        let count = reader.poll(Duration::from_millis(5), 4_096, |message| dues.extend(due_of(&message)))?;
        let now = SystemClock.now();
        for due in dues {
            if due > now {
                seen.early.fetch_add(1, Ordering::Relaxed);
            }
            if (within.0..within.1).contains(&due) {
                lateness.record(now.millis_since(due));
            }
        }
        seen.count.fetch_add(count as u64, Ordering::Relaxed);
    }
    Ok(lateness)
}
