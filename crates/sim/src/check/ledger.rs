//! The ledger tells the truth: each minute has one row that agrees with the timetable, beside
//! supplements, and all that its rows say was published is what has been published.

use std::collections::BTreeSet;

use minutehand_model::ledger::execution_fingerprint;
use minutehand_model::{Difference, LedgerRow, Sum, Tally, Timestamp};

use crate::journal::{Journal, PartitionJournal};

pub(super) fn check(_: &Journal, about: &PartitionJournal) -> Result<(), String> {
    let Some(books) = &about.ledger else {
        return Ok(());
    };
    let (mut minutes, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for row in &books.rows {
        kept.insert(name(&row.tally));
        if !row.tally.is_supplement && !minutes.insert(row.tally.minute) {
            return Err(format!("minute {} was closed twice", row.tally.minute));
        }
        check_row(about, row)?;
    }
    let mut booked = Sum::default();
    let tallies = books.rows.iter().map(|row| &row.tally);
    let unkept = books.counting.iter();
    for tally in tallies.chain(unkept.filter(|tally| !kept.contains(&name(tally)))) {
        booked.count += tally.published.count;
        booked.digest = booked.digest.wrapping_add(tally.published.digest);
    }
    let mut published = Sum::default();
    for one in &about.publications {
        published.add(execution_fingerprint(one.key, one.due));
    }
    if booked != published {
        return Err(format!(
            "{} executions are out there, and the ledger says {} ({:016x}, {:016x})",
            published.count, booked.count, published.digest, booked.digest
        ));
    }
    Ok(())
}

/// What tells a tally from all others: a minute has one, and any number of supplements.
fn name(tally: &Tally) -> (Timestamp, Option<u64>) {
    let closed_by = tally.is_supplement.then_some(tally.closed_by);
    (tally.minute, closed_by)
}

fn check_row(about: &PartitionJournal, row: &LedgerRow) -> Result<(), String> {
    // What is damaged was not decided, or is not found.
    let is_damaged = !about.damaged_tasks.is_empty();
    let mut differences = row
        .differences()
        .filter(|difference| !(is_damaged && *difference == Difference::Stored));
    match differences.next() {
        None => Ok(()),
        Some(difference) => Err(format!(
            "minute {} differs ({difference}): {:?} counted, {:?} found",
            row.tally.minute, row.tally, row.found
        )),
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{LogOffset, TaskKey};

    use super::*;
    use crate::check::story::Story;
    use crate::journal::Books;

    fn row(minute: i64, keys: &[(u128, i64)]) -> LedgerRow {
        let at = Timestamp::from_millis(minute * 60_000);
        let mut tally = Tally::begin(at, LogOffset::START);
        for (key, due_ms) in keys {
            tally.due += 1;
            let due = Timestamp::from_millis(*due_ms);
            tally
                .published
                .add(execution_fingerprint(TaskKey(*key), due));
        }
        LedgerRow {
            tally,
            found: Some(Sum::default()),
        }
    }

    fn ask(published: &[(u128, i64, u64)], rows: Vec<LedgerRow>) -> Result<(), String> {
        let mut story = Story::default().creates(1, 7, 50).creates(2, 8, 50);
        story = story.ticks(60, published);
        story.partition.ledger = Some(Books {
            rows,
            counting: Vec::new(),
        });
        story.ask(check)
    }

    #[test]
    fn the_books_balance_with_what_was_published() {
        let rows = || vec![row(0, &[(7, 50), (8, 50)]), row(1, &[])];
        assert_eq!(ask(&[(7, 50, 1), (8, 50, 2)], rows()), Ok(()));
        let wrong: [&[(u128, i64, u64)]; 3] = [
            &[(7, 50, 1)],
            &[(7, 50, 1), (7, 50, 1)],
            &[(7, 50, 1), (8, 50, 2), (8, 50, 2)],
        ];
        for published in wrong {
            assert!(ask(published, rows()).is_err(), "{published:?}");
        }
        let mut again = vec![row(0, &[(7, 50)]), row(0, &[(8, 50)])];
        again[1].tally.is_supplement = true;
        assert_eq!(ask(&[(7, 50, 1), (8, 50, 2)], again), Ok(()));
        let twice = vec![row(0, &[(7, 50), (8, 50)]), row(0, &[])];
        assert!(ask(&[(7, 50, 1), (8, 50, 2)], twice).is_err());
    }

    #[test]
    fn a_row_that_differs_is_told() {
        let published = [(7, 50, 1), (8, 50, 2)];
        let mut rows = vec![row(0, &[(7, 50), (8, 50)])];
        rows[0].tally.early = 1;
        assert!(ask(&published, rows.clone()).is_err());
        rows[0].tally.early = 0;
        rows[0].tally.stored.add(1);
        assert!(ask(&published, rows).is_err());
    }
}
