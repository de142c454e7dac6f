//! What reaches a partition from outside.

use minutehand_model::{
    Checkpoint, Command, Epoch, LogOffset, Namespace, RevisionEntry, ScheduleId, ScheduleState,
    SetAside, Timestamp, TimetableEntry, TimetablePage,
};

/// The present, as a node's two clocks tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time of day. It may jump, and go back.
    pub wall: Timestamp,
    /// Milliseconds that have passed since some moment. It never goes back; it may stand still
    /// while the machine sleeps.
    pub steady_ms: i64,
}

impl From<Timestamp> for Moment {
    /// Where there is one clock only.
    fn from(wall: Timestamp) -> Moment {
        Moment {
            wall,
            steady_ms: wall.as_millis(),
        }
    }
}

/// Names a request, so that an answer to one that was given up can be told from the answer that is
/// awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// How an operation failed. Mirrors the classes of the ports without knowing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Try again after a pause; it may or may not have had its effect.
    Retry,
    /// Somebody else owns the partition.
    Fenced,
    /// An operator must act.
    Fatal,
}

/// A record of the log, decoded; one that could not be understood carries the reason instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRecord {
    /// Its position.
    pub offset: LogOffset,
    /// When the log took it.
    pub appended_at: Timestamp,
    /// What it says.
    pub command: Result<Command, SetAside>,
}

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// The coordinator gave this node the partition.
    Acquired {
        /// The fencing number of this ownership.
        epoch: Epoch,
    },
    /// The sink is open: every earlier owner is fenced.
    Opened {
        /// Which request.
        request: RequestId,
        /// The last committed checkpoint, if there is one.
        checkpoint: Option<Box<Checkpoint>>,
        /// Schedule states as of that checkpoint.
        schedule_states: Vec<(Namespace, ScheduleId, ScheduleState)>,
        /// The end of the log.
        log_end: LogOffset,
        /// When the sink took note of the opening, by its own clock; `None` when it has none.
        taken_at: Option<Timestamp>,
        /// From where the log is to be read at the latest, where answers about the timetable and
        /// revisions go by what was read under an older checkpoint: that one's R. What the newer
        /// one's R leaves out may have been written since.
        prepared_from: Option<LogOffset>,
    },
    /// The stored revisions of all schedules, in order of their offsets.
    Revisions {
        /// Which request.
        request: RequestId,
        /// The revisions.
        entries: Vec<RevisionEntry>,
    },
    /// A part of the timetable.
    Page {
        /// Which request.
        request: RequestId,
        /// What was read.
        page: TimetablePage,
    },
    /// Records of the log.
    Records {
        /// Which request.
        request: RequestId,
        /// The records in order.
        records: Vec<InputRecord>,
        /// Read on from here.
        next: LogOffset,
        /// The end of the log as of this read.
        end: LogOffset,
    },
    /// What the timetable holds of a task.
    Found {
        /// Which request.
        request: RequestId,
        /// Its entries.
        entries: Vec<TimetableEntry>,
    },
    /// A tick is committed.
    Committed {
        /// Which request.
        request: RequestId,
        /// The offset behind the last record that the tick appended to the log; `None` when it
        /// appended none.
        derived_end: Option<LogOffset>,
        /// When the sink took it, by its own clock; `None` when it has none.
        taken_at: Option<Timestamp>,
    },
    /// A write of blocks, of revisions or of rows of the ledger is durable.
    Done {
        /// Which request.
        request: RequestId,
    },
    /// A request failed.
    Failed {
        /// Which request.
        request: RequestId,
        /// What to do about it.
        failure: Failure,
    },
    /// The log has grown up to this offset.
    LogGrew {
        /// Its end.
        end: LogOffset,
    },
    /// The coordinator confirmed the lease.
    LeaseConfirmed {
        /// When it did.
        at: Timestamp,
    },
    /// The register of regions has acknowledged that this region may publish what is due until
    /// then. Where another region could adopt the partition F stands until one is known
    /// ([`crate::Config::has_other_regions`]); elsewhere none ever comes.
    Horizon {
        /// The latest due time that F may pass.
        until: Timestamp,
    },
    /// How much memory the partition may take from now on.
    MemoryBudget {
        /// Bytes.
        bytes_max: usize,
    },
    /// The partition is to be handed over: flush, checkpoint, release.
    HandOver {
        /// Since when it is to be given up. The time that has gone by in waiting for a successor is
        /// not spent on waiting for writes once more.
        asked_at: Timestamp,
    },
}
