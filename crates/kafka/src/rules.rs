//! What operators have said of queues: records of a compacted topic under the queues' names, which
//! every process that hands out executions follows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{PartitionId, QueueName, QueueRules};
use minutehand_ports::{ErrorClass, PortError, QueueRulebook, RulesOfQueues};
use minutehand_record::queue_rules;
use rdkafka::Message;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use tokio::sync::watch;

use crate::client::{Client, blocking};
use crate::error::port_error;
use crate::listener::Consumer;
use crate::tail;
use crate::transact::{Parcel, Plain};

/// The topic has one partition.
const PARTITION: PartitionId = PartitionId::own(0);
const POLL: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_secs(1);
/// After so long without a record it is asked whether there is one: a consumer may have fallen
/// silent without an error.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long a writer waits until what it wrote is known here.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

struct Shared {
    client: Arc<Client>,
    /// `None` until all of the topic has been read.
    known: watch::Sender<Option<RulesOfQueues>>,
    is_closing: AtomicBool,
}

/// The rules of a cluster's queues. Their reader starts with whoever asks first.
pub struct KafkaRulebook {
    shared: Arc<Shared>,
    start: Once,
}

impl KafkaRulebook {
    /// The rules of a cluster's queues.
    pub fn new(client: Arc<Client>) -> KafkaRulebook {
        let shared = Shared {
            client,
            known: watch::Sender::new(None),
            is_closing: AtomicBool::new(false),
        };
        KafkaRulebook {
            shared: Arc::new(shared),
            start: Once::new(),
        }
    }
}

impl Drop for KafkaRulebook {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl QueueRulebook for KafkaRulebook {
    async fn set_rules(&self, queue: &QueueName, rules: QueueRules) -> Result<(), PortError> {
        let action = format!("say what holds for the queue {queue}");
        let mut known = self.rules();
        let is_nothing = rules == QueueRules::default();
        let parcel = Parcel {
            topic: self.shared.client.names().queues.clone(),
            partition: Some(PARTITION.number()),
            key: Some(Bytes::copy_from_slice(queue.as_str().as_bytes())),
            value: (!is_nothing).then(|| queue_rules::encode(&rules)),
            headers: None,
        };
        let client = Arc::clone(&self.shared.client);
        let failed = action.clone();
        blocking(move || {
            Plain::new(client)
                .deliver(std::iter::once(&parcel))
                .map_err(|error| port_error(&failed, error))
        })
        .await?;
        let is_known = |all: &Option<RulesOfQueues>| {
            let found = all.as_ref().map(|all| all.get(queue).cloned());
            found.is_some_and(|found| found.unwrap_or_default() == rules)
        };
        let seen = tokio::time::timeout(KNOWN_WITHIN, known.wait_for(is_known)).await;
        match seen {
            Ok(Ok(_)) => Ok(()),
            // Somebody else may have said another thing meanwhile.
            _ => Err(PortError::new(
                ErrorClass::Retry,
                action,
                "it is durable, and has not been read back yet",
            )),
        }
    }

    fn rules(&self) -> watch::Receiver<Option<RulesOfQueues>> {
        self.start.call_once(|| {
            let shared = Arc::clone(&self.shared);
            let started = std::thread::Builder::new()
                .name("queue rules".to_owned())
                .spawn(move || shared.run());
            if let Err(error) = started {
                tracing::error!(%error, "could not start the reader of what holds for queues");
            }
        });
        self.shared.known.subscribe()
    }
}

impl Shared {
    fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    fn run(&self) {
        let mut rules = BTreeMap::new();
        while !self.is_closing() {
            if let Err(error) = self.follow(&mut rules) {
                tracing::warn!(%error, "could not read what holds for queues; trying again");
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Reads the topic from its beginning, which is short, and then whatever comes.
    fn follow(&self, rules: &mut BTreeMap<QueueName, QueueRules>) -> KafkaResult<()> {
        let topic = &self.client.names().queues;
        let consumer = self.client.consumer()?;
        let (start, _) = tail::marks(&self.client, &consumer, topic, PARTITION)?;
        tail::assign(&consumer, topic, PARTITION, start)?;
        rules.clear();
        let (mut next, mut heard_at) = (start, Instant::now());
        let mut is_news = true;
        while !self.is_closing() {
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    next = message.offset().max(0) as u64 + 1;
                    heard_at = Instant::now();
                    take_in(&message, rules);
                    is_news = true;
                }
                Some(Err(KafkaError::PartitionEOF(_))) if !is_news => {}
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    // Only as a whole: what is read from the beginning passes what held before.
                    self.known.send_replace(Some(Arc::new(rules.clone())));
                    is_news = false;
                }
                Some(Err(error)) if tail::is_passing(&error) => {}
                Some(Err(error)) => return Err(error),
                None if heard_at.elapsed() > SILENCE_MAX => {
                    if self.has_more(&consumer, next)? {
                        tracing::warn!(
                            "the reader of what holds for queues is replaced: it was told of nothing"
                        );
                        return Ok(());
                    }
                    heard_at = Instant::now();
                }
                None => {}
            }
        }
        Ok(())
    }

    fn has_more(&self, consumer: &Consumer, next: u64) -> KafkaResult<bool> {
        let topic = &self.client.names().queues;
        let (_, end) = tail::marks(&self.client, consumer, topic, PARTITION)?;
        Ok(end > next)
    }
}

fn take_in(message: &BorrowedMessage<'_>, rules: &mut BTreeMap<QueueName, QueueRules>) {
    let name = std::str::from_utf8(message.key().unwrap_or_default()).ok();
    let queue = name.and_then(|name| QueueName::parse(name).ok());
    let said = message
        .payload()
        .map(|value| queue_rules::decode(&Bytes::copy_from_slice(value)));
    match (queue, said) {
        (Some(queue), None) => {
            rules.remove(&queue);
        }
        (Some(queue), Some(Ok(said))) => {
            rules.insert(queue, said);
        }
        _ => tracing::warn!(
            offset = message.offset(),
            "a record about what holds for a queue cannot be read and is passed over"
        ),
    }
}
