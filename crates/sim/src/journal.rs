//! What happened in a run, as the checkers see it: the log, the ticks and what they published, per
//! partition.
//!
//! Nothing in here comes from the engine's memory: it is what the stores were told and what they
//! answered. The simulator fills it from its stores; whoever runs a cluster on real servers fills
//! it from what can be read there.

use bytes::Bytes;
use minutehand_model::{
    Command, Guarantee, LedgerRow, LogOffset, Namespace, OutcomeKind, OverlapPolicy, Place,
    Publication, Revision, ScheduleId, ScheduleState, SetAside, StopRequest, Stretch, Tally,
    TaskKey, Timestamp,
};

pub use crate::store::Closing;

/// What a record of the log says, without what the checkers do not need.
///
/// `encoded` stands for what a task says: its bytes, or a fingerprint of them here and in what was
/// published alike.
#[derive(Clone, Debug)]
#[expect(
    missing_docs,
    reason = "the fields are those of `Command`, which documents them"
)]
pub enum Said {
    /// A task.
    Create {
        key: TaskKey,
        due: Timestamp,
        encoded: Bytes,
    },
    /// The task that is due then does not run.
    Cancel { key: TaskKey, due: Timestamp },
    /// It runs at another time, if it has not run.
    Move {
        key: TaskKey,
        due: Timestamp,
        to: Timestamp,
    },
    /// It runs at another time, whatever happened.
    Replace {
        key: TaskKey,
        due: Timestamp,
        to: Timestamp,
        encoded: Bytes,
    },
    /// A move that an owner decided to carry out.
    Moved {
        key: TaskKey,
        due: Timestamp,
        to: Timestamp,
        encoded: Bytes,
    },
    /// A revision of a schedule.
    Revise(Box<Revision>),
    /// A schedule's action, now.
    Trigger {
        namespace: Namespace,
        schedule: ScheduleId,
        overlap: Option<OverlapPolicy>,
    },
    /// The occurrences of a range, now.
    Backfill {
        namespace: Namespace,
        schedule: ScheduleId,
        from: Timestamp,
        to: Timestamp,
    },
    /// A run has ended.
    Completed {
        key: TaskKey,
        due: Option<Timestamp>,
        kind: OutcomeKind,
    },
    /// What is left of a backfill does not run.
    StopBackfill {
        namespace: Namespace,
        schedule: ScheduleId,
        backfill: LogOffset,
    },
    /// Nothing waits any longer for the runs of a schedule.
    ForgetRuns {
        namespace: Namespace,
        schedule: ScheduleId,
    },
    /// It cannot be understood. The position is the one it must be reported under: `log offset N`.
    Unreadable { position: String },
}

impl Said {
    /// What a decoded record says.
    pub fn of(command: &Result<Command, SetAside>) -> Said {
        let command = match command {
            Ok(command) => command,
            Err(set_aside) => {
                return Said::Unreadable {
                    position: set_aside.position.clone(),
                };
            }
        };
        match command.clone() {
            Command::Create(task) => Said::Create {
                key: task.key,
                due: task.due,
                encoded: task.encoded,
            },
            Command::Cancel { key, due } => Said::Cancel { key, due },
            Command::Move { key, due, task } => Said::Move {
                key,
                due,
                to: task.due,
            },
            Command::Replace { key, due, task } => Said::Replace {
                key,
                due,
                to: task.due,
                encoded: task.encoded,
            },
            Command::Moved { key, due, task } => Said::Moved {
                key,
                due,
                to: task.due,
                encoded: task.encoded,
            },
            Command::Revise(revision) => Said::Revise(revision),
            Command::Trigger {
                namespace,
                schedule,
                overlap,
            } => Said::Trigger {
                namespace,
                schedule,
                overlap,
            },
            Command::Backfill {
                namespace,
                schedule,
                from,
                to,
            } => Said::Backfill {
                namespace,
                schedule,
                from,
                to,
            },
            Command::Completed { key, due, kind } => Said::Completed { key, due, kind },
            Command::StopBackfill {
                namespace,
                schedule,
                backfill,
            } => Said::StopBackfill {
                namespace,
                schedule,
                backfill,
            },
            Command::ForgetRuns {
                namespace,
                schedule,
            } => Said::ForgetRuns {
                namespace,
                schedule,
            },
        }
    }
}

impl Said {
    /// The same for a record that no owner's tick has appended: a decision that no owner took moves
    /// a task whatever happened.
    pub(crate) fn by_others(command: &Result<Command, SetAside>) -> Said {
        match Said::of(command) {
            Said::Moved {
                key,
                due,
                to,
                encoded,
            } => Said::Replace {
                key,
                due,
                to,
                encoded,
            },
            said => said,
        }
    }
}

/// A record of the log.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Its position.
    pub offset: LogOffset,
    /// The log's time of it, in milliseconds.
    pub appended_at_ms: i64,
    /// What it says.
    pub said: Said,
}

