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
        let decided = frontier.decided_through(created_offset);
        let place = |next: Occurrence| Place {
            due: next.due,
            offset: created_offset,
        };
        self.pass_while(decided.due, |next| place(next) <= decided);
    }

    /// Passes over what was decided in the order of due and nominal times.
    pub(crate) fn pass_through(&mut self, (due, nominal): (Timestamp, Timestamp)) {
        self.pass_while(due, |next| (next.due, next.nominal) <= (due, nominal));
    }

    /// Passes over everything that is due before a time, and then over what `is_passed`: that is
    /// due at that time at the latest.
    fn pass_while(&mut self, due: Timestamp, is_passed: impl Fn(Occurrence) -> bool) {
        let Some(next) = self.next else {
            return;
        };
        let near = self.first_near(due);
        if near.is_none_or(|near| near.nominal > next.nominal) {
            self.next = near;
        }
        while self.next.is_some_and(&is_passed) {
            self.pass();
        }
    }

    /// The first occurrence that is due after a time, decided or not.
    pub(crate) fn first_due_after(&self, due: Timestamp) -> Option<Occurrence> {
        let near = self.first_near(due)?;
        match near.due <= due {
            true => self.after(near.nominal),
            false => Some(near),
        }
    }

    /// An occurrence before which all are due before a time, and after which all are due after it:
    /// the jitter ends before the following nominal time, so only the last one named by then may be
    /// due on either side.
    fn first_near(&self, due: Timestamp) -> Option<Occurrence> {
        let jitter_ms = self.compiled.definition().jitter_ms.max(0);
        let reach = due.plus_millis(-jitter_ms);
        let calendar = self.compiled.calendar();
        let latest = match jitter_ms {
            0 => None,
            _ => calendar.latest_at_or_before(due, reach),
        };
        self.after(latest.unwrap_or(reach).plus_millis(-1))
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

#[cfg(test)]
mod tests {
    use minutehand_calendar::CompiledDefinition;
    use minutehand_model::{
        ActionTemplate, MisfirePolicy, Namespace, OverlapPolicy, QueueName, RecurrenceSpec,
        ScheduleDefinition, ScheduleId,
    };

    use super::*;
    use crate::rules::Sound;

    fn segment(every_ms: i64, jitter_ms: i64) -> Segment {
        let recurrence = RecurrenceSpec::Interval {
            every_ms,
            anchor: Timestamp::from_millis(0),
            zone: "UTC".to_owned(),
        };
        let queue = QueueName::parse("queue").expect("a name");
        let action = ActionTemplate::new(queue, bytes::Bytes::new());
        let definition = ScheduleDefinition {
            recurrence,
            exclude: Vec::new(),
            start: None,
            end: None,
            runs_max: None,
            jitter_ms,
            misfire: MisfirePolicy::default(),
            overlap: OverlapPolicy::AllowAll,
            pause_on_failure: false,
            run_timeout_ms: None,
            action,
        };
        let compiled = CompiledDefinition::new(definition).expect("a definition with a meaning");
        let name = (
            Namespace::parse("space").expect("a name"),
            ScheduleId::parse("schedule").expect("an id"),
        );
        let moment = Moment {
            now: Timestamp::MIN,
            rules: Sound,
        };
        let after = Timestamp::from_millis(-1);
        Segment::open(&name, 1, Arc::new(compiled), after, moment)
    }

    #[test]
    fn what_is_due_after_a_time_is_what_a_walk_finds() {
        for (every_ms, jitter_ms) in [
            (1_000, 0),
            (1_000, 700),
            (1_000, 60_000),
            (7_000, 3_000),
            (60_000, 86_400_000),
        ] {
            let mut walk = segment(every_ms, jitter_ms);
            let mut all = Vec::new();
            while let Some(next) = walk.next.filter(|next| next.nominal.as_millis() <= 200_000) {
                all.push(next);
                walk.pass();
            }
            for at_ms in (0..150_000).step_by(331) {
                let at = Timestamp::from_millis(at_ms);
                let walked = all.iter().find(|next| next.due > at).copied();
                let found = segment(every_ms, jitter_ms).first_due_after(at);
                assert_eq!(found, walked, "{every_ms} {jitter_ms} {at_ms}");
                let mut passed = segment(every_ms, jitter_ms);
                passed.pass_through((at, Timestamp::MAX));
                assert_eq!(passed.next, walked, "{every_ms} {jitter_ms} {at_ms}");
            }
        }
    }
}
