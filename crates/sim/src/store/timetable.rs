//! The timetable of one partition: blocks by first due time, and revisions of schedules.

use std::collections::BTreeMap;
use std::ops::Bound;

use minutehand_model::{
    Block, Fact, LogOffset, RevisionEntry, SetAside, TaskKey, Timestamp, TimetableEntry,
    TimetablePage,
};

/// What names a block, in the order in which blocks are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BlockName {
    first_due: Timestamp,
    bucket: Timestamp,
    first_offset: LogOffset,
    last_offset: LogOffset,
    /// A hash of what it holds: one that begins and ends with the same records may hold others
    /// between them.
    content: u64,
}

#[derive(Clone, Debug)]
struct StoredBlock {
    entries: Vec<TimetableEntry>,
    bytes: usize,
    /// Set when the stored bytes can no longer be understood.
    damage: Option<SetAside>,
}

/// Promises that the timetable breaks; planted bugs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TimetableFlaws {
    /// A block replaces another with the same first due time.
    pub(crate) overwrites: bool,
    /// A page says that it is complete although blocks were left out.
    pub(crate) overclaims: bool,
    /// Blocks with the same first due time are split between pages, and the rest is never read.
    pub(crate) splits: bool,
}

/// Blocks and revisions of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimetableStore {
    blocks: BTreeMap<BlockName, StoredBlock>,
    revisions: BTreeMap<LogOffset, RevisionEntry>,
    pub(crate) flaws: TimetableFlaws,
    /// Tasks in blocks that were damaged: (key, due).
    pub(crate) damaged_tasks: Vec<(TaskKey, Timestamp)>,
    pub(crate) blocks_written: u64,
}

fn entry_bytes(entry: &TimetableEntry) -> usize {
    let task_bytes = match &entry.fact {
        Fact::Runs(task) => task.encoded.len(),
        Fact::Void => 0,
    };
    task_bytes + 48
}

