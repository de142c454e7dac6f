//! The worker: built once, run until it is told to stop.

use std::future::Future;
use std::sync::Arc;

use minutehand_model::time::{MINUTE_MS, SECOND_MS};
use minutehand_model::{GroupName, QueueName, Timestamp};
use minutehand_ports::{ExecutionQueue, PortError};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::attempt::RUN_TIMEOUT_MS_MAX;
use crate::dues::GivenDues;
use crate::gates::Gates;
use crate::handler::Handler;
use crate::hook::DeadLetterHook;
use crate::observer::{NoObserver, WorkerObserver};
use crate::places::Places;
use crate::queue_loop::QueueLoop;
use crate::results::ResultTopics;
use crate::settings::{HistoryPolicy, Idleness, Lane, Settings, system_clock, system_random};

/// A worker that was not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Nothing to work on.
    #[error("the worker has no queue; name at least one with `handle`")]
    NoQueue,
    /// Two handlers for one queue.
    #[error("queue {queue} has two handlers; one worker runs one handler a queue")]
    Repeated {
        /// The queue.
        queue: QueueName,
    },
    /// A setting outside its limits.
    #[error("{field} is {given}; it must be between {low} and {high}")]
    Setting {
        /// Which setting.
        field: &'static str,
        /// What was given.
        given: i64,
        /// Smallest accepted value.
        low: i64,
        /// Largest accepted value.
        high: i64,
    },
}

/// A worker that had to stop: a queue failed in a way that trying again does not help.
#[derive(Debug, thiserror::Error)]
#[error("the worker stopped, because of queue {queue}")]
pub struct WorkerError {
    /// The queue that failed.
    pub queue: QueueName,
    /// How.
    #[source]
    pub source: PortError,
}

/// Collects what a worker needs.
#[must_use]
pub struct WorkerBuilder {
    settings: Settings,
    lanes: Vec<Lane>,
}

impl WorkerBuilder {
    /// The worker group whose share of the executions this worker takes; that of whoever names none
    /// when not given.
    pub fn group(mut self, group: GroupName) -> WorkerBuilder {
        self.settings.group = group;
        self
    }

