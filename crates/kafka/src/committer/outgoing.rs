//! What one tick sends: its own records, what takes the place of publications that cannot be
//! published, and follow-ups.
//!
//! A publication that its queue's topic will never take (too large, or there is no such topic to be
//! had) becomes a dead letter; where there can be no topic of dead letters either, a rejected
//! record. A schedule that waits for its end is told. One whose topic is not there yet goes back
//! into the log, as the creation of the same task due a little later: so it waits for its topic
//! without holding up anything else.

use std::collections::HashMap;

use bytes::Bytes;
use minutehand_model::{
    ChainEnd, Command, OutcomeKind, PartitionId, Publication, QueueName, SetAside, Task, Tick,
};
use minutehand_ports::DeadLetter;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use crate::client::Client;
use crate::execution::{self, Encoder, Place};
use crate::follow_ups::{FollowUp, FollowUps};
use crate::headers::COPIED;
use crate::letters;
use crate::queue_topics::{Kind, QueueTopic, QueueTopics, Standing};
use crate::transact::Parcel;

/// What a record costs beside its parts, and each of its headers, in bytes at most.
const RECORD_FRAME_BYTES: usize = 128;
const HEADER_FRAME_BYTES: usize = 10;
/// What the scheduler's own headers cost together, in bytes at most.
const OWN_HEADERS_BYTES: usize = 4 * 1024;

pub(super) type Record<'a> = BaseRecord<'a, [u8], [u8]>;
/// Why a record could not be handed over, and its topic.
pub(super) type Failure = (KafkaError, String);

/// Everything that one transaction says.
pub(super) struct Outgoing<'a> {
    pub(super) client: &'a Client,
    pub(super) tick: &'a Tick,
    pub(super) topics: &'a QueueTopics,
    pub(super) standings: HashMap<QueueName, Standing>,
    pub(super) follow_ups: &'a FollowUps,
}

/// What became of a tick's publications.
#[derive(Default)]
pub(super) struct Fates {
    published: usize,
    pub(super) refused: usize,
    pub(super) postponed: usize,
    pub(super) first_reason: Option<String>,
    /// Commands that take the place of what was not published.
    commands: Vec<Command>,
    /// Dead letters, and what follows them.
    parcels: Vec<Parcel>,
    rejected: Vec<SetAside>,
}

