//! Requests to stop runs: every process that has workers reads all of them, whichever partitions it
//! consumes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use minutehand_ingress::egress::Incoming;
use minutehand_model::limits::STOP_REPEAT_MS_MAX;
use minutehand_model::time::MINUTE_MS;
use minutehand_model::{PartitionId, QueueName, StopRequest};
use minutehand_ports::{PortError, RecentStops, Stop, StopListeners, StopReceiver};
use minutehand_record::QueueNames;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::bell::Bell;
use crate::client::Client;
use crate::error::port_error;
use crate::execution;
use crate::listener::Consumer;
use crate::silence::{self, Guard, Patience};
use crate::tail;
use crate::transact::{Parcel, Plain};

/// Reading begins with requests of so long ago: each is repeated within that time until its run has
/// ended, clocks differ, and a request may be older than the worker that runs what it means. Those
/// that mean nothing any more do no harm.
const PAST: Duration = Duration::from_millis((STOP_REPEAT_MS_MAX + MINUTE_MS) as u64);
const POLL: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_secs(1);

/// Publishes requests to every process that has workers.
pub(crate) fn ask(client: Arc<Client>, queue: &QueueName, stops: &[Stop]) -> Result<(), PortError> {
    let topic = client.names().stops.clone();
    let parcel = |stop: &Stop| {
        let request = StopRequest {
            queue: queue.clone(),
            key: stop.key,
            due: stop.due,
            kill: stop.kill,
        };
        Parcel {
            topic: topic.clone(),
            partition: Some(0),
            key: None,
            value: None,
            headers: Some(execution::stop_headers(&request)),
        }
    };
    let parcels: Vec<Parcel> = stops.iter().map(parcel).collect();
    let delivered = Plain::new(client).deliver(parcels.iter());
    delivered.map_err(|error| port_error(format!("stop runs of the queue {queue}"), error))
}

struct Shared {
    client: Arc<Client>,
    listeners: Mutex<BTreeMap<QueueName, StopListeners>>,
    recent: RecentStops,
    is_closing: Mutex<bool>,
    bell: Bell,
}

/// The requests of all queues. Their reader starts with the first listener.
pub(crate) struct Stops {
    shared: Arc<Shared>,
    start: Once,
}

impl Stops {
    pub(crate) fn new(client: Arc<Client>) -> Stops {
        let shared = Shared {
            client,
            listeners: Mutex::default(),
            recent: RecentStops::default(),
            is_closing: Mutex::default(),
            bell: Bell::default(),
        };
        Stops {
            shared: Arc::new(shared),
            start: Once::new(),
        }
    }

    pub(crate) fn listen(&self, queue: &QueueName) -> StopReceiver {
        let receiver = {
            let mut listeners = self
                .shared
                .listeners
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let listeners = listeners.entry(queue.clone()).or_default();
            listeners.listen_after(queue, &self.shared.recent)
        };
        self.start.call_once(|| {
            let shared = Arc::clone(&self.shared);
            let started = std::thread::Builder::new()
                .name("stops".to_owned())
                .spawn(move || shared.run());
            if let Err(error) = started {
                tracing::error!(%error, "could not start the reader of stop requests");
            }
        });
        receiver
    }

    pub(crate) fn close(&self) {
        *self
            .shared
            .is_closing
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.bell.ring();
    }
}

impl Shared {
    fn is_closing(&self) -> bool {
        *self
            .is_closing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut next = None;
        while !self.is_closing() {
            if let Err(error) = self.follow(&mut next) {
                tracing::warn!(%error, "could not read stop requests; trying again");
                next = None;
                self.bell.wait(PAUSE);
            }
        }
    }

    fn follow(&self, next: &mut Option<u64>) -> KafkaResult<()> {
        let topic = &self.client.names().stops;
        let consumer = self.client.consumer()?;
        let from = match *next {
            Some(next) => next,
            None => self.begin(&consumer, topic)?,
        };
        tail::assign(&consumer, topic, PartitionId::own(0), from)?;
        let mut guard = Guard::new(&self.client, topic, Patience::USUAL);
        let mut position = from;
        while !self.is_closing() {
            if let Some(stuck) = guard.look(|| [(0, position)]) {
                silence::tell(topic, stuck);
                return Ok(());
            }
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let behind = message.offset().max(0) as u64 + 1;
                    debug_assert!(behind > position, "reading goes on, and never back");
                    position = behind;
                    *next = Some(position);
                    self.announce(&message);
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(error)) if tail::is_passing(&error) => {}
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Where the requests of the recent past begin.
    fn begin(&self, consumer: &Consumer, topic: &str) -> KafkaResult<u64> {
        // Asked first, so that what is published meanwhile lies behind it.
        let (_, end) = tail::marks(&self.client, consumer, topic, PartitionId::own(0))?;
        let since = std::time::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .saturating_sub(PAST);
        let mut times = TopicPartitionList::new();
        let at = Offset::Offset(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        times.add_partition_offset(topic, 0, at)?;
        let found = consumer.offsets_for_times(times, self.client.timeout())?;
        let offset = found.elements().first().map(|element| element.offset());
        Ok(match offset {
            Some(Offset::Offset(offset)) => (offset.max(0) as u64).min(end),
            _ => end,
        })
    }

    fn announce(&self, message: &BorrowedMessage<'_>) {
        let Some((queue, stop)) = stop(message) else {
            tracing::warn!(
                offset = message.offset(),
                "a record that is not a stop request was passed over"
            );
            return;
        };
        let listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.recent.note(&queue, &[stop]);
        if let Some(listener) = listeners.get(&queue) {
            listener.send(&[stop]);
        }
    }
}

fn stop(message: &BorrowedMessage<'_>) -> Option<(QueueName, Stop)> {
    match execution::read(message, &mut QueueNames::default()) {
        Ok(Incoming::Stop(stop)) => {
            let stop = Stop {
                key: stop.key,
                due: stop.due,
                kill: stop.kill,
            };
            Some((execution::stop_queue(message)?, stop))
        }
        _ => None,
    }
}
