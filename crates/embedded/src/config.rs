//! What a store is told when it is opened, and why it may refuse.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use minutehand_model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the store gets the time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The store of `minutehand dev`, in a folder.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder that holds everything durable; created when it is missing. One process at a time.
    pub data_dir: PathBuf,
    /// How many partitions; fixed when the folder is created.
    #[serde(skip)]
    pub partitions: u32,
    /// The time that records of the log are stamped with, and leases confirmed; the machine's by
    /// default.
    #[serde(skip)]
    pub now: Clock,
    /// Whether tasks in the timetable can be found by id. Costs a small row for each.
    pub task_index: bool,
    /// About how many outcomes are remembered, and beside them as many successes in brief (for a
    /// day); the oldest of either are forgotten first.
    #[schemars(range(min = 0, max = i64::MAX))]
    pub history_rows_max: u64,
    /// Files of the database that are open at once, about; at least 24.
    #[serde(skip)]
    pub files_max: usize,
    /// Blocks read from disk that are kept in memory, in bytes.
    #[schemars(range(min = 1 << 20, max = 64_u64 << 30))]
    pub cache_bytes: u64,
    /// Writes of each large table that are gathered in memory before they are sorted to disk, in
    /// bytes.
    #[serde(skip)]
    pub memtable_bytes: u64,
    /// The newest records of each partition's log that are kept in memory, in bytes.
    #[schemars(range(min = 1 << 20, max = 16_u64 << 30))]
    pub log_tail_bytes: usize,
    /// Publications of each queue that wait in memory for their consumers, in bytes.
    #[schemars(range(min = 1 << 20, max = 16_u64 << 30))]
    pub queue_resident_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data_dir: "minutehand-data".into(),
            partitions: 2,
            now: Arc::new(system_time),
            task_index: true,
            history_rows_max: 1_000_000,
            files_max: 512,
            cache_bytes: 64 << 20,
            memtable_bytes: 32 << 20,
            log_tail_bytes: 32 << 20,
            queue_resident_bytes: 64 << 20,
        }
    }
}

impl Config {
    /// The usual settings.
    pub fn new(data_dir: impl Into<PathBuf>, partitions: u32, now: Clock) -> Config {
        Config {
            data_dir: data_dir.into(),
            partitions,
            now,
            ..Config::default()
        }
    }
}

fn system_time() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("data_dir", &self.data_dir)
            .field("partitions", &self.partitions)
            .field("task_index", &self.task_index)
            .field("history_rows_max", &self.history_rows_max)
            .finish_non_exhaustive()
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A count of partitions that cannot be.
    #[error("partitions is {given}; it must be between 1 and {high}")]
    Partitions {
        /// What was given.
        given: u32,
        /// The largest accepted count.
        high: u32,
    },
    /// The folder cannot be used.
    #[error(
        "could not use the data folder {folder}; check that it can be written and has free space"
    )]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error(
        "the data folder {folder} is in use by another process; stop that one, or give this one its own folder"
    )]
    InUse {
        /// Which folder.
        folder: PathBuf,
    },
    /// It was created with another count.
    #[error(
        "the data folder {folder} was created with {stored} partitions, but {given} were asked for; the count is \
         fixed: start with partitions = {stored}, or with a new folder"
    )]
    PartitionsChanged {
        /// Which folder.
        folder: PathBuf,
        /// The count it has.
        stored: u32,
        /// The count that was given.
        given: u32,
    },
    /// It was written by a later release.
    #[error("the data folder {folder} has format {found}; this release knows format {known}")]
    Format {
        /// Which folder.
        folder: PathBuf,
        /// Its format.
        found: u32,
        /// The format of this release.
        known: u32,
    },
    /// A row without which nothing can go on cannot be understood.
    #[error("the data folder {folder} is damaged: {what}: {reason}; restore it from a copy")]
    Damaged {
        /// Which folder.
        folder: PathBuf,
        /// Which row.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file without which nothing can go on is gone.
    #[error("{file} is missing; put it back, or restore the data folder from a copy")]
    MissingFile {
        /// Which file.
        file: PathBuf,
    },
    /// A file without which nothing can go on is damaged.
    #[error("{file} is damaged: {reason}; restore the data folder from a copy")]
    DamagedFile {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no room for the database.
    #[error("could not open the database in {folder}: its disk is full; make room and start again")]
    Full {
        /// Which folder.
        folder: PathBuf,
        /// What did not fit.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database failed.
    #[error(
        "could not open the database in {folder}; check its disk, or restore the folder from a copy"
    )]
    Database {
        /// Which folder.
        folder: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
