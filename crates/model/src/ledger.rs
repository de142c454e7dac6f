//! The ledger: what an owner has decided about every minute of a partition, counted as F passes it,
//! and what is found when the timetable of that minute is read again by itself.
//!
//! A count comes with a digest: the sum of the fingerprints of what was counted. It does not depend
//! on the order, takes no memory, and tells one loss among millions, which a repetition elsewhere
//! would hide from a count.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use crate::choice;
use crate::offset::LogOffset;
use crate::task::TaskKey;
use crate::time::{DAY_MS, MINUTE_MS, Timestamp};
use crate::timetable::{Fact, TimetableEntry};

/// How long rows are kept after their minute, in milliseconds: 35 days.
pub const ROWS_KEPT_MS: i64 = 35 * DAY_MS;

/// How many things, and the sum of their fingerprints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// The sum of their fingerprints, modulo 2^64.
    pub digest: u64,
}

impl Sum {
    /// Counts one more.
    pub fn add(&mut self, fingerprint: u64) {
        self.count += 1;
        self.digest = self.digest.wrapping_add(fingerprint);
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Sum) -> Sum {
        Sum {
            count: self.count + other.count,
            digest: self.digest.wrapping_add(other.digest),
        }
    }
}

/// The fingerprint of one record of the log as the timetable holds it: that a task runs at a time,
/// or that it does not (`is_void`).
pub fn fact_fingerprint(key: TaskKey, due: Timestamp, offset: LogOffset, is_void: bool) -> u64 {
    let said = (offset.bits() << 1) | u64::from(is_void);
    mixed(execution_fingerprint(key, due) ^ mixed(said))
}

/// The fingerprint of an execution: a task's key and the due time of this attempt, as its id has
/// them.
pub fn execution_fingerprint(key: TaskKey, due: Timestamp) -> u64 {
    let high = (key.0 >> 64) as u64;
    mixed(key.low() ^ mixed(high ^ mixed(due.as_millis() as u64)))
}

/// Spreads every bit over all of them (the finalizer of splitmix64). Stored digests rest on it: it
/// is never changed.
fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// What has been decided about one minute of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The start of the minute.
    pub minute: Timestamp,
    /// R when the minute was begun. What the log says below it of this minute lay in the timetable
    /// then: it must be decided, all of it, and nothing else can be.
    pub stored_below: LogOffset,
    /// Records below that offset which F has passed in this minute.
    pub stored: Sum,
    /// Tasks that F has passed and that were to run.
    pub due: u64,
    /// Tasks that F has passed and that were not to run: cancelled, moved, or created again.
    pub withdrawn: u64,
    /// Executions that were published, those of schedules and late ones included.
    pub published: Sum,
    /// Of those, the tasks that came after F had passed their time.
    pub late: u64,
    /// Of those, the occurrences of schedules.
    pub recurring: u64,
    /// Of those, the ones that were published before they were due.
    pub early: u64,
    /// Occurrences of schedules that a policy has left out.
    pub left_out: u64,
    /// The number of the tick that closed the minute; 0 while it is open.
    pub closed_by: u64,
    /// The minute had been closed before, by a clock that was ahead: this comes on top of the other
    /// tallies of the minute. The timetable is not compared with it.
    pub is_supplement: bool,
}

impl Tally {
    /// Nothing has been decided about a minute.
    pub const fn begin(minute: Timestamp, stored_below: LogOffset) -> Tally {
        Tally {
            minute,
            stored_below,
            stored: Sum {
                count: 0,
                digest: 0,
            },
            due: 0,
            withdrawn: 0,
            published: Sum {
                count: 0,
                digest: 0,
            },
            late: 0,
            recurring: 0,
            early: 0,
            left_out: 0,
            closed_by: 0,
            is_supplement: false,
        }
    }

    /// Nothing has been decided anew about a minute that had been closed before.
    pub const fn supplement(minute: Timestamp) -> Tally {
        Tally {
            is_supplement: true,
            ..Tally::begin(minute, LogOffset::START)
        }
    }

