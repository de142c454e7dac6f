//! What has been, as far as Kafka keeps it: dead letters, and the last of the outcomes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{Outcome, PartitionId, QueueName, TaskKey};
use minutehand_ports::{
    DeadLetterPage, EndedPage, EndedPlace, EndedQuery, ErrorClass, History, PortError,
};
use rdkafka::Message;
use rdkafka::error::KafkaResult;

use crate::client::{Client, blocking};
use crate::error::port_error;
use crate::follow_ups;
use crate::letters::{self, Letters};
use crate::tail;
use crate::transact::{Parcel, Transactor, unique};

/// Offsets at the end of a partition of the topic of outcomes that are searched for those of a
/// task.
const OUTCOMES_SEARCHED_MAX: u64 = 20_000;
/// How often a removal begins anew because another process took letters away at the same time.
const REMOVALS_MAX: u32 = 10;

/// The partition of the topic of outcomes that a task's outcomes go to.
fn partition_of(key: TaskKey, partitions: u32) -> PartitionId {
    PartitionId::own((key.0 % u128::from(partitions.max(1))) as u32)
}

/// The record of an outcome.
pub(crate) fn line(client: &Client, key: TaskKey, outcome: &Outcome) -> Parcel {
    Parcel {
        topic: client.names().outcomes.clone(),
        partition: Some(partition_of(key, client.config().partitions).number()),
        key: Some(Bytes::copy_from_slice(&key.0.to_be_bytes())),
        value: Some(minutehand_record::outcome::encode(outcome)),
        headers: None,
    }
}

/// Dead letters, and what is left of the outcomes. Outcomes are searched for among the last twenty
/// thousand of those that share a partition; what is older is found in the table that a recorder
/// fills.
pub struct KafkaHistory {
    client: Arc<Client>,
    letters: Arc<Letters>,
    /// Removals of one process take turns.
    turn: Arc<Mutex<()>>,
}

impl KafkaHistory {
    /// The history of a cluster.
    pub fn new(client: Arc<Client>) -> KafkaHistory {
        KafkaHistory {
            letters: Arc::new(Letters::new(Arc::clone(&client))),
            client,
            turn: Arc::default(),
        }
    }
}

#[async_trait]
impl History for KafkaHistory {
    async fn outcomes(&self, key: TaskKey) -> Result<Vec<Outcome>, PortError> {
        let client = Arc::clone(&self.client);
        blocking(move || {
            outcomes(&client, key).map_err(|error| port_error("read the history of a task", error))
        })
        .await
    }

    async fn ended(&self, query: &EndedQuery) -> Result<EndedPage, PortError> {
        let (client, query) = (Arc::clone(&self.client), query.clone());
        blocking(move || {
            ended(&client, &query).map_err(|error| port_error("list ends of attempts", error))
        })
        .await
    }

    async fn dead_letters(
        &self,
        queue: &QueueName,
        from: u64,
        count_max: usize,
    ) -> Result<DeadLetterPage, PortError> {
        let (letters, queue) = (Arc::clone(&self.letters), queue.clone());
        blocking(move || letters.list(&queue, from, count_max)).await
    }

    async fn remove_dead_letters(
        &self,
        queue: &QueueName,
        numbers: Vec<u64>,
        replay: Vec<(PartitionId, Bytes)>,
    ) -> Result<usize, PortError> {
        let action = format!("remove {} dead letters of the queue {queue}", numbers.len());
        let removal = Removal {
            client: Arc::clone(&self.client),
            letters: Arc::clone(&self.letters),
            queue: queue.clone(),
            numbers: numbers.into_iter().collect(),
            commands: follow_ups::parcels(&self.client, replay, &action)?,
            action,
        };
        let turn = Arc::clone(&self.turn);
        blocking(move || {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            removal.run()
        })
        .await
    }
}

/// Takes letters away. Every removal of a queue begins a producer under the same transactional id,
/// and only then looks which letters are there: of two processes the later to begin fences the
/// other, whose transaction is over by then, one way or the other.
struct Removal {
    client: Arc<Client>,
    letters: Arc<Letters>,
    queue: QueueName,
    numbers: BTreeSet<u64>,
    commands: Vec<Parcel>,
    action: String,
}

