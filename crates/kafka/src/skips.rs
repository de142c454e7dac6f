//! What operators want passed over in the log: records of a compacted topic, read by whoever begins
//! to read a partition. The key is the partition and the positions in its log, the value says why.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use minutehand_model::PartitionId;
use minutehand_model::limits::{REASON_BYTES_MAX, SKIP_OFFSETS_MAX};
use minutehand_ports::{ErrorClass, PortError};
use rdkafka::error::KafkaResult;

use crate::client::Client;
use crate::error::port_error;
use crate::tail::{self, Stored};
use crate::transact::{Parcel, Plain};

/// The topic has one partition.
const PARTITION: PartitionId = PartitionId::own(0);

/// Offsets to be passed over, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) offsets: RangeInclusive<u64>,
    pub(crate) reason: String,
}

/// All of one partition.
#[derive(Debug, Default)]
pub(crate) struct Skips(Vec<Skip>);

impl Skips {
    /// What the topic says of a partition, as of now. Blocks.
    pub(crate) fn read(client: &Client, partition: PartitionId) -> KafkaResult<Skips> {
        let topic = &client.names().skips;
        let (low, high) = client.bounds(topic, PARTITION)?;
        if low == high {
            return Ok(Skips::default());
        }
        let records = tail::read_from(client, &client.passing_consumer()?, topic, PARTITION, low)?;
        Ok(Skips::of(&records, partition))
    }

    fn of(records: &[Stored], partition: PartitionId) -> Skips {
        let mut skips: Vec<Skip> = Vec::new();
        for record in records {
            let Some((of, offsets)) = parse(&record.key) else {
                tracing::warn!(
                    offset = record.offset,
                    "a record about what is to be passed over cannot be read"
                );
                continue;
            };
            if of != partition {
                continue;
            }
            skips.retain(|skip| skip.offsets != offsets);
            if let Some(reason) = &record.value {
                skips.push(Skip {
                    offsets,
                    reason: String::from_utf8_lossy(reason).into_owned(),
                });
            }
        }
        Skips(skips)
    }

    /// What is to be passed over at an offset.
    pub(crate) fn at(&self, offset: u64) -> Option<&Skip> {
        self.0.iter().find(|skip| skip.offsets.contains(&offset))
    }
}

fn key(partition: PartitionId, offsets: &RangeInclusive<u64>) -> String {
    format!("{partition}/{}-{}", offsets.start(), offsets.end())
}

fn parse(key: &[u8]) -> Option<(PartitionId, RangeInclusive<u64>)> {
    let (partition, offsets) = std::str::from_utf8(key).ok()?.split_once('/')?;
    let (first, last) = offsets.split_once('-')?;
    Some((
        PartitionId::parse(partition)?,
        first.parse().ok()?..=last.parse().ok()?,
    ))
}

/// Writes down that records are to be passed over. Blocks.
pub(crate) fn write(
    client: &Arc<Client>,
    partition: PartitionId,
    offsets: &RangeInclusive<u64>,
    reason: &str,
) -> Result<(), PortError> {
    let action = format!(
        "have offsets {} to {} of partition {partition} passed over",
        offsets.start(),
        offsets.end()
    );
    let refused = |reason: String| Err(PortError::new(ErrorClass::Fatal, action.clone(), reason));
    let count = (offsets.end().saturating_sub(*offsets.start())).saturating_add(1);
    if offsets.is_empty() || count > SKIP_OFFSETS_MAX {
        return refused(format!(
            "these are {count} offsets; 1 to {SKIP_OFFSETS_MAX} can be passed over at once"
        ));
    }
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return refused(format!(
            "the reason is {} bytes long; it must be 1 to {REASON_BYTES_MAX}",
            reason.len()
        ));
    }
    let (start, end) = client
        .bounds(&client.names().commands, partition)
        .map_err(|error| port_error(&action, error))?;
    if *offsets.start() < start || *offsets.end() >= end {
        return refused(format!(
            "the log of the partition has the offsets {start} to {end}, the last not included"
        ));
    }
    debug_assert!(
        parse(key(partition, offsets).as_bytes()).as_ref() == Some(&(partition, offsets.clone())),
        "what is written is found again"
    );
    let parcel = Parcel {
        topic: client.names().skips.clone(),
        partition: Some(PARTITION.number()),
        key: Some(Bytes::from(key(partition, offsets))),
        value: Some(Bytes::copy_from_slice(reason.as_bytes())),
        headers: None,
    };
    Plain::new(Arc::clone(client))
        .deliver(std::iter::once(&parcel))
        .map_err(|error| port_error(&action, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(offset: u64, key: &str, value: Option<&'static str>) -> Stored {
        let (key, value) = (
            Bytes::copy_from_slice(key.as_bytes()),
            value.map(Bytes::from),
        );
        Stored {
            offset,
            key,
            value,
            follow_ups: None,
        }
    }

    #[test]
    fn what_is_passed_over_is_found_until_it_is_taken_back() {
        let of = |partition, first, last| key(PartitionId::own(partition), &(first..=last));
        let records = [
            stored(0, &of(1, 5, 7), Some("damaged")),
            stored(1, &of(2, 9, 9), Some("another partition")),
            stored(2, "noise", Some("nothing")),
            stored(3, &of(1, 20, 20), Some("poison")),
            stored(4, &of(1, 5, 7), None),
            stored(5, &of(1, 6, 6), Some("one of them")),
        ];
        let skips = Skips::of(&records, PartitionId::own(1));
        let found = |offset| skips.at(offset).map(|skip| skip.reason.as_str());
        assert_eq!(
            [5, 6, 7, 9, 20].map(found),
            [None, Some("one of them"), None, None, Some("poison")]
        );
    }
}
