//! What has been read of the log and not been applied yet, and where to read on.

use std::collections::VecDeque;

use minutehand_model::LogOffset;

use crate::input::InputRecord;

/// Records in the order of the log, and the memory they take.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    records: VecDeque<InputRecord>,
    bytes: usize,
    /// Where to read on when they have been applied.
    read_next: LogOffset,
    /// The first of them waits for memory.
    is_stalled: bool,
}

impl Inbox {
    /// Nothing has been read yet below an offset that is to be applied.
    pub(crate) fn begin_at(&mut self, offset: LogOffset) {
        debug_assert!(self.records.is_empty(), "an owner begins once");
        self.read_next = offset;
    }

    /// Takes what was read, up to where reading goes on.
    pub(crate) fn take_in(&mut self, records: Vec<InputRecord>, next: LogOffset) {
        self.read_next = next;
        self.bytes += records.iter().map(InputRecord::bytes).sum::<usize>();
        self.records.extend(records);
    }

    /// The next record is to be applied.
    pub(crate) fn pop(&mut self) -> Option<InputRecord> {
        let record = self.records.pop_front()?;
        self.bytes -= record.bytes();
        debug_assert!(
            !self.records.is_empty() || self.bytes == 0,
            "{} bytes of nothing",
            self.bytes
        );
        Some(record)
    }

    pub(crate) fn first(&self) -> Option<&InputRecord> {
        self.records.front()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &InputRecord> {
        self.records.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Where to read on.
    pub(crate) fn read_next(&self) -> LogOffset {
        self.read_next
    }

    /// The memory that the records take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same, counted anew.
    pub(crate) fn bytes_counted_anew(&self) -> usize {
        self.records.iter().map(InputRecord::bytes).sum()
    }

    /// Takes note of whether what is there waits for memory.
    pub(crate) fn stall(&mut self, waits_for_memory: bool) {
        self.is_stalled = waits_for_memory && !self.records.is_empty();
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.is_stalled
    }
}