/// A committed tick. Times in milliseconds.
#[derive(Clone, Debug)]
pub struct TickEntry {
    /// The epoch of its owner.
    pub epoch: u64,
    /// Its number in the partition, from 1.
    pub number: u64,
    /// A: every command below it has been applied.
    pub applied: LogOffset,
    /// R: a successor reads the log from here.
    pub replay_from: LogOffset,
    /// F.
    pub head: Place,
    /// Stretches below F whose tasks are still owed.
    pub backlog: Vec<Stretch>,
    /// Set while schedules owe what F has left behind: the place after which.
    pub owed_after: Option<Place>,
    /// When the owner says it built the tick, by its own clock.
    pub published_at_ms: i64,
    /// The owner's clock as it was when the tick was built.
    pub clock_ms: i64,
    /// The latest time it had shown lately: more than that when it was set back in between.
    pub latest_clock_ms: i64,
    /// True time of the commit.
    pub committed_at_ms: i64,
    /// How many executions the owner put into it.
    pub declared: usize,
    /// How many of them can be read.
    pub visible: usize,
}

impl TickEntry {
    /// The place up to which all that schedules owe has been decided for certain, but for what a
    /// revision owes that was read late; `None` while one is behind.
    pub(crate) fn decided(&self) -> Option<Place> {
        self.owed_after.is_none().then_some(self.head)
    }

    /// Whether what schedules owe up to a place has been decided for certain.
    pub(crate) fn has_decided(&self, place: Place) -> bool {
        self.decided().is_some_and(|decided| decided >= place)
    }
}

/// A published execution.
#[derive(Clone, Debug)]
pub struct Published {
    /// Index into the ticks.
    pub tick: usize,
    /// Its task.
    pub key: TaskKey,
    /// When it was due.
    pub due: Timestamp,
    /// The record of the log that it stems from.
    pub offset: LogOffset,
    /// What was promised about its effect.
    pub guarantee: Guarantee,
    /// What was published; compared with what the record says.
    pub encoded: Bytes,
}

impl Published {
    /// A publication of a tick.
    pub fn of(tick: usize, publication: Publication) -> Published {
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

/// What became of an execution that its queue did not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpublished {
    /// It is a dead letter.
    pub is_letter: bool,
    /// The log has it again, due then.
    pub again_at: Option<Timestamp>,
}

/// What a partition's ledger says at the end of a run.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// The rows that are kept.
    pub rows: Vec<LedgerRow>,
    /// The minutes that the last checkpoint counts.
    pub counting: Vec<Tally>,
}

/// Everything about one partition.
#[derive(Clone, Debug, Default)]
pub struct PartitionJournal {
    /// The whole log, in order of offsets.
    pub log: Vec<Logged>,
    /// Every committed tick, in the order of their commits.
    pub ticks: Vec<TickEntry>,
    /// Every execution, in order of ticks.
    pub publications: Vec<Published>,
    /// Requests to stop, each with the tick that made it; `None` where nobody recorded them.
    pub stops: Option<Vec<(usize, StopRequest)>>,
    /// Positions that were reported as set aside, in committed ticks.
    pub set_aside: Vec<String>,
    /// Tasks that stood in damaged blocks.
    pub damaged_tasks: Vec<(TaskKey, Timestamp)>,
    /// Executions that their queues did not take, by their index in `publications`, and what became
    /// of them instead.
    pub unpublished: Vec<(usize, Unpublished)>,
    /// What the ledger says; `None` where none is kept.
    pub ledger: Option<Books>,
    /// What schedules remember at the end.
    pub schedule_states: Vec<(Namespace, ScheduleId, ScheduleState)>,
}

impl PartitionJournal {
    /// The first tick that has applied a record; the number of ticks when there is none.
    pub(crate) fn applied_by(&self, offset: LogOffset) -> usize {
        self.ticks.partition_point(|tick| tick.applied <= offset)
    }

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
    let guess = begin
        .records_until(offset)
        .and_then(|index| log.get(index as usize));
    if let Some(record) = guess.filter(|record| record.offset == offset) {
        return Some(record);
    }
    let index = log.partition_point(|record| record.offset < offset);
    log.get(index).filter(|record| record.offset == offset)
}

/// Everything about a run.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// True time of the last fault's end.
    pub healed_at_ms: i64,
    /// True time of the end of the run.
    pub ended_at_ms: i64,
    /// How long after healing everything that is due must be out, in milliseconds.
    pub recovery_bound_ms: i64,
    /// How late an execution may be when nothing is wrong, in milliseconds; `None` when there were
    /// faults.
    pub healthy_lateness_ms: Option<i64>,
    /// How late at most a task is out, once owners have settled, that was on time until then; `None`
    /// where all goes in one order, oldest first.
    pub on_time_ms: Option<i64>,
    /// How long owners remember what ran, in milliseconds.
    pub dedupe_window_ms: i64,
    /// How far an owner's clock may be from the sink's, in milliseconds; `None` where the sink has
    /// none.
    pub clock_skew_ms_max: Option<i64>,
    /// How far any clock was from true time, at most.
    pub clock_error_ms: i64,
    /// When another region took the right to speak away, and what it could know by that.
    pub closings: Vec<Closing>,
    /// By number.
    pub partitions: Vec<PartitionJournal>,
}
