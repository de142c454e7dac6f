//! The seconds of a day as a set: what expressions cover of it, and the first second that one set
//! has and another has not.

use crate::expression::CronExpression;

const MINUTES: usize = 24 * 60;
/// All sixty seconds of a minute.
const WHOLE_MINUTE: u64 = (1 << 60) - 1;

/// A set of seconds of a day of 24 hours: sixty bits for each minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DayMask {
    minutes: Box<[u64; MINUTES]>,
}

impl DayMask {
    /// Steps that it takes to look at every minute of a mask.
    pub(crate) const SCAN_STEPS: u64 = MINUTES as u64;

    /// No second.
    pub(crate) fn empty() -> DayMask {
        DayMask {
            minutes: Box::new([0; MINUTES]),
        }
    }

    /// Every second.
    pub(crate) fn full() -> DayMask {
        DayMask {
            minutes: Box::new([WHOLE_MINUTE; MINUTES]),
        }
    }

    /// The seconds at which an expression fires on the days it matches.
    pub(crate) fn of_fires(expression: &CronExpression) -> DayMask {
        let mut mask = DayMask::empty();
        mask.insert(expression, expression.seconds.0);
        mask
    }

    /// Adds the seconds that an exclusion covers on the days it matches: whole minutes without a
    /// seconds field.
    pub(crate) fn exclude(&mut self, expression: &CronExpression) {
        let seconds = if expression.has_seconds_field {
            expression.seconds.0
        } else {
            WHOLE_MINUTE
        };
        self.insert(expression, seconds);
    }

    fn insert(&mut self, expression: &CronExpression, seconds: u64) {
        for hour in expression.hours.iter() {
            let hour = usize::from(hour) * 60;
            for minute in expression.minutes.iter() {
                self.minutes[hour + usize::from(minute)] |= seconds;
            }
        }
    }

    pub(crate) fn contains(&self, second_of_day: u32) -> bool {
        self.minutes[second_of_day as usize / 60] >> (second_of_day % 60) & 1 == 1
    }

    /// The first second at or after `from` that is in this set and not in `other`.
    pub(crate) fn first_beyond(&self, other: &DayMask, from: u32) -> Option<u32> {
        let first_minute = from as usize / 60;
        let minutes = self
            .minutes
            .iter()
            .zip(other.minutes.iter())
            .enumerate()
            .skip(first_minute);
        let mut allowed = u64::MAX << (from % 60);
        for (minute, (mine, others)) in minutes {
            let left = mine & !others & allowed;
            if left != 0 {
                return Some(minute as u32 * 60 + left.trailing_zeros());
            }
            allowed = u64::MAX;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(texts: &[&str]) -> DayMask {
        let mut mask = DayMask::empty();
        for text in texts {
            mask.exclude(&CronExpression::parse(text).expect(text));
        }
        mask
    }

    #[test]
    fn seconds_are_found_across_minutes() {
        let fires = DayMask::of_fires(&CronExpression::parse("30 59 9,17 * * *").expect("valid"));
        let (nine, seventeen) = (9 * 3_600 + 59 * 60 + 30, 17 * 3_600 + 59 * 60 + 30);
        let nothing = DayMask::empty();
        assert_eq!(fires.first_beyond(&nothing, 0), Some(nine));
        assert_eq!(fires.first_beyond(&nothing, nine), Some(nine));
        assert_eq!(fires.first_beyond(&nothing, nine + 1), Some(seventeen));
        assert_eq!(fires.first_beyond(&nothing, seventeen + 1), None);
        assert_eq!(
            fires.first_beyond(&excluded(&["* 9 * * *"]), 0),
            Some(seventeen)
        );
        assert_eq!(fires.first_beyond(&DayMask::full(), 0), None);
        assert_eq!(DayMask::full().first_beyond(&nothing, 86_399), Some(86_399));
    }

    #[test]
    fn a_union_covers_what_its_parts_cover() {
        let halves = excluded(&["0-29 * * * *", "30-59 * * * *"]);
        assert_eq!(halves, DayMask::full());
        let even = excluded(&["*/2 * * * * *"]);
        assert!(
            even.contains(0)
                && !even.contains(1)
                && even.contains(86_398)
                && !even.contains(86_399)
        );
    }
}
