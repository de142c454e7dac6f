//! Counting what `cargo test` reports.

use std::fmt;
use std::ops::AddAssign;

/// Tests that passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Not run.
    pub skipped: u64,
}

impl Tally {
    /// The counts of a line `test result: ok. 5 passed; 0 failed; 0 ignored; …`; `None` for any
    /// other line.
    pub fn parse(line: &str) -> Option<Tally> {
        let counts = line
            .trim()
            .strip_prefix("test result: ")?
            .split_once(". ")?
            .1;
        let count = |word: &str| {
            let part = counts
                .split(';')
                .find_map(|part| part.trim().strip_suffix(word))?;
            part.trim().parse::<u64>().ok()
        };
        Some(Tally {
            passed: count("passed")?,
            failed: count("failed")?,
            skipped: count("ignored")?,
        })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    /// `N passed, N failed`, and `, N skipped` when there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}
