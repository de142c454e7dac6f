//! What a partition wants done. Effects are values; their order is part of the contract.

use std::collections::VecDeque;

use minutehand_model::{Block, Epoch, LogOffset, RevisionEntry, Tally, TaskKey, Tick, Timestamp};

use crate::input::RequestId;

/// How many occurrences of schedules were started or left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occurrences {
    /// Started.
    pub started: u64,
    /// Left out by the overlap policy.
    pub skipped: u64,
    /// Left out by the misfire policy.
    pub missed: u64,
}

/// Something to be carried out outside. Each but the last four is answered by exactly one input
/// with the same request id, or by [`crate::Input::Failed`].
#[derive(Clone, Debug)]
pub enum Effect {
    /// Open the sink under this epoch. Answer: `Opened`.
    Open {
        /// Names the answer.
        request: RequestId,
        /// The fencing number.
        epoch: Epoch,
    },
    /// Read every stored revision. Answer: `Revisions`.
    ReadRevisions {
        /// Names the answer.
        request: RequestId,
    },
    /// Read the blocks whose first due time is in `from..until`. Answer: `Page`.
    ReadTimetable {
        /// Names the answer.
        request: RequestId,
        /// Inclusive.
        from: Timestamp,
        /// Exclusive.
        until: Timestamp,
        /// About how much.
        bytes_max: usize,
    },
    /// Find what the timetable holds of a task that is due at a time; all of it. Answer: `Found`.
    FindTask {
        /// Names the answer.
        request: RequestId,
        /// The task.
        key: TaskKey,
        /// The due time.
        due: Timestamp,
    },
    /// Read the log; there may be nothing at or after `from`. Answer: `Records`.
    ReadLog {
        /// Names the answer.
        request: RequestId,
        /// The first offset wanted.
        from: LogOffset,
        /// About how much.
        bytes_max: usize,
    },
    /// Write blocks. Answer: `Done`.
    WriteBlocks {
        /// Names the answer.
        request: RequestId,
        /// The blocks.
        blocks: Vec<Block>,
    },
    /// Append revisions. Answer: `Done`.
    WriteRevisions {
        /// Names the answer.
        request: RequestId,
        /// The revisions.
        revisions: Vec<RevisionEntry>,
    },
    /// Commit a tick atomically. Answer: `Committed`.
    Commit {
        /// Names the answer.
        request: RequestId,
        /// The tick.
        tick: Box<Tick>,
        /// What became of occurrences in it.
        occurrences: Occurrences,
    },
    /// Keep rows of the ledger for minutes that are closed, each with what the timetable holds of
    /// it. Answer: `Done`.
    KeepMinutes {
        /// Names the answer.
        request: RequestId,
        /// What was counted, in order of the minutes.
        tallies: Vec<Tally>,
    },
    /// Nothing below is needed any more. No answer.
    Forget {
        /// Log records below this offset.
        log_below: LogOffset,
        /// Timetable buckets that start before this time.
        timetable_before: Timestamp,
    },
    /// Stored revisions of schedules that were deleted long ago are needed no more. No answer.
    ForgetRevisions {
        /// Their log offsets.
        offsets: Vec<LogOffset>,
    },
    /// Give the partition back to the coordinator: everything is flushed and checkpointed. No
    /// answer; the last effect.
    Release {
        /// The ownership that ends.
        epoch: Epoch,
    },
    /// The partition has stopped and wants nothing more. No answer; the last effect.
    Stopped {
        /// Why.
        reason: StopReason,
    },
}

/// Why an owner stopped without a hand-over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// A later owner has taken the partition.
    #[error("another owner has taken the partition")]
    Fenced,
    /// The owner's clock is too far from the sink's.
    #[error(
        "this machine's clock is {ms} ms {way} that of the store, and at most {limit_ms} ms are allowed: set the clock right"
    )]
    ClockOff {
        /// How far, at least.
        ms: i64,
        /// Which way: `ahead of`, or `behind`.
        way: &'static str,
        /// How far it may be.
        limit_ms: i64,
    },
    /// A port failed for good.
    #[error("a store failed for good; see the error before this one")]
    Fatal,
}

/// What is to be carried out, in order, and the numbers of the requests.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    queue: VecDeque<Effect>,
    requests: u64,
}

impl Effects {
    pub(crate) fn push(&mut self, effect: Effect) {
        self.queue.push_back(effect);
    }

    pub(crate) fn pop(&mut self) -> Option<Effect> {
        self.queue.pop_front()
    }

    /// The number of a request that is about to be sent. No two of a partition are the same.
    pub(crate) fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }
}
