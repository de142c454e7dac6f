//! What a reader has fetched and nobody has taken yet.

use std::collections::VecDeque;

use minutehand_model::LogOffset;
use minutehand_ports::{LogBatch, LogRecord};

use crate::memory::BUFFERED_BYTES;

/// The memory that a record takes, about.
fn cost(record: &LogRecord) -> usize {
    record.payload.len() + BUFFERED_BYTES
}

/// Records in order. Every record from `base` to `position` that has not been handed out is here.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    records: VecDeque<LogRecord>,
    bytes: usize,
    base: LogOffset,
    /// Read on from here; below it everything was delivered.
    position: LogOffset,
    /// The true end of the partition, when it was last looked for: what lies below it may not be
    /// readable yet.
    end: LogOffset,
}

impl Buffer {
    pub(super) fn at(offset: LogOffset) -> Buffer {
        Buffer {
            base: offset,
            position: offset,
            ..Buffer::default()
        }
    }

    pub(super) fn position(&self) -> LogOffset {
        self.position
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a read from an offset can go on from what is here.
    pub(super) fn covers(&self, from: LogOffset) -> bool {
        (self.base..=self.position).contains(&from)
    }

    /// Takes records that were fetched. After a seek the library may still hand out what it had
    /// fetched before.
    pub(super) fn extend(&mut self, records: Vec<LogRecord>) {
        for record in records {
            if record.offset >= self.position {
                self.position = record.offset.next();
                self.bytes += cost(&record);
                self.records.push_back(record);
            }
        }
    }

    /// Below an offset there is nothing more.
    pub(super) fn pass(&mut self, until: LogOffset) {
        self.position = self.position.max(until);
        debug_assert!(self.is_consistent(), "{self:?}");
    }

    /// What is here lies between where it begins and where reading goes on, in order, and takes
    /// what is counted.
    fn is_consistent(&self) -> bool {
        let offsets = || self.records.iter().map(|record| record.offset);
        self.base <= self.position
            && offsets().is_sorted()
            && offsets().all(|offset| offset < self.position)
            && self.bytes == self.records.iter().map(cost).sum::<usize>()
    }

    pub(super) fn ends_at(&mut self, end: LogOffset) {
        self.end = end;
    }

    /// Hands out what lies at or above an offset, about as much as was asked for.
    pub(super) fn take(&mut self, from: LogOffset, bytes_max: usize) -> LogBatch {
        while self
            .records
            .front()
            .is_some_and(|record| record.offset < from)
        {
            self.pop();
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(record) = self.records.front() {
            let cost = cost(record);
            if !records.is_empty() && bytes + cost > bytes_max.max(BUFFERED_BYTES) {
                break;
            }
            bytes += cost;
            records.extend(self.pop());
        }
        let next = match self.records.front() {
            Some(left) => records
                .last()
                .map_or(left.offset, |record: &LogRecord| record.offset.next()),
            None => self.position,
        };
        self.base = self.base.max(next);
        debug_assert!(next <= self.position, "nothing beyond what was read");
        debug_assert!(
            !self.records.is_empty() || self.bytes == 0,
            "what is gone takes nothing"
        );
        LogBatch {
            records,
            next,
            end: self.position.max(self.end),
        }
    }

    fn pop(&mut self) -> Option<LogRecord> {
        let record = self.records.pop_front()?;
        self.bytes -= cost(&record);
        Some(record)
    }
}
