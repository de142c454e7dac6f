//! What the committer and its callers share: whether the store is open, the views of logs and
//! queues, and what was found damaged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use minutehand_metrics::StoreMetrics;
use minutehand_model::{PartitionId, QueueName};
use minutehand_ports::{ErrorClass, PortError, RecentStops};
use tokio::sync::Notify;

use crate::damage::{Corruption, lost_rows};
use crate::failure::Failure;
use crate::queue::QueueView;
use crate::repair;
use crate::row_counts::RowCounts;
use crate::rules::Rules;
use crate::scan::Lost;
use crate::skips::Skips;
use crate::successes;
use crate::tail::LogView;

/// Whether the store takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Open,
    /// It does not, until it is opened again. Nothing that was acknowledged is lost; reads go on.
    ReadOnly {
        /// What failed, where, and what to do.
        reason: String,
    },
}

/// Damaged rows that are remembered; the oldest are forgotten.
const CORRUPTIONS_MAX: usize = 1_000;

/// Why the store takes no writes.
struct Closed {
    reason: String,
    is_full: bool,
}

/// Shared by the committer and all callers.
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    closed: OnceLock<Closed>,
    pub(crate) logs: Vec<LogView>,
    queues: Mutex<BTreeMap<QueueName, Arc<QueueView>>>,
    /// Publications of a queue that is new, or was forgotten, are numbered from here on.
    first_sequence: AtomicU64,
    /// How often the store has been opened.
    generation: u32,
    /// What operators have said of queues.
    pub(crate) rules: Rules,
    /// What runs that wait may be asked to do.
    pub(crate) recent_stops: RecentStops,
    unserved: Mutex<BTreeSet<QueueName>>,
    unserved_changed: Notify,
    corruptions: Mutex<VecDeque<Corruption>>,
    metrics: StoreMetrics,
    pub(crate) skips: Skips,
    pub(crate) successes: successes::View,
    /// How many rows of the ledger each partition has.
    pub(crate) ledger_rows: RowCounts,
    pub(crate) queue_resident_bytes: usize,
}

impl Shared {
    pub(crate) fn new(
        folder: PathBuf,
        logs: Vec<LogView>,
        queue_resident_bytes: usize,
        first_sequence: u64,
        generation: u32,
    ) -> Shared {
        Shared {
            folder,
            closed: OnceLock::new(),
            logs,
            queues: Mutex::default(),
            first_sequence: AtomicU64::new(first_sequence),
            generation,
            rules: Rules::default(),
            recent_stops: RecentStops::default(),
            unserved: Mutex::default(),
            unserved_changed: Notify::new(),
            corruptions: Mutex::default(),
            metrics: StoreMetrics::new(),
            skips: Skips::default(),
            successes: successes::View::default(),
            ledger_rows: RowCounts::default(),
            queue_resident_bytes,
        }
    }

    /// Closes the store for writes; the first reason stays.
    pub(crate) fn close(&self, failure: Failure) {
        let (
            folder,
            Failure {
                what,
                remedy,
                is_full,
                doubts_tables,
            },
        ) = (self.folder.display(), failure);
        if doubts_tables
            && self.closed.get().is_none()
            && let Err(error) = repair::doubt(&self.folder)
        {
            tracing::error!(%error, "could not write down that the next start must look for damage");
        }
        let reason = format!(
            "the store in {folder} is closed for writes: {what}; {remedy} (nothing that was acknowledged is lost)"
        );
        drop(self.closed.set(Closed { reason, is_full }));
        let queues = self
            .queues
            .lock()
            .expect("nothing panics while it holds this lock");
        queues.values().for_each(|queue| queue.wake());
    }

    pub(crate) fn health(&self) -> Health {
        match self.closed.get() {
            None => Health::Open,
            Some(closed) => Health::ReadOnly {
                reason: closed.reason.clone(),
            },
        }
    }

    /// The refusal of a closed store.
    pub(crate) fn refusal(&self, action: &str) -> PortError {
        let closed = self.closed.get();
        let reason = closed.map_or("the store has been closed", |closed| closed.reason.as_str());
        PortError::new(ErrorClass::Fatal, action, reason)
            .of_a_full_store(closed.is_some_and(|closed| closed.is_full))
    }

    /// Refuses when the store is closed.
    pub(crate) fn check_open(&self, action: &str) -> Result<(), PortError> {
        if self.closed.get().is_some() {
            Err(self.refusal(action))
        } else {
            Ok(())
        }
    }

