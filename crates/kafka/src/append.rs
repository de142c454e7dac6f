//! Appending commands: one producer a process, and an answer for each append when all its records
//! are durable.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use minutehand_model::{LogOffset, PartitionId, Timestamp};
use minutehand_ports::{Appended, ErrorClass, PortError};
use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::client::Client;
use crate::error::port_error;
use crate::listener::tell;

/// What becomes of one append.
pub(crate) struct Pending {
    action: String,
    state: Mutex<PendingState>,
}

struct PendingState {
    /// Where each record stands; where the log begins until that is known.
    offsets: Vec<LogOffset>,
    appended_at_ms: i64,
    outstanding: usize,
    failure: Option<KafkaError>,
    answer: Option<oneshot::Sender<Result<Appended, PortError>>>,
}

impl Pending {
    fn reported(&self, index: usize, report: Result<(i64, Option<i64>), KafkaError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match report {
            Ok((offset, appended_at_ms)) => {
                let first = state.offsets[index];
                state.offsets[index] = first.plus(offset.max(0) as u64);
                state.appended_at_ms = state.appended_at_ms.max(appended_at_ms.unwrap_or(0));
            }
            Err(error) => state.failure = Some(error),
        }
        debug_assert!(state.outstanding > 0, "each record is reported once");
        state.outstanding -= 1;
        if state.outstanding == 0
            && let Some(answer) = state.answer.take()
        {
            let result = match state.failure.take() {
                Some(error) => Err(port_error(self.action.clone(), error)),
                None => Ok(Appended {
                    offsets: std::mem::take(&mut state.offsets),
                    appended_at: Timestamp::from_millis(state.appended_at_ms),
                }),
            };
            // Whoever asked may have gone away.
            answer.send(result).ok();
        }
    }
}

/// Takes delivery reports to the appends they belong to.
pub(crate) struct Reports;

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        tell(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<(Arc<Pending>, usize)>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Box<(Arc<Pending>, usize)>) {
        let (pending, index) = *opaque;
        match result {
            Ok(message) => pending.reported(
                index,
                Ok((message.offset(), message.timestamp().to_millis())),
            ),
            Err((error, _)) => pending.reported(index, Err(error.clone())),
        }
    }
}

/// The producer of commands. After an error that it cannot recover from it is replaced.
pub(crate) struct Appender {
    client: Arc<Client>,
    producer: Mutex<Option<Arc<ThreadedProducer<Reports>>>>,
}

/// How long a caller waits before looking again whether the producer's queue has room.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(2);

impl Appender {
    pub(crate) fn new(client: Arc<Client>) -> Appender {
        Appender {
            client,
            producer: Mutex::new(None),
        }
    }

    fn producer(&self, action: &str) -> Result<Arc<ThreadedProducer<Reports>>, PortError> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = &*producer
            && producer.client().fatal_error().is_none()
        {
            return Ok(Arc::clone(producer));
        }
        let config = self.client.config().appender();
        let made: ThreadedProducer<Reports> = config
            .create_with_context(Reports)
            .map_err(|error| port_error(action, error))?;
        Ok(Arc::clone(producer.insert(Arc::new(made))))
    }

    pub(crate) async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
    ) -> Result<Appended, PortError> {
        let action = format!(
            "append {} records to the log of partition {partition}",
            records.len()
        );
        if partition.bits() >= self.client.config().partitions {
            return Err(PortError::new(
                ErrorClass::Fatal,
                action,
                "there is no such partition",
            ));
        }
        if records.is_empty() {
            return Ok(Appended::following(LogOffset::START, 0, Timestamp::MIN));
        }
        let producer = self.producer(&action)?;
        let (answer, answered) = oneshot::channel();
        let pending = Arc::new(Pending {
            action: action.clone(),
            state: Mutex::new(PendingState {
                offsets: vec![self.client.config().command_offset(0); records.len()],
                appended_at_ms: i64::MIN,
                outstanding: records.len(),
                failure: None,
                answer: Some(answer),
            }),
        });
        for (index, payload) in records.iter().enumerate() {
            self.send(&producer, partition, payload, &pending, index)
                .await;
        }
        drop(records);
        answered.await.unwrap_or_else(|_| {
            Err(PortError::new(
                ErrorClass::Retry,
                action,
                "the producer ended before it knew",
            ))
        })
    }

    /// Hands a record to the producer, waiting while its queue is full. What it refuses is reported
    /// like any failure.
    async fn send(
        &self,
        producer: &ThreadedProducer<Reports>,
        partition: PartitionId,
        payload: &Bytes,
        pending: &Arc<Pending>,
        index: usize,
    ) {
        let mut opaque = Box::new((Arc::clone(pending), index));
        loop {
            let refused = {
                let record: BaseRecord<'_, [u8], [u8], _> =
                    BaseRecord::with_opaque_to(&self.client.names().commands, opaque)
                        .partition(partition.number() as i32)
                        .payload(payload.as_ref());
                match producer.send(record) {
                    Ok(()) => return,
                    Err((error, record)) => (error, record.delivery_opaque),
                }
            };
            match refused {
                (KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back) => opaque = back,
                (error, _) => return pending.reported(index, Err(error)),
            }
            tokio::time::sleep(QUEUE_FULL_WAIT).await;
        }
    }
}
