//! Reading a range: only the slices that have blocks, in their order, up to a number of bytes.
//!
//! Nothing is remembered from one read to the next: a block that was acknowledged before a read
//! began must be in it, and a page fetched ahead for the next read would not have it. Within a read
//! the next page is fetched while one is decoded, and the first pages of the next slices are asked
//! for together once slices turn out to be small.

use std::collections::VecDeque;

use futures::stream::FuturesOrdered;
use futures::{StreamExt, future};
use minutehand_model::{PartitionId, SetAside, TimeRange, Timestamp, TimetablePage, time};
use minutehand_ports::{ErrorClass, PortError};
use minutehand_record::block;
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use scylla::value::CqlTimestamp;

use crate::error::failed;
use crate::keys::{Slice, day_of, position, within_reach};
use crate::pages::{Page, each, fetch, fetch_all};
use crate::timetable::{CassandraTimetable, number};
use crate::write::cql;

/// Slices whose first pages are fetched at once, when slices are small.
const SLICES_AHEAD_MAX: usize = 8;
/// Rows of one page of blocks: some 2 MB of the usual size.
const BLOCKS_PER_PAGE_MAX: usize = 128;
/// Fewest rows that are asked for: enough to see where the next due time begins.
const BLOCKS_PER_PAGE_MIN: usize = 4;
const _: () = assert!(
    BLOCKS_PER_PAGE_MIN <= BLOCKS_PER_PAGE_MAX,
    "the fewest rows are no more than the most"
);
/// What a block is taken to measure when a page's rows are chosen.
const BLOCK_BYTES_USUAL: usize = 16 * 1024;
/// Rows of one page of the small tables.
pub(crate) const SMALL_ROWS_PER_PAGE: i32 = 5_000;
/// Ranges up to so many days are not looked up in the table of days.
const DAYS_TRIED_MAX: i64 = 2;

/// A page of a slice's blocks.
struct SlicePage {
    slice: Slice,
    page: Page,
}

/// What has been decoded so far.
struct Decoded {
    page: TimetablePage,
    bytes: usize,
    last_due: Option<Timestamp>,
    /// The first due time of the first block left out.
    cut: Option<Timestamp>,
}

impl CassandraTimetable {
    pub(crate) async fn read_page(
        &self,
        range: TimeRange,
        bytes_max: usize,
    ) -> Result<TimetablePage, PortError> {
        let TimeRange {
            partition,
            from,
            until,
        } = range;
        let action = format!("read the timetable of {range}");
        let page = TimetablePage {
            complete_until: until,
            ..TimetablePage::default()
        };
        if from >= until {
            return Ok(page);
        }
        let mut decoded = Decoded {
            page,
            bytes: 0,
            last_due: None,
            cut: None,
        };
        let mut slices = Slices::new(self, partition, from, until, &action).await?;
        let (mut ahead, mut window) = (FuturesOrdered::new(), 1);
        loop {
            while ahead.len() < window
                && let Some(slice) = slices.next().await?
            {
                let rows_max = rows_for(bytes_max.saturating_sub(decoded.bytes));
                let range = (from, until);
                ahead.push_back(self.fetch_blocks(
                    partition,
                    slice,
                    range,
                    PagingState::start(),
                    rows_max,
                    &action,
                ));
            }
            let Some(first) = ahead.next().await else {
                return Ok(decoded.page);
            };
            let mut pages = 0;
            let mut current = Some(first?);
            while let Some(SlicePage {
                slice,
                page: Page { rows, next },
            }) = current.take()
            {
                pages += 1;
                let expected = decoded.bytes.saturating_add(rows.rows_bytes_size());
                let rows_max = rows_for(bytes_max.saturating_sub(expected));
                let following = async {
                    match next {
                        Some(state) => {
                            let page = self.fetch_blocks(
                                partition,
                                slice,
                                (from, until),
                                state,
                                rows_max,
                                &action,
                            );
                            page.await.map(Some)
                        }
                        None => Ok(None),
                    }
                };
                let decoding = decode(partition, rows, decoded, bytes_max, &action);
                let (following, answer) = future::join(following, decoding).await;
                decoded = answer?;
                if let Some(cut) = decoded.cut {
                    decoded.page.complete_until = cut;
                    return Ok(decoded.page);
                }
                current = following?;
            }
            window = if pages == 1 {
                (window * 2).min(SLICES_AHEAD_MAX)
            } else {
                1
            };
            if decoded.bytes >= bytes_max {
                // Only the next block's due time is still wanted.
                window = 1;
            }
        }
    }

    async fn fetch_blocks(
        &self,
        partition: PartitionId,
        slice: Slice,
        (from, until): (Timestamp, Timestamp),
        state: PagingState,
        rows_max: usize,
        action: &str,
    ) -> Result<SlicePage, PortError> {
        let begins = cql(from.max(slice.begins()));
        let ends = cql(until.min(slice.ends()));
        let values = (
            &self.region,
            number(partition),
            cql(slice.bucket),
            slice.number,
            begins,
            ends,
        );
        let statement = &self.statements.read_blocks;
        let page = fetch(self, statement, values, state, rows_max as i32, action).await?;
        Ok(SlicePage { slice, page })
    }
}

/// How many rows to ask for when so many bytes are still wanted.
fn rows_for(bytes: usize) -> usize {
    (bytes / BLOCK_BYTES_USUAL).clamp(BLOCKS_PER_PAGE_MIN, BLOCKS_PER_PAGE_MAX)
}

