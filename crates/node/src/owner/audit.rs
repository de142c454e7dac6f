//! Keeping rows of the ledger: what the owner has counted about a minute beside what the timetable
//! itself says of it, read again.

use std::collections::BTreeSet;
use std::sync::Arc;

use minutehand_metrics::LedgerMetrics;
use minutehand_model::{Difference, Found, LedgerRow, PartitionId, Sum, Tally, Timestamp};
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

/// What the timetable holds of a minute, whatever the owner knows of it. With a supplement nothing
/// is compared: the first row of its minute has told.
async fn find(
    id: PartitionId,
    timetable: &dyn Timetable,
    tally: &Tally,
) -> Result<Option<Sum>, PortError> {
    let mut found = Found::begin(tally);
    if tally.is_supplement {
        return Ok(found.sum());
    }
    let (mut from, until) = (tally.minute, tally.end());
    while from < until {
        let page = timetable
            .read(id.range(from, until), READ_BYTES_MAX)
            .await?;
        if !found.take_in(&page.entries) {
            break;
        }
        from = page.complete_until;
    }
    Ok(found.sum())
}

/// The minutes of rows that had a row already: they were closed twice.
async fn repeated(
    id: PartitionId,
    ledger: &dyn Ledger,
    rows: &[LedgerRow],
) -> Result<BTreeSet<Timestamp>, PortError> {
    let first_rows = |rows: &[LedgerRow]| -> Vec<Tally> {
        let tallies = rows.iter().map(|row| row.tally);
        tallies.filter(|tally| !tally.is_supplement).collect()
    };
    let written = first_rows(rows);
    let (Some(first), Some(last)) = (written.first(), written.last()) else {
        return Ok(BTreeSet::new());
    };
    let kept = ledger.rows(id.range(first.minute, last.end())).await?;
    let mut seen = BTreeSet::new();
    let minutes = first_rows(&kept).into_iter().map(|tally| tally.minute);
    Ok(minutes.filter(|minute| !seen.insert(*minute)).collect())
}

async fn write(id: PartitionId, ledger: &dyn Ledger, rows: &[LedgerRow]) -> Result<(), PortError> {
    ledger.write_rows(id, rows.to_vec()).await?;
    let repeated = repeated(id, ledger, rows).await?;
    let metrics = LedgerMetrics::new(id.number());
    for row in rows {
        let is_repeated = !row.tally.is_supplement && repeated.contains(&row.tally.minute);
        let differences = row
            .differences()
            .chain(is_repeated.then_some(Difference::Repeated));
        let differences: Vec<&str> = differences.map(Difference::as_str).collect();
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use minutehand_model::{LogOffset, TimeRange};

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<LedgerRow>>);

    #[async_trait]
    impl Ledger for Kept {
        async fn write_rows(&self, _: PartitionId, rows: Vec<LedgerRow>) -> Result<(), PortError> {
            self.0.lock().unwrap().extend(rows);
            Ok(())
        }

        async fn rows(&self, range: TimeRange) -> Result<Vec<LedgerRow>, PortError> {
            let TimeRange { from, until, .. } = range;
            let rows = self.0.lock().unwrap().clone();
            let is_asked_for = |row: &LedgerRow| (from..until).contains(&row.tally.minute);
            Ok(rows.into_iter().filter(is_asked_for).collect())
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * 60_000)
    }

    fn row(tally: Tally, closed_by: u64) -> LedgerRow {
        LedgerRow {
            tally: Tally { closed_by, ..tally },
            found: Some(Sum::default()),
        }
    }

    #[tokio::test]
    async fn a_minute_that_has_a_row_already_is_repeated() {
        let (id, ledger) = (PartitionId::own(0), Kept::default());
        let first = |minute| Tally::begin(at(minute), LogOffset::START);
        let steps = [
            (vec![row(first(1), 5), row(first(2), 5)], vec![]),
            (vec![row(Tally::supplement(at(2)), 6)], vec![]),
            (vec![row(first(2), 7), row(first(3), 7)], vec![at(2)]),
        ];
        for (rows, expected) in steps {
            ledger.write_rows(id, rows.clone()).await.unwrap();
            let repeated = repeated(id, &ledger, &rows).await.unwrap();
            assert_eq!(repeated.into_iter().collect::<Vec<_>>(), expected);
        }
    }
}
