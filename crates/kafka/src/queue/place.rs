//! The places of a group as the cluster keeps them.

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::marks::Marks;
use crate::client::Client;

/// Reads the places of the consumer's group in some partitions; `None` where it has committed nothing. Blocks, also
/// while a transaction that moves one of them is not over.
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
                    tracing::warn!(topic, partition, base, text, "a place was not committed by Minutehand");
                    Marks::at(base)
                }))
            }
            _ => None,
        };
        places.push((partition, marks));
    }
    Ok(places)
}
