//! The keys of all rows: numbers big-endian, so that rows lie in the order in which they are read.

use bytes::Buf;
use minutehand_model::{
    LogOffset, Namespace, PartitionId, QueueName, ScheduleId, TaskKey, Timestamp,
};
use minutehand_ports::DeliveryId;

/// A time as eight bytes that sort as the times do.
fn time(at: Timestamp) -> [u8; 8] {
    ((at.as_millis() as u64) ^ (1 << 63)).to_be_bytes()
}

fn read_time(bytes: &mut &[u8]) -> Timestamp {
    Timestamp::from_millis((bytes.get_u64() ^ (1 << 63)) as i64)
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A row of the log: partition, offset of its first record, and how many it has, so that a damaged
/// row still says how far it reaches.
pub(crate) fn log_row(partition: PartitionId, first: LogOffset, count: u32) -> Vec<u8> {
    joined(&[
        &partition.bits().to_be_bytes(),
        &first.bits().to_be_bytes(),
        &count.to_be_bytes(),
    ])
}

/// The offset of a log row's first record, and the one behind its last.
pub(crate) fn log_row_of(key: &[u8]) -> Option<(LogOffset, LogOffset)> {
    let mut numbers = key.get(4..).filter(|numbers| numbers.len() == 12)?;
    let first = LogOffset::from_bits(numbers.get_u64())?;
    Some((first, first.plus(u64::from(numbers.get_u32()))))
}

/// A revision, or before every row of the log from an offset on: partition and offset.
pub(crate) fn offset(partition: PartitionId, offset: LogOffset) -> Vec<u8> {
    joined(&[
        &partition.bits().to_be_bytes(),
        &offset.bits().to_be_bytes(),
    ])
}

/// The offset of such a key.
pub(crate) fn offset_of(key: &[u8]) -> Option<LogOffset> {
    key.len()
        .eq(&12)
        .then(|| (&key[4..]).get_u64())
        .and_then(LogOffset::from_bits)
}

/// A row of one partition.
pub(crate) fn partition(name: &str, partition: PartitionId) -> Vec<u8> {
    joined(&[name.as_bytes(), b"/", &partition.bits().to_be_bytes()])
}

/// A minute of the ledger: partition, its start, and the tick that closed it.
pub(crate) fn minute(partition: PartitionId, minute: Timestamp, closed_by: u64) -> Vec<u8> {
    joined(&[
        &partition.bits().to_be_bytes(),
        &time(minute),
        &closed_by.to_be_bytes(),
    ])
}

/// What keys of records that are passed over begin with.
pub(crate) const SKIP: &[u8] = b"skip/";

/// Records that are passed over, by partition and the offset of the first.
pub(crate) fn skip(partition: PartitionId, first: LogOffset) -> Vec<u8> {
    joined(&[SKIP, &offset(partition, first)])
}

/// Partition and offset of such a key.
pub(crate) fn skip_of(key: &[u8]) -> Option<(PartitionId, LogOffset)> {
    let mut numbers = key
        .strip_prefix(SKIP)
        .filter(|numbers| numbers.len() == 12)?;
    Some((
        PartitionId::own(numbers.get_u32()),
        LogOffset::from_bits(numbers.get_u64())?,
    ))
}

/// What keys of what holds for queues begin with.
pub(crate) const RULES: &[u8] = b"rules/";

/// What operators have said of a queue.
pub(crate) fn rules(queue: &QueueName) -> Vec<u8> {
    joined(&[RULES, queue.as_str().as_bytes()])
}

/// The queue of such a key.
pub(crate) fn rules_of(key: &[u8]) -> Option<QueueName> {
    let name = std::str::from_utf8(key.strip_prefix(RULES)?).ok()?;
    QueueName::parse(name).ok()
}

/// The state of a schedule.
pub(crate) fn schedule(
    partition: PartitionId,
    namespace: &Namespace,
    schedule: &ScheduleId,
) -> Vec<u8> {
    joined(&[
        &partition.bits().to_be_bytes(),
        namespace.as_str().as_bytes(),
        b"\0",
        schedule.as_str().as_bytes(),
    ])
}

/// Namespace and schedule of such a key.
pub(crate) fn schedule_of(key: &[u8]) -> Option<(Namespace, ScheduleId)> {
    let (namespace, schedule) = std::str::from_utf8(key.get(4..)?).ok()?.split_once('\0')?;
    Some((
        Namespace::parse(namespace).ok()?,
        ScheduleId::parse(schedule).ok()?,
    ))
}

/// A record set aside: partition, tick and its place in the tick.
pub(crate) fn set_aside(partition: PartitionId, tick: u64, index: u32) -> Vec<u8> {
    joined(&[
        &partition.bits().to_be_bytes(),
        &tick.to_be_bytes(),
        &index.to_be_bytes(),
    ])
}

/// Where a block of the timetable stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockKey {
    pub(crate) first_due: Timestamp,
    pub(crate) first_offset: LogOffset,
    pub(crate) last_offset: LogOffset,
    /// A hash of its bytes: one that begins and ends with the same records may hold others between
    /// them.
    pub(crate) content: u64,
}

impl BlockKey {
    /// The bytes, with the partition in front.
    pub(crate) fn bytes(&self, partition: PartitionId) -> Vec<u8> {
        joined(&[&partition.bits().to_be_bytes(), &self.suffix()])
    }

    /// The bytes without the partition.
    pub(crate) fn suffix(&self) -> Vec<u8> {
        let offsets =
            [self.first_offset, self.last_offset].map(|offset| offset.bits().to_be_bytes());
        joined(&[
            &time(self.first_due),
            &offsets[0],
            &offsets[1],
            &self.content.to_be_bytes(),
        ])
    }

