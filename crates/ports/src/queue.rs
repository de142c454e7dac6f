//! The execution queue as a worker sees it: deliveries, settlements, stops.

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{
    DeliveryToken, Epoch, LastWord, LogOffset, Outcome, PartitionId, QueueName, TaskKey, Timestamp,
};

use crate::{DeadLetter, ErrorClass, Output, OutputRecord, PortError, Stop, StopReceiver};

/// Where a delivery stands in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The partition that published it.
    pub partition: PartitionId,
    /// Its position among what that partition published to the queue.
    pub sequence: u64,
}

/// An execution handed to a worker group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where it stands.
    pub id: DeliveryId,
    /// The owner that published it.
    pub epoch: Epoch,
    /// Its fencing token: of two deliveries of one execution the later one has the greater token.
    pub token: DeliveryToken,
    /// The log offset of the command behind it.
    pub offset: LogOffset,
    /// When the tick was built.
    pub published_at: Timestamp,
    /// The fingerprint of namespace and id.
    pub key: TaskKey,
    /// When it was due.
    pub due: Timestamp,
    /// The task in the encoding of the `record` crate.
    pub encoded: Bytes,
    /// The store has lost what it knew of it: it may have been settled before. What runs at most
    /// once must not run then.
    pub may_have_run: bool,
}

/// What a worker group says of a delivery. All settlements of one call become durable together, or
/// none does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which delivery; settled once and for all.
    pub id: DeliveryId,
    /// The token that whoever says it was told: when the delivery has left this process since it
    /// was handed out under it, nothing is settled, whoever has it now. `None` says it in the name
    /// of whoever has it.
    pub held_as: Option<DeliveryToken>,
    /// Encoded commands: a retry, a completion, the task that follows. They are durable in the same step, and each is
    /// appended to its log once: at once, or by the partition's owner.
    pub commands: Vec<(PartitionId, Bytes)>,
    /// A dead letter to keep.
    pub dead_letter: Option<DeadLetter>,
    /// A line for the history, when its policy wants one.
    pub outcome: Option<(TaskKey, Outcome)>,
    /// Records that the run leaves on topics; durable in the same step. A queue that has none
    /// beside it, or finds that one of them is not there, refuses the settlement for good.
    pub output: Output,
}

impl Settlement {
    /// A settlement with nothing beside it.
    pub fn bare(id: DeliveryId) -> Settlement {
        Settlement {
            id,
            held_as: None,
            commands: Vec::new(),
            dead_letter: None,
            outcome: None,
            output: Output::default(),
        }
    }
}

/// A delivery that is to be settled before it runs (at-most-once).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which delivery.
    pub id: DeliveryId,
    /// What is told of the run when everybody is gone who could have told its end; `None`: nothing.
    pub last_word: Option<LastWord>,
}

impl Claim {
    /// A claim of which nothing is told when its run is lost.
    pub fn bare(id: DeliveryId) -> Claim {
        Claim {
            id,
            last_word: None,
        }
    }
}

/// What a worker group says of the end of a run whose delivery it had claimed before
/// (at-most-once).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which delivery; its last word is withdrawn in the same step.
    pub id: DeliveryId,
    /// Encoded commands, as in [`Settlement::commands`]: a completion.
    pub commands: Vec<(PartitionId, Bytes)>,
    /// A dead letter to keep.
    pub dead_letter: Option<DeadLetter>,
    /// A line for the history, when its policy wants one.
    pub outcome: Option<(TaskKey, Outcome)>,
}

/// How full a queue is, for one worker group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Published and not settled, deliveries in progress included.
    pub waiting: u64,
    /// Handed out and not settled.
    pub in_progress: u64,
    /// Settled since the queue was first published to, or forgotten.
    pub settled: u64,
    /// Dead letters kept.
    pub dead_letters: u64,
}

