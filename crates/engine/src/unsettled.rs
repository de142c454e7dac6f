//! Which log offsets a successor would have to read again: what R is computed from.

use std::collections::{BTreeMap, VecDeque};

use minutehand_model::{LogGeneration, LogOffset};

/// Positions are counted in chunks of this many; R is exact to a chunk, and never too high.
const CHUNK_POSITIONS: u64 = 256;

/// Counts effects that live in memory only, by the log offset they stem from.
///
/// Each log has counters of its own: between two logs lies no position, but a gap of 2^48 numbers.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    logs: BTreeMap<LogGeneration, Chunks>,
}

impl Unsettled {
    /// An effect of the record at `offset` is in memory only.
    pub(crate) fn add(&mut self, offset: LogOffset) {
        self.logs
            .entry(offset.generation())
            .or_default()
            .add(offset.position() / CHUNK_POSITIONS);
    }

    /// That effect is stored, or behind F and forgotten.
    pub(crate) fn remove(&mut self, offset: LogOffset) {
        let chunks = self.logs.get_mut(&offset.generation());
        let was_there =
            chunks.is_some_and(|chunks| chunks.remove(offset.position() / CHUNK_POSITIONS));
        debug_assert!(was_there, "offset {offset} was settled twice");
    }

    /// A bound at or below the lowest unsettled offset; `None` when there is none.
    pub(crate) fn lowest(&self) -> Option<LogOffset> {
        let (generation, chunk) = self
            .logs
            .iter()
            .find_map(|(generation, chunks)| Some((*generation, chunks.lowest()?)))?;
        let bound = LogOffset::of_log(generation, chunk * CHUNK_POSITIONS);
        Some(bound.expect("a chunk begins at or below an offset in it"))
    }
}

/// The counters of one log.
#[derive(Debug, Default)]
struct Chunks {
    /// The chunk number of the first counter.
    base: u64,
    counts: VecDeque<u32>,
}

impl Chunks {
    fn add(&mut self, chunk: u64) {
        if self.counts.is_empty() {
            self.base = chunk;
        }
        while chunk < self.base {
            self.counts.push_front(0);
            self.base -= 1;
        }
        let index = (chunk - self.base) as usize;
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
    }

    /// Whether there was something to remove.
    fn remove(&mut self, chunk: u64) -> bool {
        let index = chunk.checked_sub(self.base).map(|index| index as usize);
        let count = index
            .and_then(|index| self.counts.get_mut(index))
            .filter(|count| **count > 0);
        let was_there = count.is_some();
        if let Some(count) = count {
            *count -= 1;
        }
        while self.counts.front() == Some(&0) {
            self.counts.pop_front();
            self.base += 1;
        }
        was_there
    }

    fn lowest(&self) -> Option<u64> {
        (!self.counts.is_empty()).then_some(self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_follows_the_lowest_chunk() {
        let mut unsettled = Unsettled::default();
        assert_eq!(unsettled.lowest(), None);
        let at = LogOffset::at;
        for offset in [1_000, 300, 700, 301] {
            unsettled.add(at(offset));
        }
        assert_eq!(unsettled.lowest(), Some(at(256)));
        unsettled.remove(at(300));
        assert_eq!(unsettled.lowest(), Some(at(256)));
        unsettled.remove(at(301));
        assert_eq!(unsettled.lowest(), Some(at(512)));
        unsettled.remove(at(1_000));
        unsettled.remove(at(700));
        assert_eq!(unsettled.lowest(), None);
    }

    #[test]
    fn a_later_log_is_counted_beside_the_earlier_one() {
        let later = |position| LogOffset::of_log(LogGeneration::new(3).unwrap(), position).unwrap();
        let mut unsettled = Unsettled::default();
        unsettled.add(later(900));
        unsettled.add(LogOffset::at(5_000));
        unsettled.add(later(20));
        assert_eq!(unsettled.lowest(), Some(LogOffset::at(4_864)));
        unsettled.remove(LogOffset::at(5_000));
        assert_eq!(unsettled.lowest(), Some(later(0)));
        unsettled.remove(later(20));
        assert_eq!(unsettled.lowest(), Some(later(768)));
    }
}
