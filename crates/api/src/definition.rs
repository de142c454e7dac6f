//! A definition's meaning: is it valid, and when does it fire?

use minutehand_calendar::{
    ANCHOR_DEFAULT, Calendar, CronParseError, DstRule, ExclusionError, Exclusions, Interval, Recurrence,
    SearchBudget, SearchExhausted, Zone,
};
use minutehand_model::limits::{CRON_BYTES_MAX, JITTER_MS_MAX, RUN_TIMEOUT_MS_MAX, RUN_TIMEOUT_MS_MIN};
use minutehand_model::time::DAY_MS;
use minutehand_model::{RecurrenceSpec, ScheduleDefinition, Timestamp};

use crate::InvalidField;
use crate::validate::{validate_action, within};

/// Most times one preview shows.
const PREVIEW_TIMES_MAX: usize = 1_000;
/// Clock changes a preview explains.
const PREVIEW_NOTES: usize = 3;
/// Longest misfire window or grace: ten years.
const MISFIRE_MS_MAX: i64 = 3_653 * DAY_MS;

/// When a definition fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The recurrence in English.
    pub description: String,
    /// The first nominal times after the time asked for.
    pub times: Vec<Timestamp>,
    /// What the next clock changes do to it: when, and in words.
    pub notes: Vec<(Timestamp, String)>,
}

/// The first `count` times of a definition at or after `from`, as many as `max_runs` allows. All of them together
/// have the search budget of one request, so a preview takes some tens of milliseconds at most.
///
/// # Errors
/// What [`validate_definition`] refuses, a count that is not 1 to 1,000, and exclusions for which the budget does not
/// suffice.
pub fn preview(
    definition: &ScheduleDefinition,
    from: Timestamp,
    count: usize,
) -> Result<Preview, InvalidField> {
    if !(1..=PREVIEW_TIMES_MAX).contains(&count) {
        let limit = format!("1 to {PREVIEW_TIMES_MAX}");
        return Err(InvalidField::new("n", "is out of range", limit, count));
    }
    let calendar = validate_definition(definition)?;
    let count = definition.runs_max.map_or(count, |runs| count.min(usize::try_from(runs).unwrap_or(count)));
    let times = searched(definition, &calendar, (from, Timestamp::END_OF_YEAR_9999), count)?;
    let notes = calendar.notes(from, PREVIEW_NOTES);
    let notes = notes.into_iter().map(|note| (note.at, note.message)).collect();
    Ok(Preview { description: calendar.recurrence.describe(), times, notes })
}

/// How many times a definition has from `from` to `to`, both included; counted up to `most`. All of them together have
/// the search budget of one request.
///
/// # Errors
/// What [`validate_definition`] refuses, and exclusions for which the budget does not suffice.
pub fn count_times(
    definition: &ScheduleDefinition,
    from: Timestamp,
    to: Timestamp,
    most: usize,
) -> Result<usize, InvalidField> {
    let calendar = validate_definition(definition)?;
    searched(definition, &calendar, (from, to), most).map(|times| times.len())
}

fn searched(
    definition: &ScheduleDefinition,
    calendar: &Calendar,
    (from, to): (Timestamp, Timestamp),
    count: usize,
) -> Result<Vec<Timestamp>, InvalidField> {
    let mut budget = SearchBudget::of_one_request();
    calendar.first_times(from, to, count, &mut budget).map_err(|error| too_involved(definition, error))
}

/// Checks a definition against every limit and gives its calendar.
///
/// # Errors
/// The first field that is refused; also a definition that can never fire.
pub fn validate_definition(definition: &ScheduleDefinition) -> Result<Calendar, InvalidField> {
    let action = &definition.action;
    validate_action(&action.payload, &action.headers, action.retry)?;
    validate_timing(definition)
}

/// Checks everything about a definition but what it runs, and gives its calendar.
///
/// # Errors
/// The first field that is refused; also a definition that can never fire.
pub fn validate_timing(definition: &ScheduleDefinition) -> Result<Calendar, InvalidField> {
    within("jitter_ms", definition.jitter_ms, 0, JITTER_MS_MAX)?;
    if let Some(timeout_ms) = definition.run_timeout_ms {
        within("run_timeout_ms", timeout_ms, RUN_TIMEOUT_MS_MIN, RUN_TIMEOUT_MS_MAX)?;
    }
    within("misfire.window_ms", definition.misfire.window_ms, 0, MISFIRE_MS_MAX)?;
    within("misfire.grace_ms", definition.misfire.grace_ms, 0, MISFIRE_MS_MAX)?;
    if definition.runs_max == Some(0) {
        return Err(InvalidField::new("max_runs", "is out of range", "at least 1", 0));
    }
    validate_bounds(definition)?;
    let calendar = compile(definition)?;
    let first = calendar.first_times(
        Timestamp::MIN,
        Timestamp::END_OF_YEAR_9999,
        1,
        &mut SearchBudget::of_one_time(),
    );
    if first.map_err(|error| too_involved(definition, error))?.is_empty() {
        let limit = "at least one time between start_at and end_at that is not excluded";
        return Err(InvalidField::new(recurrence_field(definition), "never fires", limit, given(definition)));
    }
    Ok(calendar)
}

