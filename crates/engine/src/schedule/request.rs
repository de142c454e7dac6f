//! Runs that somebody asks for: triggers and backfills.

use minutehand_calendar::SearchBudget;
use minutehand_model::limits::{BACKFILL_OCCURRENCES_MAX, BACKFILLS_MAX};
use minutehand_model::{
    Backfill, LogOffset, OverlapPolicy, RunCause, ScheduleEventKind as Kind, Timestamp,
};

use super::occurrence::Run;
use super::{Moment, Outbox, Schedule};
use crate::planted::PlantedBug;
use crate::rules::Rules;

/// Requests for one range that the log took within this time are one, in milliseconds: whoever asks
/// for it side by side means the same.
const AT_ONCE_MS: i64 = 1_000;

/// A backfill that was asked for: by which record, when, under which revision, and for which range.
/// Only the owner that heard of it knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    offset: LogOffset,
    at: Timestamp,
    revised_by: LogOffset,
    range: (Timestamp, Timestamp),
}

impl Schedule {
    /// Runs the action once, also while the schedule rests. Its nominal time is that of the
    /// request, or the first after it at which no trigger before ran: what was asked for twice in
    /// one millisecond is two runs.
    pub(super) fn trigger(
        &mut self,
        overlap: Option<OverlapPolicy>,
        (offset, at): (LogOffset, Timestamp),
        moment: Moment<impl Rules>,
        outbox: &mut Outbox,
    ) -> bool {
        let Some(definition) = self.definition().cloned() else {
            return false;
        };
        let overlap = overlap.unwrap_or(definition.overlap);
        let nominal = self
            .state
            .triggered_at
            .map_or(at, |last| at.max(last.plus_millis(1)));
        self.state.triggered_at = Some(nominal);
        // A trigger that brings a policy of its own is waited for by the next that does.
        let is_awaited = definition.awaits_ends()
            || (overlap.awaits_ends() && !moment.breaks(PlantedBug::TriggerPolicy));
        let run = Run {
            nominal,
            due: at,
            cause: RunCause::Trigger,
            offset,
            is_awaited,
        };
        self.start_or_wait(&definition, overlap, run, moment, outbox);
        self.settle_overlap(moment, outbox);
        true
    }

    /// Queues a range of nominal times, both ends inclusive. What already waits in another backfill
    /// is not queued again, nor is what was asked for at once. What lies beyond
    /// [`BACKFILL_OCCURRENCES_MAX`], or beyond what one search may look at, is left out; the door
    /// refuses such a range, other producers are bounded here. Whether the state changed.
    pub(super) fn backfill(
        &mut self,
        (offset, at): (LogOffset, Timestamp),
        (from, to): (Timestamp, Timestamp),
        moment: Moment<impl Rules>,
    ) -> bool {
        let asked = Asked {
            offset,
            at,
            revised_by: self.head.offset,
            range: (from, to),
        };
        if self.is_asked_at_once(asked) && !moment.breaks(PlantedBug::BackfillTwice) {
            return false;
        }
        let Some(compiled) = &self.compiled else {
            return false;
        };
        // All of them have the budget that the door gives them: what it has accepted fits.
        let budget = &mut SearchBudget::of_one_request();
        let calendar = compiled.calendar();
        let Some(to) = calendar.last_of_first(from, to, BACKFILL_OCCURRENCES_MAX, budget) else {
            return false;
        };
        let mut wanted = vec![(from.plus_millis(-1), to)];
        if !moment.breaks(PlantedBug::BackfillTwice) {
            for known in &self.state.backfills {
                wanted = wanted
                    .into_iter()
                    .flat_map(|range| without(range, (known.after, known.to)))
                    .collect();
            }
        }
        let room = BACKFILLS_MAX.saturating_sub(self.state.backfills.len());
        let before = self.state.backfills.len();
        let pieces = wanted.into_iter().take(room);
        self.state
            .backfills
            .extend(pieces.map(|(after, to)| Backfill { offset, after, to }));
        self.state.backfills.len() > before
    }

    /// Whether the same was asked for just before; else it is remembered.
    fn is_asked_at_once(&mut self, asked: Asked) -> bool {
        let is_near =
            |before: &Asked| (-AT_ONCE_MS..=AT_ONCE_MS).contains(&asked.at.millis_since(before.at));
        self.asked.retain(is_near);
        let is_same =
            |before: &Asked| (before.range, before.revised_by) == (asked.range, asked.revised_by);
        let is_known = self.asked.iter().any(is_same);
        if !is_known {
            if self.asked.len() >= BACKFILLS_MAX {
                self.asked.pop_front();
            }
            self.asked.push_back(asked);
        }
        is_known
    }

