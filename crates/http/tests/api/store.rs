//! Every port in memory, as plainly as can be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{
    Block, BucketLoad, Checkpoint, Epoch, Fact, LedgerRow, LogOffset, Namespace, Outcome,
    PartitionId, QueueName, RevisionEntry, ScheduleId, ScheduleState, TaskKey, TaskRecord, Tick,
    TimeRange, Timestamp, TimetableEntry, TimetablePage,
};
use minutehand_node::Clock;
use minutehand_ports::{
    Appended, CommandLog, Committed, Coordinator, DeadLetter, DeadLetterPage, Delivery, DeliveryId,
    EndedPage, EndedQuery, ErrorClass, ExecutionQueue, ExecutionSink, History, Ledger, LogBatch,
    LogBounds, LogRecord, Opened, PortError, QueueDepth, Settlement, Stop, StopListeners,
    StopReceiver, Timetable,
};
use tokio::sync::watch;

#[derive(Default)]
struct Partition {
    log: Vec<LogRecord>,
    checkpoint: Option<Checkpoint>,
    schedule_states: BTreeMap<(Namespace, ScheduleId), ScheduleState>,
    blocks: BTreeMap<(Timestamp, LogOffset, LogOffset), Block>,
    revisions: BTreeMap<LogOffset, RevisionEntry>,
    ledger: BTreeMap<(Timestamp, u64), LedgerRow>,
}

#[derive(Default)]
struct State {
    partitions: BTreeMap<PartitionId, Partition>,
    published: Vec<TaskRecord>,
    outcomes: BTreeMap<TaskKey, Vec<Outcome>>,
    asked_to_stop: Vec<(QueueName, Vec<Stop>)>,
    letters: BTreeMap<u64, DeadLetter>,
    epoch: u64,
    /// Appends fail while set.
    is_broken: bool,
}

/// All ports at once.
pub(crate) struct Store {
    state: Mutex<State>,
    ends: Vec<watch::Sender<LogOffset>>,
    assignment: watch::Sender<BTreeSet<PartitionId>>,
    confirmed: watch::Sender<Timestamp>,
    clock: Arc<dyn Clock>,
}

impl Store {
    pub(crate) fn new(partitions: u32, clock: Arc<dyn Clock>) -> Arc<Store> {
        let confirmed = watch::channel(clock.now()).0;
        Arc::new(Store {
            state: Mutex::default(),
            ends: (0..partitions)
                .map(|_| watch::channel(LogOffset::START).0)
                .collect(),
            assignment: watch::channel((0..partitions).map(PartitionId::own).collect()).0,
            confirmed,
            clock,
        })
    }

    /// Renews the lease.
    pub(crate) fn confirm(&self) {
        self.confirmed.send_replace(self.clock.now());
    }

    /// The tasks published so far, in order.
    pub(crate) fn published(&self) -> Vec<TaskRecord> {
        self.state.lock().unwrap().published.clone()
    }

    /// Log records in all.
    pub(crate) fn records(&self) -> usize {
        self.state
            .lock()
            .unwrap()
            .partitions
            .values()
            .map(|partition| partition.log.len())
            .sum()
    }

    pub(crate) fn break_log(&self, is_broken: bool) {
        self.state.lock().unwrap().is_broken = is_broken;
    }

    pub(crate) fn add_letter(&self, number: u64, letter: DeadLetter) {
        self.state.lock().unwrap().letters.insert(number, letter);
    }

    pub(crate) fn add_outcome(&self, key: TaskKey, outcome: Outcome) {
        self.state
            .lock()
            .unwrap()
            .outcomes
            .entry(key)
            .or_default()
            .push(outcome);
    }

    fn append_to(
        &self,
        state: &mut State,
        partition: PartitionId,
        records: Vec<Bytes>,
    ) -> Appended {
        let log = &mut state.partitions.entry(partition).or_default().log;
        let appended_at = log
            .last()
            .map_or(Timestamp::MIN, |last| last.appended_at)
            .max(self.clock.now());
        let first = log.len() as u64;
        let count = records.len();
        let numbered = (first..).zip(records);
        log.extend(
            numbered.map(|(offset, payload)| {
                LogRecord::new(LogOffset::at(offset), appended_at, payload)
            }),
        );
        self.ends[partition.index()].send_replace(LogOffset::at(log.len() as u64));
        Appended::following(LogOffset::at(first), count, appended_at)
    }
}

