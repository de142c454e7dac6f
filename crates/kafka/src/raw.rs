//! Plain producers and readers, for load generators, audits and ceilings: no scheduling, no
//! fencing. Calls block.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use minutehand_model::Timestamp;
use minutehand_ports::{ErrorClass, PortError};
use rdkafka::Message;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};
use rdkafka::{Offset, TopicPartitionList};

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::{Client, blocking};
use crate::error::port_error;
use crate::listener::{Consumer, tell};
use crate::moment;
use crate::silence::{self, Guard, Patience};
use crate::tail;
use crate::topics::TopicDefinition;

/// What became of the records of a [`RawProducer`].
#[derive(Clone, Default)]
struct Counts {
    failed: Arc<AtomicU64>,
    /// The numbers of those that were sent with one.
    numbers: Arc<Mutex<BTreeSet<u64>>>,
    last: Arc<Mutex<Option<KafkaError>>>,
}

/// Most numbers of failed records that are kept.
const FAILED_NUMBERS_MAX: usize = 1 << 20;

/// A record's number, where it has one: what the driver carries along is a word.
type Number = usize;
/// Stands for no number: the word that the driver takes for nothing.
const UNNUMBERED: Number = 0;

impl ClientContext for Counts {
    fn error(&self, error: KafkaError, reason: &str) {
        tell(&error, reason);
    }
}

impl ProducerContext for Counts {
    type DeliveryOpaque = Number;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Number) {
        if let Err((error, _)) = result {
            self.failed.fetch_add(1, Ordering::Relaxed);
            if number != UNNUMBERED {
                let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
                if numbers.len() < FAILED_NUMBERS_MAX {
                    numbers.insert(number as u64 - 1);
                }
            }
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
    }
}

/// A record to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawOutgoing<'a> {
    /// Its partition; by its key when absent.
    pub partition: Option<u32>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Sends records, in transactions when it has an id.
pub struct RawProducer {
    producer: BaseProducer<Counts>,
    counts: Counts,
    timeout: Duration,
}

/// What sends many records of others, and tells of none that has arrived.
fn appender(client: &Client) -> ClientConfig {
    // As large as the topics take: others may send more than our own producers do.
    let bytes_max = minutehand_model::limits::TOPIC_RECORD_BYTES_MAX.to_string();
    let mut config = client.config().appender();
    config
        .set("delivery.report.only.error", "true")
        .set("linger.ms", "5")
        .set("message.max.bytes", bytes_max);
    config
}

