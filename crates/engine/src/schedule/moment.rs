//! What every decision about a schedule takes: whose it is, and the present.

use minutehand_model::{Namespace, ScheduleId, Timestamp};

use crate::planted::PlantedBug;
use crate::rules::Rules;

/// A schedule's name: its id within its namespace.
pub(crate) type Name = (Namespace, ScheduleId);

/// The present, and the rules that are obeyed in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<R> {
    pub(crate) now: Timestamp,
    pub(crate) rules: R,
}

impl<R: Rules> Moment<R> {
    pub(super) fn breaks(self, bug: PlantedBug) -> bool {
        self.rules.breaks(bug)
    }
}
