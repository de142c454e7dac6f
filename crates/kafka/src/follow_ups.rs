//! What workers and replays ask of a partition's log, on its way there.
//!
//! A settlement is one transaction of its places and what follows from them. A transaction in
//! `commands` would hold back what everybody says there for as long as it is open, or for as long
//! as nobody knows how it ended. So what follows from settlements goes to a topic of its own, and
//! the partition's owner copies what has been committed there into `commands`: with its ticks, in
//! their transactions, or in one of their own when there is no tick. How far it has come is part of
//! the same transaction, so each is copied once, whoever owns the partition.
//!
//! A task is named by its id and due time, and two of one id may fail in the same millisecond, in
//! two queues that know nothing of each other. Here they meet: the later one is given the first due
//! time that is free, so that both run. What makes one another task is its place in the topic, so a
//! record that is read again is given the same time, also by the next owner. What a tick puts off is
//! given its time here as well.

mod dues;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use minutehand_model::limits::RECORD_BYTES_MAX;
use minutehand_model::{PartitionId, Task, Timestamp};
use minutehand_ports::{ErrorClass, PortError};
use rdkafka::Message;
use rdkafka::error::KafkaResult;

use self::dues::Dues;
use crate::client::Client;
use crate::listener::Consumer;
use crate::silence::{self, Guard, Patience};
use crate::tail;
use crate::transact::Parcel;

/// Most that are copied in one transaction: records, and about so many bytes.
const COPIED_MAX: usize = 1_000;
/// So many offsets before the first that is to be copied are read for the due times that were given
/// there.
const LOOKED_BACK: u64 = 1_000;
const BYTES_MAX: usize = 4 * RECORD_BYTES_MAX;

/// One of them.
pub(crate) struct FollowUp {
    pub(crate) offset: u64,
    pub(crate) payload: Bytes,
}

/// Commands on their way to their logs. They go by way of a topic of their own: a transaction that
/// is open in the log, or was left open by a process that died, would hold back what everybody else
/// says there.
pub(crate) fn parcels(
    client: &Client,
    commands: Vec<(PartitionId, Bytes)>,
    action: &str,
) -> Result<Vec<Parcel>, PortError> {
    let parcel = |(partition, command): (PartitionId, Bytes)| {
        if partition.bits() >= client.config().partitions {
            let reason = format!("there is no partition {partition} to append a command to");
            return Err(PortError::new(ErrorClass::Fatal, action, reason));
        }
        let topic = client.names().follow_ups.clone();
        Ok(Parcel {
            topic,
            partition: Some(partition.number()),
            key: None,
            value: Some(command),
            headers: None,
        })
    };
    commands.into_iter().map(parcel).collect()
}

/// A consumer of them, and behind the last that it brought.
struct Reading {
    consumer: Consumer,
    position: u64,
    guard: Guard,
}

/// The follow-ups of one partition.
pub(crate) struct FollowUps {
    client: Arc<Client>,
    partition: PartitionId,
    reading: Option<Reading>,
    /// Everything below it has been copied.
    copied: u64,
    /// Read, and not copied yet.
    waiting: Vec<FollowUp>,
    bytes: usize,
    /// The due times that were given lately. Those who put off what goes with the follow-ups only
    /// look at these.
    dues: RefCell<Dues>,
}

impl FollowUps {
    pub(crate) fn new(client: Arc<Client>, partition: PartitionId) -> FollowUps {
        FollowUps {
            client,
            partition,
            reading: None,
            copied: 0,
            waiting: Vec::new(),
            bytes: 0,
            dues: RefCell::default(),
        }
    }

    /// Goes on from what the last checkpoint or claim says.
    pub(crate) fn begin(&mut self, copied: u64) {
        self.copied = copied;
        self.rest();
    }

    /// Reads no more for now.
    pub(crate) fn rest(&mut self) {
        (self.reading, self.bytes) = (None, 0);
        self.waiting.clear();
    }

    /// Takes what has arrived; answers how many wait to be copied. Trouble is told, and the reading
    /// begins anew later: nothing else depends on it.
    pub(crate) fn fetch(&mut self) -> usize {
        if let Err(error) = self.try_fetch() {
            tracing::debug!(partition = %self.partition, %error, "follow-ups are read again");
            self.rest();
        }
        debug_assert_eq!(
            self.bytes,
            self.waiting
                .iter()
                .map(|one| one.payload.len())
                .sum::<usize>(),
            "what waits is counted right"
        );
        self.waiting.len()
    }

    fn try_fetch(&mut self) -> KafkaResult<()> {
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.begin_to_read()?,
        };
        while self.has_room() {
            match reading.consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let offset = message.offset().max(0) as u64;
                    reading.position = offset + 1;
                    let payload = Bytes::copy_from_slice(message.payload().unwrap_or_default());
                    self.take(offset, payload);
                }
                Some(Err(error)) if tail::is_passing(&error) => {}
                Some(Err(error)) => return Err(error),
                None => break,
            }
        }
        if !self.has_room() {
            reading.guard.hold();
        }
        let place = (self.partition.number(), reading.position);
        match reading.guard.look(|| [place]) {
            // The next one goes on behind what waits here.
            Some(stuck) => silence::tell(&self.client.names().follow_ups, stuck),
            None => self.reading = Some(reading),
        }
        Ok(())
    }

    fn begin_to_read(&self) -> KafkaResult<Reading> {
        let topic = &self.client.names().follow_ups;
        let consumer = self.client.follower()?;
        let position = self.next().saturating_sub(LOOKED_BACK);
        tail::assign(&consumer, topic, self.partition, position)?;
        let guard = Guard::new(&self.client, topic, Patience::USUAL);
        Ok(Reading {
            consumer,
            position,
            guard,
        })
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < COPIED_MAX && self.bytes < BYTES_MAX
    }

    fn take(&mut self, offset: u64, payload: Bytes) {
        let payload = self.dues.get_mut().made_distinct(offset, payload);
        if offset >= self.next() {
            self.bytes += payload.len();
            self.waiting.push(FollowUp { offset, payload });
        }
    }

    /// When an execution that cannot be published at `at` comes again: at no time that another of
    /// its id was given, whichever way that one comes into the log.
    pub(crate) fn put_off(&self, task: &Task, at: Timestamp) -> Timestamp {
        self.dues.borrow_mut().put_off(task, at)
    }

    /// Those that wait to be copied.
    pub(crate) fn waiting(&self) -> &[FollowUp] {
        &self.waiting
    }

    /// How far they will have been copied when those that wait are.
    pub(crate) fn next(&self) -> u64 {
        self.waiting
            .last()
            .map_or(self.copied, |last| last.offset + 1)
    }

    /// Those that waited have been copied.
    pub(crate) fn copied(&mut self) {
        debug_assert!(
            self.waiting.is_sorted_by_key(|follow_up| follow_up.offset),
            "they are copied in their order"
        );
        debug_assert!(self.next() >= self.copied, "what is copied stays copied");
        self.copied = self.next();
        self.waiting.clear();
        self.bytes = 0;
    }
}
