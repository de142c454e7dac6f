//! The ticks: which checkpoint was committed last, which is under way, and what the stores were
//! told to forget.

use minutehand_model::{Checkpoint, LogOffset, Timestamp};

use crate::input::RequestId;
use crate::retry::Single;

/// One tick at a time, each with the checkpoint that follows the one before it.
#[derive(Debug)]
pub(crate) struct Ticker {
    /// The last committed checkpoint, and when its answer came.
    committed: Checkpoint,
    committed_at: Timestamp,
    /// The checkpoint of the tick under way.
    in_flight: Option<Checkpoint>,
    sending: Single,
    /// What the stores were last told to forget, and when.
    forgotten_below: LogOffset,
    forgotten_at: Timestamp,
}

impl Ticker {
    /// Nothing has been committed yet; `sending` goes on from failures before.
    pub(crate) fn new(sending: Single) -> Ticker {
        Ticker {
            committed: Checkpoint::START,
            committed_at: Timestamp::MIN,
            in_flight: None,
            sending,
            forgotten_below: LogOffset::START,
            forgotten_at: Timestamp::MIN,
        }
    }

    /// Goes on from a checkpoint.
    pub(crate) fn begin(&mut self, checkpoint: Checkpoint, now: Timestamp) {
        assert!(self.in_flight.is_none(), "an owner opens before it ticks");
        (self.committed, self.committed_at) = (checkpoint, now);
    }

    /// The last committed checkpoint.
    pub(crate) fn committed(&self) -> &Checkpoint {
        &self.committed
    }

    pub(crate) fn committed_at(&self) -> Timestamp {
        self.committed_at
    }

    /// A as the newest tick tells it, be it committed or under way.
    pub(crate) fn told(&self) -> LogOffset {
        let newest = self.in_flight.as_ref().unwrap_or(&self.committed);
        newest.applied
    }

    /// Whether a tick may be sent.
    pub(crate) fn is_free(&self, now: Timestamp) -> bool {
        self.sending.is_free(now)
    }

    /// Whether a tick is under way.
    pub(crate) fn is_sending(&self) -> bool {
        self.sending.request.is_some()
    }

    /// A tick with this checkpoint is sent.
    pub(crate) fn send(&mut self, request: RequestId, checkpoint: Checkpoint) {
        let before = &self.committed;
        assert_eq!(
            checkpoint.tick,
            before.tick + 1,
            "ticks are numbered without a gap"
        );
        assert!(checkpoint.applied >= before.applied, "A never goes back");
        assert!(
            checkpoint.replay_from >= before.replay_from,
            "R never goes back"
        );
        assert!(
            checkpoint.replay_from <= checkpoint.applied,
            "R lies at or below A"
        );
        assert!(
            checkpoint.frontier.head >= before.frontier.head,
            "F never goes back"
        );
        self.sending.start(request);
        self.in_flight = Some(checkpoint);
    }

    /// Whether this is the answer that is awaited; then no tick is under way any more.
    pub(crate) fn answers(&mut self, request: RequestId) -> bool {
        self.sending.answers(request)
    }

    /// Whether this is the request of the tick under way.
    pub(crate) fn awaits(&self, request: RequestId) -> bool {
        self.sending.request == Some(request)
    }

    /// The tick under way, if any, is not waited for any longer.
    pub(crate) fn give_up(&mut self) {
        self.sending = Single::default();
        self.in_flight = None;
    }

    pub(crate) fn has_checkpoint_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The tick under way was committed; answers whether there was one.
    pub(crate) fn commit(&mut self, now: Timestamp) -> bool {
        let Some(checkpoint) = self.in_flight.take() else {
            return false;
        };
        self.sending = Single::default();
        (self.committed, self.committed_at) = (checkpoint, now);
        true
    }

    /// What the stores may be told to forget now, if it is more than they were told and some time
    /// has passed.
    pub(crate) fn forgets_below(&mut self, now: Timestamp, interval_ms: i64) -> Option<LogOffset> {
        let below = self.committed.replay_from;
        if below <= self.forgotten_below || now.millis_since(self.forgotten_at) < interval_ms {
            return None;
        }
        (self.forgotten_below, self.forgotten_at) = (below, now);
        Some(below)
    }

    pub(crate) fn clock_went_back(&mut self, now: Timestamp) {
        self.committed_at = self.committed_at.min(now);
        self.forgotten_at = self.forgotten_at.min(now);
    }

    /// The tick under way, as an operation.
    pub(crate) fn sending(&self) -> &Single {
        &self.sending
    }

    pub(crate) fn sending_mut(&mut self) -> &mut Single {
        &mut self.sending
    }

    /// What holds after every step.
    pub(crate) fn assert_invariants(&self) {
        assert!(
            self.forgotten_below <= self.committed.replay_from,
            "the log is told to forget what a successor would read: below {}, R is {}",
            self.forgotten_below,
            self.committed.replay_from
        );
        assert!(
            self.sending.request.is_none() || self.in_flight.is_some(),
            "a tick under way has a checkpoint"
        );
    }
}
