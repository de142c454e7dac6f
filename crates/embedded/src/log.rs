//! The command log.

use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{LogOffset, PartitionId};
use minutehand_ports::{
    Appended, CommandLog, ErrorClass, LogBatch, LogBounds, LogRecord, PortError,
};
use tokio::sync::watch;

use crate::keys;
use crate::row::{self, Packed};
use crate::scan::{self, Lost};
use crate::shared::Shared;
use crate::skips;
use crate::spaces::Spaces;
use crate::state::{NewRows, State};
use crate::store::{Applied, EmbeddedStore};
use crate::tail::Found;
use crate::writes::{Writes, pair};

/// Largest append, in bytes: what fits one row with room to spare.
const APPEND_BYTES_MAX: usize = 256 << 20;
/// Rows that one step of a truncation removes.
const TRUNCATE_ROWS: usize = 4_096;

#[async_trait]
impl CommandLog for EmbeddedStore {
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
    ) -> Result<Appended, PortError> {
        let action = format!(
            "append {} records to the log of partition {partition}",
            records.len()
        );
        self.shared().log(partition, &action)?;
        let bytes: usize = records.iter().map(|record| record.len() + 4).sum();
        if bytes > APPEND_BYTES_MAX {
            let reason = format!("they have {bytes} bytes; at most {APPEND_BYTES_MAX} are allowed");
            return Err(PortError::new(ErrorClass::Fatal, action, reason));
        }
        let (packed, count) = (Packed::new(&records), records.len());
        drop(records);
        self.submit(action, packed.bytes(), false, move |state, writes| {
            let mut rows = NewRows::default();
            let (first, appended_at) = state.append(writes, partition, packed, &mut rows);
            let shared = Arc::clone(&state.shared);
            Ok(Applied::then(
                Appended::following(first, count, appended_at),
                move || rows.publish(&shared),
            ))
        })
        .await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: LogOffset,
        bytes_max: usize,
    ) -> Result<LogBatch, PortError> {
        let action = format!("read the log of partition {partition} from offset {from}");
        let view = self.shared().log(partition, &action)?;
        let bounds = view.bounds();
        check_start(from, bounds.start, &action)?;
        if from >= bounds.end {
            return Ok(LogBatch {
                records: Vec::new(),
                next: from,
                end: bounds.end,
            });
        }
        if let Found::Rows(rows) = view.find(from, bytes_max) {
            let stopped_at = rows.last().map_or(from, |row| row.end.min(bounds.end));
            let rows = rows.into_iter().map(|row| (row.first, row.row)).collect();
            return Ok(batch(
                self.shared(),
                partition,
                from,
                bounds.end,
                bytes_max,
                rows,
                stopped_at,
            ));
        }
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        let read = move || -> fjall::Result<LogBatch> {
            let (rows, stopped_at) =
                read_rows(&spaces, &shared, partition, from, bounds.end, bytes_max)?;
            Ok(batch(
                &shared, partition, from, bounds.end, bytes_max, rows, stopped_at,
            ))
        };
        let batch = self.read(&action, read).await?;
        // A truncation may have overtaken the read.
        check_start(from, view.bounds().start, &action)?;
        Ok(batch)
    }

    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, PortError> {
        Ok(self
            .shared()
            .log(
                partition,
                &format!("find the ends of the log of partition {partition}"),
            )?
            .bounds())
    }

    async fn skip(
        &self,
        partition: PartitionId,
        offsets: RangeInclusive<LogOffset>,
        reason: &str,
    ) -> Result<(), PortError> {
        let (first, last) = (offsets.start(), offsets.end());
        let action = format!("have offsets {first} to {last} of partition {partition} passed over");
        self.shared().log(partition, &action)?;
        let (key, row) = skips::row(partition, &offsets, reason);
        self.submit(
            action,
            key.len() + row.len(),
            false,
            move |state, writes| {
                writes.insert(&state.spaces.meta, key.clone(), row.clone());
                let shared = Arc::clone(&state.shared);
                Ok(Applied::then((), move || shared.skips.add(&key, &row)))
            },
        )
        .await
    }

    async fn is_skipped(
        &self,
        partition: PartitionId,
        offset: LogOffset,
    ) -> Result<bool, PortError> {
        Ok(self.shared().skips.reason(partition, offset).is_some())
    }

    fn watch_end(&self, partition: PartitionId) -> watch::Receiver<LogOffset> {
        match self.shared().log(partition, "watch a log") {
            Ok(view) => view.watch(),
            // Of a partition that does not exist, nothing will ever be heard.
            Err(_) => watch::channel(LogOffset::START).1,
        }
    }

    async fn truncate(&self, partition: PartitionId, below: LogOffset) -> Result<(), PortError> {
        let action = format!("truncate the log of partition {partition} below offset {below}");
        loop {
            let start = self.shared().log(partition, &action)?.bounds().start;
            if below <= start {
                return Ok(());
            }
            let words = action.clone();
            let operation = move |state: &mut State, writes: &mut Writes| {
                truncate(state, writes, partition, below, &words)
            };
            if !self
                .submit(action.clone(), 64 * TRUNCATE_ROWS, true, operation)
                .await?
            {
                return Ok(());
            }
        }
    }
}

