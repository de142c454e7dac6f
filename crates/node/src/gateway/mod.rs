//! The callers' face of a node: takes parsed tasks and schedules, answers what is known of them.
//!
//! A write is an append to the command log and is answered when it is durable. A write whose effect
//! depends on what the partition knows (a cancel, a revision) is answered when the owner has
//! applied it, with what became of it. A read first waits until the owner has applied everything
//! the log held when the question came: who was told that a task exists finds it.

mod error;
mod ledger;
mod letters;
mod names;
mod operations;
mod queries;
mod queue_rules;
mod queues;
mod replay;
mod schedules;
mod searches;
mod skips;
mod step;
mod tasks;
mod view;
mod wait;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use minutehand_metrics::CommandMetrics;
use minutehand_model::{PartitionId, Timestamp};
use minutehand_ports::{
    Appended, CommandLog, ExecutionQueue, History, Ledger, PortError, QueueRulebook, Timetable,
};
use tokio::sync::watch;

pub use error::{
    BackfillError, CancelError, CreateError, CreateScheduleError, LookupError, QueryError,
    RescheduleError, ReviseError, StopError, Unavailable,
};
pub use ledger::MinuteAudit;
pub use letters::{LetterFilter, REASON_FILTER_BYTES_MAX, Selection};
pub use minutehand_api::{InvalidField, Preview, ValidDefinition, ValidTask};
pub use minutehand_model::TaskState;
pub use operations::{MinuteLoad, PartitionView, Readiness};
pub use queries::{
    CountTasks, FindSchedule, FindTasks, ListSchedules, ListTasks, OwnerQueries, OwnerQuery,
    OwnerReply, Query,
};
pub use queue_rules::QueueChange;
pub use queues::{LetterPage, LetterView, QueueView, Replayed};
pub use schedules::{
    CreatedSchedule, DefinitionChange, RevisionChange, RunRequested, RunView, ScheduleHead,
    ScheduleName, SchedulePage, ScheduleView,
};
pub use tasks::{EndedTasks, RunsToStop, TaskName, TaskPage, TaskQuery};
pub use view::{Created, TaskHandle, TaskView};

use crate::clock::Clock;
use crate::owner::Owners;
use names::QueueNames;

/// The stores a gateway talks to.
#[derive(Clone)]
pub struct Stores {
    /// Where commands go.
    pub log: Arc<dyn CommandLog>,
    /// What is due beyond the look-ahead, and the revisions of schedules.
    pub timetable: Arc<dyn Timetable>,
    /// What was decided about every minute.
    pub ledger: Arc<dyn Ledger>,
    /// The executions that wait for workers.
    pub queue: Arc<dyn ExecutionQueue>,
    /// Outcomes and dead letters.
    pub history: Arc<dyn History>,
}

/// Most listings that read the timetable, and reads of revisions, at once.
const SCANS_MAX: usize = 2;

/// How long a gateway waits and how much work one answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest wait for an owner to apply what the log holds, in milliseconds.
    pub apply_wait_ms_max: u64,
    /// About how many stored bytes one page of a listing may read.
    pub scan_bytes_max: usize,
    /// Bytes asked of the timetable at once.
    pub read_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            apply_wait_ms_max: 5_000,
            scan_bytes_max: 32 * 1024 * 1024,
            read_bytes_max: 1024 * 1024,
        }
    }
}

/// The callers' face of a node. Share it behind an [`Arc`].
pub struct Gateway {
    stores: Stores,
    owners: Arc<dyn OwnerQueries>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    /// The partitions this node should own, when it is known.
    assignment: Option<watch::Receiver<BTreeSet<PartitionId>>>,
    /// What else keeps it from its work, told by whoever watches the stores.
    troubles: Option<watch::Receiver<Vec<String>>>,
    /// Replays of dead letters take turns: two at once could both append the same letter. Kept is
    /// the newest due time that one of them has given.
    replay_turn: tokio::sync::Mutex<Timestamp>,
    /// Listings that read owners' memory and the timetable, or ask for every queue, and reads of
    /// revisions, at once: one is enough to keep a core busy.
    scans: tokio::sync::Semaphore,
    searches: searches::Searches,
    queue_names: QueueNames,
    damage: Option<TellDamage>,
    /// What operators say of queues, where they can.
    rulebook: Option<Arc<dyn QueueRulebook>>,
    rules_turn: tokio::sync::Mutex<()>,
    metrics: CommandMetrics,
}

/// Tells what a store has met damaged and passed over.
pub type TellDamage = Arc<dyn Fn() -> Vec<Damage> + Send + Sync>;

/// Something stored that was damaged and was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it stands.
    pub position: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Gateway {
    /// The one way to the log: counts the records and takes the time until they are durable.
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
    ) -> Result<Appended, PortError> {
        let (count, since) = (records.len() as u64, Instant::now());
        let answer = self.stores.log.append(partition, records).await;
        match &answer {
            Ok(_) => self.metrics.appended(count, since.elapsed().as_secs_f64()),
            Err(_) => self.metrics.append_failed(),
        }
        answer
    }
}

impl Gateway {
    /// A gateway to the partitions that this node owns.
    pub fn new(stores: Stores, owners: Owners, clock: Arc<dyn Clock>, limits: Limits) -> Gateway {
        Gateway::with_owners(stores, Arc::new(owners), clock, limits)
    }

    /// A gateway to owners reached in another way.
    pub fn with_owners(
        stores: Stores,
        owners: Arc<dyn OwnerQueries>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Gateway {
        let replay_turn = tokio::sync::Mutex::new(Timestamp::MIN);
        let scans = tokio::sync::Semaphore::new(SCANS_MAX);
        let metrics = CommandMetrics::new();
        Gateway {
            stores,
            owners,
            clock,
            limits,
            assignment: None,
            troubles: None,
            scans,
            replay_turn,
            searches: searches::Searches::default(),
            queue_names: QueueNames::default(),
            damage: None,
            rulebook: None,
            rules_turn: tokio::sync::Mutex::default(),
            metrics,
        }
    }

    /// The same gateway, ready only when every partition of `assignment` is owned.
    #[must_use]
    pub fn with_assignment(self, assignment: watch::Receiver<BTreeSet<PartitionId>>) -> Gateway {
        Gateway {
            assignment: Some(assignment),
            ..self
        }
    }

    /// The same gateway, not ready while there are `troubles` (a store that does not answer), each
    /// in words.
    #[must_use]
    pub fn with_troubles(self, troubles: watch::Receiver<Vec<String>>) -> Gateway {
        Gateway {
            troubles: Some(troubles),
            ..self
        }
    }

    /// The same gateway, on a store that tells its damage.
    #[must_use]
    pub fn with_damage(self, damage: TellDamage) -> Gateway {
        Gateway {
            damage: Some(damage),
            ..self
        }
    }

    /// What the store has met damaged and passed over since it was opened; the newest, where there
    /// is much.
    pub fn damage(&self) -> Vec<Damage> {
        self.damage.as_ref().map_or_else(Vec::new, |tell| tell())
    }

    /// The present time by the gateway's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The number of partitions.
    pub fn partitions_count(&self) -> u32 {
        self.owners.partitions()
    }

    fn every_partition(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.owners.partitions()).map(PartitionId::own)
    }
}
