//! What happened in a run, as the checkers see it: the log, the ticks and what they published, per partition.
//!
//! Nothing in here comes from the engine's memory: it is what the stores were told and what they answered.

use bytes::Bytes;
use minutehand_model::{
    Command, Guarantee, LogOffset, Namespace, OutcomeKind, OverlapPolicy, Place, Publication, Revision,
    ScheduleId, ScheduleState, SetAside, Stretch, TaskKey, Timestamp,
};

/// What a record of the log says, without what the checkers do not need.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Create { key: TaskKey, due: Timestamp, encoded: Bytes },
    Cancel { key: TaskKey, due: Timestamp },
    Move { key: TaskKey, due: Timestamp, to: Timestamp },
    Replace { key: TaskKey, due: Timestamp, to: Timestamp, encoded: Bytes },
    Moved { key: TaskKey, due: Timestamp, to: Timestamp, encoded: Bytes },
    Revise(Box<Revision>),
    Trigger { namespace: Namespace, schedule: ScheduleId, overlap: Option<OverlapPolicy> },
    Backfill { namespace: Namespace, schedule: ScheduleId, from: Timestamp, to: Timestamp },
    Completed { namespace: Namespace, schedule: ScheduleId, nominal: Timestamp, kind: OutcomeKind },
    Unreadable { position: String },
}

impl Said {
    pub(crate) fn of(command: &Result<Command, SetAside>) -> Said {
        let command = match command {
            Ok(command) => command,
            Err(set_aside) => return Said::Unreadable { position: set_aside.position.clone() },
        };
        match command.clone() {
            Command::Create(task) => Said::Create { key: task.key, due: task.due, encoded: task.encoded },
            Command::Cancel { key, due } => Said::Cancel { key, due },
            Command::Move { key, due, task } => Said::Move { key, due, to: task.due },
            Command::Replace { key, due, task } => {
                Said::Replace { key, due, to: task.due, encoded: task.encoded }
            }
            Command::Moved { key, due, task } => {
                Said::Moved { key, due, to: task.due, encoded: task.encoded }
            }
            Command::Revise(revision) => Said::Revise(revision),
            Command::Trigger { namespace, schedule, overlap } => {
                Said::Trigger { namespace, schedule, overlap }
            }
            Command::Backfill { namespace, schedule, from, to } => {
                Said::Backfill { namespace, schedule, from, to }
            }
            Command::Completed { namespace, schedule, nominal, kind, .. } => {
                Said::Completed { namespace, schedule, nominal, kind }
            }
        }
    }
}

/// A record of the log.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) offset: LogOffset,
    pub(crate) appended_at_ms: i64,
    pub(crate) said: Said,
}

/// A committed tick. Times in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct TickEntry {
    pub(crate) epoch: u64,
    pub(crate) number: u64,
    pub(crate) applied: LogOffset,
    pub(crate) replay_from: LogOffset,
    pub(crate) head: Place,
    pub(crate) backlog: Vec<Stretch>,
    /// When the owner says it built the tick, by its own clock.
    pub(crate) published_at_ms: i64,
    /// The owner's clock as it was when the tick was built.
    pub(crate) clock_ms: i64,
    /// The latest time it had shown lately: more than that when it was set back in between.
    pub(crate) latest_clock_ms: i64,
    /// True time of the commit.
    pub(crate) committed_at_ms: i64,
    /// How many executions the owner put into it, and how many can be read.
    pub(crate) declared: usize,
    pub(crate) visible: usize,
}

/// A published execution.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Index into the ticks.
    pub(crate) tick: usize,
    pub(crate) key: TaskKey,
    pub(crate) due: Timestamp,
    pub(crate) offset: LogOffset,
    pub(crate) guarantee: Guarantee,
    pub(crate) encoded: Bytes,
}

impl Published {
    pub(crate) fn of(tick: usize, publication: Publication) -> Published {
        let Publication { offset, task } = publication;
        Published {
            tick,
            key: task.key,
            due: task.due,
            offset,
            guarantee: task.guarantee,
            encoded: task.encoded,
        }
    }
}

/// Everything about one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionJournal {
    pub(crate) log: Vec<Logged>,
    pub(crate) ticks: Vec<TickEntry>,
    pub(crate) publications: Vec<Published>,
    /// Positions that were reported as set aside, in committed ticks.
    pub(crate) set_aside: Vec<String>,
    /// Tasks that stood in damaged blocks.
    pub(crate) damaged_tasks: Vec<(TaskKey, Timestamp)>,
    pub(crate) schedule_states: Vec<(Namespace, ScheduleId, ScheduleState)>,
}

impl PartitionJournal {
    pub(crate) fn tick_of(&self, published: &Published) -> &TickEntry {
        &self.ticks[published.tick]
    }

    /// The record with that offset.
    pub(crate) fn record(&self, offset: LogOffset) -> Option<&Logged> {
        find(&self.log, offset)
    }
}

/// The record with that offset. Without holes in between it is found at once.
pub(crate) fn find(log: &[Logged], offset: LogOffset) -> Option<&Logged> {
    let begin = log.first()?.offset;
    let guess = log.get(offset.checked_sub(begin)? as usize);
    if let Some(record) = guess.filter(|record| record.offset == offset) {
        return Some(record);
    }
    let index = log.partition_point(|record| record.offset < offset);
    log.get(index).filter(|record| record.offset == offset)
}

/// Everything about a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    /// True time of the last fault's end.
    pub(crate) healed_at_ms: i64,
    /// True time of the end of the run.
    pub(crate) ended_at_ms: i64,
    /// How long after healing everything that is due must be out, in milliseconds.
    pub(crate) recovery_bound_ms: i64,
    /// How late an execution may be when nothing is wrong, in milliseconds; `None` when there were faults.
    pub(crate) healthy_lateness_ms: Option<i64>,
    pub(crate) dedupe_window_ms: i64,
    /// How far any clock was from true time, at most.
    pub(crate) clock_error_ms: i64,
    pub(crate) partitions: Vec<PartitionJournal>,
}
