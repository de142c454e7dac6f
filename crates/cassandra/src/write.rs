//! Writing blocks: encoded, filed under their slices, made known, indexed; answered when all of it
//! is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use minutehand_model::{Block, Fact, PartitionId, Timestamp, time};
use minutehand_ports::{ErrorClass, PortError};
use minutehand_record::block;
use scylla::statement::batch::{Batch, BatchType};
use scylla::value::CqlTimestamp;

use crate::clock;
use crate::error::failed;
use crate::index_tiers::{Held, Tier};
use crate::keys::{BlockName, Slice, day_of};
use crate::task_index::{self, IndexRow, Shelf};
use crate::timetable::{CassandraTimetable, empty_block, number};
use crate::written::{Bucket, Day};

/// Small blocks of one slice go together up to this size: one mutation instead of several. Larger
/// ones gain nothing.
const BATCH_BYTES_MAX: usize = 16 * 1024;

/// A block, ready to be stored.
struct Encoded {
    partition: PartitionId,
    slice: Slice,
    first_due: Timestamp,
    last_due: Timestamp,
    name: BlockName,
    entries: i32,
    tasks: i32,
    content: Bytes,
}

/// Everything that one call stores.
struct Work {
    /// Blocks of one slice each, together no larger than a batch unless there is only one.
    batches: Vec<Vec<Encoded>>,
    index: Vec<IndexRow>,
    days: BTreeSet<Day>,
    buckets: BTreeSet<Bucket>,
}

impl CassandraTimetable {
    pub(crate) async fn write(&self, blocks: Vec<Block>) -> Result<(), PortError> {
        let action = format!("write {} blocks to the timetable", blocks.len());
        if blocks.iter().any(|block| block.entries.is_empty()) {
            return Err(empty_block(&action));
        }
        let now = clock::now();
        let Work {
            batches,
            index,
            mut days,
            mut buckets,
        } = self.encode(blocks, &action).await?;
        assert_eq!(
            batches.is_empty(),
            buckets.is_empty(),
            "what is stored stands in a bucket, and nothing else has one"
        );
        let filed = self.file(&index, &action).await?;
        days.extend(
            filed
                .iter()
                .map(|((partition, day, _), held)| (*partition, *day, held.number())),
        );
        // What is past lives from now on, so what was made known when it was not may expire first:
        // say it again.
        let is_past = |end: Timestamp| end <= now;
        let past_days = take(&mut days, |(_, day, _)| {
            is_past(day.plus_millis(time::DAY_MS))
        });
        let past_buckets = take(&mut buckets, |(slice, _)| is_past(bucket_end(*slice)));
        self.written.retain_unknown(&mut days, &mut buckets);

        let mut requests: Vec<BoxFuture<'_, Result<(), PortError>>> = Vec::new();
        let mut rows =
            days.len() + buckets.len() + past_days.len() + past_buckets.len() + index.len();
        rows += batches.iter().map(Vec::len).sum::<usize>();
        requests.extend(
            days.union(&past_days)
                .map(|day| self.write_day(*day, now, &action).boxed()),
        );
        requests.extend(
            buckets
                .union(&past_buckets)
                .map(|bucket| self.write_bucket(*bucket, now, &action).boxed()),
        );
        requests.extend(
            batches
                .into_iter()
                .map(|batch| self.write_batch(batch, now, &action).boxed()),
        );
        requests.extend(index.iter().map(|row| {
            let shelf = *filed[&row.tier()];
            self.write_index(row.clone(), shelf, now, &action).boxed()
        }));
        self.carry_out(requests).await?;
        self.written.acknowledged(days, buckets);
        self.rows_written.fetch_add(rows as u64, Ordering::Relaxed);
        let tiers: Vec<Tier> = filed.keys().copied().collect();
        self.refile_what_was_merged(index, filed, &action).await?;
        self.merge_ripe(tiers).await;
        Ok(())
    }

    /// Encodes blocks, on a thread that may be busy with that.
    async fn encode(&self, blocks: Vec<Block>, action: &str) -> Result<Work, PortError> {
        let with_index = self.task_index;
        let encoding = tokio::task::spawn_blocking(move || prepare(&blocks, with_index));
        encoding.await.map_err(|error| {
            let reason = "the blocks could not be encoded";
            PortError::new(ErrorClass::Fatal, action, reason).caused_by(error)
        })
    }

    /// Sends requests, so many at once as may be; the first that fails ends it.
    async fn carry_out(
        &self,
        requests: Vec<BoxFuture<'_, Result<(), PortError>>>,
    ) -> Result<(), PortError> {
        stream::iter(requests)
            .map(Ok)
            .try_for_each_concurrent(self.writes_in_flight_max, |request| async {
                let _permit = self.writes.acquire().await;
                request.await
            })
            .await
    }

    /// Where the rows of the index go; held until they are acknowledged.
    pub(crate) async fn file(
        &self,
        index: &[IndexRow],
        action: &str,
    ) -> Result<BTreeMap<Tier, Held>, PortError> {
        let tiers: BTreeSet<Tier> = index.iter().map(IndexRow::tier).collect();
        let days = tiers
            .iter()
            .map(|(partition, day, _)| (*partition, *day))
            .collect();
        self.learn_tiers(&days, action).await?;
        Ok(tiers
            .into_iter()
            .map(|tier| (tier, self.tiers.file(tier)))
            .collect())
    }