impl Removal {
    /// Answers how many were taken away.
    fn run(&self) -> Result<usize, PortError> {
        let failed = |error| port_error(&self.action, error);
        let topic = self.client.names().dead_letters(&self.queue);
        let id = self
            .client
            .names()
            .removal_id(&self.client.config().region, &self.queue);
        let name = unique();
        // Most that ask for letters that are gone need no producer to hear it.
        let (mut found, _) = self.letters.find(&self.queue, &self.numbers, &name)?;
        let mut tried = 0;
        for _ in 0..REMOVALS_MAX {
            if found.is_empty() {
                return Ok(0);
            }
            let mut transactor = Transactor::new(Arc::clone(&self.client), id.clone());
            match transactor.begin().map_err(failed) {
                Ok(()) => {}
                // Another began at the same moment.
                Err(error) if error.class == ErrorClass::Fenced => continue,
                Err(error) => return Err(error),
            }
            let is_done;
            (found, is_done) = self.letters.find(&self.queue, &self.numbers, &name)?;
            if is_done {
                return Ok(tried);
            }
            if found.is_empty() {
                return Ok(0);
            }
            tried = found.len();
            let removal = letters::removal(&topic, &found, &name);
            let parcels = std::iter::once(&removal).chain(&self.commands);
            match transactor.commit(parcels, None).map_err(failed) {
                Ok(()) => return Ok(tried),
                Err(error) if error.class == ErrorClass::Fatal => return Err(error),
                // Fenced, or in doubt: the next producer settles how it ended, and the topic says
                // it.
                Err(error) => tracing::debug!(queue = %self.queue, %error, "a removal begins anew"),
            }
        }
        let reason = "others take dead letters of this queue away all the time";
        Err(PortError::new(ErrorClass::Retry, &self.action, reason))
    }
}

/// The wanted among the newest ends of all partitions. Their order is that in which they ended.
fn ended(client: &Client, query: &EndedQuery) -> KafkaResult<EndedPage> {
    let topic = &client.names().outcomes;
    let partitions = client.config().partitions;
    let searched_max = OUTCOMES_SEARCHED_MAX / u64::from(partitions.max(1));
    let reader = client.consumer()?;
    let mut starts = Vec::new();
    for partition in (0..partitions).map(PartitionId::own) {
        let (start, end) = tail::marks(client, &reader, topic, partition)?;
        let from = end.saturating_sub(searched_max).max(start);
        if from < end {
            starts.push((partition, from));
        }
    }
    let mut found: BTreeMap<EndedPlace, Outcome> = BTreeMap::new();
    if starts.is_empty() {
        return Ok(EndedPage::default());
    }
    tail::scan(client, &reader, topic, &starts, |message| {
        let value = message.payload().unwrap_or_default();
        let Ok(outcome) = minutehand_record::outcome::decode(&Bytes::copy_from_slice(value)) else {
            return true;
        };
        let place = (outcome.ended_at.as_millis(), outcome.execution.to_string());
        let is_before = query.before.as_ref().is_none_or(|before| place < *before);
        if is_before && query.wants(&outcome) {
            found.insert(place, outcome);
            if found.len() > query.count_max + 1 {
                found.pop_first();
            }
        }
        true
    })?;
    Ok(query.page(found.into_iter().rev()))
}

fn outcomes(client: &Client, key: TaskKey) -> KafkaResult<Vec<Outcome>> {
    let topic = &client.names().outcomes;
    let partition = partition_of(key, client.config().partitions);
    let reader = client.consumer()?;
    let (start, end) = tail::marks(client, &reader, topic, partition)?;
    let from = end.saturating_sub(OUTCOMES_SEARCHED_MAX).max(start);
    let mut outcomes = Vec::new();
    if from == end {
        return Ok(outcomes);
    }
    tail::scan(client, &reader, topic, &[(partition, from)], |message| {
        if message.key() == Some(&key.0.to_be_bytes()[..])
            && let Some(value) = message.payload()
        {
            match minutehand_record::outcome::decode(&Bytes::copy_from_slice(value)) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    tracing::warn!(offset = message.offset(), %error, "an outcome cannot be read and is passed over");
                }
            }
        }
        true
    })?;
    Ok(outcomes)
}
