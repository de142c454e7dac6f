//! Where a block stands: day, minute, slice, first due time, and a name that contains its content.

use minutehand_model::{Block, LogOffset, PartitionId, Timestamp, time};
use xxhash_rust::xxh3::xxh3_128;

/// The length of a slice. Part of the stored format: a minute of 6 million tasks of 300 bytes in
/// two partitions makes slices of some 60 MB, and a thin minute, whose one block begins anywhere,
/// has only the slices that have blocks.
pub(crate) const SLICE_MS: i64 = 4_000;
const _: () = assert!(time::MINUTE_MS % SLICE_MS == 0, "slices fill a minute");

/// A slice of a minute: one partition of the table of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slice {
    /// The start of the minute.
    pub(crate) bucket: Timestamp,
    /// From 0.
    pub(crate) number: i16,
}

impl Slice {
    /// The slice that a time lies in.
    pub(crate) fn of(at: Timestamp) -> Slice {
        let bucket = at.floor_to_minute();
        debug_assert!(
            (0..time::MINUTE_MS).contains(&at.millis_since(bucket)),
            "a time lies in its minute"
        );
        Slice {
            bucket,
            number: (at.millis_since(bucket) / SLICE_MS) as i16,
        }
    }

    /// The first time in it.
    pub(crate) fn begins(self) -> Timestamp {
        self.bucket.plus_millis(i64::from(self.number) * SLICE_MS)
    }

    /// The first time after it.
    pub(crate) fn ends(self) -> Timestamp {
        self.begins().plus_millis(SLICE_MS)
    }
}

/// The start of the UTC day that a time lies in.
pub(crate) fn day_of(at: Timestamp) -> Timestamp {
    let at = within_reach(at).as_millis();
    Timestamp::from_millis(at - at.rem_euclid(time::DAY_MS))
}

/// A time that can be floored and multiplied without leaving the range; nothing is filed beyond it.
pub(crate) fn within_reach(at: Timestamp) -> Timestamp {
    const FAR_MS: i64 = i64::MAX / 4;
    at.max(Timestamp::from_millis(-FAR_MS))
        .min(Timestamp::from_millis(FAR_MS))
}

/// A block's name: its lowest and highest offset and the hash of its bytes. The offsets alone do
/// not name it where a stale owner can still write: that owner and its successor pack the same
/// facts into different blocks, and one that holds less must not replace one that holds more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlockName([u8; BlockName::BYTES]);

impl BlockName {
    const BYTES: usize = 32;

    pub(crate) fn of(block: &Block, content: &[u8]) -> BlockName {
        debug_assert!(
            block.first_offset <= block.last_offset,
            "a block's offsets are in order"
        );
        let mut name = [0; BlockName::BYTES];
        name[..8].copy_from_slice(&block.first_offset.bits().to_be_bytes());
        name[8..16].copy_from_slice(&block.last_offset.bits().to_be_bytes());
        name[16..].copy_from_slice(&xxh3_128(content).to_be_bytes());
        BlockName(name)
    }

    /// `None` when these bytes are not a name.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<BlockName> {
        let name = BlockName(bytes.try_into().ok()?);
        name.offset_at(0).and(name.offset_at(8)).map(|_| name)
    }

    fn offset_at(&self, from: usize) -> Option<LogOffset> {
        LogOffset::from_bits(u64::from_be_bytes(std::array::from_fn(|index| {
            self.0[from + index]
        })))
    }

    pub(crate) fn to_array(self) -> [u8; BlockName::BYTES] {
        self.0
    }

    pub(crate) fn offsets(&self) -> (LogOffset, LogOffset) {
        let at = |from| self.offset_at(from).expect("a name holds offsets");
        (at(0), at(8))
    }

    /// The names that begin with an offset: from the first, which belongs to them, to the second,
    /// which does not.
    pub(crate) fn beginning_with(first_offset: LogOffset) -> (Vec<u8>, Vec<u8>) {
        let bounds = |bits: u64| bits.to_be_bytes().to_vec();
        (bounds(first_offset.bits()), bounds(first_offset.bits() + 1))
    }
}

/// Where a block stands, for an operator.
pub(crate) fn position(partition: PartitionId, first_due: Timestamp, name: &[u8]) -> String {
    let offsets = match BlockName::from_bytes(name).map(|name| name.offsets()) {
        Some((first, last)) => format!("offsets {first} to {last}"),
        None => "without a proper name".to_owned(),
    };
    let Slice { bucket, number } = Slice::of(first_due);
    format!(
        "timetable of partition {partition}, bucket {bucket}, slice {number}, block at {first_due}, {offsets}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn slices_follow_each_other_through_a_minute() {
        let slice = |ms| Slice::of(at(ms));
        assert_eq!(
            slice(0),
            Slice {
                bucket: at(0),
                number: 0
            }
        );
        assert_eq!(slice(3_999), slice(0));
        assert_eq!(slice(4_000).number, 1);
        assert_eq!(slice(59_999).number, 14);
        assert_eq!(
            slice(-1),
            Slice {
                bucket: at(-60_000),
                number: 14
            }
        );
        assert!(slice(59_999) < slice(60_000));
        assert_eq!(slice(4_001).begins(), at(4_000));
        assert_eq!(slice(59_999).ends(), at(60_000));
    }

    #[test]
    fn the_ends_of_time_have_a_day() {
        assert!(day_of(Timestamp::MIN) < day_of(at(0)) && day_of(at(0)) < day_of(Timestamp::MAX));
        assert_eq!(day_of(at(time::DAY_MS - 1)), at(0));
        assert_eq!(day_of(at(-1)), at(-time::DAY_MS));
    }

    #[test]
    fn a_name_changes_with_the_content() {
        let block = Block {
            partition: PartitionId::own(0),
            bucket: at(0),
            first_offset: LogOffset::at(3),
            last_offset: LogOffset::MAX,
            entries: Vec::new(),
        };
        let (one, other) = (
            BlockName::of(&block, b"one"),
            BlockName::of(&block, b"other"),
        );
        assert_ne!(one, other);
        assert_eq!(one.offsets(), (LogOffset::at(3), LogOffset::MAX));
        let (low, high) = BlockName::beginning_with(LogOffset::at(3));
        assert!(low.as_slice() <= &one.0[..] && &one.0[..] < high.as_slice());
        assert_eq!(BlockName::from_bytes(&one.to_array()), Some(one));
        assert_eq!(BlockName::from_bytes(b"short"), None);
        assert_eq!(BlockName::from_bytes(&[0xff; 32]), None);
        assert!(position(PartitionId::own(1), at(4_000), b"x").contains("proper name"));
    }
}