/// What tells a block from others of the same first and last record.
fn content_of(block: &Block) -> u64 {
    block.entries.iter().fold(0, |content: u64, entry| {
        let is_void = u64::from(matches!(entry.fact, Fact::Void));
        let said = entry.key.low()
            ^ entry.due.as_millis() as u64
            ^ entry.offset.bits().rotate_left(20)
            ^ is_void;
        (content.rotate_left(5) ^ said).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// Flips one bit of a block's stored form and reads it again.
fn damaged(block: &Block, bit: u64) -> Option<SetAside> {
    let mut bytes = minutehand_record::block::encode(block).to_vec();
    let bit = bit % (bytes.len() as u64 * 8);
    bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
    let error = minutehand_record::block::decode(block.partition, &bytes).err()?;
    Some(SetAside::new(
        format!(
            "block {}/{}-{}",
            block.bucket, block.first_offset, block.last_offset
        ),
        error.to_string(),
        bytes.into(),
    ))
}

impl TimetableStore {
    /// Stores a block; one of the same name is replaced. `flip_bit` damages it on its way.
    pub(crate) fn write_block(&mut self, block: Block, flip_bit: Option<u64>) {
        self.blocks_written += 1;
        let name = BlockName {
            first_due: block.first_due(),
            bucket: block.bucket,
            first_offset: block.first_offset,
            last_offset: block.last_offset,
            content: content_of(&block),
        };
        let damage = flip_bit.and_then(|bit| damaged(&block, bit));
        if damage.is_some() {
            self.damaged_tasks
                .extend(block.entries.iter().map(|entry| (entry.key, entry.due)));
        }
        if self.flaws.overwrites {
            let least = BlockName {
                first_offset: LogOffset::START,
                last_offset: LogOffset::START,
                ..name
            };
            let most = BlockName {
                first_offset: LogOffset::MAX,
                last_offset: LogOffset::MAX,
                ..name
            };
            let others = least..=most;
            let others: Vec<BlockName> = self.blocks.range(others).map(|(name, _)| *name).collect();
            for other in others {
                self.blocks.remove(&other);
            }
        }
        let bytes = block.entries.iter().map(entry_bytes).sum::<usize>() + 64;
        self.blocks.insert(
            name,
            StoredBlock {
                entries: block.entries,
                bytes,
                damage,
            },
        );
    }

    /// Blocks whose first due time lies in `from..until`, until about `bytes_max` bytes are read.
    pub(crate) fn read(
        &self,
        from: Timestamp,
        until: Timestamp,
        bytes_max: usize,
    ) -> TimetablePage {
        let mut page = TimetablePage {
            complete_until: until,
            ..TimetablePage::default()
        };
        let lowest = BlockName {
            first_due: from,
            bucket: Timestamp::MIN,
            first_offset: LogOffset::START,
            last_offset: LogOffset::START,
            content: 0,
        };
        let mut bytes = 0;
        let mut last_due = None;
        for (name, block) in self
            .blocks
            .range((Bound::Included(lowest), Bound::Unbounded))
        {
            if name.first_due >= until {
                break;
            }
            let may_break = self.flaws.splits || last_due != Some(name.first_due);
            if bytes >= bytes_max && last_due.is_some() && may_break {
                if !self.flaws.overclaims {
                    let splits = self.flaws.splits && last_due == Some(name.first_due);
                    page.complete_until = name.first_due.plus_millis(i64::from(splits));
                }
                break;
            }
            bytes += block.bytes;
            last_due = Some(name.first_due);
            match &block.damage {
                Some(set_aside) => page.set_aside.push(set_aside.clone()),
                None => page.entries.extend(block.entries.iter().cloned()),
            }
        }
        page
    }

    /// Every stored entry of a task, in order of their offsets.
    pub(crate) fn find(&self, key: TaskKey) -> Vec<TimetableEntry> {
        let readable = self.blocks.values().filter(|block| block.damage.is_none());
        let mut found: Vec<TimetableEntry> = readable
            .flat_map(|block| &block.entries)
            .filter(|entry| entry.key == key)
            .cloned()
            .collect();
        found.sort_by_key(|entry| (entry.offset, entry.due));
        found.dedup();
        found
    }

    /// Those of them that are due at a time.
    pub(crate) fn find_due(&self, key: TaskKey, due: Timestamp) -> Vec<TimetableEntry> {
        let mut found = self.find(key);
        found.retain(|entry| entry.due == due);
        found
    }

    /// (bucket, tasks, bytes) of the minutes that start in `from..until`.
    pub(crate) fn loads(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Vec<minutehand_model::BucketLoad> {
        let mut loads: BTreeMap<Timestamp, (u64, u64)> = BTreeMap::new();
        for (name, block) in self
            .blocks
            .iter()
            .filter(|(name, _)| (from..until).contains(&name.bucket))
        {
            let tasks = block
                .entries
                .iter()
                .filter(|entry| matches!(entry.fact, Fact::Runs(_)))
                .count();
            let load = loads.entry(name.bucket).or_default();
            load.0 += tasks as u64;
            load.1 += block.bytes as u64;
        }
        let load = |(bucket, (tasks, bytes))| minutehand_model::BucketLoad {
            bucket,
            tasks,
            bytes,
        };
        loads.into_iter().map(load).collect()
    }

    /// Forgets the buckets that start before a time.
    pub(crate) fn expire(&mut self, before: Timestamp) {
        // A block's first due time lies in its bucket, so the order of names is that of buckets.
        while self
            .blocks
            .first_key_value()
            .is_some_and(|(name, _)| name.bucket < before)
        {
            self.blocks.pop_first();
        }
    }

    pub(crate) fn write_revision(&mut self, entry: RevisionEntry) {
        self.revisions.insert(entry.offset, entry);
    }

    pub(crate) fn forget_revisions(&mut self, offsets: &[LogOffset]) {
        self.revisions.retain(|offset, _| !offsets.contains(offset));
    }

    pub(crate) fn revisions(&self) -> Vec<RevisionEntry> {
        self.revisions.values().cloned().collect()
    }
}

/// A block of one entry, for tests.
#[cfg(test)]
pub(crate) fn block_of(due_ms: i64, position: u64) -> Block {
    let (due, offset) = (Timestamp::from_millis(due_ms), LogOffset::at(position));
    let entry = TimetableEntry {
        key: TaskKey(u128::from(position)),
        due,
        offset,
        appended_at: Timestamp::from_millis(0),
        fact: Fact::Void,
    };
    Block {
        partition: minutehand_model::PartitionId::own(0),
        bucket: due.floor_to_minute(),
        first_offset: offset,
        last_offset: offset,
        entries: vec![entry],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(page: &TimetablePage) -> Vec<u64> {
        page.entries
            .iter()
            .map(|entry| entry.offset.position())
            .collect()
    }

    fn ms(at_ms: i64) -> Timestamp {
        Timestamp::from_millis(at_ms)
    }

    #[test]
    fn pages_keep_equal_due_times_together_and_say_where_they_end() {
        let mut timetable = TimetableStore::default();
        for (due_ms, offset) in [(500, 1), (100, 2), (100, 3), (900, 4)] {
            timetable.write_block(block_of(due_ms, offset), None);
        }
        let first = timetable.read(ms(0), ms(900), 1);
        assert_eq!(
            (offsets(&first), first.complete_until),
            (vec![2, 3], ms(500))
        );
        let second = timetable.read(ms(500), ms(900), 1);
        assert_eq!(
            (offsets(&second), second.complete_until),
            (vec![1], ms(900))
        );
    }

    #[test]
    fn a_damaged_block_is_set_aside_and_the_others_are_read() {
        let mut timetable = TimetableStore::default();
        timetable.write_block(block_of(100, 1), Some(100));
        timetable.write_block(block_of(200, 2), None);
        let page = timetable.read(ms(0), ms(900), 10_000);
        assert_eq!(offsets(&page), [2]);
        assert_eq!(page.set_aside.len(), 1);
        assert_eq!(timetable.damaged_tasks, [(TaskKey(1), ms(100))]);
    }

    #[test]
    fn expiry_takes_whole_minutes() {
        let mut timetable = TimetableStore::default();
        timetable.write_block(block_of(59_999, 1), None);
        timetable.write_block(block_of(60_000, 2), None);
        timetable.expire(ms(60_000));
        assert_eq!(offsets(&timetable.read(ms(0), ms(900_000), 10_000)), [2]);
    }
}
