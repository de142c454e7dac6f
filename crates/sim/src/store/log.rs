//! The command log of one partition.

use std::collections::VecDeque;

use bytes::Bytes;
use minutehand_engine::InputRecord;
use minutehand_model::{Command, LogGeneration, LogOffset, SetAside, Timestamp};
use minutehand_record::QueueNames;
use minutehand_record::command::{decode_sharing, encode};

use crate::journal::{Logged, Said, find};

/// How long one machine leads a log, in milliseconds.
const LED_MS: i64 = 17_000;

/// A record as stored, and what its bytes say.
#[derive(Clone, Debug)]
struct StoredRecord {
    payload: Bytes,
    input: InputRecord,
}

/// An answer to a read.
pub(crate) struct ReadRecords {
    pub(crate) records: Vec<InputRecord>,
    pub(crate) payloads_bytes: usize,
    pub(crate) next: LogOffset,
    pub(crate) end: LogOffset,
}

/// One ordered stream of records.
#[derive(Debug, Default)]
pub(crate) struct LogStore {
    records: VecDeque<StoredRecord>,
    start: LogOffset,
    end: LogOffset,
    last_appended_ms: i64,
    clock_back_ms_max: i64,
    /// A transaction hangs until a time: from where on nothing is handed out.
    hanging: Option<(i64, LogOffset)>,
    names: QueueNames,
    /// Everything that was ever appended, for the checkers.
    pub(crate) history: Vec<Logged>,
}

impl LogStore {
    /// An empty log, which earlier ones may have gone before. Its clock goes back by so much at
    /// most when another machine leads it.
    pub(crate) fn in_cluster(generation: LogGeneration, clock_back_ms_max: i64) -> LogStore {
        LogStore {
            end: LogOffset::start_of(generation),
            clock_back_ms_max,
            ..LogStore::default()
        }
    }

    /// The next log of the partition goes on where this one ends; what was appended so far stays.
    pub(crate) fn begin_generation(&mut self) {
        if let Some(next) = self.end.generation().next() {
            self.end = LogOffset::start_of(next);
        }
    }

    pub(crate) fn end(&self) -> LogOffset {
        self.end
    }

    pub(crate) fn start(&self) -> LogOffset {
        self.start
    }

    /// The time that the next append gets: the log's clock, which never goes back while one machine
    /// leads.
    fn appended_at(&mut self, now_ms: i64) -> Timestamp {
        if self.clock_back_ms_max > 0 {
            let leader = (now_ms / LED_MS).unsigned_abs();
            let back_ms = leader.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
            return Timestamp::from_millis(
                now_ms - (back_ms as i64 % (self.clock_back_ms_max + 1)),
            );
        }
        self.last_appended_ms = self.last_appended_ms.max(now_ms);
        Timestamp::from_millis(self.last_appended_ms)
    }

    /// The time of the newest record; the present when there is none.
    pub(crate) fn last_appended_at(&self, now_ms: i64) -> Timestamp {
        Timestamp::from_millis(if self.history.is_empty() {
            now_ms
        } else {
            self.last_appended_ms
        })
    }

    /// Leaves offsets unused, as transaction markers do.
    pub(crate) fn leave_hole(&mut self, offsets: u64) {
        self.end = self.end.plus(offsets);
    }

    /// Appends bytes as they came; they are understood once, here, for every reader.
    pub(crate) fn append(&mut self, now_ms: i64, payload: Bytes) -> LogOffset {
        let offset = self.end;
        let command = decode_sharing(payload.clone(), &mut self.names).map_err(|error| {
            SetAside::new(
                format!("log offset {offset}"),
                error.to_string(),
                payload.clone(),
            )
        });
        let said = Said::by_others(&command);
        self.store(now_ms, payload, command, said)
    }

    /// Appends a command that a tick derived.
    pub(crate) fn append_command(&mut self, now_ms: i64, command: Command) -> LogOffset {
        let payload = encode(&command);
        let command = Ok(command);
        let said = Said::of(&command);
        self.store(now_ms, payload, command, said)
    }

    fn store(
        &mut self,
        now_ms: i64,
        payload: Bytes,
        command: Result<Command, SetAside>,
        said: Said,
    ) -> LogOffset {
        let offset = self.end;
        self.end = self.end.next();
        let appended_at = self.appended_at(now_ms);
        self.history.push(Logged {
            offset,
            appended_at_ms: appended_at.as_millis(),
            said,
        });
        self.records.push_back(StoredRecord {
            payload,
            input: InputRecord {
                offset,
                appended_at,
                command,
            },
        });
        offset
    }

    /// The index of the first record at or after an offset. Without holes in between it is found at
    /// once.
    fn first_at(&self, offset: LogOffset) -> usize {
        let begin = self
            .records
            .front()
            .map_or(offset, |record| record.input.offset);
        let guess = (begin.records_until(offset).unwrap_or(0) as usize).min(self.records.len());
        let is_below = |index: usize| {
            self.records
                .get(index)
                .is_some_and(|record| record.input.offset < offset)
        };
        if !is_below(guess) && (guess == 0 || is_below(guess - 1)) {
            return guess;
        }
        self.records
            .partition_point(|record| record.input.offset < offset)
    }

    /// Whether the record at an offset is about a task, and not about a schedule.
    pub(crate) fn is_of_task(&self, offset: LogOffset) -> bool {
        !matches!(
            find(&self.history, offset).map(|logged| &logged.said),
            Some(Said::Revise(_) | Said::Trigger { .. } | Said::Backfill { .. })
        )
    }

