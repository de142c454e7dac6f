//! What the committer and its callers share: whether the store is open, the views of logs and queues, and
//! what was found damaged.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use minutehand_model::{PartitionId, QueueName};
use minutehand_ports::{ErrorClass, PortError};

use crate::failure::Failure;
use crate::queue::QueueView;
use crate::tail::LogView;

/// A row that could not be understood and was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// Where it stands: `log of partition 3, offset 17`.
    pub position: String,
    /// What is wrong with it.
    pub reason: String,
}

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

/// Shared by the committer and all callers.
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    closed: OnceLock<String>,
    pub(crate) logs: Vec<LogView>,
    queues: Mutex<BTreeMap<QueueName, Arc<QueueView>>>,
    corruptions: Mutex<VecDeque<Corruption>>,
    pub(crate) queue_resident_bytes: usize,
}

impl Shared {
    pub(crate) fn new(folder: PathBuf, logs: Vec<LogView>, queue_resident_bytes: usize) -> Shared {
        Shared {
            folder,
            closed: OnceLock::new(),
            logs,
            queues: Mutex::default(),
            corruptions: Mutex::default(),
            queue_resident_bytes,
        }
    }

    /// Closes the store for writes; the first reason stays.
    pub(crate) fn close(&self, failure: Failure) {
        let (folder, Failure { what, remedy }) = (self.folder.display(), failure);
        drop(self.closed.set(format!(
            "the store in {folder} is closed for writes: {what}; {remedy} (nothing that was acknowledged is lost)"
        )));
        let queues = self.queues.lock().expect("nothing panics while it holds this lock");
        queues.values().for_each(|queue| queue.wake());
    }

    pub(crate) fn health(&self) -> Health {
        match self.closed.get() {
            None => Health::Open,
            Some(reason) => Health::ReadOnly { reason: reason.clone() },
        }
    }

    /// The refusal of a closed store.
    pub(crate) fn refusal(&self, action: &str) -> PortError {
        let reason = self.closed.get().map_or("the store has been closed", String::as_str);
        PortError::new(ErrorClass::Fatal, action, reason)
    }

    /// Refuses when the store is closed.
    pub(crate) fn check_open(&self, action: &str) -> Result<(), PortError> {
        if self.closed.get().is_some() { Err(self.refusal(action)) } else { Ok(()) }
    }

    /// The view of a partition's log.
    pub(crate) fn log(&self, partition: PartitionId, action: &str) -> Result<&LogView, PortError> {
        self.logs.get(partition.index()).ok_or_else(|| {
            let reason = format!("there is no partition {partition}; the store has {}", self.logs.len());
            PortError::new(ErrorClass::Fatal, action, reason)
        })
    }

    /// The view of a queue, created when it is not known.
    pub(crate) fn queue(&self, name: &QueueName) -> Arc<QueueView> {
        let mut queues = self.queues.lock().expect("nothing panics while it holds this lock");
        if let Some(queue) = queues.get(name) {
            return Arc::clone(queue);
        }
        let queue = Arc::new(QueueView::new(name.clone(), self.logs.len(), self.queue_resident_bytes));
        queues.insert(name.clone(), Arc::clone(&queue));
        queue
    }

    /// Every queue that is known.
    pub(crate) fn queues(&self) -> Vec<Arc<QueueView>> {
        self.queues.lock().expect("nothing panics while it holds this lock").values().cloned().collect()
    }

    /// Remembers a damaged row.
    pub(crate) fn note_corruption(&self, position: String, reason: String) {
        let mut corruptions = self.corruptions.lock().expect("nothing panics while it holds this lock");
        let corruption = Corruption { position, reason };
        if corruptions.contains(&corruption) {
            return;
        }
        if corruptions.len() == CORRUPTIONS_MAX {
            corruptions.pop_front();
        }
        corruptions.push_back(corruption);
    }

    pub(crate) fn corruptions(&self) -> Vec<Corruption> {
        self.corruptions.lock().expect("nothing panics while it holds this lock").iter().cloned().collect()
    }
}
