//! Which log offsets a successor would have to read again: what R is computed from.

use std::collections::VecDeque;

use minutehand_model::LogOffset;

/// Offsets are counted in chunks of this many; R is exact to a chunk, and never too high.
const CHUNK_OFFSETS: u64 = 256;

/// Counts effects that live in memory only, by the log offset they stem from.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    /// The chunk number of the first counter.
    base: u64,
    counts: VecDeque<u32>,
}

impl Unsettled {
    /// An effect of the record at `offset` is in memory only.
    pub(crate) fn add(&mut self, offset: LogOffset) {
        let chunk = offset / CHUNK_OFFSETS;
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

    /// That effect is stored, or behind F and forgotten.
    pub(crate) fn remove(&mut self, offset: LogOffset) {
        let index = (offset / CHUNK_OFFSETS).checked_sub(self.base).map(|index| index as usize);
        match index.and_then(|index| self.counts.get_mut(index)) {
            Some(count) if *count > 0 => *count -= 1,
            _ => debug_assert!(false, "offset {offset} was settled twice"),
        }
        while self.counts.front() == Some(&0) {
            self.counts.pop_front();
            self.base += 1;
        }
    }

    /// A bound at or below the lowest unsettled offset; `None` when there is none.
    pub(crate) fn lowest(&self) -> Option<LogOffset> {
        (!self.counts.is_empty()).then_some(self.base * CHUNK_OFFSETS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_follows_the_lowest_chunk() {
        let mut unsettled = Unsettled::default();
        assert_eq!(unsettled.lowest(), None);
        for offset in [1_000, 300, 700, 301] {
            unsettled.add(offset);
        }
        assert_eq!(unsettled.lowest(), Some(256));
        unsettled.remove(300);
        assert_eq!(unsettled.lowest(), Some(256));
        unsettled.remove(301);
        assert_eq!(unsettled.lowest(), Some(512));
        unsettled.remove(1_000);
        unsettled.remove(700);
        assert_eq!(unsettled.lowest(), None);
    }
}
