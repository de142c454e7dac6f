//! A cron expression in a zone under a daylight-saving rule: the search for the next instant.
//!
//! The search goes from one stretch of constant offset (a segment) to the next. Within a segment
//! wall time and instants run side by side, so the expression's next reading is the answer unless
//! the segment ends before it. What the rules say about gaps and overlaps is decided at the
//! boundaries only.

use minutehand_model::Timestamp;

use crate::DstRule;
use crate::dst::VIXIE_LIMIT_S;
use crate::expression::CronExpression;
use crate::transitions::{OFFSET_LIMIT_S, PERIOD_S, PERIODIC_FROM_S, Segment, Transitions};
use crate::zone::Zone;
use crate::{LAST_SECOND, at_second, second_after};

/// Steps of one search, never reached: 400 years have at most two segments and one refused reading
/// each year. With a year field the search runs to the year 9999.
const STEP_LIMIT: u32 = 100_000;

/// A cron expression read in a zone, under a daylight-saving rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    /// Which wall-clock readings match.
    pub expression: CronExpression,
    /// Whose wall clock.
    pub zone: Zone,
    /// What becomes of readings that do not exist or exist twice.
    pub dst: DstRule,
}

impl Cron {
    /// Puts the three together.
    #[must_use]
    pub fn new(expression: CronExpression, zone: Zone, dst: DstRule) -> Cron {
        Cron {
            expression,
            zone,
            dst,
        }
    }

    /// The first nominal time strictly later than `after`; `None` when there is none to the year
    /// 9999.
    ///
    /// The search is bounded: it looks at the clock changes and matching days of 400 years at most
    /// (to the year 9999 for an expression with a year field), and an ordinary expression is found
    /// in the first or second step.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.next_second(second_after(after)).map(at_second)
    }

    /// Whether `at` is a nominal time of this schedule.
    #[must_use]
    pub fn is_nominal(&self, at: Timestamp) -> bool {
        self.next_after(at.plus_millis(-1)) == Some(at)
    }

    /// Whether times in a gap of `size_s` seconds are moved to its end. As in cronie a gap of the
    /// limit itself is too large already: it counts the minute in which the clock jumps, too.
    pub(crate) fn moves_gap_times(&self, size_s: i64) -> bool {
        self.dst == DstRule::Vixie && !self.expression.follows_clock && size_s < VIXIE_LIMIT_S
    }

    /// Readings shown a second time within this many seconds do not count again; 0 when all count.
    pub(crate) fn repeat_limit_s(&self) -> i64 {
        match self.dst {
            _ if self.expression.follows_clock => 0,
            DstRule::Vixie => VIXIE_LIMIT_S,
            DstRule::Skip => OFFSET_LIMIT_S,
            DstRule::Literal => 0,
        }
    }

    /// The first nominal second at or after `from_s` (not negative).
    pub(crate) fn next_second(&self, from_s: i64) -> Option<i64> {
        let transitions = self.zone.transitions();
        let mut segment = transitions.segment_at(from_s);
        if segment.start_s == from_s && self.fires_at_gap_end(transitions, &segment) {
            return Some(from_s);
        }
        let horizon_s = self.horizon_s(from_s);
        // No reading in `searched_from..reading` matches.
        let mut searched_from = from_s + segment.offset_s;
        let mut reading = self.expression.next_local(searched_from)?;
        for _ in 0..STEP_LIMIT {
            let instant = reading - segment.offset_s;
            if instant > horizon_s {
                return None;
            }
            if instant < segment.end_s {
                match self.repeated_until(transitions, &segment, reading) {
                    None => return Some(instant),
                    Some(end) => {
                        searched_from = end;
                        reading = self.expression.next_local(end)?;
                    }
                }
                continue;
            }
            // Instants before `reading - OFFSET_LIMIT_S` show readings below it; those that have
            // not been searched all lie before `searched_from + OFFSET_LIMIT_S`. Between the two
            // there is nothing to look at.
            let earliest = reading - OFFSET_LIMIT_S;
            if segment.end_s >= searched_from + OFFSET_LIMIT_S && earliest > segment.end_s {
                segment = transitions.segment_at(earliest);
                continue;
            }
            let next = transitions.after(&segment)?;
            searched_from = next.start_s + next.offset_s;
            if reading < searched_from && self.moves_gap_times(next.offset_s - segment.offset_s) {
                return (next.start_s <= horizon_s).then_some(next.start_s);
            }
            reading = self.expression.next_local(searched_from)?;
            segment = next;
        }
        None
    }

    /// An expression without a year field that does not fire in one turn of the calendar never
    /// does.
    fn horizon_s(&self, from_s: i64) -> i64 {
        match self.expression.years {
            crate::field::YearSet::All => LAST_SECOND.min(from_s.max(PERIODIC_FROM_S) + PERIOD_S),
            crate::field::YearSet::Listed(_) => LAST_SECOND,
        }
    }

    /// Whether `segment` begins with a gap whose times are moved to its end, and one of them
    /// matches.
    fn fires_at_gap_end(&self, transitions: &Transitions, segment: &Segment) -> bool {
        let Some(before) = transitions.before(segment) else {
            return false;
        };
        let (gap_from, gap_to) = (
            segment.start_s + before.offset_s,
            segment.start_s + segment.offset_s,
        );
        gap_from < gap_to
            && self.moves_gap_times(gap_to - gap_from)
            && self
                .expression
                .next_local(gap_from)
                .is_some_and(|reading| reading < gap_to)
    }

    /// When the clock showed `reading` (of an instant in `segment`) before, too lately for it to
    /// count again: the reading up to which that goes on.
    fn repeated_until(
        &self,
        transitions: &Transitions,
        segment: &Segment,
        reading: i64,
    ) -> Option<i64> {
        let limit_s = self.repeat_limit_s();
        let instant = reading - segment.offset_s;
        let mut earlier = *segment;
        while earlier.start_s > instant - limit_s {
            earlier = transitions.before(&earlier)?;
            let before = reading - earlier.offset_s;
            if (earlier.start_s..earlier.end_s).contains(&before) && instant - before <= limit_s {
                return Some(earlier.end_s + earlier.offset_s);
            }
        }
        None
    }
}
