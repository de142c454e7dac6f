//! The search for the next time of a calendar that no exclusion covers.
//!
//! Exclusions overlap and add up, so they are looked at together: what all expressions of a day
//! cover is one set of seconds ([`DayMask`]), and what the recurrence has beyond it is found in one
//! pass over that set. Days that are covered by the same expressions have the same answer, which is
//! remembered, and so have years that begin with the same weekday and have the same length: four
//! hundred covered years are passed in a millisecond or two.

use std::collections::BTreeMap;

use crate::budget::{SearchBudget, SearchExhausted};
use crate::calendar::Calendar;
use crate::civil::{DAY_S, Date, days_in_month, weekday};
use crate::day_mask::DayMask;
use crate::exclusions::{Exclusions, ExpressionSet};
use crate::field::YearSet;
use crate::recurrence::Recurrence;
use crate::transitions::{PERIOD_S, PERIODIC_FROM_S};
use crate::{FIRST_SECOND, LAST_SECOND, second_after};

/// Masks, days and years that are remembered; beyond it a search begins to remember anew.
const MASKS_MAX: usize = 64;
const DAYS_MAX: usize = 4_096;
const YEARS_MAX: usize = 256;
/// Covered days in a row after which whole years are looked at.
const DAYS_BEFORE_YEARS: u32 = 31;
/// What one step of the recurrence costs, and as much for every month it passes.
const RECURRENCE_STEPS: u64 = 50;
const MONTH_S: i64 = 30 * DAY_S;

/// The seconds of a day that a recurrence can have, by the clock of the exclusions.
enum Candidates {
    /// Those of an expression that is read on the same clock.
    Clock(DayMask),
    /// Every so many seconds; which of them changes from day to day.
    Every { every_s: u32 },
    /// Any: the recurrence follows another clock.
    Any(DayMask),
}

/// A search, and what it has learnt on its way.
pub(crate) struct Search<'a> {
    calendar: &'a Calendar,
    /// Made when the first excluded time is met.
    candidates: Option<Candidates>,
    masks: BTreeMap<ExpressionSet, DayMask>,
    /// The first free second of a day, by its expressions and the phase of the interval.
    first_free: BTreeMap<(ExpressionSet, u32), Option<u32>>,
    /// Whether a kind of year has no free second.
    covered_years: BTreeMap<YearKind, bool>,
}

/// What decides a year's calendar: its length, its first weekday, the expressions that have it, and
/// the phase.
type YearKind = (bool, u8, ExpressionSet, u32);
/// Every second of a day, in the place of those of one phase.
const ANY_PHASE: u32 = u32::MAX;

