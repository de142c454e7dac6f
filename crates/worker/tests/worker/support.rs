//! What the tests of the worker share: an execution queue in memory, tasks and a clock to set.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{
    Command, DeliveryToken, Epoch, Execution, ExecutionId, LastWord, LogOffset, MessageId,
    Namespace, Origin, PartitionId, QueueName, RetryPolicy, ScheduleId, Task, TaskId, Timestamp,
};
use minutehand_ports::{
    Claim, Delivery, DeliveryId, ErrorClass, ExecutionQueue, PortError, QueueDepth, Report,
    Settlement, Stop, StopListeners, StopReceiver,
};
use minutehand_record::{command, task};
use minutehand_worker::{Worker, WorkerBuilder};
use tokio::sync::Notify;

/// A time in 2026.
pub(crate) const NOW_MS: i64 = 1_790_000_000_000;
/// Of which [`PARTITION`] is one.
pub(crate) const PARTITIONS: u32 = 16;
pub(crate) const PARTITION: PartitionId = PartitionId::own(3);

pub(crate) fn queue() -> QueueName {
    QueueName::parse("mail").unwrap()
}

/// A task of that id, due now, that is tried three times without a pause.
pub(crate) fn task_named(id: &str) -> Task {
    let due = Timestamp::from_millis(NOW_MS);
    Task {
        payload: Bytes::from_static(b"hello"),
        retry: RetryPolicy {
            backoff: minutehand_model::Backoff::Immediate,
            attempts_max: 3,
            ..RetryPolicy::default()
        },
        ..Task::new(
            Namespace::parse("default").unwrap(),
            TaskId::parse(id).unwrap(),
            queue(),
            due,
        )
    }
}

pub(crate) fn with_origin(task: Task) -> Task {
    let origin = Origin {
        schedule: ScheduleId::parse("nightly").unwrap(),
        nominal: Timestamp::from_millis(NOW_MS - 5),
        completion_wanted: true,
    };
    Task {
        origin: Some(origin),
        ..task
    }
}

pub(crate) fn execution_of(task: Task) -> Execution {
    Execution {
        id: ExecutionId::of(&task),
        message: MessageId::of(&task),
        published_at: task.due,
        task,
        partition: PARTITION,
        epoch: Epoch(1),
        token: DeliveryToken {
            epoch: Epoch(1),
            generation: 0,
            count: 1,
        },
        offset: LogOffset::START,
    }
}

/// A clock that stands until it is set.
#[derive(Clone)]
pub(crate) struct SetClock(Arc<AtomicI64>);

impl SetClock {
    pub(crate) fn new() -> SetClock {
        SetClock(Arc::new(AtomicI64::new(NOW_MS)))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn advance_to(&self, time: Timestamp) {
        self.0.fetch_max(time.as_millis(), Ordering::SeqCst);
    }
}

/// What the queue in memory holds and was told.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) waiting: VecDeque<Delivery>,
    sequence: u64,
    in_progress: BTreeMap<DeliveryId, Delivery>,
    settled_ids: BTreeSet<DeliveryId>,
    pub(crate) settled: Vec<Settlement>,
    pub(crate) reports: Vec<Report>,
    /// What is told of claimed runs that are lost, and what was told.
    pub(crate) last_words: BTreeMap<DeliveryId, LastWord>,
    pub(crate) told: Vec<LastWord>,
    pub(crate) settle_calls: usize,
    pub(crate) poll_sizes: Vec<usize>,
    /// Failures of the next settle calls; with `true`, the settlements took effect nevertheless.
    pub(crate) settle_failures: VecDeque<(ErrorClass, bool)>,
    /// Settlements that are refused for good, and all that are settled with them.
    pub(crate) refuses: Option<fn(&Settlement) -> bool>,
    pub(crate) poll_failures: VecDeque<ErrorClass>,
    /// Deliveries that another process has by now.
    pub(crate) elsewhere: BTreeSet<DeliveryId>,
    /// Settle calls never answer.
    pub(crate) is_settle_stuck: bool,
    /// Tasks of `Create` commands are delivered as well, at once, with the clock set to their due
    /// time.
    pub(crate) delivers_retries: bool,
}

