//! A schedule's whole calendar: a recurrence within a start, an end and exclusions.

use minutehand_model::Timestamp;

use crate::exclusions::Exclusions;
use crate::recurrence::Recurrence;

/// When a schedule fires: a recurrence, from a start to an end, without the excluded times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// What makes it fire again and again.
    pub recurrence: Recurrence,
    /// When it does not fire all the same.
    pub exclusions: Exclusions,
    /// The earliest nominal time, itself included.
    pub start: Option<Timestamp>,
    /// The latest nominal time, itself included.
    pub end: Option<Timestamp>,
}

impl Calendar {
    /// A calendar without start, end and exclusions.
    #[must_use]
    pub fn new(recurrence: Recurrence) -> Calendar {
        Calendar {
            recurrence,
            exclusions: Exclusions::none(),
            start: None,
            end: None,
        }
    }

    /// The same calendar without the excluded times.
    #[must_use]
    pub fn with_exclusions(mut self, exclusions: Exclusions) -> Calendar {
        self.exclusions = exclusions;
        self
    }

    /// The same calendar from `start` on, itself included.
    #[must_use]
    pub fn starting_at(mut self, start: Timestamp) -> Calendar {
        self.start = Some(start);
        self
    }

    /// The same calendar up to `end`, itself included.
    #[must_use]
    pub fn ending_at(mut self, end: Timestamp) -> Calendar {
        self.end = Some(end);
        self
    }
}