    /// The view of a partition's log.
    pub(crate) fn log(&self, partition: PartitionId, action: &str) -> Result<&LogView, PortError> {
        self.logs.get(partition.index()).ok_or_else(|| {
            let reason = format!(
                "there is no partition {partition}; the store has {}",
                self.logs.len()
            );
            PortError::new(ErrorClass::Fatal, action, reason)
        })
    }

    /// The view of a queue that is known. Looking creates nothing: anybody may look, for any name.
    pub(crate) fn known_queue(&self, name: &QueueName) -> Option<Arc<QueueView>> {
        self.queues
            .lock()
            .expect("nothing panics while it holds this lock")
            .get(name)
            .cloned()
    }

    /// The view of a queue, created when it is not known: for those who publish, poll or listen.
    pub(crate) fn queue(&self, name: &QueueName) -> Arc<QueueView> {
        let mut queues = self
            .queues
            .lock()
            .expect("nothing panics while it holds this lock");
        if let Some(queue) = queues.get(name) {
            return Arc::clone(queue);
        }
        let first = self.first_sequence.load(Ordering::Acquire);
        let queue = QueueView::new(
            name.clone(),
            self.logs.len(),
            first,
            self.queue_resident_bytes,
            self.generation,
        );
        let queue = Arc::new(queue);
        queues.insert(name.clone(), Arc::clone(&queue));
        queue
    }

    /// Forgets a queue of which nothing is left, unless somebody holds it. Its successor is
    /// numbered behind it, so that no delivery of the one is ever taken for one of the other.
    pub(crate) fn forget_queue(&self, name: &QueueName) -> bool {
        let mut queues = self
            .queues
            .lock()
            .expect("nothing panics while it holds this lock");
        let Some(queue) = queues.get(name) else {
            return false;
        };
        if Arc::strong_count(queue) > 1 || !queue.rest().1 {
            return false;
        }
        self.first_sequence
            .fetch_max(queue.numbered_below(), Ordering::AcqRel);
        queues.remove(name);
        self.unserved
            .lock()
            .expect("nothing panics while it holds this lock")
            .remove(name);
        true
    }

    /// Where the numbers of a new queue's publications begin.
    pub(crate) fn first_sequence(&self) -> u64 {
        self.first_sequence.load(Ordering::Acquire)
    }

    /// Notes that something waits in a queue that nobody serves.
    pub(crate) fn note_unserved(&self, name: &QueueName) {
        let mut unserved = self
            .unserved
            .lock()
            .expect("nothing panics while it holds this lock");
        if unserved.insert(name.clone()) {
            self.unserved_changed.notify_one();
        }
    }

    /// Waits for queues that were noted, and takes them.
    pub(crate) async fn take_unserved(&self) -> BTreeSet<QueueName> {
        loop {
            let taken = std::mem::take(
                &mut *self
                    .unserved
                    .lock()
                    .expect("nothing panics while it holds this lock"),
            );
            if !taken.is_empty() {
                return taken;
            }
            self.unserved_changed.notified().await;
        }
    }

    /// How many queues are known.
    pub(crate) fn queue_count(&self) -> usize {
        self.queues
            .lock()
            .expect("nothing panics while it holds this lock")
            .len()
    }

    /// Every queue that is known.
    pub(crate) fn queues(&self) -> Vec<Arc<QueueView>> {
        self.queues
            .lock()
            .expect("nothing panics while it holds this lock")
            .values()
            .cloned()
            .collect()
    }

    /// Remembers a stretch of a table that cannot be read.
    pub(crate) fn note_lost(&self, of: &str, lost: &Lost) {
        let Corruption { position, reason } = lost_rows(of, lost);
        self.note_corruption(position, reason);
    }

    /// Remembers a damaged row.
    pub(crate) fn note_corruption(&self, position: String, reason: String) {
        let mut corruptions = self
            .corruptions
            .lock()
            .expect("nothing panics while it holds this lock");
        let corruption = Corruption { position, reason };
        if corruptions.contains(&corruption) {
            return;
        }
        self.metrics.damaged();
        tracing::error!(
            position = corruption.position,
            reason = corruption.reason,
            "something stored is damaged and was passed over"
        );
        if corruptions.len() == CORRUPTIONS_MAX {
            corruptions.pop_front();
        }
        corruptions.push_back(corruption);
    }

    pub(crate) fn corruptions(&self) -> Vec<Corruption> {
        self.corruptions
            .lock()
            .expect("nothing panics while it holds this lock")
            .iter()
            .cloned()
            .collect()
    }
}
