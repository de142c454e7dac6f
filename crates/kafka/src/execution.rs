//! How a publication looks as a Kafka record, and which partition of its queue's topic it goes to.

use std::collections::BTreeMap;

use minutehand_model::{
    Namespace, PartitionId, Publication, ScheduleId, ScheduleState, StopRequest, TaskKey, Tick,
};
use rdkafka::message::{Header, OwnedHeaders};

use crate::tail::Stored;

/// Which share of every queue's topic a partition publishes to.
pub(crate) struct Place {
    pub(crate) partition: PartitionId,
    pub(crate) partitions: u32,
}

impl Place {
    /// The partition of a topic with so many partitions that a task goes to: always the same for one task.
    pub(crate) fn within(&self, topic_partitions: u32, key: TaskKey) -> u32 {
        if topic_partitions <= self.partitions {
            return self.partition.0 % topic_partitions;
        }
        let share = topic_partitions / self.partitions;
        self.partition.0 + self.partitions * ((key.0 >> 64) as u32 % share)
    }
}

/// A record on its way out.
pub(crate) struct Outgoing<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) headers: OwnedHeaders,
}

/// Turns the publications of one tick into records.
pub(crate) struct Encoder {
    tick: String,
    published_at_ms: String,
    key: [u8; 16],
}

impl Encoder {
    pub(crate) fn new(tick: &Tick) -> Encoder {
        Encoder {
            tick: tick_name(tick),
            published_at_ms: tick.published_at.as_millis().to_string(),
            key: [0; 16],
        }
    }

    pub(crate) fn publication<'a>(&'a mut self, publication: &'a Publication) -> Outgoing<'a> {
        self.key = publication.task.key.0.to_be_bytes();
        let headers = OwnedHeaders::new_with_capacity(3)
            .insert(Header { key: "minutehand-tick", value: Some(self.tick.as_str()) })
            .insert(Header { key: "minutehand-published-at", value: Some(self.published_at_ms.as_str()) })
            .insert(Header { key: "minutehand-offset", value: Some(&publication.offset.to_string()) });
        Outgoing { key: &self.key, value: &publication.task.encoded, headers }
    }
}

/// `<partition>.<epoch>.<number>`: which tick published a record.
pub(crate) fn tick_name(tick: &Tick) -> String {
    format!("{}.{}.{}", tick.partition, tick.checkpoint.epoch, tick.checkpoint.tick)
}

/// A request to stop a run: a record without key and value.
pub(crate) fn stop_headers(stop: &StopRequest) -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(4)
        .insert(Header { key: "minutehand-queue", value: Some(stop.queue.as_str()) })
        .insert(Header { key: "minutehand-stop", value: Some(if stop.kill { "kill" } else { "ask" }) })
        .insert(Header { key: "minutehand-key", value: Some(&stop.key.0.to_be_bytes()[..]) })
        .insert(Header { key: "minutehand-due-at", value: Some(&stop.due.as_millis().to_string()) })
}

/// The key of a schedule's state. Neither name can hold a slash.
pub(crate) fn schedule_key(namespace: &Namespace, schedule: &ScheduleId) -> String {
    format!("{namespace}/{schedule}")
}

/// What schedules remember, from the records of a partition in their order; in order of namespace and id.
pub(crate) fn schedule_states(
    records: &[Stored],
) -> Result<Vec<(Namespace, ScheduleId, ScheduleState)>, String> {
    let mut states = BTreeMap::new();
    for record in records {
        let damaged = |reason: String| format!("the record at offset {}: {reason}", record.offset);
        let key = std::str::from_utf8(&record.key).map_err(|error| damaged(error.to_string()))?;
        let (namespace, schedule) =
            key.split_once('/').ok_or_else(|| damaged(format!("its key is {key:?}")))?;
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
    let kept = states.into_iter().filter_map(|((namespace, id), state)| Some((namespace, id, state?)));
    Ok(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partition publishes only to its own share, and every partition of the topic belongs to somebody.
    #[test]
    fn the_shares_of_partitions_cover_a_topic_without_overlap() {
        for (partitions, topic_partitions) in [(1, 1), (2, 8), (4, 4), (8, 2), (3, 9)] {
            let mut owners: BTreeMap<u32, std::collections::BTreeSet<u32>> = BTreeMap::new();
            for partition in 0..partitions {
                let place = Place { partition: PartitionId(partition), partitions };
                for id in 0..200 {
                    let key = TaskKey::of("default", &format!("task-{id}"));
                    let to = place.within(topic_partitions, key);
                    assert_eq!(to, place.within(topic_partitions, key));
                    owners.entry(to).or_default().insert(partition);
                }
            }
            assert_eq!(owners.len() as u32, topic_partitions);
            let most = partitions.div_ceil(topic_partitions) as usize;
            assert!(owners.values().all(|owners| owners.len() <= most));
        }
    }
}
