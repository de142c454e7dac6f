//! A fact: one record of the log says that a task runs at a time, or that it does not.

use minutehand_model::{Guarantee, LogOffset, Place, Precision, TaskKey, Timestamp};

/// How long after its time the log may have taken what waits in the timetable, in milliseconds.
pub(crate) const TAKEN_LATE_MS_MAX: i64 = 5_000;
/// The end of a chain of facts.
pub(crate) const NONE: u32 = u32::MAX;

/// Bits of [`StoredFact::flags`]; the highest four hold the policies.
pub(crate) mod flag {
    /// The fact says that the task does not run.
    pub(crate) const VOID: u16 = 1;
    /// F has passed it: it was published, or decided against.
    pub(crate) const PASSED: u16 = 2;
    /// Another fact has the same key and due time.
    pub(crate) const SHARED: u16 = 4;
    /// Its offset holds R back.
    pub(crate) const UNSETTLED: u16 = 8;
    /// It is in the calendar queue.
    pub(crate) const NEAR: u16 = 16;
    /// It was published (never set on a void).
    pub(crate) const PUBLISHED: u16 = 32;
    /// It waits for its block, or its block is in a write that has not been acknowledged: there its
    /// number stands.
    pub(crate) const WRITING: u16 = 64;
    /// Its encoded task is kept.
    pub(crate) const BODY: u16 = 128;
    /// All that is left to do is to remember it.
    pub(crate) const RESTING: u16 = 256;
    /// It was taken out of its chain and is known no more.
    pub(crate) const REMOVED: u16 = 512;
    /// F has passed it, and it waits for its tick.
    pub(crate) const LINGERING: u16 = 1024;
}

const GUARANTEE_SHIFT: u32 = 12;
const PRECISION_SHIFT: u32 = 14;

/// One fact, in 56 bytes. The encoded task lies in a segment of the fact's page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredFact {
    pub(crate) due: Timestamp,
    pub(crate) offset: LogOffset,
    pub(crate) appended_at: Timestamp,
    pub(super) key: [u64; 2],
    /// Where the encoded task lies in the page's segments.
    pub(super) body_at: u32,
    pub(super) body_bytes: u32,
    pub(super) next: u32,
    /// Interned queue name.
    pub(crate) queue: u16,
    pub(crate) flags: u16,
}

impl StoredFact {
    pub(crate) fn new(
        key: TaskKey,
        place: Place,
        appended_at: Timestamp,
        flags: u16,
    ) -> StoredFact {
        StoredFact {
            due: place.due,
            offset: place.offset,
            appended_at,
            key: halves(key),
            body_at: 0,
            body_bytes: 0,
            next: NONE,
            queue: 0,
            flags,
        }
    }

    pub(crate) fn with_task(
        mut self,
        queue: u16,
        guarantee: Guarantee,
        precision: Precision,
    ) -> StoredFact {
        self.queue = queue;
        self.flags |= (guarantee as u16) << GUARANTEE_SHIFT | (precision as u16) << PRECISION_SHIFT;
        self
    }

    pub(crate) fn key(&self) -> TaskKey {
        TaskKey(u128::from(self.key[0]) | (u128::from(self.key[1]) << 64))
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            due: self.due,
            offset: self.offset,
        }
    }

    /// The order of facts about one task: a record that replaces a task voids first and creates
    /// then, at one offset.
    pub(crate) fn order(&self) -> (LogOffset, bool) {
        (self.offset, !self.is(flag::VOID))
    }

    pub(crate) fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn guarantee(&self) -> Guarantee {
        Guarantee::ALL[usize::from(self.flags >> GUARANTEE_SHIFT & 3)]
    }

    pub(crate) fn precision(&self) -> Precision {
        Precision::ALL[usize::from(self.flags >> PRECISION_SHIFT & 3)]
    }

    /// Whether it is not in the calendar queue, nor was: only its block tells of it when it has
    /// left memory.
    pub(crate) fn is_far(&self) -> bool {
        !self.is(flag::NEAR | flag::PASSED)
    }

    /// Whether the log took it before it was due.
    pub(crate) fn is_ahead_of_its_time(&self) -> bool {
        self.appended_at <= self.due
    }

    /// Whether it may be read back from the timetable only when its time comes. It may have come a
    /// little after that time: who looks for what has run lately looks so far back.
    pub(crate) fn may_wait_in_the_timetable(&self) -> bool {
        self.appended_at <= self.due.plus_millis(TAKEN_LATE_MS_MAX)
    }

    /// Until when the fact must be remembered so that creating the task again changes nothing.
    pub(crate) fn forget_at(&self, dedupe_window_ms: i64) -> Timestamp {
        self.due.max(self.appended_at).plus_millis(dedupe_window_ms)
    }

    /// Bytes it takes in memory, for the bound on the look-ahead.
    pub(crate) fn bytes(&self) -> usize {
        self.body_bytes as usize + size_of::<StoredFact>() + 32
    }
}

/// A key as it is kept in a fact, which has the alignment of eight bytes.
pub(super) fn halves(key: TaskKey) -> [u64; 2] {
    [key.0 as u64, (key.0 >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_takes_56_bytes() {
        assert_eq!(size_of::<StoredFact>(), 56);
    }

    #[test]
    fn policies_are_kept_beside_the_flags() {
        let place = Place {
            due: Timestamp::from_millis(1),
            offset: LogOffset::at(1),
        };
        for guarantee in Guarantee::ALL {
            for precision in Precision::ALL {
                let all_flags = 1023;
                let fact = StoredFact::new(TaskKey(7 << 64 | 3), place, place.due, all_flags)
                    .with_task(9, *guarantee, *precision);
                assert_eq!(
                    (fact.guarantee(), fact.precision()),
                    (*guarantee, *precision)
                );
                assert_eq!(fact.flags & all_flags, all_flags);
                assert_eq!(fact.key(), TaskKey(7 << 64 | 3));
            }
        }
    }
}
