//! What the scheduler works with: log, sink, timetable, coordinator.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{
    Block, BucketLoad, DeliveryToken, Epoch, LedgerRow, LogOffset, PartitionId, RevisionEntry,
    TaskKey, Tick, TimeRange, Timestamp, TimetableEntry, TimetablePage,
};
use minutehand_ports::{
    Appended, CommandLog, Committed, Coordinator, Delivery, DeliveryId, ErrorClass, ExecutionSink,
    Ledger, LogBatch, LogBounds, LogRecord, Opened, PortError, Stop, Timetable,
};
use tokio::sync::watch;

use super::{MemoryStores, State};
use crate::store::{Appends, CommitAt};

/// Nothing is renewed in memory; the number only has to be sensible.
const LEASE_TTL_MS: i64 = 5_000;

#[async_trait]
impl CommandLog for MemoryStores {
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
    ) -> Result<Appended, PortError> {
        let mut state = self.state();
        let index = state.index(partition, "append to the log")?;
        if state.is_full {
            let reason = "the disk is full";
            return Err(PortError::new(
                ErrorClass::Retry,
                "append to the log",
                reason,
            ));
        }
        let now_ms = state.clock_ms;
        let log = &mut state.stores.logs[index];
        let (first, count) = (log.end(), records.len());
        for payload in records {
            log.append(now_ms, payload);
        }
        let appended_at = log.last_appended_at(now_ms);
        self.announce_ends(&state);
        Ok(Appended::following(first, count, appended_at))
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: LogOffset,
        bytes_max: usize,
    ) -> Result<LogBatch, PortError> {
        let state = self.state();
        let log = &state.stores.logs[state.index(partition, "read the log")?];
        if from < log.start() {
            let action = format!("read the log of partition {partition} from offset {from}");
            let reason = format!("it begins at offset {}", log.start());
            return Err(PortError::new(ErrorClass::Fatal, action, reason));
        }
        let raw = log.read_raw(from, bytes_max);
        let records: Vec<LogRecord> = raw
            .into_iter()
            .map(|(offset, appended_at, payload)| LogRecord::new(offset, appended_at, payload))
            .collect();
        let next = records
            .last()
            .map_or(log.end().max(from), |last| last.offset.next());
        Ok(LogBatch {
            records,
            next,
            end: log.end(),
        })
    }

    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, PortError> {
        let state = self.state();
        let log = &state.stores.logs[state.index(partition, "find the bounds of the log")?];
        Ok(LogBounds {
            start: log.start(),
            end: log.end(),
        })
    }

    fn watch_end(&self, partition: PartitionId) -> watch::Receiver<LogOffset> {
        match self.shared.ends.get(partition.index()) {
            Some(end) => end.subscribe(),
            None => watch::Sender::new(LogOffset::START).subscribe(),
        }
    }

    async fn truncate(&self, partition: PartitionId, below: LogOffset) -> Result<(), PortError> {
        let mut state = self.state();
        let index = state.index(partition, "truncate the log")?;
        state.stores.logs[index].truncate(below);
        Ok(())
    }
}

fn fenced(action: &str, partition: PartitionId) -> PortError {
    let action = format!("{action} partition {partition}");
    PortError::new(
        ErrorClass::Fenced,
        action,
        "a later owner, or a later tick, was there before",
    )
}

#[async_trait]
impl ExecutionSink for MemoryStores {
    async fn open(&self, partition: PartitionId, epoch: Epoch) -> Result<Opened, PortError> {
        let mut state = self.state();
        let index = state.index(partition, "open the sink")?;
        state.stores.sinks[index]
            .open(epoch)
            .map_err(|_| fenced("open the sink of", partition))?;
        let sink = &state.stores.sinks[index];
        Ok(Opened {
            checkpoint: sink.checkpoint().cloned(),
            schedule_states: sink.states(),
            log_end: state.stores.logs[index].end(),
            taken_at: Some(Timestamp::from_millis(state.clock_ms)),
        })
    }

    async fn commit(&self, tick: Tick) -> Result<Committed, PortError> {
        let mut state = self.state();
        let partition = tick.partition;
        let index = state.index(partition, "commit a tick")?;
        let published = tick.clone();
        let now_ms = state.clock_ms;
        let at = CommitAt {
            now_ms,
            clock_ms: now_ms,
            latest_clock_ms: now_ms,
            session: None,
        };
        let Appends { derived, .. } = state.stores.sinks[index]
            .commit(tick, at)
            .map_err(|_| fenced("commit a tick of", partition))?;
        let has_derived = !derived.is_empty();
        for command in derived {
            state.stores.logs[index].append_command(now_ms, command);
        }
        let derived_end = has_derived.then(|| state.stores.logs[index].end());
        state.deliver(published);
        self.announce_ends(&state);
        self.shared.published.notify_waiters();
        Ok(Committed {
            taken_at: Some(Timestamp::from_millis(now_ms)),
            ..Committed::whole(derived_end)
        })
    }
}