#[async_trait]
impl CommandLog for Store {
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
    ) -> Result<Appended, PortError> {
        let mut state = self.state.lock().unwrap();
        if state.is_broken {
            return Err(PortError::new(
                ErrorClass::Retry,
                "append to the log",
                "the disk is full",
            ));
        }
        Ok(self.append_to(&mut state, partition, records))
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: LogOffset,
        bytes_max: usize,
    ) -> Result<LogBatch, PortError> {
        let mut state = self.state.lock().unwrap();
        let log = &state.partitions.entry(partition).or_default().log;
        let mut bytes = 0;
        let records = log
            .iter()
            .skip(from.position() as usize)
            .take_while(|record| {
                bytes += record.payload.len();
                bytes <= bytes_max.max(record.payload.len())
            });
        let records: Vec<LogRecord> = records.cloned().collect();
        Ok(LogBatch {
            next: from.plus(records.len() as u64),
            end: LogOffset::at(log.len() as u64),
            records,
        })
    }

    async fn bounds(&self, partition: PartitionId) -> Result<LogBounds, PortError> {
        Ok(LogBounds {
            start: LogOffset::START,
            end: *self.ends[partition.index()].borrow(),
        })
    }

    fn watch_end(&self, partition: PartitionId) -> watch::Receiver<LogOffset> {
        self.ends[partition.index()].subscribe()
    }

    async fn truncate(&self, _: PartitionId, _: LogOffset) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl ExecutionSink for Store {
    async fn open(&self, partition: PartitionId, _: Epoch) -> Result<Opened, PortError> {
        let mut state = self.state.lock().unwrap();
        let partition = state.partitions.entry(partition).or_default();
        let states = partition.schedule_states.iter();
        Ok(Opened {
            checkpoint: partition.checkpoint.clone(),
            schedule_states: states
                .map(|((ns, id), state)| (ns.clone(), id.clone(), state.clone()))
                .collect(),
            log_end: LogOffset::at(partition.log.len() as u64),
            taken_at: None,
        })
    }

    async fn commit(&self, tick: Tick) -> Result<Committed, PortError> {
        let mut state = self.state.lock().unwrap();
        let derived: Vec<Bytes> = tick
            .derived
            .iter()
            .map(minutehand_record::command::encode)
            .collect();
        let has_derived = !derived.is_empty();
        if has_derived {
            self.append_to(&mut state, tick.partition, derived);
        }
        state.published.extend(
            tick.publications
                .into_iter()
                .map(|publication| publication.task),
        );
        let partition = state.partitions.entry(tick.partition).or_default();
        partition.checkpoint = Some(tick.checkpoint);
        for change in tick.schedule_states {
            let name = (change.namespace, change.schedule);
            match change.state {
                Some(state) => partition.schedule_states.insert(name, state),
                None => partition.schedule_states.remove(&name),
            };
        }
        Ok(Committed::whole(
            has_derived.then_some(LogOffset::at(partition.log.len() as u64)),
        ))
    }
}

#[async_trait]
impl Ledger for Store {
    async fn write_rows(
        &self,
        partition: PartitionId,
        rows: Vec<LedgerRow>,
    ) -> Result<(), PortError> {
        let mut state = self.state.lock().unwrap();
        let ledger = &mut state.partitions.entry(partition).or_default().ledger;
        ledger.extend(
            rows.into_iter()
                .map(|row| ((row.tally.minute, row.tally.closed_by), row)),
        );
        Ok(())
    }

    async fn rows(&self, range: TimeRange) -> Result<Vec<LedgerRow>, PortError> {
        let TimeRange {
            partition,
            from,
            until,
        } = range;
        let mut state = self.state.lock().unwrap();
        let ledger = &state.partitions.entry(partition).or_default().ledger;
        Ok(ledger
            .range((from, 0)..(until, 0))
            .map(|(_, row)| *row)
            .collect())
    }
}