impl RawProducer {
    /// A producer; with `transactional_id` every record must lie between `begin` and `commit`.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn open(client: &Client, transactional_id: Option<&str>) -> Result<RawProducer, PortError> {
        let counts = Counts::default();
        let config = match transactional_id {
            Some(id) => client.config().transactional(id),
            None => appender(client),
        };
        let failed = |error| port_error("set up a producer", error);
        let producer: BaseProducer<Counts> =
            config.create_with_context(counts.clone()).map_err(failed)?;
        let timeout = client.timeout() * 3;
        if transactional_id.is_some() {
            producer.init_transactions(timeout).map_err(failed)?;
        }
        Ok(RawProducer {
            producer,
            counts,
            timeout,
        })
    }

    /// Hands a record over, waiting while the producer's queue is full.
    ///
    /// # Errors
    /// When it is refused.
    pub fn send(&self, topic: &str, outgoing: RawOutgoing<'_>) -> Result<(), PortError> {
        self.send_as(topic, outgoing, UNNUMBERED)
    }

    /// The same with a number, which [`take_failed`](RawProducer::take_failed) tells if the record
    /// is not delivered.
    ///
    /// # Errors
    /// When it is refused.
    pub fn send_numbered(
        &self,
        topic: &str,
        outgoing: RawOutgoing<'_>,
        number: u64,
    ) -> Result<(), PortError> {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        self.send_as(topic, outgoing, number.saturating_add(1))
    }

    fn send_as(
        &self,
        topic: &str,
        outgoing: RawOutgoing<'_>,
        number: Number,
    ) -> Result<(), PortError> {
        let headers = (!outgoing.headers.is_empty()).then(|| {
            let all = OwnedHeaders::new_with_capacity(outgoing.headers.len());
            outgoing.headers.iter().fold(all, |all, (key, value)| {
                all.insert(Header { key, value: *value })
            })
        });
        let mut record: BaseRecord<'_, [u8], [u8], Number> =
            BaseRecord::with_opaque_to(topic, number);
        record.partition = outgoing.partition.map(|partition| partition as i32);
        record.key = outgoing.key;
        record.payload = outgoing.value;
        record.headers = headers;
        let sent = moment::send(&self.producer, record, None);
        sent.map_err(|error| port_error(format!("send to {topic}"), error))
    }

    /// Takes delivery reports.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until everything is delivered.
    ///
    /// # Errors
    /// When something was not.
    pub fn flush(&self) -> Result<(), PortError> {
        let deadline = Instant::now() + self.timeout;
        while self.producer.in_flight_count() > 0 {
            moment::pass(&self.producer);
            if Instant::now() > deadline {
                return Err(PortError::new(
                    ErrorClass::Retry,
                    "deliver records",
                    "it took too long",
                ));
            }
        }
        self.producer.poll(Duration::ZERO);
        match self
            .counts
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            Some(error) => Err(port_error("deliver records", error)),
            None => Ok(()),
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn begin(&self) -> Result<(), PortError> {
        self.producer
            .begin_transaction()
            .map_err(|error| port_error("begin a transaction", error))
    }

    /// Delivers everything and commits.
    ///
    /// # Errors
    /// When that failed; the producer is of no more use then.
    pub fn commit(&self) -> Result<(), PortError> {
        self.flush()?;
        let committed = self.producer.commit_transaction(self.timeout);
        committed.map_err(|error| port_error("commit a transaction", error))
    }

    /// The numbers of records that were not delivered, as far as they had one; the first million.
    pub fn take_failed(&self) -> BTreeSet<u64> {
        let numbers = self.counts.numbers.lock();
        std::mem::take(&mut *numbers.unwrap_or_else(PoisonError::into_inner))
    }

    /// Records that were not delivered.
    pub fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }
}

/// Deletes every topic of a cluster that bears the client's prefix, with what is in it: benchmarks
/// fill disks.
///
/// # Errors
/// When the broker refuses, or does not answer.
pub async fn delete_topics(client: &Client) -> Result<(), PortError> {
    let (listed, prefix) = (
        client.shared(),
        format!("{}.", client.config().topic_prefix),
    );
    let topics = blocking(move || listed.list()).await?;
    let names = topics
        .keys()
        .map(String::as_str)
        .filter(|name| name.starts_with(&prefix));
    delete_some(client, &names.collect::<Vec<_>>()).await
}

/// Deletes one topic, with what is in it.
///
/// # Errors
/// When the broker refuses, or does not answer.
pub async fn delete_topic(client: &Client, name: &str) -> Result<(), PortError> {
    delete_some(client, &[name]).await
}

async fn delete_some(client: &Client, names: &[&str]) -> Result<(), PortError> {
    let action = || format!("delete topics of {}", client.config().topic_prefix);
    let options = AdminOptions::new().operation_timeout(Some(client.timeout()));
    let answers = client.admin().delete_topics(names, &options).await;
    let answers = answers.map_err(|error| port_error(action(), error))?;
    match answers.into_iter().find_map(Result::err) {
        Some((name, code)) => Err(PortError::new(
            ErrorClass::Retry,
            action(),
            format!("{name}: {code}"),
        )),
        None => Ok(()),
    }
}

/// Forgets a consumer group and its places, as brokers do with one that was away for long. It must
/// have no members.
///
/// # Errors
/// When the broker refuses, or does not answer.
pub async fn forget_group(client: &Client, group: &str) -> Result<(), PortError> {
    let action = || format!("forget the group {group}");
    let options = AdminOptions::new().request_timeout(Some(client.timeout()));
    let answers = client.admin().delete_groups(&[group], &options).await;
    let answers = answers.map_err(|error| port_error(action(), error))?;
    match answers.into_iter().find_map(Result::err) {
        Some((_, code)) => Err(PortError::new(
            ErrorClass::Retry,
            action(),
            code.to_string(),
        )),
        None => Ok(()),
    }
}

