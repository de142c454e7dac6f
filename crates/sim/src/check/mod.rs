//! The checkers: pure functions of the journal that know the promises, and nothing of how they are
//! kept.

mod bracket;
mod chronos;
mod course;
mod cursors;
mod early;
mod generations;
mod ledger;
mod occurrences;
mod overlap;
mod policies;
mod publication;
mod recovery;
mod refusals;
mod requests;
mod rests;
mod revisions;
mod set_aside;
mod stops;
#[cfg(test)]
mod story;

use std::fmt;

use crate::journal::{Journal, PartitionJournal};

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The checker that noticed.
    pub checker: &'static str,
    /// Where.
    pub partition: Option<u32>,
    /// What, in words.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.partition {
            Some(partition) => write!(
                f,
                "{} (partition {partition}): {}",
                self.checker, self.message
            ),
            None => write!(f, "{}: {}", self.checker, self.message),
        }
    }
}

/// A checker of one partition: the first violation, in words.
type Checker = fn(&Journal, &PartitionJournal) -> Result<(), String>;

/// Every checker and its name, in the order in which they are asked.
const CHECKERS: &[(&str, Checker)] = &[
    ("epochs and ticks", cursors::check),
    ("never early", early::check),
    ("torn ticks", publication::check_torn),
    (
        "publications say what the log says",
        publication::check_content,
    ),
    ("exactly once", generations::check_once),
    ("at most once", generations::check_at_most_once),
    ("order of updates", generations::check_updates),
    ("no loss", generations::check_loss),
    ("set aside", set_aside::check),
    ("not published", refusals::check),
    ("occurrences", occurrences::check),
    ("overlap", overlap::check),
    ("rests", rests::check),
    ("requests to stop", stops::check),
    ("triggers and backfills", requests::check),
    ("chronos matching", chronos::check),
    ("recovery", recovery::check),
    ("ledger", ledger::check),
    ("bracket", bracket::check),
];

/// The names of all checkers, in the order in which they are asked.
pub fn checkers() -> Vec<&'static str> {
    CHECKERS.iter().map(|(name, _)| *name).collect()
}

/// Asks every checker about every partition; answers what each found first.
pub fn audit(journal: &Journal) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (name, checker) in CHECKERS {
        for (partition, about) in journal.partitions.iter().enumerate() {
            if let Err(message) = checker(journal, about) {
                violations.push(Violation {
                    checker: name,
                    partition: Some(partition as u32),
                    message,
                });
            }
        }
    }
    violations
}
