//! The owner of one partition: drives its engine, and answers questions about it.

mod audit;
mod budget;
mod carry;
mod heartbeat;
mod log_watch;
mod prepared;
mod report;
mod requests;
mod troubles;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use minutehand_engine::{Config, Effect, Input, Partition, Phase, StopReason};
use minutehand_model::{Epoch, LogOffset, PartitionId, Timestamp};
use minutehand_ports::{CommandLog, ExecutionSink, Ledger, Timetable};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use audit::Auditor;
use budget::{Budget, Share};
use log_watch::LogWatch;
use report::Report;
use requests::Requests;
use troubles::Troubles;

pub(crate) use prepared::Prepared;

pub use minutehand_engine::Status as OwnerStatus;

/// The stores an owner works on.
#[derive(Clone)]
pub struct OwnerStores {
    /// Where commands come from.
    pub log: Arc<dyn CommandLog>,
    /// Where ticks go.
    pub sink: Arc<dyn ExecutionSink>,
    /// What is due beyond the look-ahead.
    pub timetable: Arc<dyn Timetable>,
    /// Where closed minutes are written down.
    pub ledger: Arc<dyn Ledger>,
}

/// What every owner of a node works with.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) stores: OwnerStores,
    pub(crate) clock: Arc<dyn Clock>,
    /// The memory that the partitions of this node share.
    budget: Budget,
    troubles: Troubles,
    auditor: Auditor,
    requests: Requests,
}

impl Surroundings {
    pub(crate) fn new(
        stores: OwnerStores,
        clock: Arc<dyn Clock>,
        memory_bytes_max: usize,
    ) -> Surroundings {
        let budget = Budget::new(memory_bytes_max);
        Surroundings {
            stores,
            clock,
            budget,
            troubles: Troubles::default(),
            auditor: Auditor::default(),
            requests: Requests::default(),
        }
    }
}

type Question = Box<dyn FnOnce(&Partition) + Send>;

/// A way to ask the owner of a partition.
#[derive(Clone)]
pub struct OwnerHandle {
    questions: mpsc::Sender<Question>,
    status: watch::Receiver<OwnerStatus>,
}

impl OwnerHandle {
    /// Runs a question on the owner's own task, between two steps of the engine. `None` when the
    /// owner has stopped.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Partition) -> T + Send + 'static,
    ) -> Option<T> {
        let (send, answer) = oneshot::channel();
        let question: Question = Box::new(move |partition| {
            // Whoever asked may have gone away meanwhile.
            send.send(question(partition)).ok();
        });
        self.questions.send(question).await.ok()?;
        answer.await.ok()
    }

    /// The partition's status, kept up to date.
    pub fn status(&self) -> watch::Receiver<OwnerStatus> {
        self.status.clone()
    }
}

/// The owners of this node's partitions.
#[derive(Clone)]
pub struct Owners {
    partitions: u32,
    /// Every partition assigned to this node.
    held: Arc<Mutex<BTreeMap<PartitionId, Held>>>,
}

/// What this node has of a partition that is assigned to it.
enum Held {
    /// Not acquired yet.
    Waiting,
    /// An owner that runs.
    Owned(OwnerHandle),
    /// An owner that stopped for good, and where it stood.
    Stopped(Box<OwnerStatus>),
}

impl Owners {
    /// No owner yet, of so many partitions.
    pub fn new(partitions: u32) -> Owners {
        Owners {
            partitions,
            held: Arc::default(),
        }
    }

    /// The number of partitions, owned here or not.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// The owner of a partition, if it is this node.
    pub fn owner(&self, partition: PartitionId) -> Option<OwnerHandle> {
        match self.locked().get(&partition)? {
            Held::Owned(handle) => Some(handle.clone()),
            Held::Waiting | Held::Stopped(_) => None,
        }
    }

    /// The partitions assigned to this node, and where each stands.
    pub fn all(&self) -> Vec<(PartitionId, OwnerStatus)> {
        let status = |(partition, held): (&PartitionId, &Held)| {
            let status = match held {
                Held::Waiting => Partition::new(Config::default(), *partition).status(),
                Held::Owned(handle) => handle.status.borrow().clone(),
                Held::Stopped(status) => (**status).clone(),
            };
            (*partition, status)
        };
        self.locked().iter().map(status).collect()
    }

    pub(crate) fn assigned(&self, partition: PartitionId) {
        self.locked().entry(partition).or_insert(Held::Waiting);
    }

    pub(crate) fn set(&self, partition: PartitionId, handle: OwnerHandle) {
        self.locked().insert(partition, Held::Owned(handle));
    }

