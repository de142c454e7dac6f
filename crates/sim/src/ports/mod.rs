//! The in-memory stores behind the ports' traits: for tests of whatever stands on ports, in one
//! process, without a disk.
//!
//! Nothing takes time here, and nothing fails unless a test says so. [`MemoryStores`] is one node's
//! view; its clones share everything.

mod scheduler;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use minutehand_model::{
    Epoch, LastWord, LogOffset, Outcome, PartitionId, QueueName, TaskKey, Timestamp,
};
use minutehand_ports::{DeadLetter, Delivery, DeliveryId, ErrorClass, PortError, StopListeners};
use tokio::sync::{Notify, watch};

use crate::store::{LogStore, SinkStore, Stores};

/// What one worker group knows of one queue.
#[derive(Debug, Default)]
struct Group {
    in_progress: BTreeSet<DeliveryId>,
    settled: BTreeSet<DeliveryId>,
    /// What other groups go on with.
    passed: BTreeSet<DeliveryId>,
    /// What is told of claimed runs that are lost.
    last_words: BTreeMap<DeliveryId, LastWord>,
}

#[derive(Debug, Default)]
struct State {
    clock_ms: i64,
    stores: Stores,
    held: Vec<Option<Epoch>>,
    epoch: u64,
    /// Everything published, by queue and partition; the sequence is the index.
    deliveries: BTreeMap<QueueName, Vec<Vec<Delivery>>>,
    groups: BTreeMap<(QueueName, String), Group>,
    dead_letters: Vec<(u64, DeadLetter)>,
    dead_letters_ever: u64,
    outcomes: Vec<(TaskKey, Outcome)>,
    is_full: bool,
    stops: BTreeMap<QueueName, StopListeners>,
}

struct Shared {
    state: Mutex<State>,
    ends: Vec<watch::Sender<LogOffset>>,
    assignment: watch::Sender<BTreeSet<PartitionId>>,
    confirmed_at: watch::Sender<Timestamp>,
    published: Notify,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Every store of a node, in memory. Clones are the same stores.
#[derive(Clone)]
pub struct MemoryStores {
    shared: Arc<Shared>,
}

impl MemoryStores {
    /// Empty stores with that many partitions, which go by that clock.
    pub fn new(
        partitions: u32,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> MemoryStores {
        let count = partitions as usize;
        let state = State {
            stores: Stores::of(count, LogStore::default, SinkStore::default),
            held: vec![None; count],
            ..State::default()
        };
        let shared = Shared {
            state: Mutex::new(state),
            ends: (0..count)
                .map(|_| watch::Sender::new(LogOffset::START))
                .collect(),
            assignment: watch::Sender::new((0..partitions).map(PartitionId::own).collect()),
            confirmed_at: watch::Sender::new(clock()),
            published: Notify::new(),
            clock: Box::new(clock),
        };
        MemoryStores {
            shared: Arc::new(shared),
        }
    }

    /// Confirms the lease as of now.
    pub fn confirm(&self) {
        self.shared.confirmed_at.send_replace((self.shared.clock)());
    }

    /// While it is full, the log takes nothing.
    pub fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// A dead letter as a worker leaves it behind; they are numbered from 1.
    pub fn add_dead_letter(&self, letter: DeadLetter) {
        self.state().add_dead_letter(letter);
    }

    /// The end of an attempt as a worker reports it.
    pub fn add_outcome(&self, key: TaskKey, outcome: Outcome) {
        self.state().outcomes.push((key, outcome));
    }

    /// Records that the logs have taken in all.
    pub fn records(&self) -> usize {
        let state = self.state();
        let logs = state.stores.logs.iter();
        logs.map(|log| log.end().position() as usize).sum()
    }

    /// Everything published, in order.
    pub fn published(&self) -> Vec<Delivery> {
        let state = self.state();
        let deliveries = state.deliveries.values().flatten().flatten();
        let mut deliveries: Vec<Delivery> = deliveries.cloned().collect();
        deliveries.sort_by_key(|delivery| (delivery.published_at, delivery.due));
        deliveries
    }

    /// As a new process finds them: what was handed out and not settled will be handed out again,
    /// and what was held is free.
    pub fn restart(&self) {
        let mut state = self.state();
        state.held.iter_mut().for_each(|held| *held = None);
        state.forget_progress();
        self.announce_ends(&state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self
            .shared
            .state
            .lock()
            .expect("no user of the stores has panicked");
        state.clock_ms = (self.shared.clock)().as_millis();
        state
    }

    /// Tells who waits for the logs that they have grown.
    fn announce_ends(&self, state: &State) {
        for (end, log) in self.shared.ends.iter().zip(&state.stores.logs) {
            end.send_if_modified(|known| std::mem::replace(known, log.end()) != log.end());
        }
    }
}

impl State {
    /// The index of a partition that exists.
    fn index(&self, partition: PartitionId, action: &str) -> Result<usize, PortError> {
        let index = partition.index();
        if index < self.stores.logs.len() {
            return Ok(index);
        }
        let reason = format!(
            "there are {} partitions, numbered from 0",
            self.stores.logs.len()
        );
        Err(PortError::new(
            ErrorClass::Fatal,
            format!("{action} of partition {partition}"),
            reason,
        ))
    }
}