    /// The stored bytes of the records from an offset on, with offset and time; for the port.
    pub(crate) fn read_raw(
        &self,
        from: LogOffset,
        bytes_max: usize,
    ) -> Vec<(LogOffset, Timestamp, Bytes)> {
        let mut bytes = 0;
        let first = self.first_at(from);
        let mut found = Vec::new();
        for record in self.records.range(first..) {
            if !found.is_empty() && bytes + record.payload.len() > bytes_max {
                break;
            }
            bytes += record.payload.len();
            found.push((
                record.input.offset,
                record.input.appended_at,
                record.payload.clone(),
            ));
        }
        found
    }

    /// Reads on from an offset; `None` when the log no longer reaches back that far.
    pub(crate) fn read(&self, from: LogOffset, bytes_max: usize) -> Option<ReadRecords> {
        if from < self.start {
            return None;
        }
        let first = self.first_at(from);
        let mut answer = ReadRecords {
            records: Vec::new(),
            payloads_bytes: 0,
            next: self.end.max(from),
            end: self.end,
        };
        for record in self.records.range(first..) {
            if !answer.records.is_empty()
                && answer.payloads_bytes + record.payload.len() > bytes_max
            {
                answer.next = record.input.offset;
                break;
            }
            answer.payloads_bytes += record.payload.len();
            answer.records.push(record.input.clone());
        }
        Some(answer)
    }

    /// What can be read of it at a time, and nothing that comes later.
    pub(crate) fn readable(&self, now_ms: i64) -> LogStore {
        let hangs_at = self
            .hanging
            .filter(|(until_ms, _)| now_ms < *until_ms)
            .map_or(self.end, |(_, stable)| stable);
        let records = self.records.iter();
        LogStore {
            records: records
                .take_while(|record| record.input.offset < hangs_at)
                .cloned()
                .collect(),
            start: self.start,
            end: hangs_at,
            ..LogStore::default()
        }
    }

    /// A transaction that is open from now on hangs until a time.
    pub(crate) fn hang(&mut self, until_ms: i64) {
        self.hanging = Some((until_ms, self.end));
    }

    /// The same as [`LogStore::read`], without what stands behind a transaction that hangs. That
    /// there is more is no secret.
    pub(crate) fn read_stable(
        &self,
        from: LogOffset,
        bytes_max: usize,
        now_ms: i64,
    ) -> Option<ReadRecords> {
        let mut read = self.read(from, bytes_max)?;
        if let Some((until_ms, stable)) = self.hanging
            && now_ms < until_ms
            && read.next > stable
        {
            read.records.retain(|record| record.offset < stable);
            read.next = stable.max(from);
        }
        Some(read)
    }

    /// Planted: forgets what was appended before a time, whoever may need it.
    pub(crate) fn forget_before(&mut self, ms: i64) {
        let is_old = |record: &StoredRecord| record.input.appended_at.as_millis() < ms;
        if let Some(last) = self
            .records
            .iter()
            .take_while(|record| is_old(record))
            .last()
        {
            self.truncate(last.input.offset.next());
        }
    }

    /// Forgets what lies below an offset.
    pub(crate) fn truncate(&mut self, below: LogOffset) {
        let below = below.min(self.end);
        while self
            .records
            .front()
            .is_some_and(|record| record.input.offset < below)
        {
            self.records.pop_front();
        }
        self.start = self.start.max(below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minutehand_model::TaskKey;

    fn cancel(id: u128) -> Bytes {
        encode(&Command::Cancel {
            key: TaskKey(id),
            due: Timestamp::from_millis(7),
        })
    }

    #[test]
    fn reads_go_over_holes_in_pages_and_stop_at_the_end() {
        let mut log = LogStore::default();
        log.append(10, cancel(1));
        log.leave_hole(3);
        log.append(5, cancel(2));
        let first = log.read(LogOffset::START, 1).expect("kept");
        assert_eq!(
            (first.records.len(), first.next, first.end),
            (1, LogOffset::at(4), LogOffset::at(5))
        );
        let second = log.read(LogOffset::at(1), 1).expect("kept");
        assert_eq!(
            (second.records[0].offset, second.next),
            (LogOffset::at(4), LogOffset::at(5))
        );
        assert_eq!(
            second.records[0].appended_at,
            Timestamp::from_millis(10),
            "the log's clock never goes back"
        );
        assert_eq!(
            log.read(LogOffset::at(5), 1).expect("kept").records.len(),
            0
        );
    }

    #[test]
    fn what_was_truncated_cannot_be_read() {
        let mut log = LogStore::default();
        for id in 0..4 {
            log.append(0, cancel(id));
        }
        log.truncate(LogOffset::at(2));
        assert!(log.read(LogOffset::at(1), 100).is_none());
        assert_eq!(
            log.read(LogOffset::at(2), 1_000)
                .expect("kept")
                .records
                .len(),
            2
        );
    }

    #[test]
    fn bytes_that_say_nothing_carry_their_position() {
        let mut log = LogStore::default();
        log.append(0, Bytes::from_static(b"\xff\xff"));
        let read = log.read(LogOffset::START, 100).expect("kept");
        let set_aside = read.records[0].command.as_ref().expect_err("no command");
        assert_eq!(set_aside.position, "log offset 0");
    }
}
