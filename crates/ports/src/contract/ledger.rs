//! The ledger: rows of closed minutes.

use minutehand_model::{LedgerRow, PartitionId, Sum, Tally, Timestamp};

use super::samples::{MINUTE, P0, P1, at, tally};
use super::{Harness, Stores};

/// Rows are kept for a while after their minute, so these are about the present.
fn minute(number: i64) -> Timestamp {
    at(MINUTE + number * 60_000)
}

fn row(number: i64, closed_by: u64) -> LedgerRow {
    LedgerRow {
        tally: Tally {
            closed_by,
            ..tally(minute(number), 5)
        },
        found: Some(Sum {
            count: 3,
            digest: u64::MAX - 1,
        }),
    }
}

async fn write(stores: &Stores, partition: PartitionId, rows: &[LedgerRow]) {
    let written = stores.ledger.write_rows(partition, rows.to_vec()).await;
    written.unwrap();
}

async fn read(stores: &Stores, partition: PartitionId, from: i64, until: i64) -> Vec<LedgerRow> {
    let rows = stores
        .ledger
        .rows(partition.range(minute(from), minute(until)))
        .await;
    rows.unwrap()
}

/// Every column comes back, and what was not found out stays unknown.
pub async fn a_row_comes_back_as_it_was_written(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let unknown = LedgerRow {
        found: None,
        ..row(1, 9)
    };
    write(&stores, P0, &[row(0, 7), unknown]).await;
    assert_eq!(read(&stores, P0, 0, 2).await, [row(0, 7), unknown]);
}

/// An owner that has not heard the answer writes it again.
pub async fn writing_a_row_again_changes_nothing(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    for _ in 0..2 {
        write(&stores, P0, &[row(0, 7)]).await;
    }
    assert_eq!(read(&stores, P0, 0, 1).await, [row(0, 7)]);
}

/// Somebody has done the minute twice, and it shows.
pub async fn a_minute_closed_twice_has_two_rows(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    write(&stores, P0, &[row(0, 9)]).await;
    write(&stores, P0, &[row(0, 7)]).await;
    assert_eq!(read(&stores, P0, 0, 1).await, [row(0, 7), row(0, 9)]);
}

/// `from` belongs to a range, `until` does not; partitions are apart; days join.
pub async fn a_range_of_minutes_is_read_in_order(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    let day = 24 * 60;
    let all: Vec<LedgerRow> = [0, 1, 2, day - 1].map(|number| row(number, 7)).to_vec();
    write(&stores, P0, &all).await;
    write(&stores, P1, &[row(1, 8)]).await;
    assert_eq!(read(&stores, P0, 1, 2).await, [row(1, 7)]);
    assert_eq!(read(&stores, P0, 0, day).await, all);
    assert_eq!(read(&stores, P1, 0, day).await, [row(1, 8)]);
    assert_eq!(read(&stores, P0, 3, day - 1).await, []);
}

/// A new process finds them.
pub async fn everything_is_there_after_a_restart(harness: &dyn Harness) {
    let stores = harness.fresh().await;
    write(&stores, P0, &[row(0, 7)]).await;
    let stores = harness.reopen(stores).await;
    assert_eq!(read(&stores, P0, 0, 1).await, [row(0, 7)]);
}
