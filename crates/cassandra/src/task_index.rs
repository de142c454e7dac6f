//! The index of tasks: where a task's block is filed, by a fingerprint of the task's key; many
//! tasks to a row.
//!
//! A row for each task would cost more than the tasks themselves. So what is written together is
//! gathered by the day it is due and by a shard of the keys, and each gathering is one row. How
//! many shards a day has depends on how much is written at once: at level l there are 8^l, and the
//! level is the highest at which a row still holds [`ROW_TASKS_MIN`]. Rows of a level are merged
//! into the next one when there are many (`index_tiers.rs`), so each level has generations. A
//! look-up reads one shard of each generation of each day that has tasks, then the blocks that are
//! pointed to.
//!
//! A row is a version byte and entries of 20 bytes, little-endian: fingerprint (8), first due time
//! of the block in milliseconds of its day (4), first offset of the block (8).

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use minutehand_model::{Block, LogOffset, PartitionId, TaskKey, Timestamp, time};
use xxhash_rust::xxh3::xxh3_128;

use crate::keys::day_of;

const VERSION: u8 = 2;
const ENTRY_BYTES: usize = 20;
const _: () = assert!(
    ENTRY_BYTES == size_of::<u64>() + size_of::<u32>() + size_of::<u64>(),
    "an entry is a fingerprint, a time in its day and an offset"
);
const _: () = assert!(
    time::DAY_MS <= u32::MAX as i64,
    "every time of a day has a number"
);
/// Tasks that a row should have at least before a level with more shards is taken.
const ROW_TASKS_MIN: usize = 64;
/// The highest level, of 4,096 shards.
pub(crate) const LEVEL_MAX: i16 = 4;
/// Of the number of a shelf, these bits are the level.
const LEVEL_BITS: u32 = 3;
/// The level of days whose tasks are not indexed.
pub(crate) const NOT_INDEXED: i16 = -1;

/// A generation of a level, as one number: the columns `level` and `index_level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shelf(i16);

impl Shelf {
    /// The first generation of a level.
    pub(crate) fn first(level: i16) -> Shelf {
        assert!(
            (0..=LEVEL_MAX).contains(&level),
            "there is no level {level}"
        );
        Shelf(level)
    }

    /// As it is stored; `None` for a day that is not indexed, and for what no release writes.
    pub(crate) fn of_number(number: i16) -> Option<Shelf> {
        (number >= 0 && number % (1 << LEVEL_BITS) <= LEVEL_MAX).then_some(Shelf(number))
    }

    pub(crate) fn number(self) -> i16 {
        self.0
    }

    /// What stands in the list of a day when this generation and all before it were merged, or are
    /// being merged: whoever still writes there files its rows again.
    pub(crate) fn seal(self) -> i16 {
        NOT_INDEXED - 1 - self.0
    }

    /// The generation of a seal.
    pub(crate) fn of_seal(seal: i16) -> Option<Shelf> {
        Shelf::of_number((NOT_INDEXED - 1).checked_sub(seal)?)
    }

    pub(crate) fn level(self) -> i16 {
        self.0 % (1 << LEVEL_BITS)
    }

    /// The generation after it. Beyond the last, some 4,000 a day, rows are filed there without
    /// ever being merged.
    pub(crate) fn next(self) -> Shelf {
        self.0.checked_add(1 << LEVEL_BITS).map_or(self, Shelf)
    }

    /// Whether there is none after it.
    pub(crate) fn is_last(self) -> bool {
        self.next() == self
    }

    /// How many shards it has.
    pub(crate) fn shards(self) -> i16 {
        1 << (3 * self.level())
    }
}

const _: () = assert!(
    i16::MAX - (i16::MAX % (1 << LEVEL_BITS)) + LEVEL_MAX <= NOT_INDEXED - 1 - i16::MIN,
    "every generation has a seal"
);

/// A row of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexRow {
    pub(crate) partition: PartitionId,
    pub(crate) day: Timestamp,
    pub(crate) level: i16,
    pub(crate) shard: i16,
    /// Its name: a hash of the entries, so that a repeated write is the same row and no other is
    /// replaced.
    pub(crate) run: [u8; 16],
    pub(crate) entries: Bytes,
}

impl IndexRow {
    /// The day and the level that it is filed at.
    pub(crate) fn tier(&self) -> (PartitionId, Timestamp, i16) {
        (self.partition, self.day, self.level)
    }
}

/// Where a block with the task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) first_due: Timestamp,
    pub(crate) first_offset: LogOffset,
}

