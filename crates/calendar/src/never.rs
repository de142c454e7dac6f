//! Expressions that can never fire, found when they are parsed.
//!
//! A year is told from another by its length and the weekday it begins with, so fourteen years
//! stand for all: the check looks at no more than 14 x 12 months, whatever the expression.

use crate::civil::{Date, days_in_month, weekday};
use crate::describe::MONTHS;
use crate::error::CronParseError;
use crate::expression::{CronExpression, DayLogic};
use crate::field::YearSet;
use crate::items::Piece;

/// Refuses an expression without a single matching day.
pub(crate) fn check(expression: &CronExpression, whole: Piece<'_>) -> Result<(), CronParseError> {
    let years = sample_years(&expression.years);
    let fires = years.iter().any(|year| {
        expression.months.iter().any(|month| {
            let first_day_number = Date {
                year: *year,
                month,
                day: 1,
            }
            .day_number();
            !expression
                .days
                .in_month(first_day_number, days_in_month(*year, month))
                .is_empty()
        })
    });
    if fires {
        Ok(())
    } else {
        Err(whole.error(format!("never fires: {}", reason(expression, &years))))
    }
}

/// One year of each kind the set has: at most fourteen.
/// One of the fourteen kinds of years: leap or not, by the weekday that it begins with.
fn kind_of_year(year: i32) -> usize {
    let is_leap = days_in_month(year, 2) == 29;
    let new_year = Date {
        year,
        month: 1,
        day: 1,
    };
    usize::from(is_leap) * 7 + usize::from(weekday(new_year.day_number()))
}

fn sample_years(years: &YearSet) -> Vec<i32> {
    let mut seen = [false; 14];
    let mut samples = Vec::with_capacity(14);
    let mut year = years.next(0);
    // Within 400 years every kind occurs; a list is looked through to its end.
    let mut left = 400;
    while let Some(candidate) = year {
        let kind = kind_of_year(candidate);
        if !seen[kind] {
            seen[kind] = true;
            samples.push(candidate);
        }
        left -= 1;
        if samples.len() == 14 || (left == 0 && *years == YearSet::All) {
            break;
        }
        year = years.next(candidate + 1);
    }
    samples
}

/// Why no day matches, in words; the plainest cause that holds.
fn reason(expression: &CronExpression, years: &[i32]) -> String {
    let of_month = &expression.days.of_month;
    let plain = of_month.before_last.is_empty() && !of_month.last_weekday;
    let smallest = match (
        of_month.days.is_empty(),
        of_month.nearest_weekday.is_empty(),
    ) {
        (false, _) => of_month.days.first(),
        (true, false) => of_month.nearest_weekday.first(),
        (true, true) => 0,
    };
    let longest = |month: u8| {
        years
            .iter()
            .map(|year| days_in_month(*year, month))
            .max()
            .unwrap_or(31)
    };
    if plain
        && smallest > 28
        && expression
            .months
            .iter()
            .all(|month| longest(month) < smallest)
    {
        let in_years = if smallest == 29 {
            " in the years given"
        } else {
            ""
        };
        let mut months = expression
            .months
            .iter()
            .map(|month| MONTHS[usize::from(month) - 1]);
        let first = months.next().unwrap_or("the month");
        let rest: Vec<&str> = months.collect();
        return match rest.split_last() {
            None => format!("{first} has no day {smallest}{in_years}"),
            Some((last, [])) => format!("{first} and {last} have no day {smallest}{in_years}"),
            Some((last, middle)) => {
                format!(
                    "{first}, {} and {last} have no day {smallest}{in_years}",
                    middle.join(", ")
                )
            }
        };
    }
    match expression.days.logic {
        DayLogic::Both if expression.days.of_week.days.len() == 7 => {
            "no such day exists in these months".to_owned()
        }
        DayLogic::Both => {
            "no day of these months is both that day of the month and that day of the week"
                .to_owned()
        }
        DayLogic::Either => "no such day exists in these months".to_owned(),
    }
}