    /// Both together, as one tally of the same minute.
    #[must_use]
    pub const fn plus(self, other: &Tally) -> Tally {
        Tally {
            stored: self.stored.plus(other.stored),
            due: self.due + other.due,
            withdrawn: self.withdrawn + other.withdrawn,
            published: self.published.plus(other.published),
            late: self.late + other.late,
            recurring: self.recurring + other.recurring,
            early: self.early + other.early,
            left_out: self.left_out + other.left_out,
            ..self
        }
    }

    /// The end of the minute.
    pub const fn end(&self) -> Timestamp {
        self.minute.plus_millis(MINUTE_MS)
    }

    /// What was to be published.
    pub const fn expected(&self) -> u64 {
        self.due + self.late + self.recurring
    }
}

/// The minutes of a partition that are being counted. Part of the checkpoint: a count is committed
/// with what it counts, so it is neither lost nor doubled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Minutes {
    /// Minutes that start before this are closed; `None` before the first.
    pub closed_before: Option<Timestamp>,
    /// In order of their minutes: closed ones whose row is not known to be stored, and then open
    /// ones.
    pub tallies: Vec<Tally>,
    /// The same of closed minutes that are counted once more, because a clock had been ahead; in any
    /// order.
    pub supplements: Vec<Tally>,
}

impl Minutes {
    /// Nothing is counted yet.
    pub const START: Minutes = Minutes {
        closed_before: None,
        tallies: Vec::new(),
        supplements: Vec::new(),
    };

    /// Whether a minute is closed.
    pub fn is_closed(&self, minute: Timestamp) -> bool {
        self.closed_before.is_none_or(|before| minute < before)
    }

    /// The closed ones whose row is not known to be stored.
    pub fn closed(&self) -> impl Iterator<Item = &Tally> {
        self.tallies
            .iter()
            .take_while(|tally| self.is_closed(tally.minute))
    }
}

/// A closed minute of a partition as it is kept: what was decided, and what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// What the owner has counted.
    pub tally: Tally,
    /// The records of this minute that the timetable holds below [`Tally::stored_below`], each
    /// counted once; `None` when they are more than may be held in memory.
    pub found: Option<Sum>,
}

/// Most records of one minute that are told apart: some 70 MB.
const FOUND_MAX: usize = 4 << 20;

/// Counts what the timetable holds of a minute, each record once however many blocks it is in.
#[derive(Debug)]
pub struct Found {
    minute: Timestamp,
    stored_below: LogOffset,
    seen: HashSet<u64, BuildHasherDefault<Unmixed>>,
    sum: Sum,
}

impl Found {
    /// Nothing has been found yet of what a tally is about.
    pub fn begin(tally: &Tally) -> Found {
        Found {
            minute: tally.minute,
            stored_below: tally.stored_below,
            seen: HashSet::default(),
            sum: Sum::default(),
        }
    }

    /// Takes in what has been read. `false`: it is too much, and reading on is of no use.
    pub fn take_in(&mut self, entries: &[TimetableEntry]) -> bool {
        for entry in entries {
            let is_meant = entry.offset < self.stored_below
                && entry.due.floor_to_minute() == self.minute
                && self.seen.len() <= FOUND_MAX;
            let is_void = matches!(entry.fact, Fact::Void);
            let fingerprint = fact_fingerprint(entry.key, entry.due, entry.offset, is_void);
            if is_meant && self.seen.insert(fingerprint) {
                self.sum.add(fingerprint);
            }
        }
        self.seen.len() <= FOUND_MAX
    }

    /// What was found; `None` when it was too much.
    pub fn sum(&self) -> Option<Sum> {
        (self.seen.len() <= FOUND_MAX).then_some(self.sum)
    }
}

/// Fingerprints are hashes already.
#[derive(Debug, Default)]
struct Unmixed(u64);

impl Hasher for Unmixed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

choice!(
    /// How a row of the ledger differs from what it must be.
    Difference, "difference" {
        /// The timetable holds what was not decided, or what was decided is not there: a task of
        /// this minute was lost, or decided twice.
        Stored = "stored",
        /// Not as many executions were published as were to be.
        Published = "published",
        /// Something was published before it was due.
        Early = "early",
        /// The minute was closed twice, with different counts.
        Repeated = "repeated",
    }
);