impl State {
    /// Makes a committed tick visible to workers.
    fn deliver(&mut self, tick: Tick) {
        let partitions = self.stores.logs.len();
        let (partition, epoch, published_at) =
            (tick.partition, tick.checkpoint.epoch, tick.published_at);
        for publication in tick.publications {
            let task = publication.task;
            let queue = self
                .deliveries
                .entry(task.queue)
                .or_insert_with(|| vec![Vec::new(); partitions]);
            let kept = &mut queue[partition.index()];
            kept.push(Delivery {
                id: DeliveryId {
                    partition,
                    sequence: kept.len() as u64,
                },
                epoch,
                token: DeliveryToken {
                    epoch,
                    ..DeliveryToken::default()
                },
                offset: publication.offset,
                published_at,
                key: task.key,
                due: task.due,
                encoded: task.encoded,
                may_have_run: false,
            });
        }
        for stop in tick.stops {
            if let Some(listeners) = self.stops.get(&stop.queue) {
                listeners.send(&[Stop {
                    key: stop.key,
                    due: stop.due,
                    kill: stop.kill,
                }]);
            }
        }
    }
}

#[async_trait]
impl Timetable for MemoryStores {
    async fn write_blocks(&self, blocks: Vec<Block>) -> Result<(), PortError> {
        let mut state = self.state();
        for block in &blocks {
            state.index(block.partition, "write a block to the timetable")?;
        }
        for block in blocks {
            state.stores.timetables[block.partition.index()].write_block(block, None);
        }
        Ok(())
    }

    async fn read(&self, range: TimeRange, bytes_max: usize) -> Result<TimetablePage, PortError> {
        let state = self.state();
        let index = state.index(range.partition, "read the timetable")?;
        Ok(state.stores.timetables[index].read(range.from, range.until, bytes_max))
    }

    async fn find(
        &self,
        partition: PartitionId,
        key: TaskKey,
    ) -> Result<Vec<TimetableEntry>, PortError> {
        let state = self.state();
        Ok(state.stores.timetables[state.index(partition, "search the timetable")?].find(key))
    }

    async fn loads(&self, range: TimeRange) -> Result<Vec<BucketLoad>, PortError> {
        let state = self.state();
        let index = state.index(range.partition, "sum up the timetable")?;
        Ok(state.stores.timetables[index].loads(range.from, range.until))
    }

    async fn expire(&self, partition: PartitionId, before: Timestamp) -> Result<(), PortError> {
        let mut state = self.state();
        let index = state.index(partition, "expire the timetable")?;
        state.stores.timetables[index].expire(before);
        Ok(())
    }

    async fn write_revisions(
        &self,
        partition: PartitionId,
        revisions: Vec<RevisionEntry>,
    ) -> Result<(), PortError> {
        let mut state = self.state();
        let index = state.index(partition, "write revisions")?;
        revisions
            .into_iter()
            .for_each(|revision| state.stores.timetables[index].write_revision(revision));
        Ok(())
    }

    async fn forget_revisions(
        &self,
        partition: PartitionId,
        offsets: Vec<LogOffset>,
    ) -> Result<(), PortError> {
        let mut state = self.state();
        let index = state.index(partition, "forget revisions")?;
        state.stores.timetables[index].forget_revisions(&offsets);
        Ok(())
    }

    async fn read_revisions(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<RevisionEntry>, PortError> {
        let state = self.state();
        Ok(state.stores.timetables[state.index(partition, "read the revisions")?].revisions())
    }
}

#[async_trait]
impl Ledger for MemoryStores {
    async fn write_rows(
        &self,
        partition: PartitionId,
        rows: Vec<LedgerRow>,
    ) -> Result<(), PortError> {
        let mut state = self.state();
        let index = state.index(partition, "write the ledger")?;
        rows.into_iter()
            .for_each(|row| state.stores.ledgers[index].write(row));
        Ok(())
    }

    async fn rows(&self, range: TimeRange) -> Result<Vec<LedgerRow>, PortError> {
        let state = self.state();
        let index = state.index(range.partition, "read the ledger")?;
        Ok(state.stores.ledgers[index].rows(range.from, range.until))
    }
}

#[async_trait]
impl Coordinator for MemoryStores {
    fn assignment(&self) -> watch::Receiver<BTreeSet<PartitionId>> {
        self.shared.assignment.subscribe()
    }

    fn confirmed_at(&self) -> watch::Receiver<Timestamp> {
        self.shared.confirmed_at.subscribe()
    }

    fn lease_ttl_ms(&self) -> i64 {
        LEASE_TTL_MS
    }

    async fn acquire(&self, partition: PartitionId) -> Result<Epoch, PortError> {
        let mut state = self.state();
        let index = state.index(partition, "take the key")?;
        if let Some(epoch) = state.held[index] {
            let reason = format!("it is held under epoch {epoch}");
            return Err(PortError::new(
                ErrorClass::Retry,
                format!("take partition {partition}"),
                reason,
            ));
        }
        state.epoch += 1;
        let epoch = Epoch(state.epoch);
        state.held[index] = Some(epoch);
        Ok(epoch)
    }

    async fn release(&self, partition: PartitionId, epoch: Epoch) -> Result<(), PortError> {
        let mut state = self.state();
        let index = state.index(partition, "release the key")?;
        if state.held[index] == Some(epoch) {
            state.held[index] = None;
        }
        Ok(())
    }
}
