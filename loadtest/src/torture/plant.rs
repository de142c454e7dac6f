//! Mistakes put into what was read, to show that the audit sees them.

use std::str::FromStr;

use super::recorded::{Heard, Recorded};

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// An execution was not read.
    DropExecution,
    /// An execution was read twice, as by a reader that does not see what its owner committed.
    RepeatExecution,
    /// An execution of a tick that was given up was read, as a reader of uncommitted records does.
    ReadUncommitted,
    /// An execution came before its time.
    EarlyExecution,
    /// A record that was acknowledged is not in the log.
    ForgetAcknowledged,
    /// The log holds a record that nobody wrote.
    InventRecord,
    /// A checkpoint of a fenced owner was accepted.
    ZombieCheckpoint,
    /// A checkpoint is missing.
    DropCheckpoint,
    /// An execution says something else than its record.
    AlterExecution,
    /// The last execution came long after everything was healed.
    LateExecution,
    /// A record that could not be understood was not reported.
    DropRejected,
    /// A command that a tick derived is not in the log.
    DropDerived,
}

impl Plant {
    /// Every mistake, with the checkers that must notice it.
    pub const ALL: &'static [(Plant, &'static [&'static str])] = &[
        (Plant::DropExecution, &["no loss", "torn ticks"]),
        (Plant::RepeatExecution, &["exactly once", "torn ticks"]),
        (Plant::ReadUncommitted, &["torn ticks"]),
        (Plant::EarlyExecution, &["never early"]),
        (Plant::ForgetAcknowledged, &["acknowledged"]),
        (Plant::InventRecord, &["phantom"]),
        (Plant::ZombieCheckpoint, &["epochs and ticks"]),
        (Plant::DropCheckpoint, &["epochs and ticks", "torn ticks"]),
        (
            Plant::AlterExecution,
            &["publications say what the log says"],
        ),
        (Plant::LateExecution, &["recovery"]),
        (Plant::DropRejected, &["set aside", "torn ticks"]),
        (Plant::DropDerived, &["torn ticks"]),
    ];

    /// The word for it on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Plant::DropExecution => "drop-execution",
            Plant::RepeatExecution => "repeat-execution",
            Plant::ReadUncommitted => "read-uncommitted",
            Plant::EarlyExecution => "early-execution",
            Plant::ForgetAcknowledged => "forget-acknowledged",
            Plant::InventRecord => "invent-record",
            Plant::ZombieCheckpoint => "zombie-checkpoint",
            Plant::DropCheckpoint => "drop-checkpoint",
            Plant::AlterExecution => "alter-execution",
            Plant::LateExecution => "late-execution",
            Plant::DropRejected => "drop-rejected",
            Plant::DropDerived => "drop-derived",
        }
    }

    /// Makes the mistake in the first partition where it can be made; answers whether there was
    /// one.
    pub fn put_into(self, recorded: &mut Recorded) -> bool {
        let Recorded {
            partitions,
            intents,
        } = recorded;
        if self == Plant::ForgetAcknowledged {
            let Some(intent) = intents
                .iter()
                .find(|one| matches!(one.heard, Heard::Acknowledged(_)))
            else {
                return false;
            };
            let log = &mut partitions[intent.partition as usize].log;
            let before = log.len();
            log.retain(|record| Heard::Acknowledged(record.logged.offset) != intent.heard);
            return log.len() < before;
        }
        partitions.iter_mut().any(|partition| {
            let executions = &mut partition.executions;
            let is_busy = !executions.is_empty() && partition.checkpoints.len() > 1;
            match self {
                Plant::ForgetAcknowledged => return false,
                Plant::DropRejected => return partition.rejected.pop().is_some(),
                Plant::DropDerived => {
                    use minutehand_sim::journal::Said;
                    let found = partition
                        .log
                        .iter()
                        .position(|one| matches!(one.logged.said, Said::Moved { .. }));
                    return found.map(|index| partition.log.remove(index)).is_some();
                }
                _ if !is_busy => return false,
                Plant::DropExecution => drop(executions.remove(0)),
                Plant::RepeatExecution => executions.push(executions[0].clone()),
                Plant::ReadUncommitted => {
                    let mut given_up = executions[0].clone();
                    given_up.tick += 1_000_000;
                    executions.push(given_up);
                }
                Plant::EarlyExecution => {
                    let due_ms = executions[0].due.as_millis();
                    executions[0].published_at_ms = due_ms - 1;
                }
                Plant::InventRecord => partition.log[0].digest ^= 1,
                Plant::ZombieCheckpoint => {
                    let last = partition.checkpoints.len() - 1;
                    let stale = partition.checkpoints[last - 1].checkpoint.epoch.0 - 1;
                    partition.checkpoints[last].checkpoint.epoch.0 = stale;
                    let number = partition.checkpoints[last].checkpoint.tick;
                    executions
                        .iter_mut()
                        .filter(|one| one.tick == number)
                        .for_each(|one| one.epoch = stale);
                }
                Plant::DropCheckpoint => drop(partition.checkpoints.remove(0)),
                Plant::AlterExecution => {
                    executions[0].encoded = bytes::Bytes::from_static(b"something else")
                }
                Plant::LateExecution => {
                    let last = executions.last().map(|one| one.tick);
                    let of_last = partition
                        .checkpoints
                        .iter_mut()
                        .filter(|one| Some(one.checkpoint.tick) == last);
                    of_last.for_each(|one| one.received_at_ms += 3_600_000);
                }
            }
            true
        })
    }
}

impl FromStr for Plant {
    type Err = String;

    fn from_str(text: &str) -> Result<Plant, String> {
        let found = Plant::ALL.iter().find(|(plant, _)| plant.as_str() == text);
        found.map(|(plant, _)| *plant).ok_or_else(|| {
            let words: Vec<&str> = Plant::ALL.iter().map(|(plant, _)| plant.as_str()).collect();
            format!(
                "there is no mistake {text:?}; there are {}",
                words.join(", ")
            )
        })
    }
}
