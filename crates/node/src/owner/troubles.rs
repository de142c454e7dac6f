//! What the log hears of stores that fail: at once, then now and then with how often, and when they
//! work again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use minutehand_model::PartitionId;

/// The same trouble is told of at most this often.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// What a store is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Open,
    ReadRevisions,
    ReadTimetable,
    FindTask,
    ReadLog,
    WriteBlocks,
    WriteRevisions,
    KeepMinutes,
    Commit,
    Forget,
}

impl Operation {
    /// Every operation, in order.
    pub(super) const ALL: &'static [Operation] = &[
        Operation::Open,
        Operation::ReadRevisions,
        Operation::ReadTimetable,
        Operation::FindTask,
        Operation::ReadLog,
        Operation::WriteBlocks,
        Operation::WriteRevisions,
        Operation::KeepMinutes,
        Operation::Commit,
        Operation::Forget,
    ];

    /// Which store is asked, and for what, as metrics name them.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Operation::Open => ("sink", "open"),
            Operation::ReadRevisions => ("timetable", "read-revisions"),
            Operation::ReadTimetable => ("timetable", "read"),
            Operation::FindTask => ("timetable", "find"),
            Operation::ReadLog => ("log", "read"),
            Operation::WriteBlocks => ("timetable", "write"),
            Operation::WriteRevisions => ("timetable", "write-revisions"),
            Operation::KeepMinutes => ("ledger", "write"),
            Operation::Commit => ("sink", "commit"),
            Operation::Forget => ("log", "forget"),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Operation::Open => "open",
            Operation::ReadRevisions => "read revisions",
            Operation::ReadTimetable => "read the timetable",
            Operation::FindTask => "find a task in the timetable",
            Operation::ReadLog => "read the log",
            Operation::WriteBlocks => "write blocks",
            Operation::WriteRevisions => "write revisions",
            Operation::KeepMinutes => "keep the ledger",
            Operation::Commit => "commit",
            Operation::Forget => "forget",
        }
    }
}

/// The troubles of all owners of a node: a store that is away is one trouble, however many
/// partitions it has.
#[derive(Clone, Default)]
pub(crate) struct Troubles(Arc<Mutex<BTreeMap<Operation, Trouble>>>);

/// One kind of operation that fails.
#[derive(Default)]
struct Trouble {
    /// Those whose last attempt failed.
    partitions: BTreeSet<PartitionId>,
    told_at: Option<Instant>,
    is_told: bool,
    /// Failures that nobody was told of.
    untold: u64,
}

impl Troubles {
    /// An operation failed and is tried again.
    pub(super) fn failed(&self, operation: Operation, partition: PartitionId, error: &str) {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = troubles.entry(operation).or_default();
        if let Some(failures) = trouble.failed(partition, Instant::now()) {
            let (operation, partitions) = (operation.as_str(), trouble.partitions.len());
            tracing::warn!(operation, %partition, partitions, failures, error, "a store failed; trying again");
        }
    }

    pub(super) fn worked(&self, operation: Operation, partition: PartitionId) {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = troubles
            .get_mut(&operation)
            .and_then(|trouble| trouble.worked(partition));
        if let Some(failures) = failures {
            tracing::info!(
                operation = operation.as_str(),
                failures,
                "the store works again"
            );
        }
    }

    /// The partition is owned here no more.
    pub(super) fn gone(&self, partition: PartitionId) {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for trouble in troubles.values_mut() {
            trouble.partitions.remove(&partition);
        }
    }
}

impl Trouble {
    /// How many failures are to be told of now, if any.
    fn failed(&mut self, partition: PartitionId, now: Instant) -> Option<u64> {
        self.partitions.insert(partition);
        self.untold += 1;
        let is_due = self
            .told_at
            .is_none_or(|told_at| now.duration_since(told_at) >= TELL_INTERVAL);
        is_due.then(|| {
            (self.told_at, self.is_told) = (Some(now), true);
            std::mem::take(&mut self.untold)
        })
    }

    /// How many failures nobody was told of, when this is the last partition for which it works
    /// again.
    fn worked(&mut self, partition: PartitionId) -> Option<u64> {
        self.partitions.remove(&partition);
        let is_over = self.is_told && self.partitions.is_empty();
        is_over.then(|| {
            self.is_told = false;
            std::mem::take(&mut self.untold)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: PartitionId = PartitionId::own(1);
    const SECOND: PartitionId = PartitionId::own(2);

    #[test]
    fn a_failure_is_logged_at_once_then_rarely_and_on_recovery() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.worked(FIRST), None, "nothing was wrong");
        assert_eq!(trouble.failed(FIRST, start), Some(1));
        for tenth in 1..100 {
            let partition = if tenth % 2 == 0 { FIRST } else { SECOND };
            assert_eq!(
                trouble.failed(partition, start + TELL_INTERVAL * tenth / 100),
                None
            );
        }
        assert_eq!(trouble.failed(FIRST, start + TELL_INTERVAL), Some(100));
        assert_eq!(trouble.failed(SECOND, start + TELL_INTERVAL), None);
        assert_eq!(trouble.worked(FIRST), None, "the second still fails");
        assert_eq!(trouble.worked(SECOND), Some(1));
        assert_eq!(trouble.worked(SECOND), None, "once");
    }

    #[test]
    fn what_comes_and_goes_is_told_no_more_often() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        let mut told = 0;
        for millis in 0..TELL_INTERVAL.as_millis() as u64 * 3 {
            told += usize::from(
                trouble
                    .failed(FIRST, start + Duration::from_millis(millis))
                    .is_some(),
            );
            told += usize::from(trouble.worked(FIRST).is_some());
        }
        assert_eq!(told, 6, "a beginning and an end in each interval");
    }

    #[test]
    fn operations_are_listed_in_their_order() {
        for (number, operation) in Operation::ALL.iter().enumerate() {
            assert_eq!(*operation as usize, number);
        }
        assert_eq!(Operation::Forget as usize + 1, Operation::ALL.len());
    }

    #[test]
    fn a_partition_that_is_gone_is_not_waited_for() {
        let troubles = Troubles::default();
        troubles.failed(Operation::Commit, FIRST, "away");
        troubles.failed(Operation::Commit, SECOND, "away");
        troubles.gone(FIRST);
        troubles.worked(Operation::Commit, SECOND);
        let known = troubles.0.lock().expect("nobody panics with it");
        assert!(!known[&Operation::Commit].is_told);
    }
}
