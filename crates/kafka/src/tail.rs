//! Reading parts of a topic once: the end of a compacted topic, or all of it. Everything here
//! blocks.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use minutehand_model::PartitionId;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::client::Client;
use crate::headers;
use crate::listener::Consumer;

/// A record as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) offset: u64,
    pub(crate) key: Bytes,
    /// `None` for a tombstone.
    pub(crate) value: Option<Bytes>,
    /// How far follow-ups had been copied, where the record says it.
    pub(crate) follow_ups: Option<u64>,
}

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(50);

/// Pause before a question is asked again whose answer was not there yet.
const PAUSE: Duration = Duration::from_millis(20);

/// Everything committed in a partition from an offset on, as of now.
pub(crate) fn read_from(
    client: &Client,
    consumer: &Consumer,
    topic: &str,
    partition: PartitionId,
    from: u64,
) -> KafkaResult<Vec<Stored>> {
    let mut records = Vec::new();
    scan(client, consumer, topic, &[(partition, from)], |message| {
        records.push(Stored {
            offset: message.offset().max(0) as u64,
            key: Bytes::copy_from_slice(message.key().unwrap_or_default()),
            value: message.payload().map(Bytes::copy_from_slice),
            follow_ups: headers::copied_until(message),
        });
        true
    })?;
    Ok(records)
}

/// Shows everything committed in some partitions from offsets on, as of now, until enough has been
/// seen.
pub(crate) fn scan(
    client: &Client,
    consumer: &Consumer,
    topic: &str,
    starts: &[(PartitionId, u64)],
    mut visit: impl FnMut(&BorrowedMessage<'_>) -> bool,
) -> KafkaResult<()> {
    debug_assert!(!starts.is_empty(), "something is to be read");
    let mut list = TopicPartitionList::new();
    for (partition, from) in starts {
        let offset = Offset::Offset(i64::try_from(*from).unwrap_or(i64::MAX));
        list.add_partition_offset(topic, partition.number() as i32, offset)?;
    }
    consumer.assign(&list)?;
    let mut unfinished: BTreeSet<i32> = starts
        .iter()
        .map(|(partition, _)| partition.number() as i32)
        .collect();
    let mut deadline = client.deadline();
    let mut outcome = Ok(());
    while !unfinished.is_empty() {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                if !visit(&message) {
                    break;
                }
                deadline = client.deadline();
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                unfinished.remove(&partition);
            }
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => {
                outcome = Err(error);
                break;
            }
            None => {}
        }
        if std::time::Instant::now() > deadline {
            outcome = Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::OperationTimedOut,
            ));
            break;
        }
    }
    consumer.unassign()?;
    outcome
}

/// Whether the library goes on by itself after an error.
pub(crate) fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let passing = [
        Code::BrokerTransportFailure,
        Code::AllBrokersDown,
        Code::Resolve,
        Code::LeaderNotAvailable,
        Code::NotLeaderForPartition,
        Code::UnknownTopicOrPartition,
        Code::OffsetNotAvailable,
        Code::OperationTimedOut,
        Code::RequestTimedOut,
        Code::FencedLeaderEpoch,
        Code::UnknownLeaderEpoch,
    ];
    error
        .rdkafka_error_code()
        .is_some_and(|code| passing.contains(&code))
}

/// Reads a partition from an offset on.
pub(crate) fn assign(
    consumer: &Consumer,
    topic: &str,
    partition: PartitionId,
    from: u64,
) -> KafkaResult<()> {
    let mut list = TopicPartitionList::new();
    let offset = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
    list.add_partition_offset(topic, partition.number() as i32, offset)?;
    consumer.assign(&list)
}

impl Client {
    /// Where a partition begins and ends, records of open transactions included. Blocks.
    pub(crate) fn bounds(&self, topic: &str, partition: PartitionId) -> KafkaResult<(u64, u64)> {
        let consumer = self.lookups()?;
        marks(self, &consumer, topic, partition)
    }

    /// The same, asked once and not for long: for figures that can wait.
    pub(crate) fn bounds_once(
        &self,
        topic: &str,
        partition: PartitionId,
    ) -> KafkaResult<(u64, u64)> {
        marks_once(&*self.lookups()?, topic, partition)
    }
}

/// How long figures are waited for that can do without an answer.
const ONCE: Duration = Duration::from_secs(1);

/// Where a partition begins and ends for a consumer, asked once and not for long.
pub(crate) fn marks_once(
    consumer: &Consumer,
    topic: &str,
    partition: PartitionId,
) -> KafkaResult<(u64, u64)> {
    let (low, high) = consumer.fetch_watermarks(topic, partition.number() as i32, ONCE)?;
    Ok((low.max(0) as u64, high.max(0) as u64))
}

/// Where a partition begins and ends for a consumer: one of committed records sees the end where
/// the first open transaction begins.
pub(crate) fn marks(
    client: &Client,
    consumer: &Consumer,
    topic: &str,
    partition: PartitionId,
) -> KafkaResult<(u64, u64)> {
    let deadline = client.deadline();
    loop {
        match consumer.fetch_watermarks(topic, partition.number() as i32, client.timeout()) {
            Ok((low, high)) => return Ok((low.max(0) as u64, high.max(0) as u64)),
            // A topic that was just made has no leader yet; one whose broker went away gets
            // another.
            Err(error) if is_passing(&error) && std::time::Instant::now() < deadline => {
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}
