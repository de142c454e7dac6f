//! Executions that a queue's topic no longer kept when a worker group came to read them: how many
//! is told, once for each gap.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use minutehand_metrics::ExpiredExecutions;
use minutehand_model::{PartitionId, QueueName};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;

use super::marks::Marks;
use crate::client::Client;

/// An end of a transaction takes one offset: so far apart lie two records that follow each other.
const STEP_USUAL: u64 = 2;

/// What has expired unread, by queue.
#[derive(Default)]
pub(crate) struct Expired {
    metrics: ExpiredExecutions,
    counts: Mutex<BTreeMap<QueueName, u64>>,
}

impl Expired {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<QueueName, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many executions of a queue, ends of transactions among them, in this process.
    pub(crate) fn count(&self, queue: &QueueName) -> u64 {
        self.counts().get(queue).copied().unwrap_or(0)
    }

    /// Tells of what a group has lost of a partition, which begins at `low` now.
    fn tell(&self, (queue, group): (&QueueName, &str), partition: u32, lost: u64, low: u64) {
        tracing::warn!(
            %queue,
            group,
            partition,
            lost,
            low,
            "executions expired before a worker read them; run more workers, or raise kafka.retention_ms"
        );
        self.metrics.expired(queue.as_str(), lost);
        *self.counts().entry(queue.clone()).or_default() += lost;
    }
}

/// A place that the log does not keep any more.
pub(crate) struct Gone {
    partition: u32,
    lost: u64,
    low: u64,
}

impl Gone {
    /// Moves places below the start of their partitions to it; answers what was lost by that, to be
    /// told when the places are durable. Blocks.
    pub(crate) fn pass<C: ConsumerContext>(
        client: &Client,
        consumer: &BaseConsumer<C>,
        topic: &str,
        places: &mut [(u32, Option<Marks>)],
    ) -> KafkaResult<Vec<Gone>> {
        let mut gone = Vec::new();
        for (partition, marks) in places {
            // A group that has no place has lost none.
            let Some(marks) = marks else { continue };
            let (low, _) = consumer.fetch_watermarks(topic, *partition as i32, client.timeout())?;
            let low = low.max(0) as u64;
            let lost = marks.pass(low);
            if lost > 0 {
                gone.push(Gone {
                    partition: *partition,
                    lost,
                    low,
                });
            }
        }
        Ok(gone)
    }

    pub(crate) fn tell(&self, expired: &Expired, group: (&QueueName, &str)) {
        expired.tell(group, self.partition, self.lost, self.low);
    }
}

/// Looks whether the log has dropped what lies between a record and the one that was read before
/// it. Blocks now and then.
pub(crate) fn look(
    client: &Client,
    expired: &Expired,
    group: (&QueueName, &str),
    (partition, from, offset): (u32, u64, u64),
) {
    if offset.saturating_sub(from) < STEP_USUAL {
        return;
    }
    let topic = client.names().executions(group.0);
    match client.bounds_once(&topic, PartitionId::own(partition)) {
        Ok((low, _)) if low > from => {
            expired.tell(group, partition, low.min(offset) - from, low);
        }
        Ok(_) => {}
        Err(error) => {
            tracing::debug!(queue = %group.0, partition, %error, "could not ask what lies before a record");
        }
    }
}
