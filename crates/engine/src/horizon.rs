//! The horizon: how far F may go so that another region could adopt the partition.
//!
//! Whoever takes a region's right to speak away reads the horizon in the same step, and knows then
//! how far this owner's F can have come at most, whatever its clock shows and however long it was
//! paused. What schedules owe is decided behind F, so it is bound as well. A horizon that is known
//! late is only a nearer one, so it may come by any way; as long as none is known, F stands.
//!
//! Nothing new begins while the present lies beyond it: commands wait in the log, backfills rest, and
//! what is decided on the way to the horizon is decided as of there. So all that goes out is due at or
//! before the horizon. It must lead by more than clocks may differ, or the fastest of them stand.

use minutehand_model::Timestamp;

/// What has been acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
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

    /// Whether F may move at all.
    pub(crate) fn is_known(self) -> bool {
        self.bound > Timestamp::MIN
    }

    /// The latest due time that F may pass.
    pub(crate) fn bound(self) -> Timestamp {
        self.bound
    }
}