/// Drops what lies before an offset of a partition, as brokers do with what is older than they
/// keep.
///
/// # Errors
/// When the broker refuses, or does not answer.
pub async fn drop_before(
    client: &Client,
    topic: &str,
    partition: u32,
    offset: u64,
) -> Result<(), PortError> {
    let action = || format!("drop what lies before offset {offset} of {topic}[{partition}]");
    let failed = |error| port_error(action(), error);
    let mut list = TopicPartitionList::new();
    let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
    list.add_partition_offset(topic, partition as i32, offset)
        .map_err(failed)?;
    let options = AdminOptions::new().operation_timeout(Some(client.timeout()));
    let dropped = client
        .admin()
        .delete_records(&list, &options)
        .await
        .map_err(failed)?;
    dropped
        .elements()
        .iter()
        .try_for_each(|element| element.error())
        .map_err(failed)
}

/// Makes a topic as somebody else might have made it.
///
/// # Errors
/// When the broker refuses, or does not answer.
pub async fn create_topic(client: &Client, definition: &TopicDefinition) -> Result<(), PortError> {
    client.create(definition).await
}

/// Changes a setting of a topic, as an operator might.
///
/// # Errors
/// When the broker refuses, or does not answer.
pub async fn set_topic(
    client: &Client,
    topic: &str,
    setting: &str,
    value: &str,
) -> Result<(), PortError> {
    client.set_up(topic, setting, value).await
}

/// A record as it was read.
pub struct RawIncoming<'a> {
    /// Its partition.
    pub partition: u32,
    /// Its position.
    pub offset: u64,
    /// Its time in milliseconds.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    message: &'a rdkafka::message::BorrowedMessage<'a>,
}

impl RawIncoming<'_> {
    /// All headers, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let headers = self.message.headers().into_iter().flat_map(Headers::iter);
        headers.map(|header| (header.key, header.value))
    }

    /// The value of the first header of a name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.message
            .headers()?
            .iter()
            .find(|header| header.key == name)?
            .value
    }
}

/// Reads what is committed in every partition of a topic, from the oldest record that is kept.
pub struct RawReader {
    topic: String,
    consumer: Consumer,
    followed: RefCell<Followed>,
}

/// How far a reader has come, and whether it comes on.
struct Followed {
    /// Behind the last record of each partition.
    positions: BTreeMap<u32, u64>,
    guard: Guard,
}

impl RawReader {
    /// A reader of a topic.
    ///
    /// # Errors
    /// When the topic cannot be read.
    pub fn open(client: &Client, topic: &str) -> Result<RawReader, PortError> {
        RawReader::open_some(client, topic, |_| true)
    }

    /// A reader of some partitions of a topic.
    ///
    /// # Errors
    /// When the topic cannot be read.
    pub fn open_some(
        client: &Client,
        topic: &str,
        is_wanted: impl Fn(u32) -> bool,
    ) -> Result<RawReader, PortError> {
        let action = || format!("read {topic}");
        let failed = |error| port_error(action(), error);
        let partitions =
            client.list()?.get(topic).copied().ok_or_else(|| {
                PortError::new(ErrorClass::Retry, action(), "there is no such topic")
            })?;
        let consumer = client.consumer().map_err(failed)?;
        let mut list = TopicPartitionList::new();
        let mut positions = BTreeMap::new();
        for partition in (0..partitions).filter(|partition| is_wanted(*partition)) {
            let id = minutehand_model::PartitionId::own(partition);
            let (oldest, _) = tail::marks(client, &consumer, topic, id).map_err(failed)?;
            list.add_partition_offset(topic, partition as i32, Offset::Offset(oldest as i64))
                .map_err(failed)?;
            positions.insert(partition, oldest);
        }
        consumer.assign(&list).map_err(failed)?;
        let guard = Guard::new(&client.shared(), topic, Patience::USUAL);
        Ok(RawReader {
            topic: topic.to_owned(),
            consumer,
            followed: RefCell::new(Followed { positions, guard }),
        })
    }

