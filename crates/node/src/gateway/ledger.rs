//! What an operator asks of the ledger: did everything run that was due in a minute?

use std::collections::BTreeMap;

use minutehand_model::time::MINUTE_MS;
use minutehand_model::{Difference, LedgerRow, PartitionId, Sum, Tally, Timestamp, Verdict};
use minutehand_ports::DeadLetter;

use super::tasks::find::decode;
use super::{Gateway, QueryError, Unavailable};

/// Most dead letters that are looked through for one minute, of all queues.
const LETTERS_SEEN_MAX: usize = 20_000;
/// Most of them that are read at once.
const LETTERS_PAGE: usize = 1_000;

/// What is known of one minute of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinuteAudit {
    /// Which partition.
    pub partition: PartitionId,
    /// The minute's rows, in the order of the ticks that closed it: one beside supplements, unless
    /// something was done twice.
    pub rows: Vec<LedgerRow>,
    /// Up to where the partition's owner is done with minutes, when it is known: an earlier one that
    /// has no row gets none.
    pub closed_before: Option<Timestamp>,
    /// Dead letters that are kept of executions that were due in the minute; `None` when there are
    /// too many letters to look through.
    pub dead_letters: Option<u64>,
}

impl MinuteAudit {
    /// Everything in which the minute differs from what it must be.
    pub fn differences(&self) -> Vec<Difference> {
        let is_repeated = self.first_rows().count() > 1;
        let repeated = is_repeated.then_some(Difference::Repeated);
        let rows = self.rows.iter().flat_map(LedgerRow::differences);
        let mut all: Vec<Difference> = rows.chain(repeated).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether everything ran that was due.
    pub fn verdict(&self) -> Verdict {
        match () {
            () if !self.differences().is_empty() => Verdict::Differs,
            () if self.first_rows().next().is_none() || self.is_open() => Verdict::Open,
            () if self.rows.iter().any(|row| row.found.is_none()) => Verdict::Unverified,
            () => Verdict::Complete,
        }
    }

    /// The rows that stand for themselves: one, unless something was done twice.
    fn first_rows(&self) -> impl DoubleEndedIterator<Item = &LedgerRow> {
        self.rows.iter().filter(|row| !row.tally.is_supplement)
    }

    /// Whether the owner is not done with the minute although it has a row: a clock that was ahead
    /// had closed it.
    fn is_open(&self) -> bool {
        let minute = self.rows.first().map(|row| row.tally.minute);
        let is_before = |before: Timestamp| minute.is_some_and(|minute| minute < before);
        self.closed_before.is_some_and(|before| !is_before(before))
    }

    /// The counts of the minute: those of the row that was written last, and of all supplements.
    pub fn tally(&self) -> Option<Tally> {
        let last = self.first_rows().next_back()?.tally;
        let supplements = self.rows.iter().filter(|row| row.tally.is_supplement);
        Some(supplements.fold(last, |sum, row| sum.plus(&row.tally)))
    }

    /// What was found in the timetable.
    pub fn found(&self) -> Option<Sum> {
        self.first_rows().next_back()?.found
    }
}

impl Gateway {
    /// What the ledger says of a minute, for every partition.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn audit(&self, minute: Timestamp) -> Result<Vec<MinuteAudit>, QueryError> {
        let minute = minute.floor_to_minute();
        let dead = self.dead_letters_of(minute).await?;
        let mut audits = Vec::new();
        for view in self.partitions() {
            let partition = view.partition;
            let rows = self
                .stores
                .ledger
                .rows(partition.range(minute, minute.plus_millis(MINUTE_MS)))
                .await
                .map_err(Unavailable::from)?;
            audits.push(MinuteAudit {
                partition,
                rows,
                closed_before: view.status.closed_before,
                dead_letters: dead
                    .as_ref()
                    .map(|dead| dead.get(&partition).copied().unwrap_or(0)),
            });
        }
        Ok(audits)
    }

