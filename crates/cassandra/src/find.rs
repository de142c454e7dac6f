//! Finding one task, and counting what a range holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use futures::{StreamExt, TryStreamExt, stream};
use minutehand_model::{
    BucketLoad, LogOffset, PartitionId, TaskKey, TimeRange, Timestamp, TimetableEntry, time,
};
use minutehand_ports::{ErrorClass, PortError};
use minutehand_record::block;

use crate::keys::{BlockName, Slice, day_of, position, within_reach};
use crate::listing::Listing;
use crate::pages::{each, fetch_all};
use crate::read::{SMALL_ROWS_PER_PAGE, Slices};
use crate::task_index::{Place, Shelf, places, shard};
use crate::timetable::{CassandraTimetable, number};
use crate::write::cql;

/// Requests of one look-up or one count at once.
const READS_IN_FLIGHT: usize = 16;
/// How often a look-up begins anew because rows were merged meanwhile.
const LISTINGS_MAX: usize = 5;
/// Rows of one page of the index: some kilobytes each.
const INDEX_ROWS_PER_PAGE: i32 = 500;

/// Entries of one task, by offset and due time: one record may say two things, not at the old time
/// but at the new one.
type Found = BTreeMap<(LogOffset, Timestamp), TimetableEntry>;

impl CassandraTimetable {
    /// What is filed by this task's key: a request for each level of each day that has tasks (of
    /// one day, when the due time is known), and one for each block. `None` when the due time is
    /// known and the index does not know all of its day.
    pub(crate) async fn find_task(
        &self,
        partition: PartitionId,
        key: TaskKey,
        due: Option<Timestamp>,
    ) -> Result<Option<Vec<TimetableEntry>>, PortError> {
        let action = format!("find a task in the timetable of partition {partition}");
        if !self.task_index && due.is_some() {
            return Ok(None);
        }
        if !self.task_index {
            let reason = "the index of tasks is switched off (cassandra.task_index)";
            return Err(PortError::new(ErrorClass::Fatal, action, reason));
        }
        let (first, last) = match due {
            Some(due) => (day_of(due), day_of(due)),
            None => (within_reach(Timestamp::MIN), within_reach(Timestamp::MAX)),
        };
        let minute = due.map(Timestamp::floor_to_minute);
        let Some(mut places) = self
            .indexed_places(partition, (first, last), key, due.is_some(), &action)
            .await?
        else {
            return Ok(None);
        };
        // A block holds tasks of one minute.
        places.retain(|place| {
            minute.is_none_or(|minute| place.first_due.floor_to_minute() == minute)
        });
        let found: Found = stream::iter(places)
            .map(|place| self.entries_at(partition, place, key, &action))
            .buffer_unordered(READS_IN_FLIGHT)
            .try_fold(Found::new(), |mut all, found| async move {
                all.extend(found);
                Ok(all)
            })
            .await?;
        let is_wanted = |entry: &TimetableEntry| due.is_none_or(|due| entry.due == due);
        Ok(Some(found.into_values().filter(is_wanted).collect()))
    }

    /// Where the index of some days says that a task may be. `None` when all of a day must be
    /// indexed, and is not.
    ///
    /// Rows that are merged meanwhile are first written where they go and then taken away where
    /// they were; so an answer is whole when the list of what there is has not changed since.
    async fn indexed_places(
        &self,
        partition: PartitionId,
        (first, last): (Timestamp, Timestamp),
        key: TaskKey,
        must_be_whole: bool,
        action: &str,
    ) -> Result<Option<BTreeSet<Place>>, PortError> {
        let mut there = self.listing(partition, (first, last), action).await?;
        for _ in 0..LISTINGS_MAX {
            if must_be_whole && there.has_unindexed() {
                return Ok(None);
            }
            let mut places = BTreeSet::new();
            for shelves in there.reading_order() {
                let found: Vec<Vec<Place>> = stream::iter(shelves)
                    .map(|(day, shelf)| self.places(partition, day, shelf, key, action))
                    .buffer_unordered(READS_IN_FLIGHT)
                    .try_collect()
                    .await?;
                places.extend(found.into_iter().flatten());
            }
            let now_there = self.listing(partition, (first, last), action).await?;
            if there.holds_in(&now_there) {
                return Ok(Some(places));
            }
            there = now_there;
        }
        let reason = "the index of tasks was merged again and again while it was read";
        Err(PortError::new(ErrorClass::Retry, action, reason))
    }

    /// The list of some days.
    pub(crate) async fn listing(
        &self,
        partition: PartitionId,
        (first, last): (Timestamp, Timestamp),
        action: &str,
    ) -> Result<Listing, PortError> {
        let mut listing = Listing::default();
        let take = |day, number| listing.note(day, number);
        self.days(partition, first, last, action, take).await?;
        Ok(listing)
    }

