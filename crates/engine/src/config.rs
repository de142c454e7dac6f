//! What can be set about a partition, with defaults and the relations between them.

use minutehand_model::Persist;

use crate::planted::PlantedBug;

/// Settings of the engine. Times are milliseconds, sizes bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How far ahead of now the timetable is read into memory.
    pub look_ahead_ms: i64,
    /// How long after it was due (and after it was created) a task is remembered, so that creating it again changes nothing.
    pub dedupe_window_ms: i64,
    /// About how much memory a partition may take. Beyond it commands wait in the log, and tasks in the timetable.
    pub memory_bytes_max: usize,
    /// About how much one read of the timetable may return.
    pub page_bytes_max: usize,
    /// About how much one read of the log may return.
    pub log_read_bytes_max: usize,
    /// A block is written when its entries take this much, or when the flush interval has passed.
    pub block_bytes_max: usize,
    /// Which tasks get into blocks at all.
    pub persist: Persist,
    /// How long an entry of a block may wait in memory; the log holds it meanwhile.
    pub flush_interval_ms: i64,
    /// Writes of blocks under way at once.
    pub block_writes_max: usize,
    /// Most executions in one tick.
    pub tick_publications_max: usize,
    /// About how many bytes of tasks one tick may carry.
    pub tick_bytes_max: usize,
    /// How long an execution of class `normal` may wait for company in its tick; `high` never waits.
    pub normal_tick_delay_ms: i64,
    /// The same for class `low`.
    pub low_tick_delay_ms: i64,
    /// What is later than this is left behind and caught up with beside what is on time; 0: everything in order, oldest first.
    pub catch_up_after_ms: i64,
    /// Most executions a second that are caught up with; 0: as many as the ticks have room for.
    pub catch_up_rate_per_s: u64,
    /// A checkpoint is committed at least this often while commands arrive that publish nothing.
    pub checkpoint_interval_ms: i64,
    /// The lease's time to live: an owner that was not confirmed for two thirds of it stops firing.
    pub lease_ttl_ms: i64,
    /// How far the owner's clock may be from that of a sink that has one of its own.
    pub clock_skew_ms_max: i64,
    /// After a failed operation of class `retry`, the next attempt waits this long; after each further failure twice as long.
    pub retry_delay_ms: i64,
    /// It never waits longer than this.
    pub retry_delay_ms_max: i64,
    /// Most occurrences of one schedule in one tick when it catches up or is backfilled.
    pub schedule_occurrences_per_tick_max: usize,
    /// A rule to break on purpose; without the feature `planted-bugs` it changes nothing.
    pub planted: Option<PlantedBug>,
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
            catch_up_after_ms: 2_000,
            catch_up_rate_per_s: 0,
            checkpoint_interval_ms: 1_000,
            lease_ttl_ms: 5_000,
            clock_skew_ms_max: 5_000,
            retry_delay_ms: 50,
            retry_delay_ms_max: 2_000,
            schedule_occurrences_per_tick_max: 256,
            planted: None,
        }
    }
}