impl<'a> Search<'a> {
    pub(crate) fn new(calendar: &'a Calendar) -> Search<'a> {
        Search {
            calendar,
            candidates: None,
            masks: BTreeMap::new(),
            first_free: BTreeMap::new(),
            covered_years: BTreeMap::new(),
        }
    }

    /// The first nominal second from `from_s` to `last_s`.
    pub(crate) fn next_second(
        &mut self,
        from_s: i64,
        last_s: i64,
        budget: &mut SearchBudget,
    ) -> Result<Option<i64>, SearchExhausted> {
        let Calendar {
            recurrence,
            exclusions,
            start,
            end,
        } = self.calendar;
        let start_s = start.map_or(FIRST_SECOND, |start| second_after(start.plus_millis(-1)));
        let end_s = end.map_or(last_s, |end| end.as_millis().div_euclid(1_000).min(last_s));
        let mut from_s = from_s.max(start_s);
        let last_s = end_s.min(self.horizon_s(from_s));
        let mut days_covered = 0;
        loop {
            let Some(found) = recurrence
                .next_second(from_s)
                .filter(|found| *found <= last_s)
            else {
                return Ok(None);
            };
            let months = ((found - from_s) / MONTH_S).unsigned_abs();
            budget.spend(RECURRENCE_STEPS.saturating_mul(months + 1))?;
            if exclusions.is_empty() {
                return Ok(Some(found));
            }
            match self.covered_until(found, &mut days_covered, budget)? {
                None => return Ok(Some(found)),
                Some(until) => from_s = until,
            }
        }
    }

    /// The last second worth looking at: what repeats every 400 years and has no time in one such
    /// turn never has.
    fn horizon_s(&self, from_s: i64) -> i64 {
        match &self.calendar.recurrence {
            Recurrence::Cron(cron) if cron.expression.years == YearSet::All => {
                let settled_s = self
                    .calendar
                    .exclusions
                    .settled_from_s()
                    .max(PERIODIC_FROM_S);
                LAST_SECOND.min(from_s.max(settled_s) + PERIOD_S)
            }
            _ => LAST_SECOND,
        }
    }

    /// When the time `found` is excluded: a later second before which the recurrence has no free
    /// one.
    fn covered_until(
        &mut self,
        found: i64,
        days_covered: &mut u32,
        budget: &mut SearchBudget,
    ) -> Result<Option<i64>, SearchExhausted> {
        let exclusions = &self.calendar.exclusions;
        let segment = exclusions.zone().transitions().segment_at(found);
        let local = found + segment.offset_s;
        let instant = |local_s: i64| (local_s - segment.offset_s).min(segment.end_s);
        if let Some(end) = exclusions.dates_until(local) {
            return Ok(Some(instant(end)));
        }
        budget.spend(exclusions.expressions().len() as u64)?;
        let (day, second) = (local.div_euclid(DAY_S), local.rem_euclid(DAY_S));
        let active = exclusions.covering_day(day);
        if !exclusions.covers_second(active, second) {
            return Ok(None);
        }
        if let Some(free) = self.next_free(active, second as u32, budget)? {
            return Ok(Some(instant(day * DAY_S + i64::from(free))));
        }
        *days_covered += 1;
        let year = Date::from_day_number(day).year;
        if *days_covered > DAYS_BEFORE_YEARS && self.is_covered_year(year, second as u32, budget)? {
            return Ok(Some(instant(first_day_of(year + 1) * DAY_S)));
        }
        Ok(Some(instant((day + 1) * DAY_S)))
    }

    /// The first second of a day after `second` that the recurrence can have and the expressions do
    /// not cover.
    fn next_free(
        &mut self,
        active: ExpressionSet,
        second: u32,
        budget: &mut SearchBudget,
    ) -> Result<Option<u32>, SearchExhausted> {
        let phase = match self.candidates() {
            Candidates::Every { every_s } => second % every_s,
            Candidates::Clock(_) | Candidates::Any(_) => 0,
        };
        match self.first_of_day(active, phase, budget)? {
            Some(first) if first <= second => self.free_from(active, second, budget),
            other => Ok(other),
        }
    }

    /// The first free second of a day; of any that the recurrence could ever have with
    /// [`ANY_PHASE`].
    fn first_of_day(
        &mut self,
        active: ExpressionSet,
        phase: u32,
        budget: &mut SearchBudget,
    ) -> Result<Option<u32>, SearchExhausted> {
        if let Some(first) = self.first_free.get(&(active, phase)) {
            return Ok(*first);
        }
        let first = match phase {
            ANY_PHASE => {
                budget.spend(DayMask::SCAN_STEPS)?;
                DayMask::full().first_beyond(self.mask(active, budget)?, 0)
            }
            phase => self.free_from(active, phase, budget)?,
        };
        remember(&mut self.first_free, DAYS_MAX, (active, phase), first);
        Ok(first)
    }

    /// What the expressions of a set cover together.
    fn mask(
        &mut self,
        active: ExpressionSet,
        budget: &mut SearchBudget,
    ) -> Result<&DayMask, SearchExhausted> {
        if !self.masks.contains_key(&active) {
            let mask = mask(&self.calendar.exclusions, active, budget)?;
            remember(&mut self.masks, MASKS_MAX, active, mask);
        }
        Ok(&self.masks[&active])
    }

    /// The first free second at or after `second`, which is one of the recurrence where that is an
    /// interval.
    fn free_from(
        &mut self,
        active: ExpressionSet,
        second: u32,
        budget: &mut SearchBudget,
    ) -> Result<Option<u32>, SearchExhausted> {
        self.mask(active, budget)?;
        let covered = &self.masks[&active];
        match &self.candidates {
            Some(Candidates::Clock(mine) | Candidates::Any(mine)) => {
                budget.spend(DayMask::SCAN_STEPS)?;
                Ok(mine.first_beyond(covered, second))
            }
            Some(Candidates::Every { every_s }) => {
                let seconds = (second..DAY_S as u32).step_by(*every_s as usize);
                budget.spend(seconds.len() as u64)?;
                Ok(seconds
                    .into_iter()
                    .find(|second| !covered.contains(*second)))
            }
            None => Ok(None),
        }
    }

    fn candidates(&mut self) -> &Candidates {
        let Calendar {
            recurrence,
            exclusions,
            ..
        } = self.calendar;
        self.candidates.get_or_insert_with(|| match recurrence {
            Recurrence::Cron(cron) if cron.zone.same_clock(exclusions.zone()) => {
                Candidates::Clock(DayMask::of_fires(&cron.expression))
            }
            Recurrence::Cron(_) => Candidates::Any(DayMask::full()),
            Recurrence::Interval(interval) => {
                // An interval beyond a day has one second of it at most.
                let every_s = (interval.every_ms() / 1_000).min(DAY_S);
                Candidates::Every {
                    every_s: every_s as u32,
                }
            }
        })
    }

    /// Whether no day of a year has a free second. What a change of the clock moves to the end of a
    /// gap does not count, and it turns the phase of an interval, so no more than the rest of a
    /// segment may be passed.
    fn is_covered_year(
        &mut self,
        year: i32,
        second: u32,
        budget: &mut SearchBudget,
    ) -> Result<bool, SearchExhausted> {
        let phase = match self.candidates() {
            Candidates::Clock(_) => 0,
            // An interval that divides the day has the same seconds on each.
            Candidates::Every { every_s } if DAY_S % i64::from(*every_s) == 0 => second % every_s,
            Candidates::Every { .. } | Candidates::Any(_) => ANY_PHASE,
        };
        let first_day = first_day_of(year);
        let is_leap = days_in_month(year, 2) == 29;
        let kind = (
            is_leap,
            weekday(first_day),
            self.calendar.exclusions.with_year(year),
            phase,
        );
        if let Some(known) = self.covered_years.get(&kind) {
            return Ok(*known);
        }
        let is_covered = self.has_no_free_day(first_day..first_day_of(year + 1), phase, budget)?;
        remember(&mut self.covered_years, YEARS_MAX, kind, is_covered);
        Ok(is_covered)
    }

    fn has_no_free_day(
        &mut self,
        days: std::ops::Range<i64>,
        phase: u32,
        budget: &mut SearchBudget,
    ) -> Result<bool, SearchExhausted> {
        let Calendar {
            recurrence,
            exclusions,
            ..
        } = self.calendar;
        let has_times = |day: &i64| match recurrence {
            Recurrence::Cron(cron) if phase != ANY_PHASE => cron.expression.covers_day(*day),
            Recurrence::Cron(_) | Recurrence::Interval(_) => true,
        };
        for day in days.filter(has_times) {
            budget.spend(exclusions.expressions().len() as u64)?;
            if self
                .first_of_day(exclusions.covering_day(day), phase, budget)?
                .is_some()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn mask(
    exclusions: &Exclusions,
    active: ExpressionSet,
    budget: &mut SearchBudget,
) -> Result<DayMask, SearchExhausted> {
    let mut mask = DayMask::empty();
    for expression in exclusions.members(active) {
        budget.spend(u64::from(expression.hours.len() * expression.minutes.len()))?;
        mask.exclude(expression);
    }
    Ok(mask)
}

fn first_day_of(year: i32) -> i64 {
    Date {
        year,
        month: 1,
        day: 1,
    }
    .day_number()
}

/// Adds to a memo of at most so many entries; a full one is emptied first.
fn remember<K: Ord, V>(memo: &mut BTreeMap<K, V>, entries_max: usize, key: K, value: V) {
    if memo.len() >= entries_max {
        memo.clear();
    }
    memo.insert(key, value);
}
