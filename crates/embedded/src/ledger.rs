//! The ledger: a row for each closed minute of a partition, kept for some weeks. How many are kept is
//! bounded, and not how old they are: a clock that leaps ahead by a year must not take away the rows
//! of this month.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{LedgerRow, PartitionId, TimeRange, Timestamp};
use minutehand_ports::{LEDGER_MINUTES_MAX, Ledger, PortError};
use minutehand_record::ledger;

use crate::keys;
use crate::row_counts::ROWS_MAX;
use crate::scan::{self, Lost};
use crate::shared::Shared;
use crate::spaces::Spaces;
use crate::store::{Applied, EmbeddedStore};

/// Rows of the oldest minutes that are taken away at once: a day's.
const SURPLUS_MAX: usize = LEDGER_MINUTES_MAX as usize;

#[async_trait]
impl Ledger for EmbeddedStore {
    async fn write_rows(
        &self,
        partition: PartitionId,
        rows: Vec<LedgerRow>,
    ) -> Result<(), PortError> {
        let action = format!(
            "write {} minutes of partition {partition} to the ledger",
            rows.len()
        );
        self.shared().log(partition, &action)?;
        if rows.is_empty() {
            return Ok(());
        }
        let surplus = self
            .surplus_of_ledger(partition, rows.len(), &action)
            .await?;
        let rows: Vec<(Vec<u8>, Bytes)> = rows
            .iter()
            .map(|row| {
                let key = keys::minute(partition, row.tally.minute, row.tally.closed_by);
                (key, ledger::encode(row))
            })
            .collect();
        let bytes = rows.iter().map(|(key, row)| key.len() + row.len()).sum();
        self.submit(action, bytes, false, move |state, writes| {
            let space = &state.spaces.ledger;
            surplus
                .into_iter()
                .for_each(|key| writes.remove(space, key));
            rows.into_iter()
                .for_each(|(key, row)| writes.insert(space, key, row));
            Ok(Applied::now(()))
        })
        .await
    }

    async fn rows(&self, range: TimeRange) -> Result<Vec<LedgerRow>, PortError> {
        let action = format!("read the ledger of {range}");
        self.shared().log(range.partition, &action)?;
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        self.read(&action, move || read_rows(&spaces, &shared, range))
            .await
    }
}

impl EmbeddedStore {
    /// The keys of rows that have to go because more are added.
    async fn surplus_of_ledger(
        &self,
        partition: PartitionId,
        added: usize,
        action: &str,
    ) -> Result<Vec<Vec<u8>>, PortError> {
        let shared = Arc::clone(self.shared());
        if !shared.ledger_rows.add(partition, added) {
            return Ok(Vec::new());
        }
        let spaces = self.spaces().clone();
        self.read(action, move || {
            let (mut oldest, count) = oldest_rows(&spaces, partition)?;
            if count + added <= ROWS_MAX {
                oldest.clear();
            }
            let left = count + added - oldest.len();
            shared.ledger_rows.set(partition, left);
            Ok(oldest)
        })
        .await
    }
}

/// The keys of the rows of the oldest minutes, and how many rows there are.
fn oldest_rows(spaces: &Spaces, partition: PartitionId) -> fjall::Result<(Vec<Vec<u8>>, usize)> {
    let from = keys::minute(partition, Timestamp::MIN, 0);
    let until = keys::minute(partition, Timestamp::MAX, u64::MAX);
    let (mut oldest, mut count) = (Vec::new(), 0);
    for row in scan::rows(&spaces.ledger, from, until).readable(|_| {}) {
        let (key, _) = row?;
        count += 1;
        if count <= SURPLUS_MAX {
            oldest.push(key.to_vec());
        }
    }
    Ok((oldest, count))
}

/// A row that cannot be understood is passed over and noted.
fn read_rows(spaces: &Spaces, shared: &Shared, range: TimeRange) -> fjall::Result<Vec<LedgerRow>> {
    let partition = range.partition;
    let lost =
        |lost: Lost| shared.note_lost(&format!("the ledger of partition {partition}"), &lost);
    let stored = scan::rows(
        &spaces.ledger,
        keys::minute(partition, range.from, 0),
        keys::minute(partition, range.until, 0),
    );
    let mut rows = Vec::new();
    for row in stored.readable(lost) {
        let (_, value) = row?;
        match ledger::decode(&value.into()) {
            Ok(row) => rows.push(row),
            Err(error) => {
                let position = format!("a row of the ledger of partition {partition}");
                shared.note_corruption(position, error.reason);
            }
        }
    }
    Ok(rows)
}
