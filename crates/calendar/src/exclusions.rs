//! Times at which a schedule does not fire: dates, stretches of dates and cron expressions.

use minutehand_model::Timestamp;

use crate::FIRST_SECOND;
use crate::civil::{DAY_S, Date, days_in_month};
use crate::error::CronParseError;
use crate::expression::CronExpression;
use crate::field::YearSet;
use crate::zone::Zone;

/// Most entries of one list.
const ENTRY_LIMIT: usize = 1_000;
/// Most cron expressions among them: each is asked about each candidate of a search.
const EXPRESSION_LIMIT: usize = 100;
const _: () = assert!(
    EXPRESSION_LIMIT <= ExpressionSet::BITS as usize,
    "an expression is a bit of a set"
);

/// Some of a list's expressions: bit n stands for the one at place n.
pub(crate) type ExpressionSet = u128;

/// A list of exclusions, read in one zone.
///
/// An entry is
/// - a local date, `2027-12-25`, or a stretch of them, both ends included,
///   `2027-12-24..2027-12-26`;
/// - a cron expression: a nominal time whose wall-clock reading matches is excluded. An expression
///   without a seconds field covers whole minutes, so `* * 25 12 *` is all of Christmas and `0 0 25
///   12 *` one minute of it.
///
/// It is the nominal time that counts: a fire moved to the end of a gap is excluded by where it was
/// moved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusions {
    zone: Zone,
    /// First and last day numbers, sorted and apart from each other.
    dates: Vec<(i64, i64)>,
    expressions: Vec<CronExpression>,
}

/// Why a list of exclusions was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExclusionError {
    /// More entries than a list may have.
    #[error("at most {ENTRY_LIMIT} exclusions, got {count}")]
    TooMany {
        /// Entries given.
        count: usize,
    },
    /// More cron expressions than a list may have.
    #[error("at most {EXPRESSION_LIMIT} exclusions by cron expression, got {count}")]
    TooManyExpressions {
        /// Expressions given.
        count: usize,
    },
    /// An entry that looks like a date and is none, or a stretch that runs backwards.
    #[error(
        "exclusion {index}: {entry:?} is not a date: write YYYY-MM-DD or YYYY-MM-DD..YYYY-MM-DD"
    )]
    Date {
        /// Position in the list, from 0.
        index: usize,
        /// The entry, cut to 32 characters.
        entry: String,
    },
    /// An entry that is no cron expression.
    #[error("exclusion {index}: {reason}")]
    Expression {
        /// Position in the list, from 0.
        index: usize,
        /// What is wrong with it.
        reason: CronParseError,
    },
}

impl Exclusions {
    /// Excludes nothing.
    #[must_use]
    pub fn none() -> Exclusions {
        Exclusions {
            zone: Zone::utc(),
            dates: Vec::new(),
            expressions: Vec::new(),
        }
    }

    /// Reads a list of at most 1,000 entries, 100 of them expressions; their forms are described at
    /// [`Exclusions`].
    ///
    /// # Errors
    /// When there are too many entries or one is neither a date, a stretch of dates nor a cron
    /// expression.
    pub fn parse<S: AsRef<str>>(zone: Zone, entries: &[S]) -> Result<Exclusions, ExclusionError> {
        if entries.len() > ENTRY_LIMIT {
            return Err(ExclusionError::TooMany {
                count: entries.len(),
            });
        }
        let mut exclusions = Exclusions {
            zone,
            dates: Vec::new(),
            expressions: Vec::new(),
        };
        for (index, entry) in entries.iter().enumerate() {
            let entry = entry.as_ref().trim_matches([' ', '\t']);
            if looks_like_date(entry) {
                let stretch = stretch(entry).ok_or_else(|| ExclusionError::Date {
                    index,
                    entry: entry.chars().take(32).collect(),
                })?;
                exclusions.dates.push(stretch);
            } else {
                let expression = CronExpression::parse(entry)
                    .map_err(|reason| ExclusionError::Expression { index, reason })?;
                exclusions.expressions.push(expression);
            }
        }
        if exclusions.expressions.len() > EXPRESSION_LIMIT {
            return Err(ExclusionError::TooManyExpressions {
                count: exclusions.expressions.len(),
            });
        }
        exclusions.dates = united(exclusions.dates);
        Ok(exclusions)
    }

