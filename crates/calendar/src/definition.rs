//! A schedule's definition with its calendar: compiled once, by whoever takes the definition in.

use minutehand_model::{RecurrenceSpec, ScheduleDefinition};

use crate::{
    ANCHOR_DEFAULT, Calendar, CronParseError, ExclusionError, Exclusions, Interval, IntervalError,
    Recurrence, Zone, ZoneError,
};

/// Why a definition's recurrence has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// Its zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// Its expression.
    #[error(transparent)]
    Cron(#[from] CronParseError),
    /// Its interval.
    #[error(transparent)]
    Interval(#[from] IntervalError),
    /// What it leaves out.
    #[error(transparent)]
    Exclusion(#[from] ExclusionError),
}

/// A definition whose recurrence has a meaning, and that meaning. It is not said that it keeps to
/// any limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledDefinition {
    definition: ScheduleDefinition,
    calendar: Calendar,
}

impl CompiledDefinition {
    /// Gives a definition its meaning: recurrence, zone, daylight-saving rule, exclusions, start
    /// and end.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn new(definition: ScheduleDefinition) -> Result<CompiledDefinition, DefinitionError> {
        let calendar = calendar(&definition)?;
        Ok(CompiledDefinition {
            definition,
            calendar,
        })
    }

    /// The definition.
    pub const fn definition(&self) -> &ScheduleDefinition {
        &self.definition
    }

    /// When it fires.
    pub const fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// The definition alone, as it is stored.
    pub fn into_definition(self) -> ScheduleDefinition {
        self.definition
    }
}

fn calendar(definition: &ScheduleDefinition) -> Result<Calendar, DefinitionError> {
    let zone = Zone::parse(definition.recurrence.zone());
    // Of two things that are wrong, that with the period is said first.
    let (recurrence, zone) = match &definition.recurrence {
        RecurrenceSpec::Cron {
            expression, dst, ..
        } => {
            let zone = zone?;
            let recurrence = Recurrence::parse(expression, Some(&zone), *dst, ANCHOR_DEFAULT)?;
            (recurrence, zone)
        }
        RecurrenceSpec::Interval {
            every_ms, anchor, ..
        } => (
            Recurrence::Interval(Interval::new(*every_ms, *anchor)?),
            zone?,
        ),
    };
    let mut calendar =
        Calendar::new(recurrence).with_exclusions(Exclusions::parse(zone, &definition.exclude)?);
    calendar.start = definition.start;
    calendar.end = definition.end;
    Ok(calendar)
}