    /// How many dead letters of each partition are of executions that were due in a minute.
    async fn dead_letters_of(
        &self,
        minute: Timestamp,
    ) -> Result<Option<BTreeMap<PartitionId, u64>>, QueryError> {
        let mut count: BTreeMap<PartitionId, u64> = BTreeMap::new();
        let mut left = LETTERS_SEEN_MAX;
        for queue in self
            .stores
            .queue
            .queues()
            .await
            .map_err(Unavailable::from)?
        {
            let mut next = Some(0);
            while let Some(from) = next {
                let page = self.stores.history.dead_letters(&queue, from, LETTERS_PAGE);
                let page = page.await.map_err(Unavailable::from)?;
                let Some(fewer) = left.checked_sub(page.letters.len()) else {
                    return Ok(None);
                };
                (left, next) = (fewer, page.next);
                for (_, letter) in page.letters.iter().filter(|(_, one)| is_of(minute, one)) {
                    *count.entry(letter.partition).or_default() += 1;
                }
            }
        }
        Ok(Some(count))
    }
}

/// Whether a letter is of an execution that was due in a minute. It was given up later than that.
fn is_of(minute: Timestamp, letter: &DeadLetter) -> bool {
    letter.at >= minute
        && decode(&letter.encoded).is_ok_and(|task| task.due.floor_to_minute() == minute)
}

#[cfg(test)]
mod tests {
    use minutehand_model::LogOffset;

    use super::*;

    fn of(rows: Vec<LedgerRow>) -> MinuteAudit {
        MinuteAudit {
            partition: PartitionId::own(0),
            rows,
            closed_before: None,
            dead_letters: None,
        }
    }

    fn audit(rows: Vec<LedgerRow>) -> (Verdict, Vec<Difference>) {
        let audit = of(rows);
        (audit.verdict(), audit.differences())
    }

    #[test]
    fn supplements_come_on_top_of_the_row_of_their_minute() {
        let minute = Timestamp::from_millis(0);
        let row = |tally, due| {
            let published = Sum {
                count: due,
                digest: u64::MAX,
            };
            LedgerRow {
                tally: Tally {
                    due,
                    published,
                    ..tally
                },
                found: Some(Sum::default()),
            }
        };
        let first = row(Tally::begin(minute, LogOffset::START), 1);
        let supplement = row(Tally::supplement(minute), 2);
        let mut audit = of(vec![supplement, first, supplement]);
        let tally = audit.tally().expect("a row");
        assert_eq!((tally.expected(), tally.published.count), (5, 5));
        assert_eq!(tally.published.digest, u64::MAX - 2);
        assert_eq!(audit.verdict(), Verdict::Complete);
        audit.closed_before = Some(minute);
        assert_eq!(audit.verdict(), Verdict::Open);
        assert_eq!(of(vec![supplement]).verdict(), Verdict::Open);
    }

    #[test]
    fn a_minute_has_one_verdict_over_all_its_rows() {
        let minute = Timestamp::from_millis(0);
        let sound = LedgerRow {
            tally: Tally {
                closed_by: 7,
                ..Tally::begin(minute, LogOffset::START)
            },
            found: Some(Sum::default()),
        };
        let unverified = LedgerRow {
            found: None,
            ..sound
        };
        let mut early = sound;
        early.tally.early = 1;
        assert_eq!(audit(vec![]), (Verdict::Open, vec![]));
        assert_eq!(audit(vec![sound]), (Verdict::Complete, vec![]));
        assert_eq!(audit(vec![unverified]), (Verdict::Unverified, vec![]));
        assert_eq!(
            audit(vec![early]),
            (Verdict::Differs, vec![Difference::Early])
        );
        assert_eq!(
            audit(vec![sound, early]),
            (
                Verdict::Differs,
                vec![Difference::Early, Difference::Repeated]
            )
        );
    }
}
