//! How many rows of the ledger are kept, whatever the clock says.

use std::sync::Arc;

use minutehand_embedded::EmbeddedStore;
use minutehand_model::time::{DAY_MS, MINUTE_MS};
use minutehand_model::{LedgerRow, LogOffset, PartitionId, Sum, Tally, Timestamp};
use minutehand_ports::{LEDGER_KEPT_MS, Ledger};

use crate::support::{open, rows};

const P: PartitionId = PartitionId::own(0);

fn minute(number: i64) -> Timestamp {
    Timestamp::from_millis(1_798_761_600_000 + number * MINUTE_MS)
}

/// Writes rows of so many minutes from one on.
async fn write(store: &Arc<EmbeddedStore>, from: i64, count: i64) {
    let rows = (from..from + count).map(|number| LedgerRow {
        tally: Tally {
            closed_by: 1,
            ..Tally::begin(minute(number), LogOffset::START)
        },
        found: Some(Sum::default()),
    });
    store.write_rows(P, rows.collect()).await.unwrap();
}

async fn kept(store: &Arc<EmbeddedStore>, from: i64, count: i64) -> usize {
    let rows = store
        .rows(P.range(minute(from), minute(from + count)))
        .await;
    rows.unwrap().len()
}

const YEAR: i64 = 365 * DAY_MS / MINUTE_MS;

#[tokio::test]
async fn a_clock_that_leaps_a_year_takes_no_row_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    write(&store, 0, 64).await;
    for number in 0..10 {
        write(&store, YEAR + number, 1).await;
    }
    write(&store, 64, 1).await;
    assert_eq!(kept(&store, 0, 100).await, 65);
}

#[tokio::test]
async fn a_partition_keeps_a_bounded_number_of_rows() {
    let promised = LEDGER_KEPT_MS / MINUTE_MS;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (batches, batch) = (75, 1_440);
    for number in 0..batches {
        write(&store, number * batch, batch).await;
    }
    let newest = batches * batch;
    assert_eq!(kept(&store, newest - batch, batch).await as i64, batch);
    drop(store);
    let store = open(folder.path());
    write(&store, newest, 1).await;
    drop(store);
    let count = rows(folder.path(), "ledger") as i64;
    assert!(
        (promised..=2 * promised + batch).contains(&count),
        "{count} rows"
    );
}
