//! The horizon: how far F may go so that another region could adopt the partition.
//!
//! Whoever takes a region's right to speak away reads the horizon in the same step, and knows then
//! how far this owner's F can have come at most, whatever its clock shows and however long it was
//! paused. What schedules owe is decided behind F, so it is bound as well. A horizon that is known
//! late is only a nearer one, so it may come by any way; as long as none is known, F stands.
//!
//! What is asked for "now" (a trigger, a backfill, an overdue command) does not wait for F and is
//! not bound by it: whoever adopts the partition cannot tell by the horizon whether that has run.

use minutehand_model::Timestamp;

use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::rules::Rules;

/// What has been acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    /// The latest due time that F may pass.
    bound: Timestamp,
}

impl Horizon {
    /// Nothing has been acknowledged yet: F stands, unless no other region could adopt the
    /// partition.
    pub(crate) fn unknown(has_other_regions: bool) -> Horizon {
        let bound = match has_other_regions {
            true => Timestamp::MIN,
            false => Timestamp::MAX,
        };
        Horizon { bound }
    }

    /// One was acknowledged. It never comes nearer again.
    pub(crate) fn acknowledged(&mut self, until: Timestamp) {
        self.bound = self.bound.max(until);
    }
}

impl<R: Rules> Partition<R> {
    pub(crate) fn horizon_bound(&self) -> Timestamp {
        let is_assumed =
            self.horizon.bound == Timestamp::MIN && self.breaks(PlantedBug::HorizonAssumed);
        if is_assumed || self.breaks(PlantedBug::Horizon) {
            return Timestamp::MAX;
        }
        self.horizon.bound
    }

    /// The present, as far as F may come to it: what is due later need not be in memory, however
    /// far a clock is ahead.
    pub(crate) fn reachable_present(&self) -> Timestamp {
        let reached = self.frontier.front().due;
        self.now.min(self.horizon_bound().max(reached))
    }
}
