//! How much memory a scheduler's clients of Kafka take: a part of what its process may take, from
//! which everything that they keep is derived.
//!
//! What librdkafka has fetched costs far more than the records' bytes, which are all that its own
//! settings count: each record is an event of [`EVENT_BYTES`]. So the library is told to keep few
//! records, and what is read ahead beyond them lies in our own buffer, at a tenth of the cost.

use minutehand_model::limits::TOPIC_RECORD_BYTES_MAX;
use rdkafka::ClientConfig;

/// What one fetched record costs in librdkafka 2.12 beside its value (`sizeof(rd_kafka_op_t)`).
pub(crate) const EVENT_BYTES: usize = 1_024;
/// The value and headers of a record as they are expected, for counting records by bytes.
const RECORD_BYTES_USUAL: usize = 512;
/// What a record costs in our own buffer beside its payload: its place, and what allocators round.
pub(crate) const BUFFERED_BYTES: usize = 160;
/// What one execution of a tick costs in the producer's queue beside its payload: a message, and
/// eleven headers of their own allocations.
const SENT_BYTES: usize = 1_024;
/// What a reader of the log needs at least to get on.
const READER_BYTES_MIN: usize = 512 * 1024;
/// Records of one fetch are whole batches; smaller fetches than this cost more than they save.
const FETCH_BYTES_MIN: usize = 64 * 1024;
/// What a tick may carry at least.
const TICK_BYTES_MIN: usize = 256 * 1024;

const _: () = assert!(
    FETCH_BYTES_MIN < TOPIC_RECORD_BYTES_MAX,
    "a fetch brings one record of any size all the same"
);
const _: () = assert!(
    READER_BYTES_MIN / 4 / (EVENT_BYTES + RECORD_BYTES_USUAL) > 64,
    "the smallest share keeps some records"
);

/// What the memory of a scheduler's process is for, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryShares {
    /// For the readers of the command log, all partitions together.
    pub logs: usize,
    /// For ticks on their way to the brokers, all partitions together.
    pub ticks: usize,
    /// For tasks, and what is on its way to and from the timetable: the engine's.
    pub tasks: usize,
}

impl MemoryShares {
    /// A quarter for the logs, an eighth for the ticks, the rest for tasks.
    pub const fn of(memory_bytes_max: usize) -> MemoryShares {
        let (logs, ticks) = (memory_bytes_max / 4, memory_bytes_max / 8);
        MemoryShares {
            logs,
            ticks,
            tasks: memory_bytes_max - logs - ticks,
        }
    }

    /// How many executions, and about how many bytes of tasks, one tick may carry where a process
    /// may own so many partitions.
    pub const fn tick_max(self, partitions: u32) -> (usize, usize) {
        let bytes = self.ticks / at_least(partitions as usize, 1);
        (
            at_least(bytes / (SENT_BYTES + RECORD_BYTES_USUAL), 64),
            at_least(bytes / 2, TICK_BYTES_MIN),
        )
    }
}

const fn at_least(number: usize, least: usize) -> usize {
    if number < least { least } else { number }
}

/// What the reader of one partition of the log keeps ahead of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadAhead {
    /// Bytes of our own buffer.
    pub(crate) buffer_bytes: usize,
    /// Records that the library stops fetching at.
    records: usize,
    /// Bytes of values that it stops at.
    value_bytes: usize,
    /// Bytes of one fetch.
    fetch_bytes: usize,
}

impl ReadAhead {
    /// Half of the partition's share is the library's, half ours.
    pub(crate) fn of(logs: usize, partitions: u32, buffer_bytes_max: usize) -> ReadAhead {
        let share = (logs / partitions.max(1) as usize).max(READER_BYTES_MIN);
        let library = share / 2;
        let ahead = ReadAhead {
            buffer_bytes: (share / 2).min(buffer_bytes_max),
            // A fetch that is under way when they are reached brings its records all the same.
            records: library / 2 / (EVENT_BYTES + RECORD_BYTES_USUAL),
            value_bytes: library / 2,
            fetch_bytes: (library / 8).clamp(FETCH_BYTES_MIN, TOPIC_RECORD_BYTES_MAX),
        };
        let events = ahead.records * (EVENT_BYTES + RECORD_BYTES_USUAL);
        debug_assert!(
            ahead.buffer_bytes + ahead.value_bytes + events <= share,
            "the parts stay within the share"
        );
        ahead
    }

    /// Tells a consumer so.
    pub(crate) fn apply(self, config: &mut ClientConfig) {
        let kilobytes = (self.value_bytes / 1_024).max(1);
        config
            .set("queued.min.messages", self.records.to_string())
            .set("queued.max.messages.kbytes", kilobytes.to_string())
            .set("fetch.message.max.bytes", self.fetch_bytes.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn all_parts_together_are_what_there_is() {
        for bytes in [16 * MIB, 1_024 * MIB, 64 << 30] {
            let MemoryShares { logs, ticks, tasks } = MemoryShares::of(bytes);
            assert_eq!(logs + ticks + tasks, bytes);
            assert!(tasks >= bytes / 2, "most of it is for tasks");
        }
    }

    #[test]
    fn the_readers_of_all_partitions_stay_within_the_share() {
        let logs = MemoryShares::of(1_024 * MIB).logs;
        for partitions in [1, 2, 16, 128] {
            let ahead = ReadAhead::of(logs, partitions, usize::MAX);
            let library = ahead.records * (EVENT_BYTES + RECORD_BYTES_USUAL) + ahead.value_bytes;
            let all = partitions as usize * (library + ahead.buffer_bytes);
            assert!(all <= logs, "{all} bytes for {partitions} partitions");
            assert!(ahead.records >= 100, "{partitions} partitions get on");
        }
        assert_eq!(
            ReadAhead::of(logs, 16, MIB).buffer_bytes,
            MIB,
            "as it is set"
        );
    }

    #[test]
    fn a_tick_takes_its_share_and_never_nothing() {
        let shares = MemoryShares::of(1_024 * MIB);
        assert_eq!(shares.tick_max(16), (5_461, 4 * MIB));
        assert_eq!(
            MemoryShares::of(16 * MIB).tick_max(1_024),
            (64, TICK_BYTES_MIN)
        );
    }
}
