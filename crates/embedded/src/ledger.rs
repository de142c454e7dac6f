//! The ledger: a row for each closed minute of a partition, kept for some weeks.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::{LedgerRow, PartitionId, Timestamp};
use minutehand_ports::{LEDGER_KEPT_MS, Ledger, PortError};
use minutehand_record::ledger;

use crate::keys;
use crate::scan::{self, Lost};
use crate::shared::Shared;
use crate::spaces::Spaces;
use crate::store::{Applied, EmbeddedStore};

/// Old rows that one write takes away: more than it adds.
const EXPIRED_MAX: usize = 256;

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
        let Some(newest) = rows.iter().map(|row| row.tally.minute).max() else {
            return Ok(());
        };
        let spaces = self.spaces().clone();
        let kept_from = newest.plus_millis(-LEDGER_KEPT_MS);
        let expired = self
            .read(&action, move || expired_rows(&spaces, partition, kept_from))
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
            expired
                .into_iter()
                .for_each(|key| writes.remove(space, key));
            rows.into_iter()
                .for_each(|(key, row)| writes.insert(space, key, row));
            Ok(Applied::now(()))
        })
        .await
    }

    async fn rows(
        &self,
        partition: PartitionId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<LedgerRow>, PortError> {
        let action = format!("read the ledger of partition {partition} from {from} to {until}");
        self.shared().log(partition, &action)?;
        let (spaces, shared) = (self.spaces().clone(), Arc::clone(self.shared()));
        self.read(&action, move || {
            read_rows(&spaces, &shared, partition, from, until)
        })
        .await
    }
}

/// The keys of rows that need not be kept, oldest first.
fn expired_rows(
    spaces: &Spaces,
    partition: PartitionId,
    kept_from: Timestamp,
) -> fjall::Result<Vec<Vec<u8>>> {
    let from = keys::minute(partition, Timestamp::MIN, 0);
    let until = keys::minute(partition, kept_from, 0);
    scan::rows(&spaces.ledger, from, until)
        .readable(|_| {})
        .take(EXPIRED_MAX)
        .map(|row| row.map(|(key, _)| key.to_vec()))
        .collect()
}

/// A row that cannot be understood is passed over and noted.
fn read_rows(
    spaces: &Spaces,
    shared: &Shared,
    partition: PartitionId,
    from: Timestamp,
    until: Timestamp,
) -> fjall::Result<Vec<LedgerRow>> {
    let lost =
        |lost: Lost| shared.note_lost(&format!("the ledger of partition {partition}"), &lost);
    let range = scan::rows(
        &spaces.ledger,
        keys::minute(partition, from, 0),
        keys::minute(partition, until, 0),
    );
    let mut rows = Vec::new();
    for row in range.readable(lost) {
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