/// The rows for blocks that are written together.
pub(crate) fn rows(blocks: &[Block]) -> Vec<IndexRow> {
    let mut days: BTreeMap<(PartitionId, Timestamp), Vec<&Block>> = BTreeMap::new();
    for block in blocks {
        days.entry((block.partition, day_of(block.bucket)))
            .or_default()
            .push(block);
    }
    let mut rows = Vec::new();
    for ((partition, day), blocks) in days {
        let level = level(blocks.iter().map(|block| block.entries.len()).sum());
        let mut shards: BTreeMap<i16, BytesMut> = BTreeMap::new();
        for block in blocks {
            let first_due_in_day = block.first_due().millis_since(day) as u32;
            // A task has several entries in a block when it was voided or created again there; one
            // pointer is enough.
            let keys: BTreeSet<TaskKey> = block.entries.iter().map(|entry| entry.key).collect();
            for key in keys {
                let row = shards.entry(shard(level, key)).or_insert_with(new_row);
                row.put_u64_le(fingerprint(key));
                row.put_u32_le(first_due_in_day);
                row.put_u64_le(block.first_offset.bits());
            }
        }
        rows.extend(filed((partition, day, level), shards));
    }
    rows
}

/// The level for so many tasks.
fn level(tasks: usize) -> i16 {
    let mut level = 0;
    while level < LEVEL_MAX && tasks >= ROW_TASKS_MIN << (3 * (level + 1)) {
        level += 1;
    }
    level
}

/// The shard of a key at a level.
pub(crate) fn shard(level: i16, key: TaskKey) -> i16 {
    shard_of(level, fingerprint(key))
}

/// So many bits of the fingerprint.
fn shard_of(level: i16, fingerprint: u64) -> i16 {
    let shards = 1_u64 << (3 * level.clamp(0, LEVEL_MAX));
    (fingerprint & (shards - 1)) as i16
}

/// The rows of one shard, as rows of the next level. What two of them say alike is said once.
///
/// # Errors
/// Why a row cannot be understood.
pub(crate) fn merged(
    (partition, day, level): (PartitionId, Timestamp, i16),
    rows: &[Bytes],
) -> Result<Vec<IndexRow>, String> {
    let mut all: BTreeSet<&[u8]> = BTreeSet::new();
    for row in rows {
        all.extend(entries_of(row)?.chunks_exact(ENTRY_BYTES));
    }
    let mut shards: BTreeMap<i16, BytesMut> = BTreeMap::new();
    for entry in all {
        let fingerprint = (&entry[..8]).get_u64_le();
        let row = shards
            .entry(shard_of(level + 1, fingerprint))
            .or_insert_with(new_row);
        row.put_slice(entry);
    }
    Ok(filed((partition, day, level + 1), shards))
}

fn new_row() -> BytesMut {
    BytesMut::from(&[VERSION][..])
}

fn filed(
    (partition, day, level): (PartitionId, Timestamp, i16),
    shards: BTreeMap<i16, BytesMut>,
) -> Vec<IndexRow> {
    let row = |(shard, entries): (i16, BytesMut)| {
        debug_assert!(entries_of(&entries).is_ok(), "what is filed can be read");
        let run = xxh3_128(&entries).to_be_bytes();
        IndexRow {
            partition,
            day,
            level,
            shard,
            run,
            entries: entries.freeze(),
        }
    };
    shards.into_iter().map(row).collect()
}

/// The upper half of the key.
fn fingerprint(key: TaskKey) -> u64 {
    (key.0 >> 64) as u64
}

/// The entries of a row.
fn entries_of(row: &[u8]) -> Result<&[u8], String> {
    let entries = match row.split_first() {
        Some((&VERSION, entries)) => entries,
        Some((version, _)) => {
            return Err(format!(
                "unknown version {version} (this build knows {VERSION})"
            ));
        }
        None => return Err("it is empty".to_owned()),
    };
    if !entries.len().is_multiple_of(ENTRY_BYTES) {
        return Err(format!(
            "{} bytes are not a whole number of entries",
            entries.len()
        ));
    }
    Ok(entries)
}

/// The places in a row that a task may be at.
///
/// # Errors
/// Why the row cannot be understood.
pub(crate) fn places(day: Timestamp, entries: &[u8], key: TaskKey) -> Result<Vec<Place>, String> {
    let entries = entries_of(entries)?;
    let wanted = fingerprint(key).to_le_bytes();
    let hits = entries
        .chunks_exact(ENTRY_BYTES)
        .filter(|entry| entry[..8] == wanted);
    let place = |entry: &[u8]| {
        let mut rest = &entry[8..];
        let first_due = day.plus_millis(i64::from(rest.get_u32_le()));
        let first_offset =
            LogOffset::from_bits(rest.get_u64_le()).ok_or("an entry names no log offset")?;
        Ok(Place {
            first_due,
            first_offset,
        })
    };
    hits.map(place).collect()
}

#[cfg(test)]
mod tests {
    use minutehand_model::{Fact, TimetableEntry};

    use super::*;

    const DAY: Timestamp = Timestamp::from_millis(1_800_057_600_000);

    fn key(number: u64) -> TaskKey {
        TaskKey::of("default", &format!("t-{number}"))
    }

    fn block(minute: i64, keys: std::ops::Range<u64>) -> Block {
        let due = DAY.plus_millis(minute * 60_000 + 7);
        let entry = |number| TimetableEntry {
            key: key(number),
            due,
            offset: LogOffset::at(number),
            appended_at: DAY,
            fact: Fact::Void,
        };
        Block {
            partition: PartitionId::own(1),
            bucket: due.floor_to_minute(),
            first_offset: LogOffset::at(keys.start),
            last_offset: LogOffset::at(keys.end),
            entries: keys.map(entry).collect(),
        }
    }

