//! What a reader has fetched and nobody has taken yet.

use std::collections::VecDeque;

use minutehand_model::LogOffset;
use minutehand_ports::{LogBatch, LogRecord};

/// Bytes that a record costs beside its payload.
const RECORD_BYTES: usize = 64;

/// Records in order. Every record from `base` to `position` that has not been handed out is here.
#[derive(Default)]
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
                self.bytes += record.payload.len() + RECORD_BYTES;
                self.records.push_back(record);
            }
        }
    }

    /// Below an offset there is nothing more.
    pub(super) fn pass(&mut self, until: LogOffset) {
        self.position = self.position.max(until);
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
            let cost = record.payload.len() + RECORD_BYTES;
            if !records.is_empty() && bytes + cost > bytes_max.max(RECORD_BYTES) {
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
        LogBatch {
            records,
            next,
            end: self.position.max(self.end),
        }
    }

    fn pop(&mut self) -> Option<LogRecord> {
        let record = self.records.pop_front()?;
        self.bytes -= record.payload.len() + RECORD_BYTES;
        Some(record)
    }
}
