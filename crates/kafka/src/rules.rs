//! What operators have said of queues: records of a compacted topic, one for each part of what is
//! said of a queue, which every process that hands out executions follows.

mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{PartitionId, QueueName, QueueRules};
use minutehand_ports::{ErrorClass, PortError, QueueRulebook, RulesChange, RulesOfQueues};
use minutehand_record::queue_rules;
use rdkafka::Message;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use tokio::sync::watch;

use self::parts::Part;
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
    /// Queues with a record of all parts. Beneath it a part of which nothing is said needs a record
    /// that says so.
    whole: Mutex<BTreeSet<QueueName>>,
    is_closing: AtomicBool,
}

/// The rules of a cluster's queues. Their reader starts with whoever asks first.
pub struct KafkaRulebook {
    shared: Arc<Shared>,
    start: Once,
    /// Of the changes of this process one comes after the other.
    turn: tokio::sync::Mutex<()>,
}

impl KafkaRulebook {
    /// The rules of a cluster's queues.
    pub fn new(client: Arc<Client>) -> KafkaRulebook {
        let shared = Shared {
            client,
            known: watch::Sender::new(None),
            whole: Mutex::default(),
            is_closing: AtomicBool::new(false),
        };
        KafkaRulebook {
            shared: Arc::new(shared),
            start: Once::new(),
            turn: tokio::sync::Mutex::default(),
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
    async fn change(
        &self,
        queue: &QueueName,
        change: RulesChange,
    ) -> Result<Option<QueueRules>, PortError> {
        let _turn = self.turn.lock().await;
        let action = format!("say what holds for the queue {queue}");
        let mut known = self.rules();
        let late = |reason| PortError::new(ErrorClass::Retry, action.clone(), reason);
        let all = tokio::time::timeout(KNOWN_WITHIN, known.wait_for(Option::is_some)).await;
        let Ok(Ok(all)) = all.map(|all| all.map(|all| all.clone().unwrap_or_default())) else {
            return Err(late("what was said before has not been read yet"));
        };
        let before = all.get(queue).cloned().unwrap_or_default();
        let Some(after) = change(&before) else {
            return Ok(None);
        };
        let says = |part: &Part| part.only(&before) != part.only(&after);
        let parts: Vec<Part> = Part::ALL.into_iter().filter(says).collect();
        self.shared.write(queue, &parts, &after, &action).await?;
        let is_known = |all: &Option<RulesOfQueues>| {
            let found = all.as_ref().map(|all| all.get(queue).cloned());
            let found = found.map(Option::unwrap_or_default);
            found.is_some_and(|found| {
                let mut parts = parts.iter();
                parts.all(|part| part.only(&found) == part.only(&after))
            })
        };
        match tokio::time::timeout(KNOWN_WITHIN, known.wait_for(is_known)).await {
            Ok(Ok(_)) => Ok(Some(after)),
            // Somebody else may have said another thing meanwhile.
            _ => Err(late("it is durable, and has not been read back yet")),
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

    fn whole(&self) -> MutexGuard<'_, BTreeSet<QueueName>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is said of some parts.
    async fn write(
        &self,
        queue: &QueueName,
        parts: &[Part],
        rules: &QueueRules,
        action: &str,
    ) -> Result<(), PortError> {
        let has_whole = self.whole().contains(queue);
        let parcel = |part: &Part| {
            let said = part.only(rules);
            let is_told = has_whole || said != QueueRules::default();
            Parcel {
                topic: self.client.names().queues.clone(),
                partition: Some(PARTITION.number()),
                key: Some(part.key(queue).into()),
                value: is_told.then(|| queue_rules::encode(&said)),
                headers: None,
            }
        };
        let parcels: Vec<Parcel> = parts.iter().map(parcel).collect();
        let (client, failed) = (Arc::clone(&self.client), action.to_owned());
        blocking(move || {
            Plain::new(client)
                .deliver(parcels.iter())
                .map_err(|error| port_error(&failed, error))
        })
        .await
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
                    self.take_in(&message, rules);
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

    fn take_in(&self, message: &BorrowedMessage<'_>, rules: &mut BTreeMap<QueueName, QueueRules>) {
        let told = Part::of(message.key().unwrap_or_default());
        let value = message.payload().map(Bytes::copy_from_slice);
        let said = value.map_or_else(
            || Ok(QueueRules::default()),
            |value| queue_rules::decode(&value),
        );
        let (Some((queue, part)), Ok(said)) = (told, said) else {
            tracing::warn!(
                offset = message.offset(),
                "a record about what holds for a queue cannot be read and is passed over"
            );
            return;
        };
        let holds = rules.entry(queue.clone()).or_default();
        match part {
            Some(part) => part.copy(&said, holds),
            None => {
                *holds = said;
                self.whole().insert(queue.clone());
            }
        }
        if *holds == QueueRules::default() {
            rules.remove(&queue);
        }
    }
}
