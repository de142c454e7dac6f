//! A definition's meaning: is it valid, and when does it fire?

use std::ops::Deref;

use minutehand_calendar::{
    CompiledDefinition, CronParseError, DefinitionError, ExclusionError, SearchBudget,
};
use minutehand_model::limits::{
    CRON_BYTES_MAX, JITTER_MS_MAX, RUN_TIMEOUT_MS_MAX, RUN_TIMEOUT_MS_MIN,
};
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

/// A definition that keeps to every limit and fires at least once, with its calendar. It is made
/// here and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidDefinition(CompiledDefinition);

impl Deref for ValidDefinition {
    type Target = ScheduleDefinition;
    fn deref(&self) -> &ScheduleDefinition {
        self.0.definition()
    }
}

impl ValidDefinition {
    /// The definition, if it keeps to every limit.
    ///
    /// # Errors
    /// The first field that does not; also a definition that can never fire.
    pub fn new(definition: ScheduleDefinition) -> Result<ValidDefinition, InvalidField> {
        let action = &definition.action;
        validate_action(&action.payload, &action.headers, action.retry)?;
        ValidDefinition::with_a_record(definition)
    }

    /// The same where what it runs is a record that comes out as it came in, which has limits of
    /// its own.
    ///
    /// # Errors
    /// As [`ValidDefinition::new`], but for what it runs.
    pub fn with_a_record(definition: ScheduleDefinition) -> Result<ValidDefinition, InvalidField> {
        within("jitter_ms", definition.jitter_ms, 0, JITTER_MS_MAX)?;
        if let Some(timeout_ms) = definition.run_timeout_ms {
            within(
                "run_timeout_ms",
                timeout_ms,
                RUN_TIMEOUT_MS_MIN,
                RUN_TIMEOUT_MS_MAX,
            )?;
        }
        within(
            "misfire.window_ms",
            definition.misfire.window_ms,
            0,
            MISFIRE_MS_MAX,
        )?;
        within(
            "misfire.grace_ms",
            definition.misfire.grace_ms,
            0,
            MISFIRE_MS_MAX,
        )?;
        if definition.runs_max == Some(0) {
            return Err(InvalidField::new(
                "max_runs",
                "is out of range",
                "at least 1",
                0,
            ));
        }
        validate_bounds(&definition)?;
        let valid = ValidDefinition(compile(definition)?);
        let ever = (Timestamp::MIN, Timestamp::END_OF_YEAR_9999);
        if valid
            .searched(ever, 1, SearchBudget::of_one_time())?
            .is_empty()
        {
            let limit = "at least one time between start_at and end_at that is not excluded";
            return Err(InvalidField::new(
                recurrence_field(&valid.recurrence),
                "never fires",
                limit,
                given(&valid.recurrence),
            ));
        }
        Ok(valid)
    }

    /// The definition alone, as it is stored.
    pub fn into_definition(self) -> ScheduleDefinition {
        self.0.into_definition()
    }

    /// Refuses one that has nothing left to run: a new one is a mistake then.
    ///
    /// # Errors
    /// The field that leaves nothing.
    pub fn has_times_after(&self, now: Timestamp) -> Result<(), InvalidField> {
        if self.0.calendar().next_after(now).is_some() {
            return Ok(());
        }
        let (field, given) = match self.end {
            Some(end) => ("end_at", end.to_string()),
            None => (recurrence_field(&self.recurrence), given(&self.recurrence)),
        };
        let limit = format!("at least one time after {now}");
        Err(InvalidField::new(
            field,
            "leaves nothing to run",
            limit,
            given,
        ))
    }

    /// The first `count` times at or after `from`, as many as `max_runs` allows. All of them
    /// together have the search budget of one request, so a preview takes some tens of milliseconds
    /// at most.
    ///
    /// # Errors
    /// A count that is not 1 to 1,000, and exclusions for which the budget does not suffice.
    pub fn preview(&self, from: Timestamp, count: usize) -> Result<Preview, InvalidField> {
        if !(1..=PREVIEW_TIMES_MAX).contains(&count) {
            let limit = format!("1 to {PREVIEW_TIMES_MAX}");
            return Err(InvalidField::new("n", "is out of range", limit, count));
        }
        let count = self.runs_max.map_or(count, |runs| {
            count.min(usize::try_from(runs).unwrap_or(count))
        });
        let until = Timestamp::END_OF_YEAR_9999;
        let times = self.searched((from, until), count, SearchBudget::of_one_request())?;
        let calendar = self.0.calendar();
        let notes = calendar.notes(from, PREVIEW_NOTES);
        let notes = notes
            .into_iter()
            .map(|note| (note.at, note.message))
            .collect();
        Ok(Preview {
            description: calendar.recurrence.describe(),
            times,
            notes,
        })
    }