    /// Whether nothing is excluded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dates.is_empty() && self.expressions.is_empty()
    }

    /// The zone the entries are read in.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether a nominal time at `at` would not fire.
    #[must_use]
    pub fn excludes(&self, at: Timestamp) -> bool {
        let at_s = at.as_millis().div_euclid(1_000);
        let local = at_s + self.zone.transitions().segment_at(at_s).offset_s;
        self.dates_until(local).is_some()
            || self
                .expressions
                .iter()
                .any(|expression| expression.covers_local(local))
    }

    pub(crate) fn expressions(&self) -> &[CronExpression] {
        &self.expressions
    }

    /// The expressions of a set.
    pub(crate) fn members(&self, set: ExpressionSet) -> impl Iterator<Item = &CronExpression> {
        self.expressions
            .iter()
            .enumerate()
            .filter(move |(place, _)| set >> place & 1 == 1)
            .map(|(_, e)| e)
    }

    /// The expressions that match a day.
    pub(crate) fn covering_day(&self, day_number: i64) -> ExpressionSet {
        let date = Date::from_day_number(day_number);
        let first_day_number = day_number + 1 - i64::from(date.day);
        let length = days_in_month(date.year, date.month);
        self.set_of(|expression| expression.covers_date(date, first_day_number, length))
    }

    /// The expressions that match in a year at all.
    pub(crate) fn with_year(&self, year: i32) -> ExpressionSet {
        self.set_of(|expression| expression.years.next(year) == Some(year))
    }

    /// Whether one of the expressions of a set covers a second of the days it matches.
    pub(crate) fn covers_second(&self, set: ExpressionSet, second_of_day: i64) -> bool {
        self.members(set)
            .any(|expression| expression.covers_time_of_day(second_of_day))
    }

    /// The second from which on what is excluded repeats every 400 years: behind every date and
    /// listed year.
    pub(crate) fn settled_from_s(&self) -> i64 {
        let last_date = self.dates.last().map(|(_, last)| last + 2);
        let listed = self
            .expressions
            .iter()
            .filter_map(|expression| match &expression.years {
                YearSet::All => None,
                YearSet::Listed(years) => years.last().copied(),
            });
        let behind_years = listed.max().map(|year| {
            // A day more for whatever the zone is from UTC.
            Date {
                year: i32::from(year) + 1,
                month: 1,
                day: 1,
            }
            .day_number()
                + 1
        });
        last_date
            .max(behind_years)
            .map_or(FIRST_SECOND, |day_number| day_number * DAY_S)
    }

    fn set_of(&self, is_member: impl Fn(&CronExpression) -> bool) -> ExpressionSet {
        let places = self
            .expressions
            .iter()
            .enumerate()
            .filter(|(_, expression)| is_member(expression));
        places.fold(0, |set, (place, _)| set | 1 << place)
    }

    /// The end of the stretch of dates around a wall-clock reading.
    pub(crate) fn dates_until(&self, local: i64) -> Option<i64> {
        let day = local.div_euclid(DAY_S);
        let begun = self.dates.partition_point(|(first, _)| *first <= day);
        let (_, last) = self.dates[..begun].last()?;
        (day <= *last).then_some((last + 1) * DAY_S)
    }
}

/// The same days as stretches that neither overlap nor touch, in rising order.
fn united(mut stretches: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    stretches.sort_unstable();
    let mut apart: Vec<(i64, i64)> = Vec::with_capacity(stretches.len());
    for (first, last) in stretches {
        match apart.last_mut() {
            Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
            _ => apart.push((first, last)),
        }
    }
    apart
}

fn looks_like_date(entry: &str) -> bool {
    let bytes = entry.as_bytes();
    bytes.len() > 4 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
        || entry.contains("..")
}

fn stretch(entry: &str) -> Option<(i64, i64)> {
    let (first, last) = entry.split_once("..").unwrap_or((entry, entry));
    let (first, last) = (
        Date::parse_iso(first.trim())?.day_number(),
        Date::parse_iso(last.trim())?.day_number(),
    );
    (first <= last).then_some((first, last))
}
