//! Records that go out together: a transaction of its own for each step, or plainly, with the
//! delivery awaited.
//!
//! Everything here blocks. A producer is of no more use after any call that failed or was slow (see
//! the crate's documentation): it is dropped, and the next one, under the same id, first learns how
//! the last transaction ended.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::client::Client;
use crate::deliveries::Failures;
use crate::moment;

/// A record on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) topic: String,
    /// `None`: its key decides, as in producers in Java; without a key, any.
    pub(crate) partition: Option<u32>,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Option<OwnedHeaders>,
}

/// A name that no other process has taken.
pub(crate) fn unique() -> String {
    let state = RandomState::new();
    let since = std::time::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_nanos();
    format!(
        "{:016x}{:08x}",
        state.hash_one(since),
        state.hash_one(std::process::id()) as u32
    )
}

struct Session {
    producer: BaseProducer<Failures>,
    failures: Failures,
}

/// A producer of transactions under one id.
pub(crate) struct Transactor {
    client: Arc<Client>,
    id: String,
    session: Option<Session>,
}

impl Transactor {
    pub(crate) fn new(client: Arc<Client>, id: String) -> Transactor {
        Transactor {
            client,
            id,
            session: None,
        }
    }

    /// Makes sure that there is a producer. A new one fences those before it; their open
    /// transactions are given up, and those whose end had begun are over when this answers.
    pub(crate) fn begin(&mut self) -> KafkaResult<()> {
        if self.session.is_none() {
            let failures = Failures::default();
            let producer: BaseProducer<Failures> = self
                .client
                .config()
                .transactional(&self.id)
                .create_with_context(failures.clone())?;
            producer.init_transactions(self.client.timeout() * 2)?;
            self.session = Some(Session { producer, failures });
        }
        Ok(())
    }

    /// Sends records, and a group's offsets, in one transaction. After an error nobody knows
    /// whether it happened, until [`Transactor::begin`] has answered.
    pub(crate) fn commit<'a>(
        &mut self,
        parcels: impl Iterator<Item = &'a Parcel>,
        offsets: Option<(&TopicPartitionList, &ConsumerGroupMetadata)>,
    ) -> KafkaResult<()> {
        self.begin()?;
        // Only a session that has succeeded, and soon, is kept.
        let Some(session) = self.session.take() else {
            return Ok(());
        };
        let since = Instant::now();
        let limit = Duration::from_millis(u64::from(self.client.config().transaction_timeout_ms));
        session.producer.begin_transaction()?;
        deliver(&session.producer, &session.failures, parcels, limit)?;
        if let Some((offsets, group)) = offsets {
            session
                .producer
                .send_offsets_to_transaction(offsets, group, limit)?;
        }
        session.producer.commit_transaction(limit)?;
        if since.elapsed() <= Duration::from_millis(self.client.config().slow_commit_ms) {
            self.session = Some(session);
        }
        Ok(())
    }
}

/// A producer of records that stand for themselves.
pub(crate) struct Plain {
    client: Arc<Client>,
    session: Option<Session>,
}

impl Plain {
    pub(crate) fn new(client: Arc<Client>) -> Plain {
        Plain {
            client,
            session: None,
        }
    }

    /// Sends records and answers when all of them are durable.
    pub(crate) fn deliver<'a>(
        &mut self,
        parcels: impl Iterator<Item = &'a Parcel>,
    ) -> KafkaResult<()> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let failures = Failures::default();
                let producer = self
                    .client
                    .config()
                    .appender()
                    .create_with_context(failures.clone())?;
                Session { producer, failures }
            }
        };
        deliver(
            &session.producer,
            &session.failures,
            parcels,
            self.client.timeout(),
        )?;
        self.session = Some(session);
        Ok(())
    }
}

/// Hands records to a producer and waits until all are delivered. The library's own flush would
/// wait a tenth of a second.
fn deliver<'a>(
    producer: &BaseProducer<Failures>,
    failures: &Failures,
    parcels: impl Iterator<Item = &'a Parcel>,
    limit: Duration,
) -> KafkaResult<()> {
    failures.take();
    let deadline = Instant::now() + limit;
    for parcel in parcels {
        send(producer, parcel, deadline)?;
    }
    while producer.in_flight_count() > 0 {
        moment::pass(producer);
        if Instant::now() > deadline {
            return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
        }
    }
    producer.poll(Duration::ZERO);
    debug_assert_eq!(producer.in_flight_count(), 0, "all are delivered, or not");
    failures.take().map_or(Ok(()), Err)
}

fn send(producer: &BaseProducer<Failures>, parcel: &Parcel, deadline: Instant) -> KafkaResult<()> {
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&parcel.topic);
    if let Some(partition) = parcel.partition {
        record = record.partition(i32::try_from(partition).unwrap_or(i32::MAX));
    }
    if let Some(key) = &parcel.key {
        record = record.key(key);
    }
    if let Some(value) = &parcel.value {
        record = record.payload(value);
    }
    if let Some(headers) = &parcel.headers {
        record = record.headers(headers.clone());
    }
    moment::send(producer, record, Some(deadline))
}