    /// How many times there are from `from` to `to`, both included; counted up to `most`. All of
    /// them together have the search budget of one request.
    ///
    /// # Errors
    /// Exclusions for which the budget does not suffice.
    pub fn count_times(
        &self,
        from: Timestamp,
        to: Timestamp,
        most: usize,
    ) -> Result<usize, InvalidField> {
        self.searched((from, to), most, SearchBudget::of_one_request())
            .map(|times| times.len())
    }

    fn searched(
        &self,
        (from, to): (Timestamp, Timestamp),
        count: usize,
        mut budget: SearchBudget,
    ) -> Result<Vec<Timestamp>, InvalidField> {
        self.0
            .calendar()
            .first_times(from, to, count, &mut budget)
            .map_err(|error| {
                let given = format!("{} entries", self.exclude.len());
                InvalidField::new(
                    "exclude",
                    error.to_string(),
                    "fewer or plainer entries",
                    given,
                )
            })
    }
}

fn validate_bounds(definition: &ScheduleDefinition) -> Result<(), InvalidField> {
    for (field, time) in [("start_at", definition.start), ("end_at", definition.end)] {
        if let Some(time) =
            time.filter(|time| *time > Timestamp::END_OF_YEAR_9999 || time.as_millis() < 0)
        {
            return Err(InvalidField::new(
                field,
                "is out of range",
                "a time from 1970 to the year 9999",
                time,
            ));
        }
    }
    match (definition.start, definition.end) {
        (Some(start), Some(end)) if start > end => Err(InvalidField::new(
            "end_at",
            "lies before start_at",
            format!("at or after {start}"),
            end,
        )),
        _ => Ok(()),
    }
}

fn recurrence_field(recurrence: &RecurrenceSpec) -> &'static str {
    match recurrence {
        RecurrenceSpec::Cron { .. } => "cron",
        RecurrenceSpec::Interval { .. } => "every",
    }
}

fn given(recurrence: &RecurrenceSpec) -> String {
    match recurrence {
        RecurrenceSpec::Cron { expression, .. } => expression.clone(),
        RecurrenceSpec::Interval { every_ms, .. } => format!("{every_ms} ms"),
    }
}

fn compile(definition: ScheduleDefinition) -> Result<CompiledDefinition, InvalidField> {
    if let RecurrenceSpec::Cron { expression, .. } = &definition.recurrence
        && expression.len() > CRON_BYTES_MAX
    {
        let limit = format!("at most {CRON_BYTES_MAX} bytes");
        return Err(InvalidField::new(
            "cron",
            "is too long",
            limit,
            format!("{} bytes", expression.len()),
        ));
    }
    // Compiling takes it; what is said of one that is refused needs no more than this.
    let (recurrence, exclude) = (definition.recurrence.clone(), definition.exclude.clone());
    CompiledDefinition::new(definition)
        .map_err(|error| refused_definition(&recurrence, &exclude, &error))
}

fn refused_definition(
    recurrence: &RecurrenceSpec,
    exclude: &[String],
    error: &DefinitionError,
) -> InvalidField {
    let (RecurrenceSpec::Cron { zone, .. } | RecurrenceSpec::Interval { zone, .. }) = recurrence;
    match error {
        DefinitionError::Zone(error) => InvalidField::new(
            "time_zone",
            error.to_string(),
            "an IANA time zone name",
            zone,
        ),
        DefinitionError::Cron(error) => refused_cron(&given(recurrence), error),
        DefinitionError::Interval(error) => {
            let limit = "a whole number of seconds from 1 s to 3,660 days";
            InvalidField::new("every", error.to_string(), limit, given(recurrence))
        }
        DefinitionError::Exclusion(error) => refused_exclusion(exclude, error),
    }
}

/// An expression that cannot be read.
pub(crate) fn refused_cron(expression: &str, error: &CronParseError) -> InvalidField {
    let limit = "five to seven cron fields, or a nickname such as @daily";
    InvalidField::new("cron", error.to_string(), limit, expression)
}

fn refused_exclusion(exclude: &[String], error: &ExclusionError) -> InvalidField {
    let (index, given) = match error {
        ExclusionError::TooMany { count } | ExclusionError::TooManyExpressions { count } => {
            return InvalidField::new("exclude", "has too many entries", error.to_string(), count);
        }
        ExclusionError::Date { index, .. } | ExclusionError::Expression { index, .. } => {
            (*index, exclude.get(*index).cloned().unwrap_or_default())
        }
    };
    let limit =
        "dates (2027-12-25), stretches of them (2027-12-24..2027-12-26) or cron expressions";
    InvalidField::new(format!("exclude[{index}]"), error.to_string(), limit, given)
}
