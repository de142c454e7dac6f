//! What a reader sees of each partition: how late its executions come, and when another owner
//! begins to publish them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use minutehand_ingress::egress::Received;
use minutehand_kafka::Client;
use minutehand_kafka::raw::RawReader;
use minutehand_model::Timestamp;
use minutehand_node::{Clock, SystemClock};
use minutehand_ports::PortError;
use minutehand_record::QueueNames;

use crate::cluster::reader::execution_of;
use crate::numbers::Numbers;

/// Another owner publishes from here on. Times are those of its ticks, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The last execution of the old owner.
    pub(super) last_of_old_ms: i64,
    /// The first of the new one.
    pub(super) first_of_new_ms: i64,
}

/// One partition.
#[derive(Default)]
struct Seen {
    epoch: u64,
    published_ms: i64,
    changes: Vec<Change>,
    /// The greatest lateness of what was due within a second.
    worst_ms: BTreeMap<i64, i64>,
}

impl Seen {
    fn take(&mut self, epoch: u64, published_ms: i64) {
        if epoch > self.epoch {
            if self.epoch > 0 {
                let change = Change {
                    last_of_old_ms: self.published_ms,
                    first_of_new_ms: published_ms,
                };
                self.changes.push(change);
            }
            self.epoch = epoch;
        }
        self.published_ms = self.published_ms.max(published_ms);
    }
}

/// The partitions of a queue's topic, and what came of a load that is due from a time on; what is
/// due before is caught up with.
pub(super) struct Watch {
    partitions: Vec<Mutex<Seen>>,
    loaded_from: Timestamp,
    count: AtomicU64,
    caught_up: AtomicU64,
    twice: AtomicU64,
    early: AtomicU64,
    stop: AtomicBool,
}

impl Watch {
    pub(super) fn new(partitions: u32, loaded_from: Timestamp) -> Watch {
        Watch {
            partitions: (0..partitions).map(|_| Mutex::default()).collect(),
            loaded_from,
            count: AtomicU64::new(0),
            caught_up: AtomicU64::new(0),
            twice: AtomicU64::new(0),
            early: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    fn partition(&self, partition: u32) -> MutexGuard<'_, Seen> {
        self.partitions[partition as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Executions of the load.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Tasks of the load that have come.
    pub(super) fn distinct(&self) -> u64 {
        self.count() - self.twice()
    }

    /// Executions that were caught up with.
    pub(super) fn caught_up(&self) -> u64 {
        self.caught_up.load(Ordering::Relaxed)
    }

    /// Executions of tasks of the load that had come before.
    pub(super) fn twice(&self) -> u64 {
        self.twice.load(Ordering::Relaxed)
    }

    /// Executions that came before their time.
    pub(super) fn early(&self) -> u64 {
        self.early.load(Ordering::Relaxed)
    }

    /// How often each partition has changed hands.
    pub(super) fn changes(&self) -> Vec<usize> {
        (0..)
            .take(self.partitions.len())
            .map(|partition| self.partition(partition).changes.len())
            .collect()
    }

    /// A change of a partition, counted from 0.
    pub(super) fn change(&self, partition: u32, number: usize) -> Option<Change> {
        self.partition(partition).changes.get(number).copied()
    }

    /// The greatest lateness of what was due in a time, by the second.
    pub(super) fn worst_ms(&self, partition: u32, from: Timestamp, until: Timestamp) -> i64 {
        let seconds = from.as_millis().div_euclid(1_000)..until.as_millis().div_euclid(1_000);
        if seconds.is_empty() {
            return 0;
        }
        self.partition(partition)
            .worst_ms
            .range(seconds)
            .map(|(_, ms)| *ms)
            .max()
            .unwrap_or(0)
    }

    /// Ends the reading.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Reads on the calling thread until it is told to stop.
    pub(super) fn read(&self, client: &Client, topic: &str) -> Result<(), PortError> {
        let reader = RawReader::open(client, topic)?;
        let (mut names, mut met) = (QueueNames::new(), Numbers::default());
        while !self.stop.load(Ordering::Relaxed) {
            let mut read = Vec::new();
            reader.poll(Duration::from_millis(5), 4_096, |message| {
                let execution = execution_of(&message, &mut names);
                read.extend(execution.map(|execution| (message.partition, execution)));
            })?;
            let now = SystemClock.now();
            for (partition, (received, number)) in read {
                self.take(partition, &received, now);
                let is_of_load = received.task.due >= self.loaded_from;
                if is_of_load && number.is_some_and(|number| met.add(number as u64)) {
                    self.twice.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    fn take(&self, partition: u32, received: &Received, now: Timestamp) {
        let due = received.task.due;
        let mut seen = self.partition(partition);
        seen.take(received.epoch.0, received.published_at.as_millis());
        if due < self.loaded_from {
            self.caught_up.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let late_ms = now.millis_since(due);
        let worst_ms = seen
            .worst_ms
            .entry(due.as_millis().div_euclid(1_000))
            .or_default();
        *worst_ms = (*worst_ms).max(late_ms);
        drop(seen);
        self.count.fetch_add(1, Ordering::Relaxed);
        if late_ms < 0 {
            self.early.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_the_time_between_two_owners() {
        let mut seen = Seen::default();
        for (epoch, published_ms) in [(3, 10), (3, 25), (2, 26), (7, 90), (7, 95)] {
            seen.take(epoch, published_ms);
        }
        assert_eq!(
            seen.changes,
            [Change {
                last_of_old_ms: 26,
                first_of_new_ms: 90
            }]
        );
    }

    #[test]
    fn the_worst_is_that_of_the_seconds_asked_for() {
        let watch = Watch::new(2, Timestamp::from_millis(0));
        watch
            .partition(1)
            .worst_ms
            .extend([(9, 700), (10, 20), (11, 40), (12, 900)]);
        let at = |second: i64| Timestamp::from_millis(second * 1_000 + 7);
        assert_eq!(watch.worst_ms(1, at(10), at(12)), 40);
        assert_eq!(watch.worst_ms(1, at(12), at(10)), 0);
        assert_eq!(watch.worst_ms(0, at(0), at(99)), 0);
    }
}
