//! What can be set about a partition, with defaults and the relations between them.

use minutehand_model::Persist;
use minutehand_model::time::DAY_MS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// By how much the oldest task is late before what is late is caught up with, in milliseconds.
pub const CATCH_UP_AFTER_MS_DEFAULT: i64 = 2_000;

/// What a partition does with tasks and time. Times are milliseconds, sizes bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How far ahead of now the timetable is read into memory.
    #[schemars(range(min = 1_000, max = DAY_MS))]
    pub look_ahead_ms: i64,
    /// How long after it was due (and after it was created) a task is remembered, so that creating
    /// it again changes nothing.
    #[schemars(range(min = 0, max = DAY_MS))]
    pub dedupe_window_ms: i64,
    /// About how much memory the tasks of a node's partitions may take together; in a cluster with
    /// what is read ahead of the logs (a quarter) and with ticks on their way (an eighth). Beyond it
    /// commands wait in the log, and tasks in the timetable.
    #[schemars(range(min = 16_u64 << 20, max = 64_u64 << 30))]
    pub memory_bytes_max: usize,
    /// About how much one read of the timetable may return.
    #[serde(skip)]
    pub page_bytes_max: usize,
    /// About how much one read of the log may return.
    #[serde(skip)]
    pub log_read_bytes_max: usize,
    /// A block is written when its entries take this much, or when the flush interval has passed.
    #[serde(skip)]
    pub block_bytes_max: usize,
    /// Which tasks the timetable gets: those due beyond the look-ahead, or all.
    pub persist: Persist,
    /// How long an entry may wait for its block of the timetable; the log holds it meanwhile.
    #[schemars(range(min = 10, max = 600_000))]
    pub flush_interval_ms: i64,
    /// Writes of blocks under way at once.
    #[serde(skip)]
    pub block_writes_max: usize,
    /// Most executions in one tick.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub tick_publications_max: usize,
    /// About how many bytes of tasks one tick may carry.
    #[serde(skip)]
    pub tick_bytes_max: usize,
    /// How long an execution of precision `normal` may wait for a fuller tick; `high` never waits.
    #[schemars(range(min = 0, max = 1_000))]
    pub normal_tick_delay_ms: i64,
    /// How long an execution of precision `low` may wait for a fuller tick.
    #[schemars(range(min = 0, max = 10_000))]
    pub low_tick_delay_ms: i64,
    /// What is later than this is left behind and caught up with beside what is on time; 0:
    /// everything in order, oldest first.
    #[schemars(range(min = 0, max = DAY_MS))]
    pub catch_up_after_ms: i64,
    /// Most executions a second, of each partition, that are caught up with; 0: as many as the
    /// ticks have room for.
    #[schemars(range(min = 0, max = 1 << 30))]
    pub catch_up_rate_per_s: u64,
    /// Whether a row of the ledger is kept of every minute, and compared with the timetable: see
    /// `bucket audit`. Without it a partition that has nothing to do commits nothing.
    pub ledger: bool,
    /// A checkpoint is committed at least this often while commands arrive that publish nothing.
    #[schemars(range(min = 10, max = 60_000))]
    pub checkpoint_interval_ms: i64,
    /// The lease's time to live: an owner that was not confirmed for two thirds of it stops firing.
    #[serde(skip)]
    pub lease_ttl_ms: i64,
    /// Another region could adopt the partition: F stands at the horizon that the register of
    /// regions has acknowledged, and where none is known it does not move.
    #[serde(skip)]
    pub has_other_regions: bool,
    /// How far the owner's clock may be from that of a sink that has one of its own.
    #[serde(skip)]
    pub clock_skew_ms_max: i64,
    /// After a failed operation of class `retry`, the next attempt waits this long; after each
    /// further failure twice as long.
    #[serde(skip)]
    pub retry_delay_ms: i64,
    /// It never waits longer than this.
    #[serde(skip)]
    pub retry_delay_ms_max: i64,
    /// Most occurrences of one schedule in one tick when it catches up or is backfilled.
    #[serde(skip)]
    pub schedule_occurrences_per_tick_max: usize,
}

impl Config {
    /// The same where others of the process have a part of its memory: with so many bytes for
    /// tasks, and ticks of at most so many executions and bytes.
    #[must_use]
    pub fn within(
        self,
        memory_bytes_max: usize,
        (publications_max, bytes_max): (usize, usize),
    ) -> Config {
        Config {
            memory_bytes_max,
            tick_publications_max: self.tick_publications_max.min(publications_max),
            tick_bytes_max: self.tick_bytes_max.min(bytes_max),
            ..self
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            look_ahead_ms: 30_000,
            dedupe_window_ms: 30_000,
            memory_bytes_max: 1024 * 1024 * 1024,
            page_bytes_max: 4 * 1024 * 1024,
            log_read_bytes_max: 1024 * 1024,
            block_bytes_max: 16 * 1024,
            persist: Persist::BeyondLookAhead,
            flush_interval_ms: 1_000,
            block_writes_max: 8,
            tick_publications_max: 8_192,
            tick_bytes_max: 8 * 1024 * 1024,
            normal_tick_delay_ms: 0,
            low_tick_delay_ms: 500,
            catch_up_after_ms: CATCH_UP_AFTER_MS_DEFAULT,
            catch_up_rate_per_s: 0,
            ledger: true,
            checkpoint_interval_ms: 1_000,
            lease_ttl_ms: 5_000,
            has_other_regions: false,
            clock_skew_ms_max: 5_000,
            retry_delay_ms: 50,
            retry_delay_ms_max: 2_000,
            schedule_occurrences_per_tick_max: 256,
        }
    }
}