    async fn write_batch(
        &self,
        blocks: Vec<Encoded>,
        now: Timestamp,
        action: &str,
    ) -> Result<(), PortError> {
        let values = |block: Encoded| {
            let ttl = self.expiry.ttl_seconds(bucket_end(block.slice), now);
            let bytes = block.content.len() as i32;
            (
                self.region.as_str(),
                number(block.partition),
                cql(block.slice.bucket),
                block.slice.number,
                cql(block.first_due),
                block.name.to_array(),
                cql(block.last_due),
                block.entries,
                block.tasks,
                bytes,
                block.content,
                ttl,
            )
        };
        let mut values: Vec<_> = blocks.into_iter().map(values).collect();
        if values.len() == 1
            && let Some(only) = values.pop()
        {
            let answer = self
                .session
                .execute_unpaged(&self.statements.write_block, only)
                .await;
            return answer.map(drop).map_err(|error| failed(action, error));
        }
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        values
            .iter()
            .for_each(|_| batch.append_statement(self.statements.write_block.clone()));
        self.session
            .batch(&batch, values)
            .await
            .map(drop)
            .map_err(|error| failed(action, error))
    }

    pub(crate) async fn write_day(
        &self,
        day: Day,
        now: Timestamp,
        action: &str,
    ) -> Result<(), PortError> {
        let (partition, day, level) = day;
        let ttl = self.expiry.ttl_seconds(day.plus_millis(time::DAY_MS), now);
        let values = (&self.region, number(partition), cql(day), level, ttl);
        let answer = self
            .session
            .execute_unpaged(&self.statements.write_day, values)
            .await;
        answer.map(drop).map_err(|error| failed(action, error))
    }

    async fn write_bucket(
        &self,
        bucket: Bucket,
        now: Timestamp,
        action: &str,
    ) -> Result<(), PortError> {
        let (slice, partition) = bucket;
        let ttl = self.expiry.ttl_seconds(bucket_end(slice), now);
        let day = cql(day_of(slice.bucket));
        let values = (
            &self.region,
            number(partition),
            day,
            cql(slice.bucket),
            slice.number,
            ttl,
        );
        let answer = self
            .session
            .execute_unpaged(&self.statements.write_bucket, values)
            .await;
        answer.map(drop).map_err(|error| failed(action, error))
    }

    pub(crate) async fn write_index(
        &self,
        row: IndexRow,
        shelf: Shelf,
        now: Timestamp,
        action: &str,
    ) -> Result<(), PortError> {
        let ttl = self
            .expiry
            .ttl_seconds(row.day.plus_millis(time::DAY_MS), now);
        let values = (
            &self.region,
            number(row.partition),
            cql(row.day),
            shelf.number(),
            row.shard,
            row.run,
            row.entries,
            ttl,
        );
        let answer = self
            .session
            .execute_unpaged(&self.statements.write_index, values)
            .await;
        answer.map(drop).map_err(|error| failed(action, error))
    }
}

/// The first time after a slice's minute: all that is filed in the minute is wanted until then.
fn bucket_end(slice: Slice) -> Timestamp {
    slice.bucket.plus_millis(time::MINUTE_MS)
}

pub(crate) fn cql(at: Timestamp) -> CqlTimestamp {
    CqlTimestamp(at.as_millis())
}

/// Takes out of a set what is wanted.
fn take<T: Ord + Copy>(
    set: &mut BTreeSet<T>,
    mut is_wanted: impl FnMut(&T) -> bool,
) -> BTreeSet<T> {
    let wanted: BTreeSet<T> = set.iter().copied().filter(|one| is_wanted(one)).collect();
    set.retain(|one| !wanted.contains(one));
    wanted
}

fn prepare(blocks: &[Block], with_index: bool) -> Work {
    let index = if with_index {
        task_index::rows(blocks)
    } else {
        Vec::new()
    };
    let mut days = BTreeSet::new();
    if !with_index {
        let unindexed = |block: &Block| {
            (
                block.partition,
                day_of(block.bucket),
                task_index::NOT_INDEXED,
            )
        };
        days.extend(blocks.iter().map(unindexed));
    }
    let mut buckets = BTreeSet::new();
    let mut slices: BTreeMap<Bucket, Vec<Vec<Encoded>>> = BTreeMap::new();
    for block in blocks {
        let encoded = encode(block);
        let bucket = (encoded.slice, encoded.partition);
        buckets.insert(bucket);
        add(slices.entry(bucket).or_default(), encoded);
    }
    Work {
        batches: slices.into_values().flatten().collect(),
        index,
        days,
        buckets,
    }
}

/// Adds a block to the last batch of its slice, or begins another.
fn add(batches: &mut Vec<Vec<Encoded>>, encoded: Encoded) {
    let fits = |batch: &Vec<Encoded>| {
        let bytes: usize = batch.iter().map(|block| block.content.len()).sum();
        bytes + encoded.content.len() <= BATCH_BYTES_MAX
    };
    match batches.last_mut().filter(|batch| fits(batch)) {
        Some(batch) => {
            debug_assert!(
                batch.iter().all(|one| one.slice == encoded.slice),
                "a batch is one mutation of one slice"
            );
            batch.push(encoded);
        }
        None => batches.push(vec![encoded]),
    }
}

fn encode(block: &Block) -> Encoded {
    let content = block::encode(block);
    let tasks = block
        .entries
        .iter()
        .filter(|entry| matches!(entry.fact, Fact::Runs(_)))
        .count();
    debug_assert_eq!(
        block.first_due().floor_to_minute(),
        block.bucket,
        "a block lies in the minute of its tasks"
    );
    debug_assert!(
        block.entries.is_sorted_by_key(|entry| entry.due),
        "the entries of a block are in order"
    );
    Encoded {
        partition: block.partition,
        slice: Slice::of(block.first_due()),
        first_due: block.first_due(),
        last_due: block.entries.last().map_or(block.bucket, |entry| entry.due),
        name: BlockName::of(block, &content),
        entries: block.entries.len() as i32,
        tasks: tasks as i32,
        content,
    }
}
