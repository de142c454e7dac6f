//! Ports that are not there, for the harness of an adapter that has only some of them. This is no
//! store in memory (that is `crates/sim/src/ports/mod.rs`): a test that asks for what its adapter
//! does not have must fail in words, not be answered by another's port.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{
    Block, BucketLoad, Epoch, LedgerRow, LogOffset, Outcome, PartitionId, QueueName, RevisionEntry,
    TaskKey, Tick, TimeRange, Timestamp, TimetableEntry, TimetablePage,
};
use tokio::sync::watch;

use crate::{
    Appended, CommandLog, Committed, Coordinator, DeadLetterPage, Delivery, DeliveryId, EndedPage,
    EndedQuery, ErrorClass, ExecutionQueue, ExecutionSink, History, Ledger, LogBatch, LogBounds,
    Opened, PortError, QueueDepth, Settlement, Stop, StopListeners, StopReceiver, Timetable,
};

/// A port that refuses everything.
pub(super) struct Absent;

fn absent<T>(action: &str) -> Result<T, PortError> {
    Err(PortError::new(
        ErrorClass::Fatal,
        action,
        "the harness has no such port",
    ))
}

#[async_trait]
impl CommandLog for Absent {
    async fn append(&self, _: PartitionId, _: Vec<Bytes>) -> Result<Appended, PortError> {
        absent("append")
    }

    async fn read(&self, _: PartitionId, _: LogOffset, _: usize) -> Result<LogBatch, PortError> {
        absent("read the log")
    }

    async fn bounds(&self, _: PartitionId) -> Result<LogBounds, PortError> {
        absent("ask for the bounds of the log")
    }

    fn watch_end(&self, _: PartitionId) -> watch::Receiver<LogOffset> {
        watch::channel(LogOffset::START).1
    }

    async fn truncate(&self, _: PartitionId, _: LogOffset) -> Result<(), PortError> {
        absent("truncate the log")
    }
}

#[async_trait]
impl ExecutionSink for Absent {
    async fn open(&self, _: PartitionId, _: Epoch) -> Result<Opened, PortError> {
        absent("open the sink")
    }

    async fn commit(&self, _: Tick) -> Result<Committed, PortError> {
        absent("commit a tick")
    }
}

#[async_trait]
impl Timetable for Absent {
    async fn write_blocks(&self, _: Vec<Block>) -> Result<(), PortError> {
        absent("write blocks")
    }

    async fn read(&self, _: TimeRange, _: usize) -> Result<TimetablePage, PortError> {
        absent("read the timetable")
    }

    async fn find(&self, _: PartitionId, _: TaskKey) -> Result<Vec<TimetableEntry>, PortError> {
        absent("find a task")
    }

    async fn loads(&self, _: TimeRange) -> Result<Vec<BucketLoad>, PortError> {
        absent("count tasks")
    }

    async fn expire(&self, _: PartitionId, _: Timestamp) -> Result<(), PortError> {
        absent("expire the timetable")
    }

    async fn write_revisions(
        &self,
        _: PartitionId,
        _: Vec<RevisionEntry>,
    ) -> Result<(), PortError> {
        absent("write revisions")
    }

    async fn forget_revisions(&self, _: PartitionId, _: Vec<LogOffset>) -> Result<(), PortError> {
        absent("forget revisions")
    }

    async fn read_revisions(&self, _: PartitionId) -> Result<Vec<RevisionEntry>, PortError> {
        absent("read revisions")
    }
}

#[async_trait]
impl Ledger for Absent {
    async fn write_rows(&self, _: PartitionId, _: Vec<LedgerRow>) -> Result<(), PortError> {
        absent("write the ledger")
    }

    async fn rows(&self, _: TimeRange) -> Result<Vec<LedgerRow>, PortError> {
        absent("read the ledger")
    }
}

#[async_trait]
impl Coordinator for Absent {
    fn assignment(&self) -> watch::Receiver<BTreeSet<PartitionId>> {
        watch::channel(BTreeSet::new()).1
    }

    fn confirmed_at(&self) -> watch::Receiver<Timestamp> {
        watch::channel(Timestamp::MIN).1
    }

    fn lease_ttl_ms(&self) -> i64 {
        0
    }

    async fn acquire(&self, _: PartitionId) -> Result<Epoch, PortError> {
        absent("acquire a partition")
    }

    async fn release(&self, _: PartitionId, _: Epoch) -> Result<(), PortError> {
        absent("release a partition")
    }
}

#[async_trait]
impl ExecutionQueue for Absent {
    fn partitions(&self) -> u32 {
        1
    }

    async fn poll(&self, _: &QueueName, _: &str, _: usize) -> Result<Vec<Delivery>, PortError> {
        absent("poll a queue")
    }

    async fn settle(
        &self,
        _: &QueueName,
        _: &str,
        _: Vec<Settlement>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        absent("settle deliveries")
    }

    fn let_go(&self, _: &QueueName, _: &str, _: Vec<DeliveryId>) {}

    async fn ask_to_stop(&self, _: &QueueName, _: Vec<Stop>) -> Result<(), PortError> {
        absent("stop runs")
    }

    fn stops(&self, _: &QueueName) -> StopReceiver {
        StopListeners::new().listen()
    }

    async fn queues(&self) -> Result<Vec<QueueName>, PortError> {
        absent("list the queues")
    }

    async fn depth(&self, _: &QueueName, _: &str) -> Result<QueueDepth, PortError> {
        absent("ask for a queue's depth")
    }
}

#[async_trait]
impl History for Absent {
    async fn outcomes(&self, _: TaskKey) -> Result<Vec<Outcome>, PortError> {
        absent("read outcomes")
    }

    async fn ended(&self, _: &EndedQuery) -> Result<EndedPage, PortError> {
        absent("list ends")
    }

    async fn dead_letters(
        &self,
        _: &QueueName,
        _: u64,
        _: usize,
    ) -> Result<DeadLetterPage, PortError> {
        absent("list dead letters")
    }

    async fn remove_dead_letters(
        &self,
        _: &QueueName,
        _: Vec<u64>,
        _: Vec<(PartitionId, Bytes)>,
    ) -> Result<usize, PortError> {
        absent("remove dead letters")
    }
}
