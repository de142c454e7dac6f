//! Facts that wait for their block, by minute bucket: what is due beyond the look-ahead, and what
//! is nearer where everything is to be written.

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

/// Fewer facts than this are not worth looking through.
const GROWN_FACTS_MIN: usize = 16_384;

/// Facts that wait for their block.
#[derive(Debug, Default)]
pub(crate) struct PendingBlocks {
    buckets: BTreeMap<Timestamp, Waiting>,
    length: usize,
    /// How many were left when they were looked through.
    retained: usize,
}

impl PendingBlocks {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn push(&mut self, due: Timestamp, index: TaskIndex, bytes: usize, now: Timestamp) {
        let bucket = self
            .buckets
            .entry(due.floor_to_minute())
            .or_insert_with(|| Waiting {
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
        self.buckets
            .values()
            .map(|bucket| bucket.since)
            .min()
            .map(|since| since.plus_millis(interval_ms))
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
        ripe.into_iter()
            .filter_map(|start| self.take(start))
            .collect()
    }

    /// Nobody has waited since a time that lies ahead.
    pub(crate) fn clock_went_back(&mut self, now: Timestamp) {
        for bucket in self.buckets.values_mut() {
            bucket.since = bucket.since.min(now);
        }
    }

    /// Takes the facts due in a stretch of time: it is being read.
    pub(crate) fn take_between(
        &mut self,
        from: Timestamp,
        until: Timestamp,
        due_of: impl Fn(TaskIndex) -> Timestamp,
        bytes_of: impl Fn(TaskIndex) -> usize,
        now: Timestamp,
    ) -> Vec<TaskIndex> {
        let buckets = self.buckets.range(from.floor_to_minute()..until.max(from));
        let touched: Vec<Timestamp> = buckets.map(|(start, _)| *start).collect();
        let mut taken = Vec::new();
        for start in touched {
            let Some((_, indices)) = self.take(start) else {
                continue;
            };
            for index in indices {
                if (from..until).contains(&due_of(index)) {
                    taken.push(index);
                } else {
                    self.push(due_of(index), index, bytes_of(index), now);
                }
            }
        }
        taken
    }

    /// Facts of the minutes that a stretch of time touches.
    pub(crate) fn begun_between(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = TaskIndex> {
        self.buckets(from, until)
            .flat_map(|(_, indices)| indices.iter().copied())
    }

    /// Whether there are twice as many as when they were looked through, so that doing it again
    /// costs each of them little.
    pub(crate) fn has_grown(&self) -> bool {
        self.length >= GROWN_FACTS_MIN.max(2 * self.retained)
    }

    /// Looks through all of them: the bytes of one that is to stay.
    pub(crate) fn retain(&mut self, mut bytes_of: impl FnMut(TaskIndex) -> Option<usize>) {
        self.buckets.retain(|_, bucket| {
            bucket.bytes = 0;
            bucket.indices.retain(|index| {
                let bytes = bytes_of(*index);
                bucket.bytes += bytes.unwrap_or(0);
                bytes.is_some()
            });
            !bucket.indices.is_empty()
        });
        self.length = self
            .buckets
            .values()
            .map(|bucket| bucket.indices.len())
            .sum();
        self.retained = self.length;
    }

    /// Every fact that waits.
    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskIndex> {
        self.buckets
            .values()
            .flat_map(|bucket| bucket.indices.iter().copied())
    }

    /// The facts that wait, by bucket.
    pub(crate) fn buckets(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, &[TaskIndex])> {
        let buckets = self.buckets.range(from.floor_to_minute()..until.max(from));
        buckets.map(|(start, bucket)| (*start, bucket.indices.as_slice()))
    }

    fn take(&mut self, start: Timestamp) -> Option<(Timestamp, Vec<TaskIndex>)> {
        let bucket = self.buckets.remove(&start)?;
        self.length -= bucket.indices.len();
        self.retained = self.retained.min(self.length);
        Some((start, bucket.indices))
    }
}