impl Outgoing<'_> {
    /// Hands every record over; the checkpoint is the last.
    pub(super) fn send<S>(&self, mut send: S) -> Result<Fates, Failure>
    where
        S: FnMut(Record<'_>) -> Result<(), Failure>,
    {
        let mut fates = Fates::default();
        let mut encoder = Encoder::new(self.tick);
        for publication in &self.tick.publications {
            self.publish(publication, &mut encoder, &mut fates, &mut send)?;
        }
        assert_eq!(
            fates.published + fates.refused + fates.postponed,
            self.tick.publications.len(),
            "each publication has one fate"
        );
        self.send_stops(&mut encoder, &mut send)?;
        let (names, own) = (self.client.names(), self.tick.partition.number() as i32);
        for command in self.tick.derived.iter().chain(&fates.commands) {
            let payload = minutehand_record::command::encode(command);
            send(
                BaseRecord::to(&names.commands)
                    .partition(own)
                    .payload(payload.as_ref()),
            )?;
        }
        for parcel in &fates.parcels {
            let Parcel {
                topic, key, value, ..
            } = parcel;
            let partition = parcel.partition.unwrap_or_default();
            let mut record: Record<'_> = BaseRecord::to(topic).partition(partition as i32);
            (record.key, record.payload) = (key.as_deref(), value.as_deref());
            send(record)?;
        }
        for change in &self.tick.schedule_states {
            let key = execution::schedule_key(&change.namespace, &change.schedule);
            let value = change
                .state
                .as_ref()
                .map(minutehand_record::schedule_state::encode);
            let mut record: Record<'_> = BaseRecord::to(&names.schedule_state)
                .partition(own)
                .key(key.as_bytes());
            record.payload = value.as_deref();
            send(record)?;
        }
        for set_aside in self.tick.set_aside.iter().chain(&fates.rejected) {
            reject(self.client, self.tick.partition, set_aside, &mut send)?;
        }
        follow_ups(
            self.client,
            self.tick.partition,
            self.follow_ups.waiting(),
            &mut send,
        )?;
        self.send_checkpoint(&fates, &mut send)?;
        Ok(fates)
    }

    fn publish<S>(
        &self,
        publication: &Publication,
        encoder: &mut Encoder,
        fates: &mut Fates,
        send: &mut S,
    ) -> Result<(), Failure>
    where
        S: FnMut(Record<'_>) -> Result<(), Failure>,
    {
        let topic = match self.standings.get(&publication.task.queue) {
            Some(Standing::Ready(topic)) => topic,
            Some(Standing::Refused(reason)) => {
                self.refuse(publication, reason, fates);
                return Ok(());
            }
            Some(Standing::Wanted) | None => {
                self.put_off(publication, fates);
                return Ok(());
            }
        };
        let outgoing = encoder.publication(publication, topic.envelope);
        if let Some(bytes) = too_large(publication, &outgoing, topic) {
            let QueueTopic {
                name, bytes_max, ..
            } = &**topic;
            let reason = format!(
                "it is {bytes} bytes as a record, and {name} has max.message.bytes={bytes_max}"
            );
            self.refuse(publication, &reason, fates);
            return Ok(());
        }
        let place = Place {
            partition: self.tick.partition,
            partitions: self.client.config().partitions,
        };
        let to = place.within(topic.partitions, publication.task.key) as i32;
        let mut record: Record<'_> = BaseRecord::to(&topic.name)
            .partition(to)
            .headers(outgoing.headers);
        (record.key, record.payload) = (outgoing.key, outgoing.value);
        fates.published += 1;
        send(record)
    }

    /// The topic will never take it.
    fn refuse(&self, publication: &Publication, reason: &str, fates: &mut Fates) {
        let queue = &publication.task.queue;
        let has_letters = match self.topics.look(Kind::DeadLetters, queue) {
            Standing::Wanted => return self.put_off(publication, fates),
            Standing::Ready(_) => true,
            Standing::Refused(_) => false,
        };
        let at = self.tick.published_at;
        let task = decoded(publication);
        let reason = format!("it could not be published: {reason}");
        if has_letters {
            let letter = DeadLetter {
                queue: queue.clone(),
                partition: self.tick.partition,
                key: publication.task.key,
                at,
                attempts: task.as_ref().map_or(1, |task| task.attempt),
                reason: reason.clone(),
                encoded: publication.task.encoded.clone(),
            };
            fates
                .parcels
                .push(letters::parcel(self.client.names(), &letter));
        } else {
            fates.rejected.push(set_aside(publication, &reason));
        }
        let ended = task
            .as_ref()
            .and_then(|task| Command::completed(task, OutcomeKind::Dead));
        fates.commands.extend(ended);
        let chained = task.as_ref().and_then(|task| self.chained(task, &reason));
        fates.parcels.extend(chained);
        fates.refused += 1;
        fates.first_reason.get_or_insert(reason);
    }

    /// The creation of the task that follows one that was given up here. It has a home of its own,
    /// to which it goes as what workers ask for does.
    fn chained(&self, task: &Task, reason: &str) -> Option<Parcel> {
        let next = task.chained(ChainEnd {
            kind: OutcomeKind::Dead,
            said: reason,
            at: self.tick.published_at,
        })?;
        Some(Parcel {
            topic: self.client.names().follow_ups.clone(),
            partition: Some(next.home(self.client.config().partitions).number()),
            key: None,
            value: Some(minutehand_record::command::encode(&Command::Create(
                minutehand_record::task::record(&next),
            ))),
            headers: None,
        })
    }

    /// The topic is not there yet.
    fn put_off(&self, publication: &Publication, fates: &mut Fates) {
        let Some(task) = decoded(publication) else {
            let reason =
                "its topic is not there yet, and it cannot be read, so it cannot wait for it";
            fates.rejected.push(set_aside(publication, reason));
            fates.refused += 1;
            fates.first_reason.get_or_insert_with(|| reason.to_owned());
            return;
        };
        let due = self.follow_ups.put_off(&task, self.tick.published_at);
        debug_assert!(due > task.due, "it is another task");
        fates
            .commands
            .push(Command::Create(minutehand_record::task::record(&Task {
                due,
                ..task
            })));
        fates.postponed += 1;
    }

    fn send_stops<S>(&self, encoder: &mut Encoder, send: &mut S) -> Result<(), Failure>
    where
        S: FnMut(Record<'_>) -> Result<(), Failure>,
    {
        for stop in &self.tick.stops {
            // A run may be in any worker's hands, whoever consumes its partition: all of them read
            // this topic.
            let headers = encoder.stop(stop);
            send(
                BaseRecord::to(&self.client.names().stops)
                    .partition(0)
                    .headers(headers),
            )?;
        }
        Ok(())
    }

    /// The checkpoint, with the counts by which a reader can tell that it has seen the whole tick.
    fn send_checkpoint<S>(&self, fates: &Fates, send: &mut S) -> Result<(), Failure>
    where
        S: FnMut(Record<'_>) -> Result<(), Failure>,
    {
        let (key, _) = keys(self.tick.partition);
        let value = minutehand_record::checkpoint::encode(&self.tick.checkpoint);
        let counts = [
            ("minutehand-executions", fates.published as u64),
            (
                "minutehand-derived",
                (self.tick.derived.len() + fates.commands.len()) as u64,
            ),
            (
                "minutehand-rejected",
                (self.tick.set_aside.len() + fates.rejected.len()) as u64,
            ),
            (COPIED, self.follow_ups.next()),
        ];
        let mut headers = OwnedHeaders::new_with_capacity(counts.len() + 1).insert(Header {
            key: "minutehand-tick",
            value: Some(&execution::tick_name(self.tick)),
        });
        for (name, count) in counts {
            headers = headers.insert(Header {
                key: name,
                value: Some(&count.to_string()),
            });
        }
        send(
            BaseRecord::to(&self.client.names().checkpoints)
                .partition(self.tick.partition.number() as i32)
                .key(key.as_bytes())
                .payload(value.as_ref())
                .headers(headers),
        )
    }
}

/// Copies follow-ups into the log. One that the log does not take is rejected.
pub(super) fn follow_ups<S, E>(
    client: &Client,
    partition: PartitionId,
    waiting: &[FollowUp],
    send: &mut S,
) -> Result<(), E>
where
    S: FnMut(Record<'_>) -> Result<(), E>,
{
    for FollowUp { offset, payload } in waiting {
        if payload.len() > minutehand_model::limits::RECORD_BYTES_MAX {
            let reason = format!(
                "it is {} bytes long, which is too long for the log",
                payload.len()
            );
            let position = format!(
                "{}[{partition}] at offset {offset}",
                client.names().follow_ups
            );
            reject(
                client,
                partition,
                &SetAside::new(position, reason, payload.clone()),
                send,
            )?;
            continue;
        }
        let record = BaseRecord::to(&client.names().commands).partition(partition.number() as i32);
        send(record.payload(payload.as_ref()))?;
    }
    Ok(())
}

fn reject<S, E>(
    client: &Client,
    partition: PartitionId,
    set_aside: &SetAside,
    send: &mut S,
) -> Result<(), E>
where
    S: FnMut(Record<'_>) -> Result<(), E>,
{
    let position = format!("partition {partition}, {}", set_aside.position);
    let headers = OwnedHeaders::new_with_capacity(2)
        .insert(Header {
            key: "minutehand-reason",
            value: Some(&set_aside.reason),
        })
        .insert(Header {
            key: "minutehand-position",
            value: Some(&position),
        });
    let record = BaseRecord::to(&client.names().rejected).partition(0);
    send(record.payload(set_aside.bytes.as_ref()).headers(headers))
}

fn decoded(publication: &Publication) -> Option<Task> {
    minutehand_record::task::decode(&publication.task.encoded).ok()
}

fn set_aside(publication: &Publication, reason: &str) -> SetAside {
    let position = format!(
        "log offset {}: execution of queue {}",
        publication.offset, publication.task.queue
    );
    let bytes: Bytes = publication.task.encoded.clone();
    SetAside::new(position, reason, bytes)
}

/// The size of a record that is larger than its topic takes.
fn too_large(
    publication: &Publication,
    outgoing: &execution::Outgoing<'_>,
    topic: &QueueTopic,
) -> Option<usize> {
    // Nothing of a task stands in its record more than twice.
    if 2 * publication.task.encoded.len() + OWN_HEADERS_BYTES + RECORD_FRAME_BYTES
        <= topic.bytes_max
    {
        return None;
    }
    let part = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    let headers = outgoing.headers.iter();
    let headers: usize = headers
        .map(|header| header.key.len() + part(header.value) + HEADER_FRAME_BYTES)
        .sum();
    let bytes = part(outgoing.key) + part(outgoing.value) + headers + RECORD_FRAME_BYTES;
    (bytes > topic.bytes_max).then_some(bytes)
}

/// The keys of a partition's checkpoint, and of the claim that an epoch has been opened.
pub(super) fn keys(partition: PartitionId) -> (String, String) {
    (partition.to_string(), format!("{partition}/epoch"))
}
