//! The end of a log in memory: what its owner is about to read.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;
use minutehand_model::{LogOffset, Timestamp};
use minutehand_ports::LogBounds;
use tokio::sync::watch;

/// Rows that there is always room for.
const ROOM_KEPT: usize = 256;

/// A row that has been committed.
#[derive(Clone, Debug)]
pub(crate) struct TailRow {
    /// The offset of its first record.
    pub(crate) first: LogOffset,
    /// The offset behind its last record.
    pub(crate) end: LogOffset,
    /// The row as stored.
    pub(crate) row: Bytes,
}

/// What readers of one partition's log share with the committer.
pub(crate) struct LogView {
    inner: Mutex<Inner>,
    end: watch::Sender<LogOffset>,
    bytes_max: usize,
}

struct Inner {
    bounds: LogBounds,
    rows: VecDeque<TailRow>,
    bytes: usize,
    expired_before: Timestamp,
}

/// Where to find records.
pub(crate) enum Found {
    /// Here, in order and without holes.
    Rows(Vec<TailRow>),
    /// On disk.
    Disk,
}

impl LogView {
    pub(crate) fn new(bounds: LogBounds, bytes_max: usize) -> LogView {
        let inner = Inner {
            bounds,
            rows: VecDeque::new(),
            bytes: 0,
            expired_before: Timestamp::MIN,
        };
        LogView {
            inner: Mutex::new(inner),
            end: watch::Sender::new(bounds.end),
            bytes_max,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("nothing panics while it holds this lock")
    }

    pub(crate) fn bounds(&self) -> LogBounds {
        self.lock().bounds
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LogOffset> {
        self.end.subscribe()
    }

    /// Takes a committed row in, and lets the oldest go when there are too many bytes.
    pub(crate) fn push(&self, row: TailRow) {
        let end = row.end;
        {
            let mut inner = self.lock();
            inner.bounds.end = end;
            inner.bytes += row.row.len();
            inner.rows.push_back(row);
            while inner.bytes > self.bytes_max
                && let Some(oldest) = inner.rows.pop_front()
            {
                inner.bytes -= oldest.row.len();
            }
        }
        self.end.send_replace(end);
    }

    /// Moves the start of the log, once that is committed.
    pub(crate) fn truncated(&self, start: LogOffset) {
        let mut inner = self.lock();
        inner.bounds.start = start;
        while let Some(oldest) = inner.rows.front()
            && oldest.end <= start
        {
            inner.bytes -= oldest.row.len();
            inner.rows.pop_front();
        }
        if inner.rows.is_empty() {
            // Room for what once was there is not kept.
            inner.rows.shrink_to(ROOM_KEPT);
        }
    }

    /// The rows from the one that holds `from` on, of about `bytes_max` bytes.
    pub(crate) fn find(&self, from: LogOffset, bytes_max: usize) -> Found {
        let inner = self.lock();
        if inner.rows.front().is_none_or(|oldest| from < oldest.first) {
            return Found::Disk;
        }
        let start = inner.rows.partition_point(|row| row.end <= from);
        let mut bytes = 0;
        let mut rows = Vec::new();
        for row in inner.rows.range(start..) {
            rows.push(row.clone());
            bytes += row.row.len();
            if bytes >= bytes_max.saturating_add(row.row.len()) {
                break;
            }
        }
        Found::Rows(rows)
    }

    /// The time before which the timetable of this partition has been cleared since the start.
    pub(crate) fn expired_before(&self) -> Timestamp {
        self.lock().expired_before
    }

    /// Notes that the timetable holds nothing before a time.
    pub(crate) fn expired(&self, before: Timestamp) {
        let mut inner = self.lock();
        inner.expired_before = inner.expired_before.max(before);
    }

    /// Notes that the timetable holds something at a time.
    pub(crate) fn filled(&self, at: Timestamp) {
        let mut inner = self.lock();
        inner.expired_before = inner.expired_before.min(at);
    }
}
