//! One cluster: its settings, its topics, and the calls that all parts of this crate share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use minutehand_ports::{ErrorClass, PortError};
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use tokio::runtime::Handle;

use crate::config::KafkaConfig;
use crate::error::port_error;
use crate::listener::{Consumer, Listener};
use crate::names::TopicNames;

/// A cluster and what is kept there. Share it behind an [`Arc`].
pub struct Client {
    config: KafkaConfig,
    names: TopicNames,
    runtime: Handle,
    admin: AdminClient<DefaultClientContext>,
    /// Partitions of topics that have been looked up; a topic never loses partitions.
    known: Mutex<HashMap<String, u32>>,
    listener: Listener,
    /// Answers questions about topics and offsets.
    lookups: Mutex<Option<Arc<Consumer>>>,
    this: Weak<Client>,
}

impl Client {
    /// A client of the cluster. Nothing is asked of it yet; [`Client::check_topics`] does.
    ///
    /// # Errors
    /// When the settings are refused; the error names the setting.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(config: KafkaConfig) -> Result<Arc<Client>, PortError> {
        let admin = config
            .client()
            .create()
            .map_err(|error| port_error("set up the Kafka client", error))?;
        let names = TopicNames::new(&config.topic_prefix);
        let runtime = Handle::current();
        Ok(Arc::new_cyclic(|this| Client {
            config,
            names,
            runtime,
            admin,
            known: Mutex::default(),
            listener: Listener::default(),
            lookups: Mutex::default(),
            this: Weak::clone(this),
        }))
    }

    /// The settings.
    pub fn config(&self) -> &KafkaConfig {
        &self.config
    }

    /// The names of the topics.
    pub fn names(&self) -> &TopicNames {
        &self.names
    }

    pub(crate) fn shared(&self) -> Arc<Client> {
        self.this.upgrade().expect("a client lives behind its Arc")
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn admin(&self) -> &AdminClient<DefaultClientContext> {
        &self.admin
    }

    /// Longest wait for one answer.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.config.request_timeout_ms))
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout()
    }

    /// A consumer that is asked where partitions begin and end; it counts what is not committed
    /// yet.
    pub(crate) fn lookups(&self) -> KafkaResult<Arc<Consumer>> {
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(consumer) = &*lookups {
            return Ok(Arc::clone(consumer));
        }
        let mut config = self.config.reader();
        config.set("isolation.level", "read_uncommitted");
        let consumer = config.create_with_context(self.listener.clone())?;
        Ok(Arc::clone(lookups.insert(Arc::new(consumer))))
    }

    /// A consumer of committed records.
    pub(crate) fn consumer(&self) -> KafkaResult<Consumer> {
        self.config
            .reader()
            .create_with_context(self.listener.clone())
    }

    /// A consumer of a partition of the command log, which keeps `queued` at the bytes that it
    /// holds.
    pub(crate) fn log_reader(&self, queued: &Arc<AtomicU64>) -> KafkaResult<Consumer> {
        let listener = self.listener.counting(queued);
        self.config.log_reader().create_with_context(listener)
    }

    /// The same for records that come now and then, from the oldest that is kept where the place is
    /// not kept any more.
    pub(crate) fn follower(&self) -> KafkaResult<Consumer> {
        let mut config = self.config.reader();
        config
            .set("enable.partition.eof", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "500")
            .set("queued.max.messages.kbytes", "4096");
        config.create_with_context(self.listener.clone())
    }

    /// The same for a stretch that is read once: it hears soon that there is no more.
    pub(crate) fn passing_consumer(&self) -> KafkaResult<Consumer> {
        let mut config = self.config.reader();
        config
            .set("fetch.wait.max.ms", "5")
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", "8192");
        config.create_with_context(self.listener.clone())
    }

    /// Asks the cluster for its topics. Blocks.
    pub(crate) fn list(&self) -> Result<BTreeMap<String, u32>, PortError> {
        let action = || format!("ask {} for its topics", self.config.brokers.join(", "));
        let consumer = self
            .lookups()
            .map_err(|error| port_error(action(), error))?;
        let metadata = consumer
            .fetch_metadata(None, self.timeout())
            .map_err(|error| {
                // Why it failed stands among the events that nobody has looked at yet.
                while consumer.poll(EVENTS).is_some() {}
                self.listener.explain(action(), error)
            })?;
        let topics = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none());
        Ok(topics
            .map(|topic| (topic.name().to_owned(), topic.partitions().len() as u32))
            .collect())
    }

    /// How many copies each partition of a topic has at least. Blocks.
    pub(crate) fn copies(&self, topic: &str) -> Result<usize, PortError> {
        let failed = |error| port_error(format!("ask for the copies of {topic}"), error);
        let lookups = self.lookups().map_err(failed)?;
        let metadata = lookups.fetch_metadata(Some(topic), self.timeout());
        let metadata = metadata.map_err(failed)?;
        let partitions = metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions());
        let copies = partitions.map(|partition| partition.replicas().len());
        Ok(copies.min().unwrap_or(0))
    }

    /// The number of partitions of a topic; `None` when it is not there. Blocks.
    pub(crate) fn look_up(&self, topic: &str) -> Result<Option<u32>, PortError> {
        if let Some(partitions) = self.known(topic) {
            return Ok(Some(partitions));
        }
        let found = self.list()?.get(topic).copied();
        if let Some(partitions) = found {
            self.learn(topic, partitions);
        }
        Ok(found)
    }

    pub(crate) fn known(&self, topic: &str) -> Option<u32> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(topic)
            .copied()
    }

    /// What was known of a topic may not be so any more.
    pub(crate) fn forget(&self, topic: &str) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(topic);
    }

    pub(crate) fn learn(&self, topic: &str, partitions: u32) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(topic.to_owned(), partitions);
    }
}

/// How long events are waited for that may explain a failure.
const EVENTS: Duration = Duration::from_millis(50);

/// Runs a call that blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(answer) => answer,
        Err(_) => Err(PortError::new(
            ErrorClass::Retry,
            "finish a call to Kafka",
            "the process is ending",
        )),
    }
}
