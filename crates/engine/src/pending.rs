//! Facts that are due beyond the look-ahead: they wait for their block, by minute bucket.

use std::collections::BTreeMap;

use minutehand_model::Timestamp;

use crate::task_store::TaskIndex;

/// The entries of one bucket that have not been sent yet.
#[derive(Debug)]
struct Waiting {
    indices: Vec<TaskIndex>,
    bytes: usize,
    since: Timestamp,
}

/// Facts that wait for their block.
#[derive(Debug, Default)]
pub(crate) struct PendingBlocks {
    buckets: BTreeMap<Timestamp, Waiting>,
    length: usize,
}

impl PendingBlocks {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn push(&mut self, due: Timestamp, index: TaskIndex, bytes: usize, now: Timestamp) {
        let bucket = self.buckets.entry(due.floor_to_minute()).or_insert_with(|| Waiting {
            indices: Vec::new(),
            bytes: 0,
            since: now,
        });
        bucket.indices.push(index);
        bucket.bytes += bytes;
        self.length += 1;
    }

    /// When the oldest bucket has waited long enough.
    pub(crate) fn flush_at(&self, interval_ms: i64) -> Option<Timestamp> {
        self.buckets.values().map(|bucket| bucket.since).min().map(|since| since.plus_millis(interval_ms))
    }

    /// Takes the buckets that are full, or have waited since `waited_since` or longer.
    pub(crate) fn take_ripe(
        &mut self,
        bytes: usize,
        waited_since: Timestamp,
    ) -> Vec<(Timestamp, Vec<TaskIndex>)> {
        let ripe: Vec<Timestamp> = self
            .buckets
            .iter()
            .filter(|(_, bucket)| bucket.bytes >= bytes || bucket.since <= waited_since)
            .map(|(start, _)| *start)
            .collect();
        ripe.into_iter().filter_map(|start| self.take(start)).collect()
    }

    /// Nobody has waited since a time that lies ahead.
    pub(crate) fn clock_went_back(&mut self, now: Timestamp) {
        for bucket in self.buckets.values_mut() {
            bucket.since = bucket.since.min(now);
        }
    }

    /// Takes the facts due before a time: they come within the look-ahead.
    pub(crate) fn take_before(
        &mut self,
        until: Timestamp,
        due_of: impl Fn(TaskIndex) -> Timestamp,
        bytes_of: impl Fn(TaskIndex) -> usize,
        now: Timestamp,
    ) -> Vec<TaskIndex> {
        let touched: Vec<Timestamp> = self.buckets.range(..until).map(|(start, _)| *start).collect();
        let mut taken = Vec::new();
        for start in touched {
            let Some((_, indices)) = self.take(start) else { continue };
            for index in indices {
                if due_of(index) < until {
                    taken.push(index);
                } else {
                    self.push(due_of(index), index, bytes_of(index), now);
                }
            }
        }
        taken
    }

    /// Every fact that waits.
    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskIndex> {
        self.buckets.values().flat_map(|bucket| bucket.indices.iter().copied())
    }

    /// How many facts wait, by bucket.
    pub(crate) fn counts(&self, from: Timestamp, until: Timestamp) -> impl Iterator<Item = (Timestamp, u64)> {
        let buckets = self.buckets.range(from.floor_to_minute()..until.max(from));
        buckets.map(|(start, bucket)| (*start, bucket.indices.len() as u64))
    }

    fn take(&mut self, start: Timestamp) -> Option<(Timestamp, Vec<TaskIndex>)> {
        let bucket = self.buckets.remove(&start)?;
        self.length -= bucket.indices.len();
        Some((start, bucket.indices))
    }
}
