//! Recurrence: when a schedule fires next.
//!
//! Cron expressions and fixed intervals, each read in an IANA time zone under a daylight-saving
//! rule, cut by a start, an end and exclusions. Everything here is a function of its arguments:
//! nothing reads a clock, a file or the environment, so the same schedule gives the same times on
//! every node and in a simulation.
//!
//! The way in is [`Recurrence::parse`] for a text and [`Calendar`] for a whole schedule:
//!
//! ```
//! use minutehand_calendar::{Calendar, DstRule, Recurrence, Zone};
//! use minutehand_model::Timestamp;
//!
//! let zone = Zone::parse("America/New_York")?;
//! let recurrence = Recurrence::parse("0 9-17 * * 1-5", Some(&zone), DstRule::Vixie, Timestamp::default())?;
//! let calendar = Calendar::new(recurrence);
//! let friday_evening = Timestamp::from_millis(1_795_211_999_000); // 2026-11-20 16:59:59 in New York
//! let next = calendar.next_after(friday_evening).expect("weekdays never end");
//! assert_eq!(next.to_string(), "2026-11-20T22:00:00Z");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nominal times are whole seconds from 1970-01-01T00:00:00Z to 9999-12-31T23:59:59Z.

mod budget;
mod calendar;
mod civil;
mod cron;
mod day_mask;
mod definition;
mod describe;
mod dst;
mod error;
mod exclusions;
mod expression;
mod field;
mod interval;
mod items;
mod never;
mod nominal_times;
mod notes;
mod parse;
mod recurrence;
mod search;
mod transitions;
mod zone;

pub use budget::{SearchBudget, SearchExhausted};
pub use calendar::Calendar;
pub use cron::Cron;
pub use definition::{CompiledDefinition, DefinitionError};
pub use error::CronParseError;
pub use exclusions::{ExclusionError, Exclusions};
pub use expression::CronExpression;
pub use interval::{Interval, IntervalError};
pub use minutehand_model::DstRule;
pub use notes::{DstNote, DstNoteKind};
pub use recurrence::{ANCHOR_DEFAULT, Recurrence, split_zone};
pub use zone::{Zone, ZoneError, tzdb_version};

use minutehand_model::Timestamp;

/// The first second a nominal time can have: 1970-01-01T00:00:00Z.
pub(crate) const FIRST_SECOND: i64 = 0;
/// The last second a nominal time can have: 9999-12-31T23:59:59Z.
pub(crate) const LAST_SECOND: i64 = Timestamp::END_OF_YEAR_9999.as_millis() / 1_000;

/// The first whole second strictly later than `after`, never before [`FIRST_SECOND`].
pub(crate) fn second_after(after: Timestamp) -> i64 {
    (after.as_millis().div_euclid(1_000) + 1).max(FIRST_SECOND)
}

/// The timestamp of a whole second.
pub(crate) fn at_second(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1_000)
}