choice!(
    /// Whether everything ran that was due in a minute; the worse one of two comes later.
    Verdict, "verdict" {
        /// Everything that was due was published, as far as the ledger tells.
        Complete = "complete",
        /// The owner's counts agree with each other, but there was more in the timetable than is
        /// compared.
        Unverified = "unverified",
        /// The minute is not over yet, is still caught up with, or its row is not written.
        Open = "open",
        /// The minute is over, and the counts differ.
        Differs = "differs",
    }
);

impl LedgerRow {
    /// Everything in which the row differs from what it must be.
    pub fn differences(&self) -> impl Iterator<Item = Difference> {
        let LedgerRow { tally, found } = self;
        let differs = [
            (
                Difference::Stored,
                found.is_some_and(|found| found != tally.stored),
            ),
            (
                Difference::Published,
                tally.published.count != tally.expected(),
            ),
            (Difference::Early, tally.early > 0),
        ];
        differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(difference, _)| difference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn one_loss_among_a_million_shows_behind_a_repetition() {
        let fingerprint =
            |n: u64| fact_fingerprint(TaskKey(u128::from(n)), at(7), LogOffset::at(n), false);
        let sum = |of: &mut dyn Iterator<Item = u64>| {
            let mut sum = Sum::default();
            of.for_each(|n| sum.add(fingerprint(n)));
            sum
        };
        let all = sum(&mut (0..1_000_000));
        assert_eq!(all, sum(&mut (0..1_000_000).rev()), "in any order");
        let lost_and_repeated = sum(&mut (0..999_999).chain([17]));
        assert_eq!(lost_and_repeated.count, all.count);
        assert_ne!(lost_and_repeated.digest, all.digest);
    }

    #[test]
    fn a_record_in_two_blocks_is_found_once() {
        let entry = |key: u128, due: i64, offset, fact| TimetableEntry {
            key: TaskKey(key),
            due: at(due),
            offset: LogOffset::at(offset),
            appended_at: at(0),
            fact,
        };
        let tally = Tally::begin(at(60_000), LogOffset::at(10));
        let mut found = Found::begin(&tally);
        let first = entry(1, 60_000, 9, Fact::Void);
        let second = entry(2, 119_999, 3, Fact::Void);
        let of_others = [
            entry(3, 60_000, 10, Fact::Void),
            entry(4, 59_999, 1, Fact::Void),
            entry(5, 120_000, 1, Fact::Void),
        ];
        assert!(found.take_in(&[first.clone(), second.clone()]));
        assert!(found.take_in(&[second, of_others[0].clone(), first]));
        assert!(found.take_in(&of_others));
        let mut sum = Sum::default();
        sum.add(fact_fingerprint(
            TaskKey(1),
            at(60_000),
            LogOffset::at(9),
            true,
        ));
        sum.add(fact_fingerprint(
            TaskKey(2),
            at(119_999),
            LogOffset::at(3),
            true,
        ));
        assert_eq!(found.sum(), Some(sum));
    }

    #[test]
    fn fingerprints_are_the_same_for_ever() {
        let key = TaskKey(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(
            execution_fingerprint(key, at(1_795_942_800_000)),
            0x2109_4d8f_bbec_0f7c
        );
        let fact =
            |is_void| fact_fingerprint(key, at(1_795_942_800_000), LogOffset::at(5), is_void);
        assert_eq!(
            (fact(false), fact(true)),
            (0xf5fa_6c6b_adef_a206, 0x180c_c2f4_2f17_e8ac)
        );
    }

    #[test]
    fn each_difference_is_named() {
        let sound = LedgerRow {
            tally: Tally {
                due: 5,
                late: 2,
                recurring: 1,
                published: Sum {
                    count: 8,
                    digest: 3,
                },
                ..Tally::begin(at(0), LogOffset::at(9))
            },
            found: Some(Sum::default()),
        };
        let differences = |row: LedgerRow| row.differences().collect::<Vec<_>>();
        assert_eq!(differences(sound), []);
        let found = Some(Sum {
            count: 1,
            digest: 1,
        });
        assert_eq!(
            differences(LedgerRow { found, ..sound }),
            [Difference::Stored]
        );
        let but = |change: &dyn Fn(&mut Tally)| {
            let mut row = sound;
            change(&mut row.tally);
            differences(row)
        };
        assert_eq!(but(&|tally| tally.due = 6), [Difference::Published]);
        assert_eq!(but(&|tally| tally.early = 1), [Difference::Early]);
    }
}