    /// The clock; the machine's when not given.
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> WorkerBuilder {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// The source of jitter: numbers drawn evenly from 0 to `u64::MAX`.
    pub fn random(mut self, random: impl Fn() -> u64 + Send + Sync + 'static) -> WorkerBuilder {
        self.settings.random = Arc::new(random);
        self
    }

    /// Who is told what the worker does; nobody when not given.
    pub fn observer(mut self, observer: Arc<dyn WorkerObserver>) -> WorkerBuilder {
        self.settings.observer = observer;
        self
    }

    /// Which ends of attempts are written to the history; all but successes when not given.
    pub fn history(mut self, history: HistoryPolicy) -> WorkerBuilder {
        self.settings.history = history;
        self
    }

    /// Who is told of dead letters; nobody when not given.
    pub fn dead_letter_hook(mut self, hook: Option<DeadLetterHook>) -> WorkerBuilder {
        self.settings.dead_letter_hook = hook;
        self
    }

    /// The places that all queues of this worker share, and of whoever else is given them; without
    /// end when not given.
    pub fn places(mut self, places: Places) -> WorkerBuilder {
        self.settings.places = places;
        self
    }

    /// The due times that were given to retries, shared with the other workers of the process; this
    /// worker's own when not given.
    pub fn given_dues(mut self, dues: GivenDues) -> WorkerBuilder {
        self.settings.dues = dues;
        self
    }

    /// What operators have said of queues; when not given all are open, and executions are started in
    /// the order of their queue, whatever their keys, priorities and namespaces.
    pub fn gates(mut self, gates: Gates) -> WorkerBuilder {
        self.settings.gates = gates;
        self
    }

    /// Where results go as records of Kafka; nowhere when not given.
    pub fn result_topics(mut self, topics: ResultTopics) -> WorkerBuilder {
        self.settings.result_topics = topics;
        self
    }

    /// Most executions taken from a queue at a time; 8,000 when not given.
    pub fn batch_max(mut self, batch_max: usize) -> WorkerBuilder {
        self.settings.batch_max = batch_max;
        self
    }

    /// How long a run may take that does not say so itself (header [`crate::TIMEOUT_HEADER`]), in
    /// milliseconds; one hour when not given.
    pub fn run_timeout_ms(mut self, run_timeout_ms: i64) -> WorkerBuilder {
        self.settings.run_timeout_ms = run_timeout_ms;
        self
    }

    /// How long a run that was asked to stop may go on before it is killed, in milliseconds; ten
    /// seconds when not given.
    pub fn stop_grace_ms(mut self, stop_grace_ms: i64) -> WorkerBuilder {
        self.settings.stop_grace_ms = stop_grace_ms;
        self
    }

    /// How long a worker that shuts down lets its runs go on before it asks them to stop, in
    /// milliseconds; thirty seconds when not given.
    pub fn drain_ms(mut self, drain_ms: i64) -> WorkerBuilder {
        self.settings.drain_ms = drain_ms;
        self
    }

    /// Lets the worker end by itself once the first of its queues has been idle; it goes on without
    /// an end when not given. Nothing is running or taken then, and nothing is lost: what comes
    /// later waits for the next worker.
    pub fn ends_when_idle(mut self, idleness: Idleness) -> WorkerBuilder {
        self.settings.idleness = Some(idleness);
        self
    }

    /// Runs a queue's executions with a handler, at most `concurrency` at a time.
    pub fn handle(
        self,
        queue: QueueName,
        handler: impl Handler,
        concurrency: usize,
    ) -> WorkerBuilder {
        self.handle_shared(queue, Arc::new(handler), concurrency)
    }

    /// The same with a handler that several queues share.
    pub fn handle_shared(
        mut self,
        queue: QueueName,
        handler: Arc<dyn Handler>,
        concurrency: usize,
    ) -> WorkerBuilder {
        self.lanes.push(Lane {
            queue,
            handler,
            concurrency,
        });
        self
    }

    /// What it has been told, for whoever is a member of worker groups in another way than a
    /// worker.
    pub(crate) fn into_settings(self) -> Settings {
        self.settings
    }

    /// The worker, or what is wrong with it.
    pub fn build(self) -> Result<Worker, BuildError> {
        let within = |field, given: i64, low, high| {
            let is_good = (low..=high).contains(&given);
            if is_good {
                Ok(())
            } else {
                Err(BuildError::Setting {
                    field,
                    given,
                    low,
                    high,
                })
            }
        };
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        within("batch_max", count(self.settings.batch_max), 1, 100_000)?;
        within(
            "run_timeout_ms",
            self.settings.run_timeout_ms,
            1,
            RUN_TIMEOUT_MS_MAX,
        )?;
        within(
            "stop_grace_ms",
            self.settings.stop_grace_ms,
            0,
            60 * MINUTE_MS,
        )?;
        within("drain_ms", self.settings.drain_ms, 0, RUN_TIMEOUT_MS_MAX)?;
        if self.lanes.is_empty() {
            return Err(BuildError::NoQueue);
        }
        for (index, lane) in self.lanes.iter().enumerate() {
            within("concurrency", count(lane.concurrency), 1, 1_000_000)?;
            if self.lanes[..index]
                .iter()
                .any(|earlier| earlier.queue == lane.queue)
            {
                return Err(BuildError::Repeated {
                    queue: lane.queue.clone(),
                });
            }
        }
        Ok(Worker {
            settings: Arc::new(self.settings),
            lanes: self.lanes,
        })
    }
}

/// Takes executions from queues, runs them, and settles what has ended.
pub struct Worker {
    settings: Arc<Settings>,
    lanes: Vec<Lane>,
}

impl Worker {
    /// Begins a worker on an execution queue.
    pub fn builder(port: Arc<dyn ExecutionQueue>) -> WorkerBuilder {
        let settings = Settings {
            port,
            group: GroupName::default(),
            clock: system_clock(),
            random: system_random(),
            observer: Arc::new(NoObserver),
            history: HistoryPolicy::default(),
            dead_letter_hook: None,
            places: Places::unlimited(),
            dues: GivenDues::default(),
            gates: Gates::default(),
            result_topics: ResultTopics::default(),
            batch_max: 8_000,
            run_timeout_ms: 60 * MINUTE_MS,
            stop_grace_ms: 10 * SECOND_MS,
            drain_ms: 30 * SECOND_MS,
            idleness: None,
        };
        WorkerBuilder {
            settings,
            lanes: Vec::new(),
        }
    }

    /// Works until `shutdown` is ready, then drains: takes nothing more, lets what runs go on for
    /// up to `drain_ms`, asks what still runs to stop and drops it after `stop_grace_ms`, and
    /// settles everything that has ended. What was dropped, or taken and not started, is delivered
    /// again.
    ///
    /// When a queue fails for good, the other queues are drained and the first error is the answer.
    /// Dropping this future drops every run at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), WorkerError> {
        let (stop_sender, stop_receiver) = watch::channel(false);
        let mut loops = JoinSet::new();
        for lane in self.lanes {
            let (settings, stop_receiver) = (Arc::clone(&self.settings), stop_receiver.clone());
            loops.spawn(async move {
                let ended = QueueLoop::new(&settings, &lane).run(stop_receiver).await;
                ended.map_err(|source| WorkerError {
                    queue: lane.queue.clone(),
                    source,
                })
            });
        }
        let mut result = Ok(());
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let is_stopping = *stop_sender.borrow();
            tokio::select! {
                () = &mut shutdown, if !is_stopping => {
                    stop_sender.send_replace(true);
                }
                joined = loops.join_next() => match joined {
                    None => return result,
                    Some(Ok(ended)) => {
                        stop_sender.send_replace(true);
                        result = result.and(ended);
                    }
                    // Handlers cannot get here: their panics are caught. A panic of the loop itself
                    // is a bug to be seen.
                    Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                },
            }
        }
    }
}