    /// A reader of what a topic was given from a time on.
    ///
    /// # Errors
    /// When the topic cannot be read.
    pub fn open_since(
        client: &Client,
        topic: &str,
        since: Timestamp,
    ) -> Result<RawReader, PortError> {
        let reader = RawReader::open(client, topic)?;
        let failed = |error| port_error(format!("read {topic} from {since} on"), error);
        let mut wanted = TopicPartitionList::new();
        let assigned = reader.consumer.assignment().map_err(failed)?;
        for element in assigned.elements() {
            let at = Offset::Offset(since.as_millis().max(0));
            wanted
                .add_partition_offset(topic, element.partition(), at)
                .map_err(failed)?;
        }
        let found = reader
            .consumer
            .offsets_for_times(wanted, client.timeout())
            .map_err(failed)?;
        let mut list = TopicPartitionList::new();
        for element in found.elements() {
            // Where nothing is as late, what comes next is the first.
            let from = match element.offset() {
                Offset::Offset(offset) => offset,
                _ => {
                    let id = minutehand_model::PartitionId::own(element.partition() as u32);
                    let (_, end) =
                        tail::marks(client, &reader.consumer, topic, id).map_err(failed)?;
                    end as i64
                }
            };
            list.add_partition_offset(topic, element.partition(), Offset::Offset(from))
                .map_err(failed)?;
            let mut followed = reader.followed.borrow_mut();
            followed
                .positions
                .insert(element.partition() as u32, from.max(0) as u64);
        }
        reader.consumer.assign(&list).map_err(failed)?;
        Ok(reader)
    }

    /// How far a partition goes, as of now, for who reads what is committed.
    ///
    /// # Errors
    /// When no broker says so.
    pub fn end_of(&self, client: &Client, topic: &str, partition: u32) -> Result<u64, PortError> {
        let id = minutehand_model::PartitionId::own(partition);
        let (_, end) = tail::marks(client, &self.consumer, topic, id)
            .map_err(|error| port_error(format!("find the end of {topic}"), error))?;
        Ok(end)
    }

    /// The same with another patience.
    #[cfg(test)]
    pub(crate) fn with(self, client: &Client, patience: Patience) -> RawReader {
        let guard = Guard::new(&client.shared(), &self.topic, patience);
        self.followed.borrow_mut().guard = guard;
        self
    }

    /// Gives what has arrived to `each`, waiting at most `wait` for the first; answers how many
    /// records.
    ///
    /// # Errors
    /// When the topic cannot be read any more, or the reader does not bring what is there: another
    /// one is needed then.
    pub fn poll(
        &self,
        wait: Duration,
        count_max: usize,
        mut each: impl FnMut(RawIncoming<'_>),
    ) -> Result<usize, PortError> {
        let (mut count, mut wait) = (0, wait);
        let mut followed = self.followed.borrow_mut();
        let Followed { positions, guard } = &mut *followed;
        while count < count_max {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let partition = message.partition() as u32;
                    let offset = message.offset().max(0) as u64;
                    positions.insert(partition, offset + 1);
                    each(RawIncoming {
                        partition,
                        offset,
                        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
                        key: message.key(),
                        value: message.payload(),
                        message: &message,
                    });
                    count += 1;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => continue,
                Some(Err(error)) if tail::is_passing(&error) => break,
                Some(Err(error)) => return Err(port_error("read records", error)),
                None => break,
            }
            wait = Duration::ZERO;
        }
        let places = || {
            positions
                .iter()
                .map(|(partition, next)| (*partition, *next))
        };
        if let Some(stuck) = guard.look(places) {
            silence::tell(&self.topic, stuck);
            let action = format!("read {}[{}]", self.topic, stuck.partition);
            let reason = "its reader does not bring a record that is there; begin another one";
            return Err(PortError::new(ErrorClass::Retry, action, reason));
        }
        Ok(count)
    }

    /// Lets nothing come any more, without a word, as the library does now and then.
    #[cfg(test)]
    pub(crate) fn fall_silent(&self) -> Result<(), PortError> {
        let paused = self
            .consumer
            .assignment()
            .and_then(|assignment| self.consumer.pause(&assignment));
        paused.map_err(|error| port_error(format!("pause {}", self.topic), error))
    }
}