/// Decodes a page of blocks on a thread where it holds up nobody.
async fn decode(
    partition: PartitionId,
    rows: QueryRowsResult,
    mut decoded: Decoded,
    bytes_max: usize,
    action: &str,
) -> Result<Decoded, PortError> {
    let action = action.to_owned();
    let work =
        move || add_rows(partition, &rows, &mut decoded, bytes_max, &action).map(|()| decoded);
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(
                PortError::new(ErrorClass::Fatal, "decode blocks", "the decoder failed")
                    .caused_by(error),
            )
        })
}

/// A row of the table of blocks.
type BlockRow<'frame> = (CqlTimestamp, &'frame [u8], Option<&'frame [u8]>);

fn add_rows(
    partition: PartitionId,
    rows: &QueryRowsResult,
    decoded: &mut Decoded,
    bytes_max: usize,
    action: &str,
) -> Result<(), PortError> {
    for row in rows
        .rows::<BlockRow<'_>>()
        .map_err(|error| failed(action, error))?
    {
        let (first_due, name, content) = row.map_err(|error| failed(action, error))?;
        let (first_due, content) = (
            Timestamp::from_millis(first_due.0),
            content.unwrap_or_default(),
        );
        if decoded.bytes >= bytes_max
            && decoded
                .last_due
                .is_some_and(|last_due| last_due != first_due)
        {
            decoded.cut = Some(first_due);
            return Ok(());
        }
        decoded.last_due = Some(first_due);
        decoded.bytes += content.len();
        match block::decode(partition, content) {
            Ok(block) => decoded.page.entries.extend(block.entries),
            Err(error) => {
                let position = position(partition, first_due, name);
                let (reason, bytes) = (error.to_string(), content.to_vec().into());
                tracing::warn!(position, reason, "a block cannot be understood");
                decoded
                    .page
                    .set_aside
                    .push(SetAside::new(position, reason, bytes));
            }
        }
    }
    Ok(())
}

/// The slices of a range that have blocks, in order; looked up day by day.
pub(crate) struct Slices<'a> {
    timetable: &'a CassandraTimetable,
    partition: PartitionId,
    from: Timestamp,
    until: Timestamp,
    action: &'a str,
    days: VecDeque<Timestamp>,
    slices: VecDeque<Slice>,
}

impl<'a> Slices<'a> {
    /// Of the blocks whose first due time is at or after `from` and before `until`.
    pub(crate) async fn new(
        timetable: &'a CassandraTimetable,
        partition: PartitionId,
        from: Timestamp,
        until: Timestamp,
        action: &'a str,
    ) -> Result<Slices<'a>, PortError> {
        let (from, until) = (within_reach(from), within_reach(until));
        let (first, last) = (day_of(from), day_of(until));
        let days = if last.millis_since(first) < DAYS_TRIED_MAX * time::DAY_MS {
            let tried = [first, last];
            tried[..if first == last { 1 } else { 2 }]
                .iter()
                .copied()
                .collect()
        } else {
            let mut days: VecDeque<Timestamp> = VecDeque::new();
            timetable
                .days(partition, first, last, action, |day, _| {
                    if days.back() != Some(&day) {
                        days.push_back(day);
                    }
                })
                .await?;
            days
        };
        Ok(Slices {
            timetable,
            partition,
            from,
            until,
            action,
            days,
            slices: VecDeque::new(),
        })
    }

    /// The next slice.
    pub(crate) async fn next(&mut self) -> Result<Option<Slice>, PortError> {
        while self.slices.is_empty() {
            let Some(day) = self.days.pop_front() else {
                return Ok(None);
            };
            self.look_up(day).await?;
        }
        Ok(self.slices.pop_front())
    }

    async fn look_up(&mut self, day: Timestamp) -> Result<(), PortError> {
        let Slices {
            timetable,
            partition,
            from,
            until,
            action,
            ..
        } = *self;
        let values = (
            &timetable.region,
            number(partition),
            cql(day),
            cql(from.floor_to_minute()),
            cql(until),
        );
        let statement = &timetable.statements.read_buckets;
        let slices = &mut self.slices;
        let mut take = |(bucket, number): (CqlTimestamp, i16)| {
            let slice = Slice {
                bucket: Timestamp::from_millis(bucket.0),
                number,
            };
            if slice.ends() > from && slice.begins() < until {
                slices.push_back(slice);
            }
            Ok(())
        };
        let rows_max = SMALL_ROWS_PER_PAGE;
        fetch_all(timetable, statement, values, rows_max, action, |rows| {
            each(rows, action, &mut take)
        })
        .await
    }
}

impl CassandraTimetable {
    /// Hands every day from `first` to `last` that has blocks to `take`, in order, once for each
    /// level of its index.
    pub(crate) async fn days(
        &self,
        partition: PartitionId,
        first: Timestamp,
        last: Timestamp,
        action: &str,
        mut take: impl FnMut(Timestamp, i16),
    ) -> Result<(), PortError> {
        let values = (&self.region, number(partition), cql(first), cql(last));
        let statement = &self.statements.read_days;
        let mut take = |(day, level): (CqlTimestamp, i16)| {
            take(Timestamp::from_millis(day.0), level);
            Ok(())
        };
        let rows_max = SMALL_ROWS_PER_PAGE;
        fetch_all(self, statement, values, rows_max, action, |rows| {
            each(rows, action, &mut take)
        })
        .await
    }
}
