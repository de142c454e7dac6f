//! The in-memory stores behind the ports' traits: for tests of whatever stands on ports, in one
//! process, without a disk.
//!
//! Nothing fails here and nothing takes time. [`MemoryStores`] is one node's view; its clones share
//! everything.

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
    stops: BTreeMap<QueueName, StopListeners>,
}

struct Shared {
    state: Mutex<State>,
    ends: Vec<watch::Sender<LogOffset>>,
    assignment: watch::Sender<BTreeSet<PartitionId>>,
    confirmed_at: watch::Sender<Timestamp>,
    published: Notify,
}

/// Every store of a node, in memory. Clones are the same stores.
#[derive(Clone)]
pub struct MemoryStores {
    shared: Arc<Shared>,
}

impl MemoryStores {
    /// Empty stores with that many partitions; the clock stands at the epoch.
    pub fn new(partitions: u32) -> MemoryStores {
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
            confirmed_at: watch::Sender::new(Timestamp::from_millis(0)),
            published: Notify::new(),
        };
        MemoryStores {
            shared: Arc::new(shared),
        }
    }

    /// Sets the clock that the log stamps records with, and confirms the lease as of then.
    pub fn set_clock(&self, now: Timestamp) {
        self.state().clock_ms = now.as_millis();
        self.shared.confirmed_at.send_replace(now);
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
        self.shared
            .state
            .lock()
            .expect("no user of the stores has panicked")
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