/// An execution queue in memory.
pub(crate) struct FakeQueue {
    state: Mutex<State>,
    changed: Notify,
    stops: StopListeners,
    pub(crate) clock: SetClock,
}

impl FakeQueue {
    pub(crate) fn new() -> Arc<FakeQueue> {
        Arc::new(FakeQueue {
            state: Mutex::default(),
            changed: Notify::new(),
            stops: StopListeners::new(),
            clock: SetClock::new(),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn deliver(&self, task: &Task) {
        self.deliver_bytes(task, task::encode(task));
    }

    pub(crate) fn deliver_bytes(&self, task: &Task, encoded: Bytes) {
        let mut state = self.state();
        state.sequence += 1;
        let delivery = Delivery {
            id: DeliveryId {
                partition: PARTITION,
                sequence: state.sequence,
            },
            epoch: Epoch(1),
            token: DeliveryToken {
                epoch: Epoch(1),
                generation: 0,
                count: state.sequence,
            },
            offset: LogOffset::at(7),
            published_at: task.due,
            key: task.key(),
            due: task.due,
            encoded,
            may_have_run: false,
        };
        state.waiting.push_back(delivery);
        drop(state);
        self.changed.notify_waiters();
    }

    /// What a restart of the process does: everything that was handed out and not settled is handed
    /// out again.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        let again = std::mem::take(&mut state.in_progress);
        state.waiting.extend(again.into_values());
        let told = std::mem::take(&mut state.last_words);
        state.told.extend(told.into_values());
    }

    pub(crate) fn send_stop(&self, task: &Task, kill: bool) {
        let stop = Stop {
            key: task.key(),
            due: task.due,
            kill,
        };
        assert!(self.stops.is_heard(), "a worker listens");
        self.stops.send(&[stop]);
    }

    /// Waits until the state is as wanted.
    pub(crate) async fn until(&self, is_reached: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_reached(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    pub(crate) async fn until_settled(&self, count: usize) {
        self.until(|state| state.settled.len() >= count).await;
    }

    /// A worker on this queue, with its clock.
    pub(crate) fn worker(self: &Arc<Self>) -> WorkerBuilder {
        let clock = self.clock.clone();
        Worker::builder(self.clone())
            .clock(move || clock.now())
            .random(|| 0)
    }

    fn take_effect(&self, state: &mut State, settlements: Vec<Settlement>) {
        for settlement in settlements {
            if !state.settled_ids.insert(settlement.id) {
                continue;
            }
            state
                .in_progress
                .remove(&settlement.id)
                .expect("what is settled was handed out");
            state.settled.push(settlement);
        }
    }
}

fn home_of(command: &Command) -> PartitionId {
    match command {
        Command::Create(record) => {
            let task = task::decode(&record.encoded).unwrap();
            if task.is_first_of_a_chain() {
                task.home(PARTITIONS)
            } else {
                PARTITION
            }
        }
        _ => PARTITION,
    }
}

/// The commands of a settlement or a report, decoded.
pub(crate) fn commands_of(commands: &[(PartitionId, Bytes)]) -> Vec<Command> {
    commands
        .iter()
        .map(|(partition, bytes)| {
            let command = command::decode(bytes.clone()).unwrap();
            assert_eq!(
                *partition,
                home_of(&command),
                "commands go to the task's own partition, and what follows it to its home"
            );
            command
        })
        .collect()
}

#[async_trait]
impl ExecutionQueue for FakeQueue {
    fn partitions(&self) -> u32 {
        PARTITIONS
    }

    async fn poll(
        &self,
        _: &QueueName,
        _: &str,
        count_max: usize,
    ) -> Result<Vec<Delivery>, PortError> {
        if let Some(class) = self.state().poll_failures.pop_front() {
            return Err(PortError::new(class, "take executions", "planted"));
        }
        self.until(|state| !state.waiting.is_empty()).await;
        let mut state = self.state();
        let count = state.waiting.len().min(count_max);
        let taken: Vec<Delivery> = state.waiting.drain(..count).collect();
        state
            .in_progress
            .extend(taken.iter().map(|delivery| (delivery.id, delivery.clone())));
        state.poll_sizes.push(count_max);
        Ok(taken)
    }

    async fn settle(
        &self,
        _: &QueueName,
        _: &str,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        tokio::task::yield_now().await;
        if self.state().is_settle_stuck {
            std::future::pending::<()>().await;
        }
        let mut retries = Vec::new();
        let lost: Vec<DeliveryId>;
        {
            let mut state = self.state();
            let (elsewhere, settlements): (Vec<Settlement>, Vec<Settlement>) = settlements
                .into_iter()
                .partition(|settlement| state.elsewhere.contains(&settlement.id));
            lost = elsewhere.iter().map(|settlement| settlement.id).collect();
            state.settle_calls += 1;
            if state
                .refuses
                .is_some_and(|refuses| settlements.iter().any(refuses))
            {
                return Err(PortError::new(ErrorClass::Fatal, "settle", "planted"));
            }
            let failure = state.settle_failures.pop_front();
            if failure.is_none_or(|(_, took_effect)| took_effect) {
                if state.delivers_retries {
                    let commands = settlements
                        .iter()
                        .flat_map(|settlement| commands_of(&settlement.commands));
                    retries.extend(commands.filter_map(|command| match command {
                        Command::Create(record) => Some(task::decode(&record.encoded).unwrap()),
                        _ => None,
                    }));
                }
                self.take_effect(&mut state, settlements);
            }
            if let Some((class, _)) = failure {
                return Err(PortError::new(class, "settle", "planted"));
            }
        }
        for retry in retries {
            self.clock.advance_to(retry.due);
            self.deliver(&retry);
        }
        self.changed.notify_waiters();
        Ok(lost)
    }

    async fn claim(
        &self,
        queue: &QueueName,
        group: &str,
        claims: Vec<Claim>,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let ids: Vec<DeliveryId> = claims.iter().map(|claim| claim.id).collect();
        self.settle(
            queue,
            group,
            ids.iter().map(|id| Settlement::bare(*id)).collect(),
        )
        .await?;
        let words = claims
            .into_iter()
            .filter_map(|claim| Some((claim.id, claim.last_word?)));
        self.state().last_words.extend(words);
        Ok(ids)
    }

    async fn report(&self, _: &QueueName, _: &str, reports: Vec<Report>) -> Result<(), PortError> {
        let mut state = self.state();
        for report in reports {
            state.last_words.remove(&report.id);
            state.reports.push(report);
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    fn let_go(&self, _: &QueueName, _: &str, ids: Vec<DeliveryId>) {
        let mut state = self.state();
        for id in ids {
            let again = state.in_progress.remove(&id);
            state.waiting.extend(again);
            let told = state.last_words.remove(&id);
            state.told.extend(told);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    async fn ask_to_stop(&self, _: &QueueName, stops: Vec<Stop>) -> Result<(), PortError> {
        self.stops.send(&stops);
        Ok(())
    }

    fn stops(&self, _: &QueueName) -> StopReceiver {
        self.stops.listen()
    }

    async fn queues(&self) -> Result<Vec<QueueName>, PortError> {
        Ok(vec![queue()])
    }

    async fn depth(&self, _: &QueueName, _: &str) -> Result<QueueDepth, PortError> {
        let state = self.state();
        Ok(QueueDepth {
            in_progress: state.in_progress.len() as u64,
            ..QueueDepth::default()
        })
    }
}

/// Counts, from several tasks.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn add(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
