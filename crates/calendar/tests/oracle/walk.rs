//! The walk over every instant around one clock change.

use std::collections::BTreeMap;

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::generate::Pattern;
use crate::matching::Day;

/// The rule of cronie holds for changes up to three hours.
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
    /// The step is a minute, or what the offsets in force need to hit whole minutes, unless `step_s` says otherwise.
    pub(crate) fn around(zone: &str, before: &str, reach_s: i64, step_s: Option<i64>) -> Walk {
        let zone = TimeZone::get(zone).expect("known zone");
        let date: jiff::civil::Date = before.parse().expect("ISO date");
        let start = date.to_zoned(zone.clone()).expect("in range").timestamp();
        let offset = zone.to_offset(start);
        let change =
            zone.following(start).find(|change| change.offset() != offset).expect("a change follows");
        assert!(
            change.timestamp().duration_since(start) < SignedDuration::from_hours(24 * 60),
            "{before} is early"
        );
        let odd = change.offset().seconds() % 60 != 0 || offset.seconds() % 60 != 0;
        let step_s = step_s.unwrap_or(if odd { 30 } else { 60 });
        let centre_s = change.timestamp().as_second();
        let mut walk = Walk { zone, days: Vec::new(), rows: Vec::new(), gaps: Vec::new() };
        walk.run(centre_s - reach_s, centre_s + reach_s, step_s);
        walk
    }

    fn run(&mut self, first_s: i64, last_s: i64, step_s: i64) {
        let mut day_numbers: BTreeMap<jiff::civil::Date, usize> = BTreeMap::new();
        let mut shown: BTreeMap<DateTime, i64> = BTreeMap::new();
        let mut previous: Option<DateTime> = None;
        let step = SignedDuration::from_secs(step_s);
        for at_s in (first_s..=last_s).step_by(step_s as usize) {
            let reading = self.zone.to_datetime(Timestamp::from_second(at_s).expect("in range"));
            let expected = previous.map(|previous| previous + step);
            if let Some(mut passed) = expected.filter(|expected| *expected < reading) {
                let size_s = reading.duration_since(passed).as_secs();
                let mut readings = Vec::new();
                while passed < reading {
                    let day = self.day(&mut day_numbers, passed);
                    readings.push((day, passed.hour() as u8, passed.minute() as u8, passed.second() as u8));
                    passed += step;
                }
                self.gaps.push(Gap { at_s, size_s, readings });
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

    fn day(&mut self, numbers: &mut BTreeMap<jiff::civil::Date, usize>, reading: DateTime) -> usize {
        let date = reading.date();
        *numbers.entry(date).or_insert_with(|| {
            self.days.push(Day {
                month: i64::from(date.month()),
                day: i64::from(date.day()),
                weekday: match date.weekday() {
                    Weekday::Sunday => 0,
                    Weekday::Monday => 1,
                    Weekday::Tuesday => 2,
                    Weekday::Wednesday => 3,
                    Weekday::Thursday => 4,
                    Weekday::Friday => 5,
                    Weekday::Saturday => 6,
                },
                days_in_month: i64::from(date.days_in_month()),
            });
            self.days.len() - 1
        })
    }

    pub(crate) fn first_s(&self) -> i64 {
        self.rows[0].at_s
    }

    pub(crate) fn last_s(&self) -> i64 {
        self.rows[self.rows.len() - 1].at_s
    }

    pub(crate) fn show(&self, at_s: i64) -> String {
        Timestamp::from_second(at_s).expect("in range").to_zoned(self.zone.clone()).to_string()
    }

    /// The fires of a pattern under `vixie`, `skip` and `literal`.
    pub(crate) fn fires(&self, pattern: &Pattern) -> [Vec<i64>; 3] {
        // By value, not by search: whether each time of day and each day of the walk matches.
        let times: Vec<bool> = (0..1_440).map(|minute| pattern.has_time(minute / 60, minute % 60)).collect();
        let seconds: Vec<bool> = (0..60).map(|second| pattern.has_second(second)).collect();
        let days: Vec<bool> = self.days.iter().map(|day| pattern.has_day(*day)).collect();
        let matches = |day: usize, hour: u8, minute: u8, second: u8| {
            days[day] && times[usize::from(hour) * 60 + usize::from(minute)] && seconds[usize::from(second)]
        };
        let follows_clock = pattern.follows_clock();
        let moved =
            self.gaps.iter().filter(|gap| !follows_clock && gap.size_s <= VIXIE_LIMIT_S).filter(|gap| {
                gap.readings.iter().any(|(day, hour, minute, second)| matches(*day, *hour, *minute, *second))
            });
        let moved: Vec<i64> = moved.map(|gap| gap.at_s).collect();
        let mut fires = [Vec::new(), Vec::new(), Vec::new()];
        for row in &self.rows {
            let on_time = days[row.day] && matches(row.day, row.hour, row.minute, row.second);
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
        fires
    }
}
