//! How a publication looks as a Kafka record, and which partition of its queue's topic it goes to.

use std::collections::BTreeMap;

use minutehand_ingress::egress::{self, Envelope, Incoming, ReadError, Writer};
use minutehand_model::{
    Epoch, Namespace, PartitionId, Publication, QueueName, ScheduleId, ScheduleState, StopRequest,
    TaskKey, Tick,
};
use minutehand_record::QueueNames;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};

use crate::headers::{self, NameIsNotText};
use crate::tail::Stored;

/// Which share of every queue's topic a partition publishes to.
pub(crate) struct Place {
    pub(crate) partition: PartitionId,
    pub(crate) partitions: u32,
}

impl Place {
    /// The partition of a topic with so many partitions that a task goes to: always the same for
    /// one task, and for all tasks of one key.
    pub(crate) fn within(&self, topic_partitions: u32, key: TaskKey) -> u32 {
        if topic_partitions <= self.partitions {
            return self.partition.number() % topic_partitions;
        }
        let share = topic_partitions / self.partitions;
        debug_assert!(
            self.partition.number() < self.partitions,
            "a partition of the log lies among them"
        );
        self.partition.number() + self.partitions * (key.place() % share)
    }
}

/// Which tick published a record.
const TICK: &str = "minutehand-tick";
/// Which queue a stop request is for.
const QUEUE: &str = "minutehand-queue";

/// A record on its way out.
pub(crate) struct Outgoing<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: OwnedHeaders,
}

/// Turns the publications and the stop requests of one tick into records.
pub(crate) struct Encoder {
    tick: String,
    writer: Writer,
}

impl Encoder {
    pub(crate) fn new(tick: &Tick) -> Encoder {
        let writer = Writer::new(tick.partition, tick.checkpoint.epoch, tick.published_at);
        Encoder {
            tick: tick_name(tick),
            writer,
        }
    }

    pub(crate) fn publication<'a>(
        &'a mut self,
        publication: &'a Publication,
        envelope: Envelope,
    ) -> Outgoing<'a> {
        match self.writer.publication(publication, envelope) {
            Ok(outgoing) => {
                let headers = owned(&outgoing.headers, TICK, &self.tick);
                Outgoing {
                    key: outgoing.key,
                    value: outgoing.value,
                    headers,
                }
            }
            // A worker finds that it is no task, and sets it aside.
            Err(error) => {
                tracing::warn!(offset = %publication.offset, %error, "a task that cannot be read is published as it is");
                let headers = owned(&[], TICK, &self.tick);
                Outgoing {
                    key: None,
                    value: Some(&publication.task.encoded),
                    headers,
                }
            }
        }
    }

    /// A request to stop a run.
    pub(crate) fn stop(&mut self, stop: &StopRequest) -> OwnedHeaders {
        owned(&self.writer.stop(stop).headers, QUEUE, stop.queue.as_str())
    }
}

/// The headers of a request to stop a run that no tick publishes.
pub(crate) fn stop_headers(stop: &StopRequest) -> OwnedHeaders {
    let mut writer = Writer::new(PartitionId::own(0), Epoch::default(), stop.due);
    owned(&writer.stop(stop).headers, QUEUE, stop.queue.as_str())
}

/// The headers, and one more.
fn owned(headers: &[(&str, Option<&[u8]>)], name: &str, value: &str) -> OwnedHeaders {
    let mut owned = OwnedHeaders::new_with_capacity(headers.len() + 1);
    for (key, value) in headers {
        owned = owned.insert(Header { key, value: *value });
    }
    owned.insert(Header {
        key: name,
        value: Some(value),
    })
}

/// Why a record of executions, or of stop requests, was not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    Headers(#[from] NameIsNotText),
    #[error(transparent)]
    Record(#[from] ReadError),
}

/// What a record of executions, or of stop requests, says.
pub(crate) fn read(
    message: &BorrowedMessage<'_>,
    names: &mut QueueNames,
) -> Result<Incoming, Unreadable> {
    Ok(egress::read(
        message.payload(),
        headers::of(message)?,
        names,
    )?)
}

/// Which queue a stop request is for.
pub(crate) fn stop_queue(message: &BorrowedMessage<'_>) -> Option<QueueName> {
    let headers = headers::of(message).ok()?;
    let (_, value) = headers.into_iter().rfind(|(name, _)| *name == QUEUE)?;
    QueueName::parse(std::str::from_utf8(value?).ok()?).ok()
}

/// `<partition>.<epoch>.<number>`: which tick published a record.
pub(crate) fn tick_name(tick: &Tick) -> String {
    format!(
        "{}.{}.{}",
        tick.partition, tick.checkpoint.epoch, tick.checkpoint.tick
    )
}

/// The key of a schedule's state. Neither name can hold a slash.
pub(crate) fn schedule_key(namespace: &Namespace, schedule: &ScheduleId) -> String {
    format!("{namespace}/{schedule}")
}

/// What schedules remember, from the records of a partition in their order; in order of namespace
/// and id.
pub(crate) fn schedule_states(
    records: &[Stored],
) -> Result<Vec<(Namespace, ScheduleId, ScheduleState)>, String> {
    let mut states = BTreeMap::new();
    for record in records {
        let damaged = |reason: String| format!("the record at offset {}: {reason}", record.offset);
        let key = std::str::from_utf8(&record.key).map_err(|error| damaged(error.to_string()))?;
        let (namespace, schedule) = key
            .split_once('/')
            .ok_or_else(|| damaged(format!("its key is {key:?}")))?;
        let namespace = Namespace::parse(namespace).map_err(|error| damaged(error.to_string()))?;
        let schedule = ScheduleId::parse(schedule).map_err(|error| damaged(error.to_string()))?;
        let state = match &record.value {
            Some(value) => Some(
                minutehand_record::schedule_state::decode(value)
                    .map_err(|error| damaged(error.to_string()))?,
            ),
            None => None,
        };
        states.insert((namespace, schedule), state);
    }
    let kept = states
        .into_iter()
        .filter_map(|((namespace, id), state)| Some((namespace, id, state?)));
    Ok(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partition publishes only to its own share, and every partition of the topic belongs to
    /// somebody.
    #[test]
    fn the_shares_of_partitions_cover_a_topic_without_overlap() {
        for (partitions, topic_partitions) in [(1, 1), (2, 8), (4, 4), (8, 2), (3, 9)] {
            let mut owners: BTreeMap<u32, std::collections::BTreeSet<u32>> = BTreeMap::new();
            for partition in 0..partitions {
                let place = Place {
                    partition: PartitionId::own(partition),
                    partitions,
                };
                for id in 0..200 {
                    let key = TaskKey::of("default", &format!("task-{id}"));
                    let to = place.within(topic_partitions, key);
                    assert_eq!(to, place.within(topic_partitions, key));
                    owners.entry(to).or_default().insert(partition);
                }
            }
            assert_eq!(owners.len() as u32, topic_partitions);
            let place = Place {
                partition: PartitionId::own(0),
                partitions,
            };
            let of_a_key = |id| TaskKey::of_keyed("default", &format!("task-{id}"), Some("k"));
            let to = |id| place.within(topic_partitions, of_a_key(id));
            assert!((0..200).all(|id| to(id) == to(0)), "one member gets them");
            let most = partitions.div_ceil(topic_partitions) as usize;
            assert!(owners.values().all(|owners| owners.len() <= most));
        }
    }
}
