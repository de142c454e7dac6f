//! What a run on real servers left behind: what producers meant and heard, and what can be read
//! from the topics.

use std::collections::BTreeMap;

use bytes::Bytes;
use minutehand_model::{
    Checkpoint, Command, Guarantee, LogOffset, Namespace, ScheduleId, ScheduleState, SetAside,
    TaskKey, Timestamp,
};
use minutehand_sim::journal::{Logged, Said};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// What a producer meant to append, and what it heard.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Where.
    pub partition: u32,
    /// The fingerprint of the record.
    pub digest: u64,
    /// What became of it, as the producer knows.
    pub heard: Heard,
}

/// What a producer heard about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is durable, at this offset.
    Acknowledged(LogOffset),
    /// An error: it may be in the log or not.
    Nothing,
}

/// A record of the command log.
#[derive(Clone, Debug)]
pub struct ReadRecord {
    /// What the checkers need of it.
    pub logged: Logged,
    /// The fingerprint of its bytes.
    pub digest: u64,
}

/// A record of the topic of checkpoints.
#[derive(Clone, Debug)]
pub struct ReadCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// How many executions, derived commands and rejected records its tick declares.
    pub declared: Declared,
    /// When the reader had it, by its own clock, in milliseconds.
    pub received_at_ms: i64,
}

/// What a tick says that it consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Executions.
    pub executions: usize,
    /// Commands that it derived.
    pub derived: usize,
    /// Records that could not be understood.
    pub rejected: usize,
}

/// An execution as it was read.
#[derive(Clone, Debug)]
pub struct ReadExecution {
    /// The epoch of the owner that published it.
    pub epoch: u64,
    /// The number of the tick that published it.
    pub tick: u64,
    /// When its owner says that it was published, in milliseconds.
    pub published_at_ms: i64,
    /// Its task.
    pub key: TaskKey,
    /// When it was due.
    pub due: Timestamp,
    /// The record of the log that it stems from, as its owner says.
    pub offset: LogOffset,
    /// What is promised about its effect.
    pub guarantee: Guarantee,
    /// What it says, or a fingerprint of that (see [`fingerprint`]).
    pub encoded: Bytes,
    /// When the reader had it, by its own clock, in milliseconds.
    pub received_at_ms: i64,
}

/// Everything that was read of one partition.
#[derive(Clone, Debug, Default)]
pub struct RecordedPartition {
    /// The command log from its beginning, in order.
    pub log: Vec<ReadRecord>,
    /// The topic of checkpoints, in order.
    pub checkpoints: Vec<ReadCheckpoint>,
    /// Every execution of this partition, in the order of reading.
    pub executions: Vec<ReadExecution>,
    /// Positions of rejected records: `log offset N`.
    pub rejected: Vec<String>,
    /// What schedules remember at the end.
    pub schedule_states: BTreeMap<(Namespace, ScheduleId), ScheduleState>,
    /// Records that the reader itself could not understand, in words.
    pub unreadable: Vec<String>,
}

/// Everything about a run.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// By number.
    pub partitions: Vec<RecordedPartition>,
    /// What producers meant and heard, in no order.
    pub intents: Vec<Intent>,
}

/// The fingerprint of a record of the log.
pub fn digest(record: &[u8]) -> u64 {
    xxh3_64(record)
}

/// What stands for an encoded task in a journal: 16 bytes instead of the whole, for a run has
/// millions of them.
pub fn fingerprint(encoded: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&xxh3_128(encoded).to_be_bytes())
}

impl ReadRecord {
    /// A record of the log that was read at an offset.
    pub fn of(offset: LogOffset, appended_at_ms: i64, value: &[u8]) -> ReadRecord {
        let command = minutehand_record::command::decode(Bytes::copy_from_slice(value));
        let command = command.map(shortened).map_err(|error| {
            SetAside::new(
                format!("log offset {offset}"),
                error.to_string(),
                Bytes::new(),
            )
        });
        let logged = Logged {
            offset,
            appended_at_ms,
            said: Said::of(&command),
        };
        ReadRecord {
            logged,
            digest: digest(value),
        }
    }
}

/// The command with fingerprints in place of encoded tasks.
fn shortened(mut command: Command) -> Command {
    match &mut command {
        Command::Create(task)
        | Command::Move { task, .. }
        | Command::Replace { task, .. }
        | Command::Moved { task, .. } => task.encoded = fingerprint(&task.encoded),
        _ => {}
    }
    command
}