    async fn places(
        &self,
        partition: PartitionId,
        day: Timestamp,
        shelf: Shelf,
        key: TaskKey,
        action: &str,
    ) -> Result<Vec<Place>, PortError> {
        let mut found = Vec::new();
        let level = shelf.level();
        self.index_rows(
            partition,
            day,
            (shelf, shard(level, key)),
            action,
            |pointers| {
                self.index_rows_read.fetch_add(1, Ordering::Relaxed);
                found.extend(
                    places(day, pointers.unwrap_or_default(), key).map_err(|reason| {
                        // An answer without this row might lack the task.
                        let reason =
                            format!("a row of task_index of {day}, level {level}: {reason}");
                        PortError::new(ErrorClass::Fatal, action, reason)
                    })?,
                );
                Ok(())
            },
        )
        .await?;
        Ok(found)
    }

    /// Hands the pointers of every row of a shard of the index to `take`; `None` where a row has
    /// none.
    pub(crate) async fn index_rows(
        &self,
        partition: PartitionId,
        day: Timestamp,
        (shelf, shard): (Shelf, i16),
        action: &str,
        mut take: impl FnMut(Option<&[u8]>) -> Result<(), PortError>,
    ) -> Result<(), PortError> {
        let values = self.index_shard((partition, day, shelf), shard);
        let statement = &self.statements.read_index;
        let rows_max = INDEX_ROWS_PER_PAGE;
        fetch_all(self, statement, values, rows_max, action, |rows| {
            let take = |(_, pointers): (&[u8], Option<&[u8]>)| take(pointers);
            each(rows, action, take)
        })
        .await
    }

    /// The task's entries in the blocks that begin with this due time and offset.
    async fn entries_at(
        &self,
        partition: PartitionId,
        place: Place,
        key: TaskKey,
        action: &str,
    ) -> Result<Found, PortError> {
        let Slice {
            bucket,
            number: slice,
        } = Slice::of(place.first_due);
        let (low, high) = BlockName::beginning_with(place.first_offset);
        let values = (
            &self.region,
            number(partition),
            cql(bucket),
            slice,
            cql(place.first_due),
            low,
            high,
        );
        let mut found = Found::new();
        let statement = &self.statements.read_block;
        let mut take = |(name, content): (&[u8], Option<&[u8]>)| {
            match block::decode(partition, content.unwrap_or_default()) {
                Ok(block) => {
                    let entries = block.entries.into_iter().filter(|entry| entry.key == key);
                    found.extend(entries.map(|entry| ((entry.offset, entry.due), entry)));
                }
                Err(error) => {
                    let position = position(partition, place.first_due, name);
                    let reason = error.reason;
                    tracing::warn!(position, reason, "a block cannot be understood");
                }
            }
            Ok(())
        };
        let rows_max = INDEX_ROWS_PER_PAGE;
        fetch_all(self, statement, values, rows_max, action, |rows| {
            each(rows, action, &mut take)
        })
        .await?;
        Ok(found)
    }

    /// Counts by minute, from the columns beside the blocks.
    pub(crate) async fn count_loads(&self, range: TimeRange) -> Result<Vec<BucketLoad>, PortError> {
        let action = format!("count the tasks of {range}");
        let partition = range.partition;
        let (from, until) = (first_minute(range.from), first_minute(range.until));
        if from >= until {
            return Ok(Vec::new());
        }
        let mut slices = Slices::new(self, partition, from, until, &action).await?;
        let mut loads: Vec<BucketLoad> = Vec::new();
        loop {
            let mut some = Vec::new();
            while some.len() < READS_IN_FLIGHT
                && let Some(slice) = slices.next().await?
            {
                some.push(slice);
            }
            if some.is_empty() {
                return Ok(loads);
            }
            let counts =
                stream::iter(some).map(|slice| self.count_slice(partition, slice, &action));
            let counts: Vec<BucketLoad> = counts.buffered(READS_IN_FLIGHT).try_collect().await?;
            counts
                .into_iter()
                .filter(|load| load.bytes > 0)
                .for_each(|load| add(&mut loads, load));
        }
    }

    async fn count_slice(
        &self,
        partition: PartitionId,
        slice: Slice,
        action: &str,
    ) -> Result<BucketLoad, PortError> {
        let mut load = BucketLoad {
            bucket: slice.bucket,
            tasks: 0,
            bytes: 0,
        };
        let bucket = cql(slice.bucket);
        let values = (&self.region, number(partition), bucket, slice.number);
        let statement = &self.statements.read_loads;
        let count = |value: Option<i32>| u64::from(value.unwrap_or_default().unsigned_abs());
        let mut add = |(tasks, bytes): (Option<i32>, Option<i32>)| {
            load.tasks += count(tasks);
            load.bytes += count(bytes);
            Ok(())
        };
        let rows_max = SMALL_ROWS_PER_PAGE;
        fetch_all(self, statement, values, rows_max, action, |rows| {
            each(rows, action, &mut add)
        })
        .await?;
        Ok(load)
    }
}

fn add(loads: &mut Vec<BucketLoad>, load: BucketLoad) {
    match loads.last_mut() {
        Some(last) if last.bucket == load.bucket => {
            last.tasks += load.tasks;
            last.bytes += load.bytes;
        }
        _ => loads.push(load),
    }
}

/// The first minute that starts at or after a time.
fn first_minute(at: Timestamp) -> Timestamp {
    let at = within_reach(at);
    let floor = at.floor_to_minute();
    if floor < at {
        floor.plus_millis(time::MINUTE_MS)
    } else {
        floor
    }
}