fn check_start(from: LogOffset, start: LogOffset, action: &str) -> Result<(), PortError> {
    if from >= start {
        return Ok(());
    }
    let reason = format!("the log begins at offset {start}; what lay below has been forgotten");
    Err(PortError::new(ErrorClass::Fatal, action, reason))
}

type Rows = Vec<(LogOffset, Bytes)>;

/// The rows from the one that holds `from` on, and the offset at which reading stopped.
fn read_rows(
    spaces: &Spaces,
    shared: &Shared,
    partition: PartitionId,
    from: LogOffset,
    end: LogOffset,
    bytes_max: usize,
) -> fjall::Result<(Rows, LogOffset)> {
    let holding = spaces
        .log
        .range(keys::offset(partition, LogOffset::START)..keys::offset(partition, from.next()))
        .next_back();
    let holding = match holding.map(|guard| guard.key()).transpose() {
        // The row that holds it cannot be read; what follows can.
        Err(error) if scan::is_lasting(&error) => None,
        holding => holding?,
    };
    let start = holding
        .and_then(|key| keys::log_row_of(&key))
        .map_or(from, |(first, _)| first);
    let (mut rows, mut bytes) = (Rows::new(), 0_usize);
    let lost = |lost: Lost| shared.note_lost(&format!("log of partition {partition}"), &lost);
    let (first, behind) = (keys::offset(partition, start), keys::offset(partition, end));
    for row in scan::rows(&spaces.log, first, behind).readable(lost) {
        let (key, value) = row?;
        let Some((first, row_end)) = keys::log_row_of(&key) else {
            continue;
        };
        // The first row may lie before `from` for the most part; it does not count.
        if bytes >= bytes_max && !rows.is_empty() {
            return Ok((rows, first));
        }
        if row_end <= from {
            continue;
        }
        if first > from {
            bytes += value.len();
        }
        rows.push((first, value.into()));
    }
    Ok((rows, end))
}

/// The records at or after `from`, up to about `bytes_max` bytes. Damaged rows are noted and passed
/// over.
fn batch(
    shared: &Shared,
    partition: PartitionId,
    from: LogOffset,
    end: LogOffset,
    bytes_max: usize,
    rows: Rows,
    stopped_at: LogOffset,
) -> LogBatch {
    let mut records: Vec<LogRecord> = Vec::new();
    let mut bytes = 0;
    for (first, row) in rows {
        let unpacked = row::unpack(first, &row).unwrap_or_else(|reason| {
            shared.note_corruption(
                format!("log of partition {partition}, row at offset {first}"),
                reason,
            );
            Vec::new()
        });
        for record in unpacked
            .into_iter()
            .filter(|record| (from..end).contains(&record.offset))
        {
            if bytes >= bytes_max && !records.is_empty() {
                return LogBatch {
                    next: record.offset,
                    records,
                    end,
                };
            }
            bytes += record.payload.len();
            let reason = shared.skips.reason(partition, record.offset);
            records.push(match reason {
                None => record,
                Some(reason) => LogRecord::passed_over(record.offset, record.appended_at, &reason),
            });
        }
    }
    let next = match records.last() {
        Some(last) if bytes >= bytes_max => last.offset.next(),
        _ => stopped_at,
    };
    LogBatch { records, next, end }
}

/// Removes rows that lie wholly below an offset; `true` when more are left.
fn truncate(
    state: &mut State,
    writes: &mut Writes,
    partition: PartitionId,
    below: LogOffset,
    action: &str,
) -> Result<Applied<bool>, PortError> {
    let log = state.partitions[partition.index()];
    let below = below.min(log.log_end);
    let (mut passed, mut start, mut more) = (Vec::new(), log.log_start, false);
    let mut last: Option<fjall::UserKey> = None;
    let range = keys::offset(partition, log.log_start)..keys::offset(partition, below.next());
    for guard in state.spaces.log.range(range) {
        let failed = |error| {
            PortError::new(ErrorClass::Retry, action, "the database failed").caused_by(error)
        };
        let key = guard.key().map_err(|error: fjall::Error| failed(error))?;
        start = keys::log_row_of(&key).map_or(start, |(first, _)| first);
        passed.extend(last.replace(key));
        if passed.len() >= TRUNCATE_ROWS {
            more = true;
            break;
        }
    }
    if !more && below == log.log_end {
        passed.extend(last);
        start = below;
    }
    if start <= log.log_start {
        return Ok(Applied::now(false));
    }
    passed
        .into_iter()
        .for_each(|key| writes.remove(&state.spaces.log, key));
    let kept_time = log.appended_at.as_millis() as u64;
    writes.insert(
        &state.spaces.meta,
        keys::partition("log_start", partition),
        pair(start.bits(), kept_time),
    );
    state.partitions[partition.index()].log_start = start;
    state
        .shared
        .skips
        .forget(partition, start)
        .into_iter()
        .for_each(|key| writes.remove(&state.spaces.meta, key));
    let shared = Arc::clone(&state.shared);
    Ok(Applied::then(more, move || {
        shared.logs[partition.index()].truncated(start)
    }))
}