    /// The owner stopped for good, and the partition is not tried again at once.
    pub(crate) fn stopped(&self, partition: PartitionId, status: OwnerStatus) {
        self.locked()
            .insert(partition, Held::Stopped(Box::new(status)));
    }

    /// Why it stopped, and what to do about it.
    pub(crate) fn told_why(&self, partition: PartitionId, reason: &str) {
        if let Some(Held::Stopped(status)) = self.locked().get_mut(&partition) {
            status.stop_reason = Some(reason.to_owned());
        }
    }

    pub(crate) fn remove(&self, partition: PartitionId) {
        self.locked().remove(&partition);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<PartitionId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How an ownership ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Flushed, checkpointed and to be released.
    HandedOver,
    /// Stopped on its own.
    Stopped(StopReason),
    /// A panic ended it: what it said. The partition's records are as good as the last tick left
    /// them.
    Panicked(String),
}

/// What wakes an owner.
enum Event {
    Answer(Input),
    LogGrew(LogOffset),
    LeaseConfirmed(Timestamp),
    Asked(Question),
    HandOver(Timestamp),
    TimePassed,
}

/// Drives the engine of one partition from take-over to its end.
pub struct Owner {
    partition: Partition,
    id: PartitionId,
    surroundings: Surroundings,
    answers: FuturesUnordered<BoxFuture<'static, Input>>,
    questions: mpsc::Receiver<Question>,
    status: watch::Sender<OwnerStatus>,
    log: LogWatch,
    lease: watch::Receiver<Timestamp>,
    hand_over: watch::Receiver<Option<Timestamp>>,
    is_handing_over: bool,
    memory: Share,
    report: Report,
    /// What was read before the partition was this node's, until it fires.
    prepared: Option<Prepared>,
}

/// Questions that may wait for an owner before the asker does.
const QUESTIONS_WAITING_MAX: usize = 256;

impl Owner {
    /// An owner that takes the partition over when it is run, and the way to ask it.
    ///
    /// It goes by what was `prepared` for it as far as that reaches.
    ///
    /// `lease` carries the coordinator's confirmations; `hand_over` says since when the partition is
    /// to be given up, as soon as it is to be handed over.
    pub(crate) fn new(
        config: Config,
        id: PartitionId,
        epoch: Epoch,
        surroundings: Surroundings,
        lease: watch::Receiver<Timestamp>,
        hand_over: watch::Receiver<Option<Timestamp>>,
        prepared: Option<Prepared>,
    ) -> (Owner, OwnerHandle) {
        let mut partition = Partition::new(config, id);
        partition.handle(surroundings.clock.moment(), Input::Acquired { epoch });
        let (ask, questions) = mpsc::channel(QUESTIONS_WAITING_MAX);
        let (status, watcher) = watch::channel(partition.status());
        let memory = surroundings.budget.share();
        let log = LogWatch::new(Arc::clone(&surroundings.stores.log), id);
        let owner = Owner {
            partition,
            id,
            surroundings,
            answers: FuturesUnordered::new(),
            questions,
            status,
            log,
            lease,
            hand_over,
            is_handing_over: false,
            memory,
            report: Report::new(id),
            prepared,
        };
        (
            owner,
            OwnerHandle {
                questions: ask,
                status: watcher,
            },
        )
    }

    /// Runs until the partition is handed over or lost. A panic, in the engine or in a store that
    /// it waits for, ends this owner and nobody else; its state is not used any more but to tell
    /// where it stood.
    pub async fn run(&mut self) -> Ended {
        match AssertUnwindSafe(self.serve()).catch_unwind().await {
            Ok(ended) => ended,
            Err(panic) => {
                self.report.panicked();
                self.surroundings.troubles.gone(self.id);
                Ended::Panicked(words_of(&*panic))
            }
        }
    }

    /// Where the partition stands, or stood when its owner stopped.
    pub(crate) fn stopped_at(&self) -> OwnerStatus {
        OwnerStatus {
            phase: Phase::Stopped,
            ..self.partition.status()
        }
    }

    async fn serve(&mut self) -> Ended {
        let end = self.log.end();
        self.partition
            .handle(self.surroundings.clock.moment(), Input::LogGrew { end });
        loop {
            if let Some(bytes_max) = self.memory.news() {
                self.partition.handle(
                    self.surroundings.clock.moment(),
                    Input::MemoryBudget { bytes_max },
                );
            }
            self.partition.advance(self.surroundings.clock.moment());
            if let Some(ended) = self.carry_out_effects() {
                self.publish_status();
                self.surroundings.troubles.gone(self.id);
                return ended;
            }
            self.publish_status();
            let event = self.next_event().await;
            self.take(event);
            self.take_what_is_ready();
        }
    }

    fn now(&self) -> Timestamp {
        self.surroundings.clock.now()
    }