    /// From the bytes without the partition.
    pub(crate) fn from_suffix(mut bytes: &[u8]) -> Option<BlockKey> {
        if bytes.len() != 32 {
            return None;
        }
        Some(BlockKey {
            first_due: read_time(&mut bytes),
            first_offset: LogOffset::from_bits(bytes.get_u64())?,
            last_offset: LogOffset::from_bits(bytes.get_u64())?,
            content: bytes.get_u64(),
        })
    }

    /// From the bytes with the partition.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<BlockKey> {
        BlockKey::from_suffix(bytes.get(4..)?)
    }
}

/// The time in such a key, or in one that begins like it.
pub(crate) fn due_of_block(key: &[u8]) -> Option<Timestamp> {
    let mut due = key.get(4..12)?;
    Some(read_time(&mut due))
}

/// Before every block that is due at or after a time.
pub(crate) fn blocks_from(partition: PartitionId, due: Timestamp) -> Vec<u8> {
    joined(&[&partition.bits().to_be_bytes(), &time(due)])
}

/// Before every index row of a task.
pub(crate) fn task(partition: PartitionId, key: TaskKey) -> Vec<u8> {
    joined(&[&partition.bits().to_be_bytes(), &key.0.to_be_bytes()])
}

/// An index row of a task.
pub(crate) fn task_entry(
    partition: PartitionId,
    key: TaskKey,
    due: Timestamp,
    offset: LogOffset,
) -> Vec<u8> {
    joined(&[
        &partition.bits().to_be_bytes(),
        &key.0.to_be_bytes(),
        &time(due),
        &offset.bits().to_be_bytes(),
    ])
}

/// Due time and offset of an index row.
pub(crate) fn task_entry_of(key: &[u8]) -> Option<(Timestamp, LogOffset)> {
    let mut rest = key.get(20..).filter(|rest| rest.len() == 16)?;
    Some((read_time(&mut rest), LogOffset::from_bits(rest.get_u64())?))
}

/// A number within a queue: a dead letter.
pub(crate) fn numbered(queue: &QueueName, number: u64) -> Vec<u8> {
    joined(&[queue.as_str().as_bytes(), b"\0", &number.to_be_bytes()])
}

/// How many dead letters a queue has.
pub(crate) fn dead_letter_count(queue: &QueueName) -> Vec<u8> {
    joined(&[DEAD_LETTER_COUNT, queue.as_str().as_bytes()])
}

/// What such keys begin with.
pub(crate) const DEAD_LETTER_COUNT: &[u8] = b"dead_letters/";

/// The number at the end of a key.
pub(crate) fn number_of(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>()
        .map(|bytes| u64::from_be_bytes(*bytes))
}

/// A partition's share of a queue.
pub(crate) fn lane(queue: &QueueName, partition: PartitionId) -> Vec<u8> {
    joined(&[
        queue.as_str().as_bytes(),
        b"\0",
        &partition.bits().to_be_bytes(),
    ])
}

/// A batch of publications.
pub(crate) fn batch(queue: &QueueName, partition: PartitionId, first: u64) -> Vec<u8> {
    joined(&[
        queue.as_str().as_bytes(),
        b"\0",
        &partition.bits().to_be_bytes(),
        &first.to_be_bytes(),
    ])
}

/// What a group has settled of a lane.
pub(crate) fn group(queue: &QueueName, partition: PartitionId, group: &str) -> Vec<u8> {
    joined(&[
        queue.as_str().as_bytes(),
        b"\0",
        &partition.bits().to_be_bytes(),
        group.as_bytes(),
    ])
}

/// What is told of a claimed run of a group.
pub(crate) fn last_word(queue: &QueueName, id: DeliveryId, group: &str) -> Vec<u8> {
    joined(&[&batch(queue, id.partition, id.sequence), group.as_bytes()])
}

/// Queue, partition and the rest of a lane's or a group's key.
pub(crate) fn lane_of(key: &[u8]) -> Option<(QueueName, PartitionId, &[u8])> {
    let end = key.iter().position(|byte| *byte == 0)?;
    let name = QueueName::parse(std::str::from_utf8(&key[..end]).ok()?).ok()?;
    let (partition, rest) = key[end + 1..].split_first_chunk::<4>()?;
    Some((name, PartitionId::own(u32::from_be_bytes(*partition)), rest))
}

/// An outcome of a task.
pub(crate) fn outcome(key: TaskKey, number: u64) -> Vec<u8> {
    joined(&[&key.0.to_be_bytes(), &number.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_times_and_come_back() {
        let dues = [i64::MIN, -1, 0, 1, 1_700_000_000_000, i64::MAX].map(Timestamp::from_millis);
        let keys: Vec<Vec<u8>> = dues
            .iter()
            .map(|due| {
                BlockKey {
                    first_due: *due,
                    first_offset: LogOffset::at(7),
                    last_offset: LogOffset::at(9),
                    content: 11,
                }
                .bytes(PartitionId::own(3))
            })
            .collect();
        assert!(keys.is_sorted());
        for (due, key) in dues.iter().zip(&keys) {
            let key = BlockKey::from_bytes(key).unwrap();
            assert_eq!(
                (key.first_due, key.first_offset, key.last_offset),
                (*due, LogOffset::at(7), LogOffset::at(9))
            );
        }
    }

    #[test]
    fn a_group_is_told_from_its_queue_and_partition() {
        let queue = QueueName::parse("mail").unwrap();
        let key = group(&queue, PartitionId::own(5), "workers\0of me");
        assert_eq!(
            lane_of(&key),
            Some((queue, PartitionId::own(5), &b"workers\0of me"[..]))
        );
        assert_eq!(lane_of(b"mail"), None);
    }
}
