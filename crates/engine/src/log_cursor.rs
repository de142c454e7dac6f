//! Where the owner stands in the log: what it has read, and what of it has been applied.
//!
//! ```text
//!   R ... next <= read_next <= end        next: the first record that this owner has not applied yet
//!         next <= A                       A: every record below has been applied by somebody; above it only by this owner
//! ```
//! While a successor replays, `next` lies below A, and what it applies was applied before by a
//! predecessor.

use minutehand_model::{Checkpoint, LogOffset, Timestamp};

use crate::inbox::Inbox;
use crate::input::{InputRecord, RequestId};
use crate::retry::Single;

/// The positions in the log, and what is being read of it.
#[derive(Debug)]
pub(crate) struct LogCursor {
    /// A: every record below has been applied.
    applied: LogOffset,
    /// The next record that this owner applies; below A while it replays.
    next: LogOffset,
    /// A at take-over: records below were applied by a predecessor.
    known: LogOffset,
    /// The end of the log at take-over: F stands until it is reached.
    replay_end: LogOffset,
    /// The end of the log, as far as it was heard of.
    end: LogOffset,
    /// When the log took the newest record that has been applied here.
    time: Timestamp,
    /// When it was last asked for more, and when it was asked the last time that it had no more.
    asked_at: Timestamp,
    heard_at: Timestamp,
    reading: Single,
    inbox: Inbox,
}

impl LogCursor {
    /// Nothing is known but how far the log is said to go.
    pub(crate) fn new(end: LogOffset) -> LogCursor {
        LogCursor {
            applied: LogOffset::START,
            next: LogOffset::START,
            known: LogOffset::START,
            replay_end: LogOffset::START,
            end,
            time: Timestamp::MIN,
            asked_at: Timestamp::MIN,
            heard_at: Timestamp::MIN,
            reading: Single::default(),
            inbox: Inbox::default(),
        }
    }

    /// Goes on where a checkpoint says, in a log that ends at `end`, and reads it again from an
    /// offset at or below R.
    pub(crate) fn begin(&mut self, checkpoint: &Checkpoint, from: LogOffset, end: LogOffset) {
        assert!(
            from <= checkpoint.replay_from,
            "a take-over leaves out nothing that R says"
        );
        assert!(
            checkpoint.replay_from <= checkpoint.applied,
            "R lies at or below A in every checkpoint"
        );
        (self.applied, self.known) = (checkpoint.applied, checkpoint.applied);
        self.next = from;
        self.inbox.begin_at(from);
        self.replay_end = end;
        self.grew(end);
    }

    /// The log is heard of to go this far.
    pub(crate) fn grew(&mut self, end: LogOffset) {
        self.end = self.end.max(end);
    }

    pub(crate) fn end(&self) -> LogOffset {
        self.end
    }

    /// A.
    pub(crate) fn applied(&self) -> LogOffset {
        self.applied
    }

    /// The next record that this owner applies.
    pub(crate) fn next(&self) -> LogOffset {
        self.next
    }

    /// Whether a record was never applied by a predecessor, so that what depends on F as well is
    /// decided here.
    pub(crate) fn is_new(&self, offset: LogOffset) -> bool {
        offset >= self.known
    }

    /// Whether all that stood in the log at take-over has been applied.
    pub(crate) fn has_replayed(&self) -> bool {
        self.next >= self.replay_end
    }

    /// When the log took the newest record that has been applied here.
    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    /// What has been read and not applied yet.
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    pub(crate) fn inbox_mut(&mut self) -> &mut Inbox {
        &mut self.inbox
    }

    /// Whether the log may be asked for more: what was read has been applied.
    pub(crate) fn may_ask(&self, now: Timestamp) -> bool {
        self.inbox.is_empty() && self.reading.is_free(now)
    }

    /// Whether it holds more than was read, as far as it was heard of.
    pub(crate) fn has_more(&self) -> bool {
        self.inbox.read_next() < self.end
    }

    /// It is asked for more, from the answer on.
    pub(crate) fn ask(&mut self, request: RequestId, now: Timestamp) -> LogOffset {
        debug_assert!(
            self.inbox.is_empty(),
            "what was read is applied before more is read"
        );
        self.reading.start(request);
        self.asked_at = now;
        self.inbox.read_next()
    }

    pub(crate) fn asked_at(&self) -> Timestamp {
        self.asked_at
    }

    /// Whether nothing is being read, and nothing waits to be applied.
    pub(crate) fn is_idle(&self) -> bool {
        self.reading.request.is_none() && self.inbox.is_empty()
    }

    /// Whether this is the answer that is awaited.
    pub(crate) fn answers(&mut self, request: RequestId) -> bool {
        self.reading.answers(request)
    }

    /// Takes what was read, up to where reading goes on. Only an answer without anything that came
    /// to the end says that there was no more: a reader that fetches ahead may hold less than the
    /// log, and take the end of that for the end.
    pub(crate) fn take_in(&mut self, records: Vec<InputRecord>, next: LogOffset, is_end: bool) {
        if records.is_empty() && next == self.inbox.read_next() && is_end {
            self.heard_at = self.heard_at.max(self.asked_at);
        }
        self.inbox.take_in(records, next);
        self.pass_hole();
    }

    /// The next record, to be applied now.
    pub(crate) fn take_next(&mut self) -> Option<InputRecord> {
        let record = self.inbox.pop()?;
        self.time = self.time.max(record.appended_at);
        Some(record)
    }

    /// The record before this offset has been applied.
    pub(crate) fn applied_below(&mut self, next: LogOffset) {
        self.next = next;
        self.applied = self.applied.max(next);
        self.pass_hole();
    }

    /// Offsets without a record (aborted transactions, markers) are passed like any other, when
    /// what was read is applied.
    fn pass_hole(&mut self) {
        if self.inbox.is_empty() {
            self.next = self.next.max(self.inbox.read_next());
            self.applied = self.applied.max(self.next);
        }
    }

    /// When the log was asked the last time that it had no more, if everything that was read has
    /// been applied.
    pub(crate) fn had_no_more_at(&self) -> Option<Timestamp> {
        let is_applied = self.inbox.is_empty() && self.next >= self.inbox.read_next();
        is_applied.then_some(self.heard_at)
    }

    pub(crate) fn clock_went_back(&mut self, now: Timestamp) {
        self.asked_at = self.asked_at.min(now);
        self.heard_at = self.heard_at.min(now);
    }

    /// The question that is under way.
    pub(crate) fn reading(&self) -> &Single {
        &self.reading
    }

    pub(crate) fn reading_mut(&mut self) -> &mut Single {
        &mut self.reading
    }

    /// What holds after every step.
    pub(crate) fn assert_invariants(&self) {
        assert!(
            self.next <= self.applied,
            "{} is applied next, above A {}",
            self.next,
            self.applied
        );
        assert!(
            self.known <= self.applied,
            "A has not gone back since take-over"
        );
        // What the log answers is not for this crate to promise: an answer that repeats records
        // stops no partition.
    }
}