    /// The next thing that happens, or the time the engine wants to be woken at.
    async fn next_event(&mut self) -> Event {
        let wake = self
            .partition
            .poll_timeout()
            .map(|(time, _)| time.millis_since(self.now()).max(0));
        let timeout = async {
            match wake {
                // A wake-up "now" lets other tasks run first: the engine may be waiting for one of
                // them.
                Some(0) => tokio::task::yield_now().await,
                Some(ms) => tokio::time::sleep(Duration::from_millis(ms as u64)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(answer) = self.answers.next(), if !self.answers.is_empty() => Event::Answer(answer),
            end = self.log.grew() => Event::LogGrew(end),
            Some(question) = self.questions.recv() => Event::Asked(question),
            Ok(()) = self.lease.changed() => Event::LeaseConfirmed(*self.lease.borrow_and_update()),
            Some(asked_at) = is_asked(&mut self.hand_over), if !self.is_handing_over => Event::HandOver(asked_at),
            () = timeout => Event::TimePassed,
        }
    }

    fn take(&mut self, event: Event) {
        let now = self.surroundings.clock.moment();
        let input = match event {
            Event::Answer(mut input) => {
                self.begin_prepared(&mut input);
                input
            }
            Event::LogGrew(end) => Input::LogGrew { end },
            Event::LeaseConfirmed(at) => Input::LeaseConfirmed { at },
            Event::HandOver(asked_at) => {
                self.is_handing_over = true;
                Input::HandOver { asked_at }
            }
            Event::Asked(question) => return self.answer(question),
            Event::TimePassed => return,
        };
        self.report.received(&input, now.wall);
        self.partition.handle(now, input);
    }

    /// From now on what was read beforehand is gone by.
    fn begin_prepared(&mut self, input: &mut Input) {
        if let Input::Opened {
            checkpoint,
            prepared_from,
            ..
        } = input
        {
            let prepared = self.prepared.as_mut();
            *prepared_from = prepared.and_then(|prepared| prepared.begins(checkpoint.as_deref()));
            self.prepared.take_if(|_| prepared_from.is_none());
        }
    }

    /// A question that panics ends itself only: it sees the partition and changes nothing.
    fn answer(&self, question: Question) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| question(&self.partition))) {
            tracing::error!(partition = %self.id, reason = words_of(&*panic), "a question panicked");
        }
    }

    /// Everything else that has arrived by now is taken before the engine decides.
    fn take_what_is_ready(&mut self) {
        while let Some(Some(answer)) = self.answers.next().now_or_never() {
            self.take(Event::Answer(answer));
        }
        while let Ok(question) = self.questions.try_recv() {
            self.answer(question);
        }
        if let Some(end) = self.log.news() {
            self.take(Event::LogGrew(end));
        }
    }

    fn carry_out_effects(&mut self) -> Option<Ended> {
        let phase = self.partition.phase();
        self.prepared.take_if(|prepared| !prepared.entered(phase));
        while let Some(effect) = self.partition.poll_effect() {
            let now = self.now();
            self.report.sent(&effect, now);
            let prepared = self.prepared.as_mut();
            if let Some(answer) = prepared.and_then(|prepared| prepared.answer(&effect)) {
                self.answers.push(std::future::ready(answer).boxed());
                continue;
            }
            match effect {
                Effect::Release { .. } => return Some(Ended::HandedOver),
                Effect::Stopped { reason } => return Some(Ended::Stopped(reason)),
                Effect::Forget {
                    log_below,
                    timetable_before,
                } => {
                    self.answers.push(carry::forget(
                        self.id,
                        &self.surroundings,
                        log_below,
                        timetable_before,
                    ));
                }
                Effect::ForgetRevisions { offsets } => {
                    self.answers.push(carry::forget_revisions(
                        self.id,
                        &self.surroundings,
                        offsets,
                    ));
                }
                effect => self
                    .answers
                    .extend(carry::out(self.id, &self.surroundings, effect)),
            }
        }
        None
    }

    fn publish_status(&mut self) {
        let status = self.partition.status();
        let now = self.surroundings.clock.now();
        self.report.stands(&status, now);
        self.report.count_schedules(&self.partition, now);
        self.status.send_if_modified(|known| {
            let has_changed = *known != status;
            if has_changed {
                *known = status;
            }
            has_changed
        });
    }
}

/// Waits until a hand-over is wanted.
async fn is_asked(hand_over: &mut watch::Receiver<Option<Timestamp>>) -> Option<Timestamp> {
    let asked_at = hand_over.wait_for(Option::is_some).await.ok()?;
    *asked_at
}

/// What a panic said.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it said nothing")
        .to_owned()
}
