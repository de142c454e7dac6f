//! The places of a group as the cluster keeps them.

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::marks::Marks;
use crate::client::Client;

/// Reads the places of the consumer's group in some partitions; `None` where it has committed
/// nothing. Blocks, also while a transaction that moves one of them is not over.
pub(crate) fn read<C: ConsumerContext>(
    client: &Client,
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: &[u32],
) -> KafkaResult<Vec<(u32, Option<Marks>)>> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(topic, *partition as i32);
    }
    let list = consumer.committed_offsets(list, client.timeout())?;
    let mut places = Vec::new();
    for element in list.elements() {
        element.error()?;
        let partition = element.partition().max(0) as u32;
        let marks = match element.offset() {
            Offset::Offset(offset) => {
                let (base, text) = (offset.max(0) as u64, element.metadata());
                Some(Marks::decode(base, text).unwrap_or_else(|| {
                    tracing::warn!(
                        topic,
                        partition,
                        base,
                        text,
                        "a place was not committed by Minutehand"
                    );
                    Marks::at(base)
                }))
            }
            _ => None,
        };
        places.push((partition, marks));
    }
    Ok(places)
}

/// Writes places of the consumer's group in partitions that it has. Blocks.
pub(crate) fn write<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    places: &[(u32, Marks)],
) -> KafkaResult<()> {
    if places.is_empty() {
        return Ok(());
    }
    consumer.commit(&list(topic, places), CommitMode::Sync)
}

/// Places as the driver takes them.
pub(crate) fn list(topic: &str, places: &[(u32, Marks)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (partition, marks) in places {
        let mut element = list.add_partition(topic, *partition as i32);
        // An offset of a topic is never negative.
        element.set_offset(Offset::Offset(marks.base as i64)).ok();
        element.set_metadata(marks.encode());
    }
    list
}
