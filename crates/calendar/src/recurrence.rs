//! Either kind of recurrence, and the text form of both.

use minutehand_model::{Timestamp, time::SECOND_MS};

use crate::DstRule;
use crate::cron::Cron;
use crate::error::CronParseError;
use crate::expression::CronExpression;
use crate::interval::Interval;
use crate::items::{Piece, digits, shortened};
use crate::parse::trimmed;
use crate::zone::Zone;

/// What makes a schedule fire again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recurrence {
    /// At the wall-clock readings that match an expression.
    Cron(Cron),
    /// Every so many seconds.
    Interval(Interval),
}

/// One of the times of every interval that names no other: 1970-01-01T00:00:00Z.
pub const ANCHOR_DEFAULT: Timestamp = Timestamp::from_millis(0);

/// Takes a zone off the front of an expression: the zone that `TZ=<zone>` or `CRON_TZ=<zone>`
/// names, and the text behind it. Without a zone in front the text is given back as it is.
///
/// # Errors
/// When the zone is unknown and when nothing follows it.
pub fn split_zone(text: &str) -> Result<(Option<Zone>, &str), CronParseError> {
    match zone_prefix(trimmed(text)?)? {
        (Some((_, zone)), rest) => Ok((Some(zone), rest.text)),
        (None, _) => Ok((None, text)),
    }
}

impl Recurrence {
    /// Reads a cron expression or `@every <duration>`, either with `TZ=<zone>` or `CRON_TZ=<zone>`
    /// in front.
    ///
    /// A duration is a sum such as `90s`, `5m` or `1h30m`, in days, hours, minutes and seconds.
    /// Without a zone in the text and in `zone`, UTC is meant. `dst` is for cron expressions,
    /// `anchor` for intervals.
    ///
    /// # Errors
    /// When the text is neither, when an interval is out of range (see [`Interval::new`]), when the
    /// zone in front is unknown, and when it is another than `zone` (an alias of it is not
    /// another). Columns are those of the whole text.
    pub fn parse(
        text: &str,
        zone: Option<&Zone>,
        dst: DstRule,
        anchor: Timestamp,
    ) -> Result<Recurrence, CronParseError> {
        let whole = trimmed(text)?;
        let (prefix, rest) = zone_prefix(whole)?;
        let zone = match (zone, prefix) {
            (Some(given), Some((piece, written))) if !given.same_clock(&written) => {
                return Err(piece.error(format!(
                    "the expression says {written}, the schedule says {given}"
                )));
            }
            (Some(given), _) => given.clone(),
            (None, Some((_, written))) => written,
            (None, None) => Zone::utc(),
        };
        if let Some(duration) = rest.text.strip_prefix("@every")
            && duration.starts_with([' ', '\t'])
        {
            return every(rest.skip("@every".len()), anchor).map(Recurrence::Interval);
        }
        if rest.text == "@every" {
            return Err(rest.error("@every needs a duration, such as @every 5m"));
        }
        let expression = CronExpression::parse_or(rest.text, ", or @every with a duration")
            .map_err(|error| error.moved_right(rest.column - 1))?;
        Ok(Recurrence::Cron(Cron::new(expression, zone, dst)))
    }

    /// The first nominal time strictly later than `after`; `None` when there is none to the year
    /// 9999.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Recurrence::Cron(cron) => cron.next_after(after),
            Recurrence::Interval(interval) => interval.next_after(after),
        }
    }

    /// The recurrence in English: `at 02:30, Monday through Friday (America/New_York)`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Recurrence::Cron(cron) => format!("{} ({})", cron.expression.describe(), cron.zone),
            Recurrence::Interval(interval) => interval.describe(),
        }
    }

    pub(crate) fn next_second(&self, from_s: i64) -> Option<i64> {
        match self {
            Recurrence::Cron(cron) => cron.next_second(from_s),
            Recurrence::Interval(interval) => interval.next_second(from_s),
        }
    }
}

/// A zone written in front and where it stands, and the text after it.
type ZonePrefix<'a> = (Option<(Piece<'a>, Zone)>, Piece<'a>);

fn zone_prefix(whole: Piece<'_>) -> Result<ZonePrefix<'_>, CronParseError> {
    let Some(key) = ["TZ=", "CRON_TZ="]
        .into_iter()
        .find(|key| whole.text.starts_with(key))
    else {
        return Ok((None, whole));
    };
    let value = whole.skip(key.len());
    let length = value.text.find([' ', '\t']).unwrap_or(value.text.len());
    let name = Piece {
        text: &value.text[..length],
        column: value.column,
    };
    let zone = Zone::parse(name.text).map_err(|error| name.error(error.to_string()))?;
    let after = value.skip(length);
    let blanks = after.text.len() - after.text.trim_start_matches([' ', '\t']).len();
    let rest = after.skip(blanks);
    if rest.text.is_empty() {
        return Err(whole.error(format!("nothing follows {key}{}", name.text)));
    }
    Ok((Some((name, zone)), rest))
}

/// The interval after `@every`.
fn every(duration: Piece<'_>, anchor: Timestamp) -> Result<Interval, CronParseError> {
    let blanks = duration.text.len() - duration.text.trim_start_matches([' ', '\t']).len();
    let duration = duration.skip(blanks);
    let wrong = || {
        let given = shortened(duration.text);
        duration.error(format!(
            "a duration is a sum such as 90s, 5m or 1h30m (units d, h, m, s), got {given}"
        ))
    };
    let mut every_ms: i64 = 0;
    let mut rest = duration.text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let amount = digits(&rest[..unit_at]).ok_or_else(wrong)?;
        let unit_ms = unit_ms(&rest[unit_at..=unit_at]).ok_or_else(wrong)?;
        let part_ms = i64::try_from(amount)
            .unwrap_or(i64::MAX)
            .saturating_mul(unit_ms);
        every_ms = every_ms.saturating_add(part_ms);
        rest = &rest[unit_at + 1..];
    }
    Interval::new(every_ms, anchor).map_err(|error| duration.error(error.to_string()))
}

/// A unit's length in milliseconds.
fn unit_ms(unit: &str) -> Option<i64> {
    Some(match unit {
        "d" => 86_400 * SECOND_MS,
        "h" => 3_600 * SECOND_MS,
        "m" => 60 * SECOND_MS,
        "s" => SECOND_MS,
        _ => return None,
    })
}