    /// What is left of a backfill does not run. Whether there was one.
    pub(super) fn stop_backfill(&mut self, offset: LogOffset, moment: Moment<impl Rules>) -> bool {
        let stopped = self
            .state
            .backfills
            .iter()
            .find(|backfill| backfill.offset == offset)
            .copied();
        let Some(stopped) = stopped.filter(|_| !moment.breaks(PlantedBug::BackfillUnstopped))
        else {
            return false;
        };
        self.state
            .backfills
            .retain(|backfill| backfill.offset != offset);
        // Who asks for it now wants it again.
        self.asked.retain(|asked| asked.offset != offset);
        self.remember(
            Kind::BackfillStopped,
            stopped.after,
            RunCause::Backfill,
            moment.now,
        );
        true
    }

    /// Whether a run of a backfill may start now.
    pub(super) fn may_backfill(&self, moment: Moment<impl Rules>) -> bool {
        let Some(definition) = self.definition() else {
            return false;
        };
        let is_free = !definition.overlap.awaits_ends()
            || (!self.is_busy() && self.state.buffered.is_empty());
        let is_resting = self.is_resting() && !moment.breaks(PlantedBug::RestBackfills);
        !self.state.backfills.is_empty() && is_free && !is_resting
    }

    /// Runs what the oldest backfills ask for, until the outbox's runs take `full_at` bytes; whether
    /// the state changed.
    pub(super) fn run_backfills(
        &mut self,
        moment: Moment<impl Rules>,
        count_max: usize,
        full_at: usize,
        outbox: &mut Outbox,
    ) -> bool {
        let Some(compiled) = self.compiled.clone() else {
            return false;
        };
        let definition = compiled.definition();
        let mut changed = false;
        // Two runs of one nominal time with one due time would be one execution: each instant
        // belongs to one backfill.
        let mut begun = None;
        let is_taken = self.state.backfilled_at == Some(moment.now);
        for _ in 0..if is_taken { 0 } else { count_max } {
            let front = self.state.backfills.front().copied();
            let Some(backfill) =
                front.filter(|front| begun.is_none_or(|begun| begun == front.offset))
            else {
                break;
            };
            if !self.may_backfill(moment) || outbox.started_bytes >= full_at {
                break;
            }
            changed = true;
            let next = compiled.calendar().next_after(backfill.after);
            let had_all = definition
                .runs_max
                .is_some_and(|max| self.state.runs_started >= max);
            let Some(nominal) = next.filter(|nominal| *nominal <= backfill.to && !had_all) else {
                self.state.backfills.pop_front();
                continue;
            };
            self.state.backfills[0].after = nominal;
            self.state.backfilled_at = Some(moment.now);
            begun = Some(backfill.offset);
            let is_awaited = definition.awaits_ends();
            let run = Run {
                nominal,
                due: moment.now,
                cause: RunCause::Backfill,
                offset: backfill.offset,
                is_awaited,
            };
            self.start(definition, run, moment, outbox);
        }
        changed
    }
}

/// What of a range (first end exclusive, second inclusive) lies outside of another.
fn without(
    (after, to): (Timestamp, Timestamp),
    (known_after, known_to): (Timestamp, Timestamp),
) -> Vec<(Timestamp, Timestamp)> {
    let before = (after, to.min(known_after));
    let behind = (after.max(known_to), to);
    if known_to <= after || to <= known_after {
        return vec![(after, to)];
    }
    [before, behind]
        .into_iter()
        .filter(|(after, to)| after < to)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::without;
    use minutehand_model::Timestamp;

    #[test]
    fn what_is_left_of_a_range_is_what_is_in_no_other() {
        let range =
            |(after, to): (i64, i64)| (Timestamp::from_millis(after), Timestamp::from_millis(to));
        for ours in [(0, 10), (3, 4), (5, 5), (0, 3), (7, 10)] {
            for known in [(0, 10), (2, 5), (10, 12), (5, 5), (-5, 0), (-5, 3), (4, 20)] {
                let left = without(range(ours), range(known));
                for at in -6..22 {
                    let lies_in = |(after, to): (i64, i64)| after < at && at <= to;
                    let is_left = left
                        .iter()
                        .any(|(after, to)| after.as_millis() < at && at <= to.as_millis());
                    assert_eq!(
                        is_left,
                        lies_in(ours) && !lies_in(known),
                        "{ours:?} without {known:?} at {at}"
                    );
                }
            }
        }
    }
}
