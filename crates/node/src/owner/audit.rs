//! Keeping rows of the ledger: what the owner has counted about a minute beside what the timetable
//! itself says of it, read again.

use std::sync::Arc;

use minutehand_metrics::LedgerMetrics;
use minutehand_model::{Difference, Found, LedgerRow, PartitionId, Sum, Tally};
use minutehand_ports::{Ledger, PortError, Timetable};
use tokio::sync::Semaphore;

use super::OwnerStores;

/// About how much of the timetable is read at once.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// Audits of a node that go on at once: each holds the fingerprints of a minute.
const AUDITS_MAX: usize = 1;

/// The turns that audits of a node take.
#[derive(Clone)]
pub(super) struct Auditor(Arc<Semaphore>);

impl Default for Auditor {
    fn default() -> Auditor {
        Auditor(Arc::new(Semaphore::new(AUDITS_MAX)))
    }
}

impl Auditor {
    /// Keeps a row for each of the minutes.
    pub(super) async fn keep(
        self,
        id: PartitionId,
        stores: OwnerStores,
        tallies: Vec<Tally>,
    ) -> Result<(), PortError> {
        let OwnerStores {
            timetable, ledger, ..
        } = stores;
        let _turn = self.0.acquire().await;
        let mut rows = Vec::with_capacity(tallies.len());
        for tally in tallies {
            let found = find(id, &*timetable, &tally).await?;
            rows.push(LedgerRow { tally, found });
        }
        write(id, &*ledger, &rows).await
    }
}

/// What the timetable holds of a minute, whatever the owner knows of it.
async fn find(
    id: PartitionId,
    timetable: &dyn Timetable,
    tally: &Tally,
) -> Result<Option<Sum>, PortError> {
    let mut found = Found::begin(tally);
    let (mut from, until) = (tally.minute, tally.end());
    while from < until {
        let page = timetable.read(id, from, until, READ_BYTES_MAX).await?;
        if !found.take_in(&page.entries) {
            break;
        }
        from = page.complete_until;
    }
    Ok(found.sum())
}

async fn write(id: PartitionId, ledger: &dyn Ledger, rows: &[LedgerRow]) -> Result<(), PortError> {
    ledger.write_rows(id, rows.to_vec()).await?;
    let metrics = LedgerMetrics::new(id.number());
    for row in rows {
        let differences: Vec<&str> = row.differences().map(Difference::as_str).collect();
        metrics.kept(&differences, row.found.is_some());
        if !differences.is_empty() {
            let LedgerRow { tally, found } = row;
            tracing::error!(
                partition = %id,
                minute = %tally.minute,
                differences = differences.join(", "),
                expected = tally.expected(),
                published = tally.published.count,
                early = tally.early,
                stored = ?tally.stored,
                found = ?found,
                "the ledger differs: see `minutehand bucket audit`"
            );
        }
    }
    Ok(())
}
