//! What a worker was told: shared by its queues, and for each queue.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use minutehand_model::{
    Command, GroupName, OutcomeKind, PartitionId, QueueName, Task, Timestamp, choice,
};
use minutehand_ports::{DeadLetter, ExecutionQueue};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::dues::GivenDues;
use crate::gates::Gates;
use crate::handler::Handler;
use crate::hook::DeadLetterHook;
use crate::observer::WorkerObserver;
use crate::places::Places;
use crate::results::ResultTopics;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// Draws numbers evenly from 0 to `u64::MAX`.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

choice!(
    /// Which ends of attempts are written to the history.
    HistoryPolicy, "history", default Failures {
        /// None.
        None = "none",
        /// All but successes of single tasks; a schedule's runs are all kept, so that it can be
        /// told how they went.
        Failures = "failures",
        /// All.
        All = "all",
    }
);

impl HistoryPolicy {
    /// Whether an attempt that ended this way is written.
    pub fn wants(self, kind: OutcomeKind, is_of_a_schedule: bool) -> bool {
        match self {
            HistoryPolicy::None => false,
            HistoryPolicy::Failures => kind != OutcomeKind::Succeeded || is_of_a_schedule,
            HistoryPolicy::All => true,
        }
    }
}

/// When a worker ends by itself: when nothing has been there for it for a while.
#[derive(Clone, Debug)]
pub struct Idleness {
    /// After how long it ends, in milliseconds,
    pub after_ms: i64,
    /// and after how long while others wait for its room.
    pub crowded_after_ms: i64,
    /// Whether others wait.
    pub is_crowded: watch::Receiver<bool>,
}

impl Idleness {
    /// When a worker ends that has been idle since a moment.
    pub(crate) fn ends_at(&self, since: Instant) -> Instant {
        let after_ms = if *self.is_crowded.borrow() {
            self.crowded_after_ms
        } else {
            self.after_ms
        };
        since + duration_ms(after_ms)
    }
}

/// What all queues of a worker share.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) port: Arc<dyn ExecutionQueue>,
    pub(crate) group: GroupName,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) observer: Arc<dyn WorkerObserver>,
    pub(crate) history: HistoryPolicy,
    pub(crate) dead_letter_hook: Option<DeadLetterHook>,
    /// Shared with other workers of the process.
    pub(crate) places: Places,
    pub(crate) dues: GivenDues,
    pub(crate) gates: Gates,
    pub(crate) result_topics: ResultTopics,
    pub(crate) batch_max: usize,
    pub(crate) run_timeout_ms: i64,
    pub(crate) stop_grace_ms: i64,
    pub(crate) drain_ms: i64,
    pub(crate) idleness: Option<Idleness>,
}

impl Settings {
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The creation of the task that tells of a dead letter, where somebody is to be told.
    pub(crate) fn told_of(&self, task: &Task, letter: &DeadLetter) -> Option<(PartitionId, Bytes)> {
        let told = self.dead_letter_hook.as_ref()?.task(task, letter)?;
        Some(self.creation_at_home(&told))
    }

    /// The creation of a task that follows another, and the partition that it is looked for in.
    pub(crate) fn creation_at_home(&self, task: &Task) -> (PartitionId, Bytes) {
        let creation = Command::Create(minutehand_record::task::record(task));
        let home = task.home(self.port.partitions());
        (home, minutehand_record::command::encode(&creation))
    }
}

/// One queue and who runs it.
pub(crate) struct Lane {
    pub(crate) queue: QueueName,
    pub(crate) handler: Arc<dyn Handler>,
    /// Most runs that wait for something at the same time; at least 1.
    pub(crate) concurrency: usize,
}

/// The machine's clock.
pub(crate) fn system_clock() -> Clock {
    Arc::new(|| {
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    })
}

/// Numbers from the standard library's seeded hasher: good enough to spread retries, and no
/// dependency.
pub(crate) fn system_random() -> Random {
    Arc::new(|| RandomState::new().build_hasher().finish())
}

/// A length of time that is never negative.
pub(crate) fn duration_ms(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