    #[test]
    fn a_task_is_found_in_the_row_of_its_shard_and_in_no_other() {
        for count in [1, 500, 600, 9_000] {
            let blocks: Vec<Block> = (0..3).map(|minute| block(minute, 0..count)).collect();
            let rows = rows(&blocks);
            for number in [0, count / 2, count - 1] {
                for row in &rows {
                    let found = places(row.day, &row.entries, key(number)).unwrap();
                    let expected = if row.shard == shard(row.level, key(number)) {
                        3
                    } else {
                        0
                    };
                    assert_eq!(found.len(), expected, "{count} tasks, level {}", row.level);
                    assert!(
                        found
                            .iter()
                            .all(|place| place.first_offset == LogOffset::START
                                && place.first_due >= DAY)
                    );
                }
            }
            let tasks = 3 * count as usize;
            assert!(
                rows.len() * 32 <= tasks || rows.len() == 1,
                "{} rows for {tasks} tasks",
                rows.len()
            );
        }
    }

    #[test]
    fn shards_are_added_only_when_each_row_has_64_tasks() {
        let cases = [
            (0, 0),
            (511, 0),
            (512, 1),
            (4_095, 1),
            (4_096, 2),
            (32_768, 3),
            (usize::MAX >> 16, 4),
        ];
        for (tasks, expected) in cases {
            assert_eq!(level(tasks), expected, "{tasks}");
        }
        assert_eq!(shard(4, TaskKey(u128::MAX)), 4_095);
        assert_eq!(Shelf::first(4).shards(), 4_096);
    }

    #[test]
    fn merged_rows_find_what_the_rows_before_found() {
        let writes = [block(0, 0..100), block(1, 50..150), block(2, 0..100)];
        let before: Vec<IndexRow> = writes
            .iter()
            .flat_map(|one| rows(std::slice::from_ref(one)))
            .collect();
        assert!(before.iter().all(|row| (row.level, row.shard) == (0, 0)));
        let contents: Vec<Bytes> = before
            .iter()
            .chain(&before[..1])
            .map(|row| row.entries.clone())
            .collect();
        let after = merged((PartitionId::own(1), DAY, 0), &contents).unwrap();
        assert_eq!(after.len(), 8);
        let found = |rows: &[IndexRow], number| {
            let of_shard = rows
                .iter()
                .filter(|row| row.shard == shard(row.level, key(number)));
            of_shard
                .flat_map(|row| places(DAY, &row.entries, key(number)).unwrap())
                .collect::<BTreeSet<_>>()
        };
        for number in 0..150 {
            assert_eq!(
                found(&after, number),
                found(&before, number),
                "task {number}"
            );
        }
        assert_eq!(
            after
                .iter()
                .map(|row| row.entries.len() / ENTRY_BYTES)
                .sum::<usize>(),
            300
        );
    }

    #[test]
    fn a_shelf_is_a_level_and_a_generation_in_one_number() {
        let (first, second) = (Shelf::first(2), Shelf::first(2).next());
        assert!(
            second > first
                && second.level() == 2
                && Shelf::of_number(second.number()) == Some(second)
        );
        assert_eq!([-1, 5, 6, 7, 13].map(Shelf::of_number), [None; 5]);
        assert_eq!(Shelf::first(0).seal(), -2);
        assert_eq!(
            Shelf::of_number(second.seal()),
            None,
            "a seal is not a shelf"
        );
        assert_eq!(Shelf::of_seal(second.seal()), Some(second));
        assert_eq!([NOT_INDEXED, 0, 9].map(Shelf::of_seal), [None; 3]);
        let last = std::iter::successors(Some(first), |shelf| Some(shelf.next())).nth(5_000);
        assert_eq!(
            last.map(Shelf::level),
            Some(2),
            "there is no generation beyond the last"
        );
    }

    #[test]
    fn days_and_partitions_are_apart_and_a_repetition_is_the_same() {
        let mut other = block(0, 0..5);
        other.partition = PartitionId::own(2);
        let blocks = [block(0, 0..5), block(1_440, 0..5), other];
        let rows = rows(&blocks);
        assert_eq!(rows.len(), 3);
        assert_eq!(rows, super::rows(&blocks));
    }

    #[test]
    fn a_row_that_cannot_be_understood_is_no_answer() {
        let row = rows(&[block(0, 0..1)]).remove(0);
        let mut later = row.entries.to_vec();
        later[0] = 9;
        assert!(
            places(DAY, &later, key(0))
                .unwrap_err()
                .contains("unknown version 9")
        );
        assert!(
            places(DAY, &row.entries[..20], key(0))
                .unwrap_err()
                .contains("whole number")
        );
        assert!(places(DAY, &[], key(0)).is_err());
    }
}
