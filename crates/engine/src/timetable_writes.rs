//! What is on its way to the timetable: facts that wait for their block, writes under way, and
//! writes that failed.

use std::collections::BTreeMap;

use minutehand_model::Timestamp;

use crate::config::Config;
use crate::input::RequestId;
use crate::pending::PendingBlocks;
use crate::retry::Write;

/// Facts and revisions between memory and the store.
#[derive(Debug, Default)]
pub(crate) struct TimetableWrites {
    /// Facts that wait for their block.
    pending: PendingBlocks,
    under_way: BTreeMap<RequestId, Write>,
    /// Writes that failed and are to be sent again.
    failed: Vec<Write>,
}

impl TimetableWrites {
    pub(crate) fn pending(&self) -> &PendingBlocks {
        &self.pending
    }

    pub(crate) fn pending_mut(&mut self) -> &mut PendingBlocks {
        &mut self.pending
    }

    /// How many writes the store has not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.under_way.len() + self.failed.len()
    }

    /// Whether nothing is on its way, and nothing waits for its block.
    pub(crate) fn is_empty(&self) -> bool {
        self.unacknowledged() == 0 && self.pending.len() == 0
    }

    /// The writes that the store has not acknowledged.
    pub(crate) fn sent(&self) -> impl Iterator<Item = &Write> {
        self.under_way.values().chain(&self.failed)
    }

    /// A write that failed and may be sent again, if there is room for it among `count_max`.
    pub(crate) fn take_to_resend(&mut self, now: Timestamp, count_max: usize) -> Option<Write> {
        let has_room = self.under_way.len() < count_max;
        let index = self
            .failed
            .iter()
            .position(|write| write.not_before <= now)
            .filter(|_| has_room)?;
        Some(self.failed.remove(index))
    }

    /// A write is sent.
    pub(crate) fn start(&mut self, request: RequestId, write: Write) {
        let before = self.under_way.insert(request, write);
        assert!(before.is_none(), "each request has a number of its own");
    }

    /// The write of an answer, which is under way no more.
    pub(crate) fn take(&mut self, request: RequestId) -> Option<Write> {
        self.under_way.remove(&request)
    }

    /// A write is to be sent again after a pause.
    pub(crate) fn fail(&mut self, write: Write, now: Timestamp, config: &Config) {
        self.failed.push(write.failed(now, config));
    }

    /// When the first of those that failed may be sent again.
    pub(crate) fn resends_at(&self) -> impl Iterator<Item = Timestamp> {
        self.failed.iter().map(|write| write.not_before)
    }

    pub(crate) fn clock_went_back(&mut self, now: Timestamp, retry_at: Timestamp) {
        self.pending.clock_went_back(now);
        for write in &mut self.failed {
            write.not_before = write.not_before.min(retry_at);
        }
    }
}
