//! A set of numbers that mostly lie next to each other: what was settled out of order.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};
use minutehand_record::put_varint;

/// Disjoint ranges that do not touch: start to end (exclusive).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    ranges: BTreeMap<u64, u64>,
    count: u64,
}

impl Ranges {
    /// How many numbers it holds.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many numbers below `end` it holds.
    pub(crate) fn count_below(&self, end: u64) -> u64 {
        self.ranges
            .range(..end)
            .map(|(first, last)| (*last).min(end) - first)
            .sum()
    }

    /// The end of the range that holds the number.
    pub(crate) fn end_of(&self, number: u64) -> Option<u64> {
        self.ranges
            .range(..=number)
            .next_back()
            .map(|(_, end)| *end)
            .filter(|end| number < *end)
    }

    /// Whether it holds the number.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.end_of(number).is_some()
    }

    /// Adds the numbers from `first` to `end` (exclusive).
    pub(crate) fn insert(&mut self, first: u64, end: u64) {
        let (mut first, mut end) = (first, end);
        if first >= end {
            return;
        }
        if let Some((start, last)) = self
            .ranges
            .range(..=first)
            .next_back()
            .map(|(start, last)| (*start, *last))
            && last >= first
        {
            first = start;
            end = end.max(last);
        }
        while let Some((start, last)) = self
            .ranges
            .range(first..=end)
            .next()
            .map(|(start, last)| (*start, *last))
        {
            self.ranges.remove(&start);
            self.count -= last - start;
            end = end.max(last);
        }
        self.ranges.insert(first, end);
        self.count += end - first;
    }

    /// Takes away what follows `cursor` without a hole, and answers where that ends.
    pub(crate) fn advance(&mut self, cursor: u64) -> u64 {
        match self.ranges.first_key_value() {
            Some((first, end)) if *first <= cursor => {
                let (first, end) = (*first, *end);
                self.ranges.remove(&first);
                self.count -= end - first;
                end.max(cursor)
            }
            _ => cursor,
        }
    }

    /// Writes the ranges: their count, then the distances between their ends.
    pub(crate) fn encode(&self, base: u64, buffer: &mut BytesMut) {
        put_varint(buffer, self.ranges.len() as u64);
        let mut last = base;
        for (first, end) in &self.ranges {
            put_varint(buffer, first - last);
            put_varint(buffer, end - first);
            last = *end;
        }
    }

    /// Reads what [`Ranges::encode`] wrote.
    pub(crate) fn decode(base: u64, bytes: &mut &[u8]) -> Option<Ranges> {
        let mut ranges = Ranges::default();
        let mut last = base;
        for _ in 0..varint(bytes)? {
            let first = last.checked_add(varint(bytes)?)?;
            last = first.checked_add(varint(bytes)?)?;
            ranges.insert(first, last);
        }
        Some(ranges)
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = bytes.has_remaining().then(|| bytes.get_u8())?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn behaves_as_a_set_of_numbers() {
        let mut random = 1_u64;
        for _ in 0..300 {
            let (mut ranges, mut set, mut cursor) = (Ranges::default(), BTreeSet::new(), 100_u64);
            for _ in 0..60 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let (first, length) = (cursor + (random >> 33) % 50, (random >> 50) % 4);
                ranges.insert(first, first + length);
                set.extend(first..first + length);
                assert_eq!(ranges.count(), set.len() as u64);
                assert_eq!(
                    ranges.count_below(first + 2),
                    set.range(..first + 2).count() as u64
                );
                assert!(
                    (cursor..cursor + 60)
                        .all(|number| ranges.contains(number) == set.contains(&number))
                );
                cursor = ranges.advance(cursor);
                set = set.split_off(&cursor);
                assert!(
                    !set.contains(&cursor),
                    "advanced over everything without a hole"
                );
                let mut buffer = BytesMut::new();
                ranges.encode(cursor, &mut buffer);
                assert_eq!(Ranges::decode(cursor, &mut &buffer[..]).unwrap(), ranges);
            }
        }
    }
}