/// A queue of executions, consumed by worker groups.
#[async_trait]
pub trait ExecutionQueue: Send + Sync + 'static {
    /// Hands out up to `count_max` executions to a group, waiting until there is one. What another
    /// group goes on with (`task::is_for` of the `record` crate) is none of them: it is passed over
    /// for good. What was handed out and not settled when the process ended, or was let go, is handed out again. Fails
    /// with class `Fatal` when the store is closed. A call that is dropped before it answers has
    /// handed out nothing.
    async fn poll(
        &self,
        queue: &QueueName,
        group: &str,
        count_max: usize,
    ) -> Result<Vec<Delivery>, PortError>;

    /// Makes settlements durable, and answers when they are. A delivery that has become another
    /// process's meanwhile, where processes share a group, is not settled, and that is no error: it
    /// is run there, and settled. Those are the answer.
    async fn settle(
        &self,
        queue: &QueueName,
        group: &str,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<DeliveryId>, PortError>;

    /// Settles deliveries before they run (at-most-once), and answers with those that may run now,
    /// when their settlements are durable. The others have become another process's: they must not
    /// run here.
    ///
    /// Last words become durable in the same step. Each is told once, by whoever finds that the
    /// process that claimed has ended without a report.
    async fn claim(
        &self,
        queue: &QueueName,
        group: &str,
        claims: Vec<Claim>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let ids: Vec<DeliveryId> = claims.into_iter().map(|claim| claim.id).collect();
        let settlements = ids.iter().map(|id| Settlement::bare(*id)).collect();
        let lost = self.settle(queue, group, settlements).await?;
        Ok(ids.into_iter().filter(|id| !lost.contains(id)).collect())
    }

    /// Makes reports durable, all of one call together, and answers when they are. A report that is
    /// repeated after a failure may be kept twice.
    async fn report(
        &self,
        queue: &QueueName,
        group: &str,
        reports: Vec<Report>,
    ) -> Result<(), PortError> {
        let action = format!(
            "keep {} reports of group {group} on queue {queue}",
            reports.len()
        );
        Err(PortError::new(
            ErrorClass::Fatal,
            action,
            "this queue keeps nothing of a delivery once it is settled",
        ))
    }

    /// Says that nobody in this process works on some deliveries any more: those that are not
    /// settled are handed out again, and of claimed ones without a report the last word is told. It
    /// happens soon, or when the process has ended.
    fn let_go(&self, queue: &QueueName, group: &str, ids: Vec<DeliveryId>);

    /// Which share of a queue's partitions this process has in a group, from 0 to 1: by it the group
    /// shares out what is said of the queue as a whole.
    fn share(&self, _queue: &QueueName, _group: &str) -> f64 {
        1.0
    }

    /// How many partitions tasks are spread over: by it a task that follows another finds its home.
    fn partitions(&self) -> u32;

    /// Asks whoever runs executions of a queue to stop some runs, in every process. It reaches those
    /// that run or wait now; a process that starts later may not hear of it.
    async fn ask_to_stop(&self, queue: &QueueName, stops: Vec<Stop>) -> Result<(), PortError>;

    /// Stop requests published from now on. The last ones before may come as well: a run that they
    /// mean may still wait.
    fn stops(&self, queue: &QueueName) -> StopReceiver;

    /// Every queue that was published to and is not forgotten, in order of name. A store may forget
    /// a queue in which nothing is left.
    async fn queues(&self) -> Result<Vec<QueueName>, PortError>;

    /// The queues that were published to and from which no group has taken anything yet, where the
    /// store can tell.
    async fn untaken(&self) -> Result<Vec<QueueName>, PortError> {
        Ok(Vec::new())
    }

    /// When the oldest execution that a group has not settled was published; `None` when there is
    /// none, or the store cannot tell.
    async fn oldest_waiting(
        &self,
        _queue: &QueueName,
        _group: &str,
    ) -> Result<Option<Timestamp>, PortError> {
        Ok(None)
    }

    /// How full a queue is for a group.
    async fn depth(&self, queue: &QueueName, group: &str) -> Result<QueueDepth, PortError>;
}

/// For queues that have no topics of others beside them.
///
/// # Errors
/// Class `Fatal` when a settlement would leave a record.
pub fn refuse_output(settlements: &[Settlement], action: &str) -> Result<(), PortError> {
    let mut records = settlements.iter().flat_map(|one| one.output.records());
    let Some(OutputRecord { topic, .. }) = records.next() else {
        return Ok(());
    };
    let reason = format!(
        "there is no topic {topic}: runs leave records where executions come from Kafka, and nowhere else"
    );
    Err(PortError::new(ErrorClass::Fatal, action, reason))
}
