//! What an expression means and when it fires next.

use jiff::tz::TimeZone;
use minutehand_calendar::{
    ANCHOR_DEFAULT, Calendar, CronParseError, DstNoteKind, DstRule, Recurrence, Zone, split_zone,
};
use minutehand_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::output::time::timestamp;

/// Most times one question may ask for.
const COUNT_MAX: usize = 10_000;
/// Clock changes that are described.
const NOTES_MAX: usize = 2;

/// A question, as a line of the batch protocol asks it. What is left out has the default of the
/// flag.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// A cron expression, a nickname or `@every` with a duration.
    pub expr: String,
    /// An IANA zone.
    #[serde(default)]
    pub tz: Option<String>,
    /// What becomes of times that do not exist or exist twice when clocks change.
    #[serde(default)]
    pub dst: Option<DstRule>,
    /// RFC 3339; the times asked for lie strictly after it.
    #[serde(default)]
    pub from: Option<String>,
    /// How many times.
    #[serde(default)]
    pub n: Option<usize>,
}

/// What a question leaves out.
pub(crate) struct Defaults {
    pub(crate) tz: Option<String>,
    pub(crate) dst: DstRule,
    pub(crate) from: Timestamp,
    pub(crate) n: usize,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// The character of the expression at which the fault begins, from 1, when it lies in the
    /// expression.
    pub column: Option<usize>,
    /// The expression with carets under the fault.
    #[serde(skip)]
    pub picture: Option<String>,
}

impl Fault {
    fn elsewhere(message: impl Into<String>) -> Fault {
        Fault {
            message: message.into(),
            column: None,
            picture: None,
        }
    }

    fn in_expression(text: &str, error: &CronParseError) -> Fault {
        Fault {
            message: error.message.clone(),
            column: Some(error.column),
            picture: Some(error.render(text)),
        }
    }
}

/// A question, understood.
pub(crate) struct Understood {
    pub(crate) calendar: Calendar,
    pub(crate) zone: Zone,
    pub(crate) dst: DstRule,
    pub(crate) from: Timestamp,
    n: usize,
}

/// Reads `-n`.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=COUNT_MAX) => Ok(n),
        _ => Err(format!("must be a number from 1 to {COUNT_MAX}")),
    }
}

impl Understood {
    pub(crate) fn of(question: &Question, defaults: &Defaults) -> Result<Understood, Fault> {
        // A zone in front of the expression counts where none was asked for; next to another one it
        // is refused.
        let asked = question
            .tz
            .as_deref()
            .or(defaults.tz.as_deref())
            .map(Zone::parse);
        let asked = asked
            .transpose()
            .map_err(|error| Fault::elsewhere(error.to_string()))?;
        let dst = question.dst.unwrap_or(defaults.dst);
        let from = match &question.from {
            Some(text) => {
                timestamp(text).map_err(|message| Fault::elsewhere(format!("from: {message}")))?
            }
            None => defaults.from,
        };
        let n = question.n.unwrap_or(defaults.n);
        if !(1..=COUNT_MAX).contains(&n) {
            return Err(Fault::elsewhere(format!(
                "n must be from 1 to {COUNT_MAX}, got {n}"
            )));
        }
        let recurrence = Recurrence::parse(&question.expr, asked.as_ref(), dst, ANCHOR_DEFAULT)
            .map_err(|error| Fault::in_expression(&question.expr, &error))?;
        let zone = match &recurrence {
            Recurrence::Cron(cron) => cron.zone.clone(),
            Recurrence::Interval(_) => interval_zone(&question.expr, asked),
        };
        Ok(Understood {
            calendar: Calendar::new(recurrence),
            zone,
            dst,
            from,
            n,
        })
    }

    /// The next times, fewer when there are no more.
    pub(crate) fn next(&self) -> Vec<Timestamp> {
        self.calendar
            .between(self.from.plus_millis(1), Timestamp::MAX)
            .take(self.n)
            .collect()
    }
}

/// The clock that an interval's times are shown on: the zone asked for, else the one in front of
/// it.
fn interval_zone(expression: &str, asked: Option<Zone>) -> Zone {
    let written = || split_zone(expression).ok().and_then(|(zone, _)| zone);
    asked.or_else(written).unwrap_or_else(Zone::utc)
}

/// Everything there is to say about an expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The next times in UTC, RFC 3339 with a `Z` and whole seconds.
    pub next: Vec<String>,
    /// The same on the zone's clock, with its abbreviation: `Sun 2027-03-14 03:00:00 EDT`.
    pub local: Vec<String>,
    /// The expression as it was given.
    pub expression: String,
    /// What it means, in English.
    pub words: String,
    /// The zone's name.
    pub zone: String,
    /// The rule for clock changes.
    pub dst: DstRule,
    /// The time after which was asked.
    pub from: String,
    /// What the next clock changes do to it.
    pub notes: Vec<Note>,
    /// The release of the time zone database that was used.
    pub tzdb: String,
}

/// What one clock change does to an expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// When the clocks change.
    pub at: String,
    /// `gap_moved`, `gap_skipped`, `overlap_once` or `overlap_twice`.
    pub kind: &'static str,
    /// In words.
    pub message: String,
}

impl Answer {
    pub(crate) fn to(question: &Question, understood: &Understood) -> Answer {
        let times = understood.next();
        let notes = understood.calendar.notes(understood.from, NOTES_MAX);
        Answer {
            next: times.iter().map(ToString::to_string).collect(),
            local: times
                .iter()
                .map(|at| local_text(*at, &understood.zone))
                .collect(),
            expression: question.expr.clone(),
            words: understood.calendar.recurrence.describe(),
            zone: understood.zone.name().to_owned(),
            dst: understood.dst,
            from: understood.from.to_string(),
            notes: notes
                .into_iter()
                .map(|note| Note {
                    at: note.at.to_string(),
                    kind: kind_word(note.kind),
                    message: note.message,
                })
                .collect(),
            tzdb: minutehand_calendar::tzdb_version().to_owned(),
        }
    }
}

fn kind_word(kind: DstNoteKind) -> &'static str {
    match kind {
        DstNoteKind::GapMoved => "gap_moved",
        DstNoteKind::GapSkipped => "gap_skipped",
        DstNoteKind::OverlapOnce => "overlap_once",
        DstNoteKind::OverlapTwice => "overlap_twice",
    }
}

/// A time on a zone's clock: `Sun 2027-03-14 03:00:00 EDT`.
pub(crate) fn local_text(at: Timestamp, zone: &Zone) -> String {
    let local = jiff::Timestamp::from_millisecond(at.as_millis())
        .ok()
        .zip(TimeZone::get(zone.name()).ok())
        .map(|(at, rules)| {
            at.to_zoned(rules)
                .strftime("%a %Y-%m-%d %H:%M:%S %Z")
                .to_string()
        });
    local.unwrap_or_else(|| at.to_string())
}