#[async_trait]
impl Timetable for Store {
    async fn write_blocks(&self, blocks: Vec<Block>) -> Result<(), PortError> {
        let mut state = self.state.lock().unwrap();
        for block in blocks {
            let name = (block.first_due(), block.first_offset, block.last_offset);
            state
                .partitions
                .entry(block.partition)
                .or_default()
                .blocks
                .insert(name, block);
        }
        Ok(())
    }

    async fn read(&self, range: TimeRange, bytes_max: usize) -> Result<TimetablePage, PortError> {
        let TimeRange {
            partition,
            from,
            until,
        } = range;
        let mut state = self.state.lock().unwrap();
        let blocks = &state.partitions.entry(partition).or_default().blocks;
        let mut page = TimetablePage {
            complete_until: until,
            ..TimetablePage::default()
        };
        let (mut bytes, mut last_due) = (0, None);
        for (_, block) in blocks.range(
            (from, LogOffset::START, LogOffset::START)..(until, LogOffset::START, LogOffset::START),
        ) {
            if bytes >= bytes_max && last_due != Some(block.first_due()) {
                page.complete_until = block.first_due();
                break;
            }
            last_due = Some(block.first_due());
            bytes += block.entries.len() * 100;
            page.entries.extend(block.entries.iter().cloned());
        }
        Ok(page)
    }

    async fn find(
        &self,
        partition: PartitionId,
        key: TaskKey,
    ) -> Result<Vec<TimetableEntry>, PortError> {
        let mut state = self.state.lock().unwrap();
        let blocks = state
            .partitions
            .entry(partition)
            .or_default()
            .blocks
            .values();
        let entries = blocks
            .flat_map(|block| &block.entries)
            .filter(|entry| entry.key == key);
        let mut entries: Vec<TimetableEntry> = entries.cloned().collect();
        entries.sort_by_key(|entry| entry.offset);
        Ok(entries)
    }

    async fn loads(&self, range: TimeRange) -> Result<Vec<BucketLoad>, PortError> {
        let TimeRange {
            partition,
            from,
            until,
        } = range;
        let mut loads: BTreeMap<Timestamp, BucketLoad> = BTreeMap::new();
        let mut state = self.state.lock().unwrap();
        for block in state
            .partitions
            .entry(partition)
            .or_default()
            .blocks
            .values()
        {
            let tasks = block
                .entries
                .iter()
                .filter(|entry| matches!(entry.fact, Fact::Runs(_)))
                .count() as u64;
            let empty = BucketLoad {
                bucket: block.bucket,
                tasks: 0,
                bytes: 0,
            };
            loads.entry(block.bucket).or_insert(empty).tasks += tasks;
        }
        Ok(loads
            .into_values()
            .filter(|load| (from..until).contains(&load.bucket))
            .collect())
    }

    async fn expire(&self, _: PartitionId, _: Timestamp) -> Result<(), PortError> {
        Ok(())
    }

    async fn write_revisions(
        &self,
        partition: PartitionId,
        revisions: Vec<RevisionEntry>,
    ) -> Result<(), PortError> {
        let mut state = self.state.lock().unwrap();
        let stored = &mut state.partitions.entry(partition).or_default().revisions;
        stored.extend(revisions.into_iter().map(|entry| (entry.offset, entry)));
        Ok(())
    }

    async fn forget_revisions(
        &self,
        partition: PartitionId,
        offsets: Vec<LogOffset>,
    ) -> Result<(), PortError> {
        let mut state = self.state.lock().unwrap();
        let stored = &mut state.partitions.entry(partition).or_default().revisions;
        stored.retain(|offset, _| !offsets.contains(offset));
        Ok(())
    }

    async fn read_revisions(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<RevisionEntry>, PortError> {
        let mut state = self.state.lock().unwrap();
        Ok(state
            .partitions
            .entry(partition)
            .or_default()
            .revisions
            .values()
            .cloned()
            .collect())
    }
}

#[async_trait]
impl Coordinator for Store {
    fn assignment(&self) -> watch::Receiver<BTreeSet<PartitionId>> {
        self.assignment.subscribe()
    }

