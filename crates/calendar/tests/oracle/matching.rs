//! What a pattern matches, value by value and by definition.

use crate::generate::{Item, Pattern};

/// A date as the matcher needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) month: i64,
    pub(crate) day: i64,
    /// 0 is Sunday.
    pub(crate) weekday: i64,
    pub(crate) days_in_month: i64,
}

/// The times of day a pattern matches, each asked once.
#[derive(Debug)]
pub(crate) struct Times {
    hours: Vec<bool>,
    minutes: Vec<bool>,
    seconds: Vec<bool>,
}

impl Times {
    pub(crate) fn of(pattern: &Pattern) -> Times {
        let has = |items: &[Item], value| items.iter().any(|item| item.has(value, 0));
        Times {
            hours: (0..24).map(|hour| has(&pattern.hour, hour)).collect(),
            minutes: (0..60).map(|minute| has(&pattern.minute, minute)).collect(),
            seconds: (0..60)
                .map(|second| {
                    pattern
                        .second
                        .as_ref()
                        .map_or(second == 0, |items| has(items, second))
                })
                .collect(),
        }
    }

    pub(crate) fn has_hour(&self, hour: u8) -> bool {
        self.hours[usize::from(hour)]
    }

    pub(crate) fn has(&self, hour: u8, minute: u8, second: u8) -> bool {
        self.has_hour(hour)
            && self.minutes[usize::from(minute)]
            && self.seconds[usize::from(second)]
    }
}

impl Day {
    pub(crate) fn of(date: jiff::civil::Date) -> Day {
        Day {
            month: i64::from(date.month()),
            day: i64::from(date.day()),
            weekday: i64::from(date.weekday().to_sunday_zero_offset()),
            days_in_month: i64::from(date.days_in_month()),
        }
    }
}

impl Item {
    /// Whether a plain value matches; `min` is the field's smallest.
    fn has(&self, value: i64, min: i64) -> bool {
        match *self {
            Item::Every => true,
            Item::EveryStep(step) => (value - min) % step == 0,
            Item::Value(wanted) => value == wanted,
            Item::Range(first, last) => first <= value && value <= last,
            Item::RangeStep(first, last, step) => {
                first <= value && value <= last && (value - first) % step == 0
            }
            _ => false,
        }
    }

    fn has_day(&self, day: Day) -> bool {
        match *self {
            Item::BeforeLast(n) => day.day == day.days_in_month - n,
            Item::LastWeekday => {
                let workday = (1..=5).contains(&day.weekday);
                // No workday comes after it in the month.
                workday
                    && (day.day + 1..=day.days_in_month)
                        .all(|d| [0, 6].contains(&((day.weekday + d - day.day) % 7)))
            }
            Item::NearestWeekday(target) => {
                let weekday_of = |d: i64| (day.weekday + d - day.day).rem_euclid(7);
                let is_workday = |d: i64| (1..=5).contains(&weekday_of(d));
                let in_month = |d: i64| (1..=day.days_in_month).contains(&d);
                // Nearest first; a Saturday and a Sunday are at different distances from Friday and
                // Monday.
                let nearest = [0, -1, 1, -2, 2]
                    .map(|away| target + away)
                    .into_iter()
                    .find(|d| in_month(*d) && is_workday(*d));
                in_month(target) && nearest == Some(day.day)
            }
            _ => self.has(day.day, 1),
        }
    }

    fn has_weekday(&self, day: Day) -> bool {
        match *self {
            Item::LastOf(weekday) => weekday % 7 == day.weekday && day.day + 7 > day.days_in_month,
            Item::NthOf(weekday, n) => weekday % 7 == day.weekday && (day.day - 1) / 7 == n - 1,
            // Sunday is 0 and 7.
            _ => self.has(day.weekday, 0) || (day.weekday == 0 && self.has(7, 0)),
        }
    }

    fn is_star(&self) -> bool {
        matches!(self, Item::Every | Item::EveryStep(_))
    }
}

impl Pattern {
    pub(crate) fn daily(hour: i64, minute: i64) -> Pattern {
        Pattern {
            second: None,
            minute: vec![Item::Value(minute)],
            hour: vec![Item::Value(hour)],
            day: vec![Item::Every],
            month: vec![Item::Every],
            weekday: vec![Item::Every],
            plus: false,
        }
    }

    pub(crate) fn has_day(&self, day: Day) -> bool {
        let month = self.month.iter().any(|item| item.has(day.month, 1));
        let of_month = self.day.iter().any(|item| item.has_day(day));
        let of_week = self.weekday.iter().any(|item| item.has_weekday(day));
        let both = self.plus || self.day[0].is_star() || self.weekday[0].is_star();
        month
            && if both {
                of_month && of_week
            } else {
                of_month || of_week
            }
    }

    pub(crate) fn follows_clock(&self) -> bool {
        self.minute[0].is_star() || self.hour[0].is_star()
    }
}
