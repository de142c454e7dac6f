//! The walk over every instant around one clock change.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::generate::Pattern;
use crate::matching::{Day, Times};

/// The rule of cronie holds for overlaps up to three hours and for gaps below them.
const VIXIE_LIMIT_S: i64 = 180 * 60;

struct Row {
    at_s: i64,
    day: usize,
    hour: u8,
    minute: u8,
    second: u8,
    /// An earlier instant, at most three hours earlier, showed this reading.
    repeats_soon: bool,
    /// Any earlier instant of the walk showed this reading.
    repeats: bool,
}

/// Readings that no instant before `at_s` showed although the clock passed them by.
struct Gap {
    at_s: i64,
    size_s: i64,
    /// Day, hour, minute, second.
    readings: Vec<(usize, u8, u8, u8)>,
}

/// Every instant from some time before a clock change to as long after it.
pub(crate) struct Walk {
    zone: TimeZone,
    days: Vec<Day>,
    rows: Vec<Row>,
    gaps: Vec<Gap>,
}

impl Walk {
    /// Walks `reach_s` to either side of the first change of `zone` after the date `before`.
    ///
    /// The step is a minute, or what the offsets in force need to hit whole minutes, unless
    /// `step_s` says otherwise.
    pub(crate) fn around(zone: &str, before: &str, reach_s: i64, step_s: Option<i64>) -> Walk {
        let zone = TimeZone::get(zone).expect("known zone");
        let date: jiff::civil::Date = before.parse().expect("ISO date");
        let start = date.to_zoned(zone.clone()).expect("in range").timestamp();
        let offset = zone.to_offset(start);
        let change = zone
            .following(start)
            .find(|change| change.offset() != offset)
            .expect("a change follows");
        assert!(
            change.timestamp().duration_since(start) < SignedDuration::from_hours(24 * 60),
            "{before} is early"
        );
        let odd = change.offset().seconds() % 60 != 0 || offset.seconds() % 60 != 0;
        let step_s = step_s.unwrap_or(if odd { 30 } else { 60 });
        let centre_s = change.timestamp().as_second();
        let mut walk = Walk {
            zone,
            days: Vec::new(),
            rows: Vec::new(),
            gaps: Vec::new(),
        };
        walk.run(centre_s - reach_s, centre_s + reach_s, step_s);
        walk
    }

    fn run(&mut self, first_s: i64, last_s: i64, step_s: i64) {
        let mut day_numbers: BTreeMap<jiff::civil::Date, usize> = BTreeMap::new();
        let mut shown: BTreeMap<DateTime, i64> = BTreeMap::new();
        let mut previous: Option<DateTime> = None;
        let step = SignedDuration::from_secs(step_s);
        for at_s in (first_s..=last_s).step_by(step_s as usize) {
            let reading = self
                .zone
                .to_datetime(Timestamp::from_second(at_s).expect("in range"));
            let expected = previous.map(|previous| previous + step);
            if let Some(mut passed) = expected.filter(|expected| *expected < reading) {
                let size_s = reading.duration_since(passed).as_secs();
                let mut readings = Vec::new();
                while passed < reading {
                    let day = self.day(&mut day_numbers, passed);
                    readings.push((
                        day,
                        passed.hour() as u8,
                        passed.minute() as u8,
                        passed.second() as u8,
                    ));
                    passed += step;
                }
                self.gaps.push(Gap {
                    at_s,
                    size_s,
                    readings,
                });
            }
            let earlier = shown.insert(reading, at_s);
            let day = self.day(&mut day_numbers, reading);
            self.rows.push(Row {
                at_s,
                day,
                hour: reading.hour() as u8,
                minute: reading.minute() as u8,
                second: reading.second() as u8,
                repeats_soon: earlier.is_some_and(|earlier| at_s - earlier <= VIXIE_LIMIT_S),
                repeats: earlier.is_some(),
            });
            previous = Some(reading);
        }
    }

    fn day(
        &mut self,
        numbers: &mut BTreeMap<jiff::civil::Date, usize>,
        reading: DateTime,
    ) -> usize {
        let date = reading.date();
        *numbers.entry(date).or_insert_with(|| {
            self.days.push(Day::of(date));
            self.days.len() - 1
        })
    }

    /// The middle of the walk: the instant of the change.
    pub(crate) fn change_s(&self) -> i64 {
        i64::midpoint(self.first_s(), self.last_s())
    }

    pub(crate) fn first_s(&self) -> i64 {
        self.rows[0].at_s
    }

    pub(crate) fn last_s(&self) -> i64 {
        self.rows[self.rows.len() - 1].at_s
    }

    pub(crate) fn show(&self, at_s: i64) -> String {
        Timestamp::from_second(at_s)
            .expect("in range")
            .to_zoned(self.zone.clone())
            .to_string()
    }

    /// The fires of a pattern under `vixie`, `skip` and `literal`.
    pub(crate) fn fires(&self, pattern: &Pattern, times: &Times) -> [Vec<i64>; 3] {
        // By value, not by search: whether each day of the walk matches, then each instant of those
        // days.
        let days: Vec<bool> = self.days.iter().map(|day| pattern.has_day(*day)).collect();
        let follows_clock = pattern.follows_clock();
        let moved = self
            .gaps
            .iter()
            .filter(|gap| !follows_clock && gap.size_s < VIXIE_LIMIT_S)
            .filter(|gap| {
                gap.readings.iter().any(|(day, hour, minute, second)| {
                    days[*day] && times.has(*hour, *minute, *second)
                })
            });
        let moved: Vec<i64> = moved.map(|gap| gap.at_s).collect();
        let mut fires = [Vec::new(), Vec::new(), Vec::new()];
        // An hour at a time, so that those without a match cost one look.
        for hour in self
            .rows
            .chunk_by(|a, b| (a.day, a.hour) == (b.day, b.hour))
        {
            let matches = days[hour[0].day] && times.has_hour(hour[0].hour);
            if !matches
                && !moved
                    .iter()
                    .any(|at_s| (hour[0].at_s..=hour[hour.len() - 1].at_s).contains(at_s))
            {
                continue;
            }
            for row in hour {
                let on_time = matches && times.has(row.hour, row.minute, row.second);
                if on_time && (follows_clock || !row.repeats_soon) || moved.contains(&row.at_s) {
                    fires[0].push(row.at_s);
                }
                if on_time && (follows_clock || !row.repeats) {
                    fires[1].push(row.at_s);
                }
                if on_time {
                    fires[2].push(row.at_s);
                }
            }
        }
        fires
    }
}
