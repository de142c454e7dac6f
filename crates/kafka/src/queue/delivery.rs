//! A record of a queue's topic as a worker sees it.

use bytes::Bytes;
use minutehand_ingress::egress::Incoming;
use minutehand_model::limits::SET_ASIDE_BYTES_MAX;
use minutehand_model::{DeliveryToken, Epoch, LogOffset, PartitionId, TaskKey, Timestamp};
use minutehand_ports::{Delivery, DeliveryId};
use minutehand_record::QueueNames;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use crate::execution;

/// How a queue's topic is divided among the partitions of the command log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Partitions of the command log.
    pub(crate) own: u32,
    /// Partitions of the topic: a divisor or a multiple.
    pub(crate) topic: u32,
}

impl Shares {
    fn per_partition(self) -> u64 {
        u64::from((self.topic / self.own.max(1)).max(1))
    }

    /// The id of what lies at a place of the topic.
    fn id(self, published_by: PartitionId, topic_partition: u32, offset: u64) -> DeliveryId {
        let share = u64::from(topic_partition / self.own.max(1));
        let sequence = offset * self.per_partition() + share % self.per_partition();
        debug_assert_eq!(sequence / self.per_partition(), offset, "it leads back");
        DeliveryId {
            partition: published_by,
            sequence,
        }
    }

    /// The id of what lies at a place of the topic, whoever published it.
    fn id_at(self, topic_partition: u32, offset: u64) -> DeliveryId {
        self.id(
            PartitionId::own(topic_partition % self.own.max(1)),
            topic_partition,
            offset,
        )
    }

    /// The id of what a partition says that it published at a place of the topic; `None` when that
    /// cannot be. What another region has published lies where that region's partitions put it,
    /// whatever their number.
    fn id_of(
        self,
        published_by: PartitionId,
        topic_partition: u32,
        offset: u64,
    ) -> Option<DeliveryId> {
        let id = self.id(published_by, topic_partition, offset);
        match self.place(id) == (topic_partition, offset) {
            true => Some(id),
            false => (published_by.region() > 0).then(|| self.id_at(topic_partition, offset)),
        }
    }

    /// The inverse: the partition of the topic, and the offset there.
    pub(crate) fn place(self, id: DeliveryId) -> (u32, u64) {
        let share = (id.sequence % self.per_partition()) as u32;
        let topic_partition = if self.topic <= self.own {
            id.partition.number() % self.topic.max(1)
        } else {
            id.partition.number() + self.own * share
        };
        (topic_partition, id.sequence / self.per_partition())
    }
}

/// The delivery of a record. What nobody of ours published is delivered all the same: the worker
/// finds that it is no task, and sets it aside.
pub(crate) fn delivery(
    message: &BorrowedMessage<'_>,
    shares: Shares,
    names: &mut QueueNames,
) -> Delivery {
    let topic_partition = message.partition().max(0) as u32;
    let offset = message.offset().max(0) as u64;
    if let Ok(Incoming::Execution(received)) = execution::read(message, names)
        && let Some(id) = shares.id_of(received.partition, topic_partition, offset)
    {
        let task = received.task;
        return Delivery {
            id,
            epoch: received.epoch,
            token: DeliveryToken {
                epoch: received.epoch,
                ..DeliveryToken::default()
            },
            offset: received.offset,
            published_at: received.published_at,
            key: task.key,
            due: task.due,
            encoded: task.encoded,
            may_have_run: false,
        };
    }
    let at = message
        .timestamp()
        .to_millis()
        .map_or(Timestamp::MIN, Timestamp::from_millis);
    Delivery {
        id: shares.id_at(topic_partition, offset),
        epoch: Epoch(0),
        token: DeliveryToken::default(),
        offset: LogOffset::START,
        published_at: at,
        key: TaskKey(0),
        due: at,
        encoded: Bytes::copy_from_slice(beginning(message.payload().unwrap_or_default())),
        may_have_run: false,
    }
}

/// As much of a record that nobody of ours published as is kept with a dead letter.
fn beginning(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(SET_ASIDE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::Place;

    /// A region with another number of partitions has put it where none of ours would.
    #[test]
    fn what_another_region_published_is_delivered_wherever_it_lies() {
        for (own, topic) in [(4, 4), (8, 2), (3, 9)] {
            let shares = Shares { own, topic };
            for (partition, to) in
                (0..20).flat_map(|partition| (0..topic).map(move |to| (partition, to)))
            {
                let foreign = PartitionId::of_region(1, partition).expect("a partition");
                let id = shares.id_of(foreign, to, 7).expect("an id");
                assert_eq!(
                    shares.place(id),
                    (to, 7),
                    "partition {partition} of {own}, {topic} of the topic"
                );
            }
        }
        let shares = Shares { own: 4, topic: 4 };
        assert_eq!(
            shares.id_of(PartitionId::own(1), 2, 7),
            None,
            "ours lies elsewhere"
        );
    }

    /// Whatever the numbers of partitions, an id names one place.
    #[test]
    fn an_id_leads_back_to_its_place() {
        for (own, topic) in [(1, 1), (1, 4), (4, 4), (8, 2), (3, 9), (16, 16)] {
            let shares = Shares { own, topic };
            for partition in 0..own {
                let place = Place {
                    partition: PartitionId::own(partition),
                    partitions: own,
                };
                let mut ids = std::collections::BTreeMap::new();
                for index in 0..50_u128 {
                    let to = place.within(topic, TaskKey(index << 64));
                    for offset in 0..5 {
                        let id = shares.id(PartitionId::own(partition), to, offset);
                        assert_eq!(id.partition, PartitionId::own(partition));
                        assert_eq!(shares.place(id), (to, offset));
                        assert_eq!(*ids.entry(id).or_insert((to, offset)), (to, offset));
                    }
                }
            }
        }
    }
}
