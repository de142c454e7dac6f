//! The reader: committed executions, and how late each is at the reader's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use minutehand_ingress::egress::{self, Incoming, Received};
use minutehand_kafka::Client;
use minutehand_kafka::raw::{RawIncoming, RawReader};
use minutehand_model::Timestamp;
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::PortError;
use minutehand_record::QueueNames;

use crate::Lateness;
use crate::numbers::Numbers;

/// What a reader has seen so far, and its end.
#[derive(Clone, Default)]
pub struct Seen {
    count: Arc<AtomicU64>,
    early: Arc<AtomicU64>,
    twice: Arc<AtomicU64>,
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

    /// Executions of tasks that had come before.
    pub fn twice(&self) -> u64 {
        self.twice.load(Ordering::Relaxed)
    }

    /// Ends the reading.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// An execution, and the number that the load gave its task: the last part of the id, which is the
/// key.
pub(crate) fn execution_of(
    message: &RawIncoming<'_>,
    names: &mut QueueNames,
) -> Option<(Received, Option<usize>)> {
    match egress::read(message.value, message.headers(), names) {
        Ok(Incoming::Execution(received)) => {
            let id = message.key.and_then(|key| std::str::from_utf8(key).ok());
            Some((
                received,
                id.and_then(|id| id.rsplit('-').next()?.parse().ok()),
            ))
        }
        _ => None,
    }
}

/// What came within one second, for who looks for the cause of a stall (`RUST_LOG=debug`).
#[derive(Default)]
struct Second {
    number: i64,
    count: u64,
    worst_ms: i64,
    /// When the latest one came, in milliseconds of its second.
    worst_at_ms: i64,
}

impl Second {
    fn take(&mut self, now: Timestamp, due: Timestamp) {
        let number = now.as_millis().div_euclid(1_000);
        if number != self.number {
            let Second {
                count,
                worst_ms,
                worst_at_ms,
                ..
            } = *self;
            tracing::debug!(count, worst_ms, worst_at_ms, "read within a second");
            *self = Second {
                number,
                ..Second::default()
            };
        }
        self.count += 1;
        let late_ms = now.millis_since(due);
        if late_ms > self.worst_ms {
            (self.worst_ms, self.worst_at_ms) = (late_ms, now.as_millis().rem_euclid(1_000));
        }
    }
}

/// Reads on the calling thread until it is told to stop; answers how late executions came that were
/// due within two times.
///
/// # Errors
/// When the topic cannot be read.
pub fn run(
    client: &Client,
    topic: &str,
    within: (Timestamp, Timestamp),
    seen: &Seen,
) -> Result<Lateness, PortError> {
    let reader = RawReader::open(client, topic)?;
    let (lateness, mut names) = (Lateness::default(), QueueNames::new());
    let (mut second, mut met) = (Second::default(), Numbers::default());
    while !seen.stop.load(Ordering::Relaxed) {
        let mut dues = Vec::new();
        let count = reader.poll(Duration::from_millis(5), 4_096, |message| {
            let execution = execution_of(&message, &mut names);
            dues.extend(execution.map(|(received, number)| (received.task.due, number)));
        })?;
        let now = SystemClock.now();
        for (due, number) in dues {
            if number.is_some_and(|number| met.add(number as u64)) {
                seen.twice.fetch_add(1, Ordering::Relaxed);
            }
            if due > now {
                seen.early.fetch_add(1, Ordering::Relaxed);
            }
            if (within.0..within.1).contains(&due) {
                lateness.record(now.millis_since(due));
            }
            second.take(now, due);
        }
        seen.count.fetch_add(count as u64, Ordering::Relaxed);
    }
    Ok(lateness)
}