    fn confirmed_at(&self) -> watch::Receiver<Timestamp> {
        self.confirmed.subscribe()
    }

    fn lease_ttl_ms(&self) -> i64 {
        5_000
    }

    async fn acquire(&self, _: PartitionId) -> Result<Epoch, PortError> {
        let mut state = self.state.lock().unwrap();
        state.epoch += 1;
        Ok(Epoch(state.epoch))
    }

    async fn release(&self, _: PartitionId, _: Epoch) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl ExecutionQueue for Store {
    fn partitions(&self) -> u32 {
        crate::support::PARTITIONS
    }

    async fn poll(&self, _: &QueueName, _: &str, _: usize) -> Result<Vec<Delivery>, PortError> {
        std::future::pending().await
    }

    async fn settle(
        &self,
        _: &QueueName,
        _: &str,
        _: Vec<Settlement>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        Ok(Vec::new())
    }

    fn let_go(&self, _: &QueueName, _: &str, _: Vec<DeliveryId>) {}

    async fn ask_to_stop(&self, queue: &QueueName, stops: Vec<Stop>) -> Result<(), PortError> {
        let mut state = self.state.lock().unwrap();
        state.asked_to_stop.push((queue.clone(), stops));
        Ok(())
    }

    fn stops(&self, _: &QueueName) -> StopReceiver {
        StopListeners::new().listen()
    }

    async fn queues(&self) -> Result<Vec<QueueName>, PortError> {
        let names: BTreeSet<QueueName> = self
            .published()
            .into_iter()
            .map(|task| task.queue)
            .collect();
        Ok(names.into_iter().collect())
    }

    async fn depth(&self, queue: &QueueName, _: &str) -> Result<QueueDepth, PortError> {
        let waiting = self
            .published()
            .iter()
            .filter(|task| task.queue == *queue)
            .count() as u64;
        let letters = self
            .state
            .lock()
            .unwrap()
            .letters
            .values()
            .filter(|letter| letter.queue == *queue)
            .count();
        Ok(QueueDepth {
            waiting,
            dead_letters: letters as u64,
            ..QueueDepth::default()
        })
    }
}

#[async_trait]
impl History for Store {
    async fn outcomes(&self, key: TaskKey) -> Result<Vec<Outcome>, PortError> {
        Ok(self
            .state
            .lock()
            .unwrap()
            .outcomes
            .get(&key)
            .cloned()
            .unwrap_or_default())
    }

    async fn ended(&self, query: &EndedQuery) -> Result<EndedPage, PortError> {
        let state = self.state.lock().unwrap();
        let mut found: Vec<_> = state
            .outcomes
            .values()
            .flatten()
            .filter(|outcome| query.wants(outcome))
            .map(|outcome| {
                let place = (outcome.ended_at.as_millis(), outcome.execution.to_string());
                (place, outcome.clone())
            })
            .filter(|(place, _)| query.before.as_ref().is_none_or(|before| place < before))
            .collect();
        found.sort_by(|one, other| other.0.cmp(&one.0));
        Ok(query.page(found.into_iter()))
    }

    async fn dead_letters(
        &self,
        queue: &QueueName,
        from: u64,
        count_max: usize,
    ) -> Result<DeadLetterPage, PortError> {
        let state = self.state.lock().unwrap();
        let mut letters = state
            .letters
            .range(from..)
            .filter(|(_, letter)| letter.queue == *queue);
        let page = letters
            .by_ref()
            .take(count_max)
            .map(|(number, letter)| (*number, letter.clone()))
            .collect();
        Ok(DeadLetterPage {
            letters: page,
            next: letters.next().map(|(number, _)| *number),
        })
    }

    async fn remove_dead_letters(
        &self,
        _: &QueueName,
        numbers: Vec<u64>,
        commands: Vec<(PartitionId, Bytes)>,
    ) -> Result<usize, PortError> {
        let mut state = self.state.lock().unwrap();
        let removed = numbers
            .iter()
            .filter(|number| state.letters.remove(number).is_some())
            .count();
        for (partition, command) in commands {
            self.append_to(&mut state, partition, vec![command]);
        }
        Ok(removed)
    }
}