fn validate_bounds(definition: &ScheduleDefinition) -> Result<(), InvalidField> {
    for (field, time) in [("start_at", definition.start), ("end_at", definition.end)] {
        if let Some(time) = time.filter(|time| *time > Timestamp::END_OF_YEAR_9999 || time.as_millis() < 0) {
            return Err(InvalidField::new(
                field,
                "is out of range",
                "a time from 1970 to the year 9999",
                time,
            ));
        }
    }
    match (definition.start, definition.end) {
        (Some(start), Some(end)) if start > end => {
            Err(InvalidField::new("end_at", "lies before start_at", format!("at or after {start}"), end))
        }
        _ => Ok(()),
    }
}

/// Refuses a definition that has nothing left to run: a new one is a mistake then.
pub fn validate_future(
    definition: &ScheduleDefinition,
    calendar: &Calendar,
    now: Timestamp,
) -> Result<(), InvalidField> {
    if calendar.next_after(now).is_some() {
        return Ok(());
    }
    let (field, given) = match definition.end {
        Some(end) => ("end_at", end.to_string()),
        None => (recurrence_field(definition), given(definition)),
    };
    Err(InvalidField::new(field, "leaves nothing to run", format!("at least one time after {now}"), given))
}

fn recurrence_field(definition: &ScheduleDefinition) -> &'static str {
    match definition.recurrence {
        RecurrenceSpec::Cron { .. } => "cron",
        RecurrenceSpec::Interval { .. } => "every",
    }
}

fn given(definition: &ScheduleDefinition) -> String {
    match &definition.recurrence {
        RecurrenceSpec::Cron { expression, .. } => expression.clone(),
        RecurrenceSpec::Interval { every_ms, .. } => format!("{every_ms} ms"),
    }
}

fn compile(definition: &ScheduleDefinition) -> Result<Calendar, InvalidField> {
    let (recurrence, zone) = match &definition.recurrence {
        RecurrenceSpec::Cron { expression, zone, dst } => compile_cron(expression, zone, *dst)?,
        RecurrenceSpec::Interval { every_ms, anchor, zone } => {
            let limit = "a whole number of seconds from 1 s to 3,660 days";
            let interval = Interval::new(*every_ms, *anchor).map_err(|error| {
                InvalidField::new("every", error.to_string(), limit, format!("{every_ms} ms"))
            })?;
            (Recurrence::Interval(interval), parse_zone(zone)?)
        }
    };
    let exclusions = Exclusions::parse(zone, &definition.exclude)
        .map_err(|error| refused_exclusion(definition, &error))?;
    let mut calendar = Calendar::new(recurrence).with_exclusions(exclusions);
    calendar.start = definition.start;
    calendar.end = definition.end;
    Ok(calendar)
}

fn compile_cron(expression: &str, zone: &str, dst: DstRule) -> Result<(Recurrence, Zone), InvalidField> {
    if expression.len() > CRON_BYTES_MAX {
        let limit = format!("at most {CRON_BYTES_MAX} bytes");
        return Err(InvalidField::new("cron", "is too long", limit, format!("{} bytes", expression.len())));
    }
    let zone = parse_zone(zone)?;
    let recurrence = Recurrence::parse(expression, Some(&zone), dst, ANCHOR_DEFAULT)
        .map_err(|error| refused_cron(expression, &error))?;
    Ok((recurrence, zone))
}

fn parse_zone(name: &str) -> Result<Zone, InvalidField> {
    Zone::parse(name)
        .map_err(|error| InvalidField::new("time_zone", error.to_string(), "an IANA time zone name", name))
}

/// An expression that cannot be read.
pub(crate) fn refused_cron(expression: &str, error: &CronParseError) -> InvalidField {
    let limit = "five to seven cron fields, or a nickname such as @daily";
    InvalidField::new("cron", error.to_string(), limit, expression)
}

fn too_involved(definition: &ScheduleDefinition, error: SearchExhausted) -> InvalidField {
    let limit = "fewer or plainer entries";
    let count = definition.exclude.len();
    InvalidField::new("exclude", error.to_string(), limit, format!("{count} entries"))
}

fn refused_exclusion(definition: &ScheduleDefinition, error: &ExclusionError) -> InvalidField {
    let (index, given) = match error {
        ExclusionError::TooMany { count } | ExclusionError::TooManyExpressions { count } => {
            return InvalidField::new("exclude", "has too many entries", error.to_string(), count);
        }
        ExclusionError::Date { index, .. } | ExclusionError::Expression { index, .. } => {
            (*index, definition.exclude.get(*index).cloned().unwrap_or_default())
        }
    };
    let limit = "dates (2027-12-25), stretches of them (2027-12-24..2027-12-26) or cron expressions";
    InvalidField::new(format!("exclude[{index}]"), error.to_string(), limit, given)
}
