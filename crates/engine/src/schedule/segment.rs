//! A segment: the stretch of nominal times that one revision governs, and the next occurrence in
//! it.

use std::sync::Arc;

use minutehand_calendar::CompiledDefinition;
use minutehand_model::{Frontier, LogOffset, Place, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::moment::{Moment, Name};
use crate::planted::PlantedBug;
use crate::rules::Rules;

/// An occurrence of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occurrence {
    /// The time its calendar names.
    pub(crate) nominal: Timestamp,
    /// The nominal time and the jitter.
    pub(crate) due: Timestamp,
}

/// What one revision still owes.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The number of the revision.
    pub(crate) revision: u64,
    pub(crate) compiled: Arc<CompiledDefinition>,
    seed: u64,
    /// It governs nominal times up to this one, inclusive.
    until: Timestamp,
    /// With the rule `end-jitter` broken.
    jitter_passes_end: bool,
    /// The next occurrence that is not decided.
    pub(crate) next: Option<Occurrence>,
}

impl Segment {
    /// A segment that governs the nominal times after `after`, standing at the first of them.
    pub(crate) fn open(
        name: &Name,
        revision: u64,
        compiled: Arc<CompiledDefinition>,
        after: Timestamp,
        moment: Moment<impl Rules>,
    ) -> Segment {
        let seed = xxh3_64(
            [
                name.0.as_str().as_bytes(),
                b"\0",
                name.1.as_str().as_bytes(),
            ]
            .concat()
            .as_slice(),
        );
        let jitter_passes_end = moment.breaks(PlantedBug::EndJitter);
        let until = Timestamp::MAX;
        let mut segment = Segment {
            revision,
            compiled,
            seed,
            until,
            jitter_passes_end,
            next: None,
        };
        segment.next = segment.after(after);
        segment
    }

    /// Passes over what F has decided; the schedule was created at that offset.
    pub(crate) fn pass_decided(&mut self, frontier: &Frontier, created_offset: LogOffset) {
        let decided = frontier.owed_after.unwrap_or(Place::end_of(Timestamp::MAX));
        let place = |next: Occurrence| Place {
            due: next.due,
            offset: created_offset,
        };
        self.pass_while(decided.min(frontier.front()).due, |next| {
            frontier.has_decided(place(next))
        });
    }

    /// Passes over what was decided in the order of due and nominal times.
    pub(crate) fn pass_through(&mut self, (due, nominal): (Timestamp, Timestamp)) {
        self.pass_while(due, |next| (next.due, next.nominal) <= (due, nominal));
    }

    /// Passes over everything that is due before a time, and then over what `is_passed`.
    fn pass_while(&mut self, due: Timestamp, is_passed: impl Fn(Occurrence) -> bool) {
        let before = self.due_before(due);
        if self.next.is_some_and(|next| next.nominal <= before) {
            self.next = self.after(before);
        }
        while self.next.is_some_and(&is_passed) {
            self.pass();
        }
    }

    /// The first occurrence that is due after a time, decided or not.
    pub(crate) fn first_due_after(&self, due: Timestamp) -> Option<Occurrence> {
        let mut next = self.after(self.due_before(due))?;
        while next.due <= due {
            next = self.after(next.nominal)?;
        }
        Some(next)
    }

    /// The last nominal time that no jitter brings to a due time.
    fn due_before(&self, due: Timestamp) -> Timestamp {
        due.plus_millis(-self.compiled.definition().jitter_ms)
            .plus_millis(-1)
    }

    /// The first occurrence after a nominal time, within the segment.
    pub(crate) fn after(&self, nominal: Timestamp) -> Option<Occurrence> {
        let nominal = self.compiled.calendar().next_after(nominal)?;
        (nominal <= self.until).then(|| Occurrence {
            nominal,
            due: nominal.plus_millis(self.jitter_ms(nominal)),
        })
    }

    /// Moves on to the occurrence after the next one.
    pub(crate) fn pass(&mut self) {
        self.next = self.next.and_then(|next| self.after(next.nominal));
    }

    /// Ends the segment: a newer revision governs what lies after `until`.
    pub(crate) fn close(&mut self, until: Timestamp) {
        self.until = self.until.min(until);
        if self.next.is_some_and(|next| next.nominal > self.until) {
            self.next = None;
        }
    }

    /// A fixed pseudo-random delay below the definition's jitter, that ends before the following
    /// nominal time and not after the schedule's end.
    fn jitter_ms(&self, nominal: Timestamp) -> i64 {
        let definition = self.compiled.definition();
        if definition.jitter_ms <= 0 {
            return 0;
        }
        let room_ms = match self.compiled.calendar().next_after(nominal) {
            Some(following) => (following.millis_since(nominal) - 1).min(definition.jitter_ms),
            None => definition.jitter_ms,
        };
        let room_ms = match definition.end.filter(|_| !self.jitter_passes_end) {
            Some(end) => room_ms.min(end.millis_since(nominal)),
            None => room_ms,
        };
        let mut text = self.seed.to_be_bytes().to_vec();
        text.extend_from_slice(&nominal.as_millis().to_be_bytes());
        (xxh3_64(&text) % (room_ms.max(0) as u64 + 1)) as i64
    }
}
