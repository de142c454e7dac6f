//! How full a queue is for a group, as the cluster knows it.
//!
//! The places say how many deliveries were settled in all, and which below the highest settled one
//! were not. Beyond, the records of the topic are counted: the ends of transactions take offsets
//! too, so counting means reading. What has been counted is remembered; a backlog that is too long
//! to be read is estimated by its offsets, which says more than there is, and never nothing when
//! there is something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use minutehand_model::{PartitionId, Timestamp};
use rdkafka::Message;
use rdkafka::error::KafkaResult;

use super::marks::Marks;
use super::place;
use crate::client::Client;
use crate::listener::Consumer;
use crate::tail;

/// Offsets of one partition that are read to be counted.
const COUNTED_MAX: u64 = 2_000;

/// Waiting, and settled in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) waiting: u64,
    pub(crate) settled: u64,
}

/// Records counted up to an offset.
#[derive(Clone, Copy)]
struct Counted {
    to: u64,
    records: u64,
}

/// Counts what waits, and remembers it.
#[derive(Default)]
pub(crate) struct Counter {
    /// By topic, partition and the offset that was counted from.
    counted: Mutex<BTreeMap<(String, u32, u64), Counted>>,
}

impl Counter {
    /// Counts for the group of a consumer. Blocks.
    pub(crate) fn count(
        &self,
        client: &Client,
        consumer: &Consumer,
        topic: &str,
        partitions: u32,
    ) -> KafkaResult<Counts> {
        let all: Vec<u32> = (0..partitions).collect();
        let mut counts = Counts::default();
        let mut ranges = Vec::new();
        for (partition, marks) in place::read(client, consumer, topic, &all)? {
            let (start, end) = tail::marks(client, consumer, topic, PartitionId::own(partition))?;
            let marks = marks.unwrap_or_else(|| Marks::at(start));
            let kept = marks.unsettled.iter().filter(|offset| **offset >= start);
            counts.waiting += kept.count() as u64;
            counts.settled += marks.settled;
            let from = marks.high.max(start);
            if from >= end {
                continue;
            }
            match self.known(topic, partition, from) {
                Some(known) if known.to == end => counts.waiting += known.records,
                _ if end - from > COUNTED_MAX => counts.waiting += end - from,
                _ => ranges.push((partition, from, end)),
            }
        }
        counts.waiting += self.read(client, consumer, topic, &ranges)?;
        Ok(counts)
    }

    /// When the oldest record was published that the group of a consumer has not settled. Blocks.
    pub(crate) fn oldest(
        client: &Client,
        consumer: &Consumer,
        topic: &str,
        partitions: u32,
    ) -> KafkaResult<Option<Timestamp>> {
        let all: Vec<u32> = (0..partitions).collect();
        let mut starts = Vec::new();
        for (partition, marks) in place::read(client, consumer, topic, &all)? {
            let partition = PartitionId::own(partition);
            let (start, end) = tail::marks(client, consumer, topic, partition)?;
            let from = marks.map_or(start, |marks| marks.base.max(start));
            if from < end {
                starts.push((partition, from));
            }
        }
        let (mut oldest, mut looked) = (None::<Timestamp>, BTreeSet::new());
        if starts.is_empty() {
            return Ok(None);
        }
        tail::scan(client, consumer, topic, &starts, |message| {
            // The first of each partition; behind it nothing is older.
            if looked.insert(message.partition()) {
                let at = message.timestamp().to_millis().map(Timestamp::from_millis);
                oldest = [oldest, at].into_iter().flatten().min();
            }
            looked.len() < starts.len()
        })?;
        Ok(oldest)
    }

    fn known(&self, topic: &str, partition: u32, from: u64) -> Option<Counted> {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.get(&(topic.to_owned(), partition, from)).copied()
    }

    fn read(
        &self,
        client: &Client,
        consumer: &Consumer,
        topic: &str,
        ranges: &[(u32, u64, u64)],
    ) -> KafkaResult<u64> {
        if ranges.is_empty() {
            return Ok(0);
        }
        let starts: Vec<_> = ranges
            .iter()
            .map(|(partition, from, _)| (PartitionId::own(*partition), *from))
            .collect();
        let mut records: BTreeMap<u32, u64> = BTreeMap::new();
        let ends: BTreeMap<u32, u64> = ranges
            .iter()
            .map(|(partition, _, to)| (*partition, *to))
            .collect();
        tail::scan(client, consumer, topic, &starts, |message| {
            let partition = message.partition().max(0) as u32;
            if ends
                .get(&partition)
                .is_some_and(|end| (message.offset().max(0) as u64) < *end)
            {
                *records.entry(partition).or_default() += 1;
            }
            true
        })?;
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, from, to) in ranges.iter().copied() {
            // A place goes on: what was counted from behind it is of no more use.
            counted.retain(|key, _| key.0 != topic || key.1 != partition || key.2 >= from);
            let records = records.get(&partition).copied().unwrap_or(0);
            debug_assert!(records <= to - from, "no more records than offsets");
            counted.insert((topic.to_owned(), partition, from), Counted { to, records });
        }
        Ok(records.values().sum())
    }
}
