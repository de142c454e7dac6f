//! A node: its clock, its lease, and the engines it drives.

use std::collections::{BTreeMap, BTreeSet};

use minutehand_engine::{Moment, Partition};
use minutehand_model::{Epoch, LogOffset, Timestamp};

use super::prepared::Prepared;
use crate::planted::Breakable;

/// What was decided before a clock was set back is on its way for this long at most, in
/// milliseconds.
const SET_BACK_REMEMBERED_MS: i64 = 15_000;

/// One engine and how it is connected.
pub(crate) struct Owner {
    pub(crate) instance: u64,
    pub(crate) engine: Partition<Breakable>,
    pub(crate) epoch: Epoch,
    /// The session of the sink's last open.
    pub(crate) session: u64,
    /// When the engine will be woken, in true time.
    pub(crate) wakes_at_ms: Option<i64>,
    /// News of the log's growth is on its way.
    pub(crate) growth_is_coming: bool,
    /// Where its reader of the log goes on, and the latest time of a record that it has shown.
    pub(crate) reader: (LogOffset, Timestamp),
    /// Its reader of the log has died.
    pub(crate) is_deaf: bool,
    /// What it read before it owned the partition, until it fires.
    pub(crate) prepared: Option<Prepared>,
    /// Since when it is to be given up, in true time.
    pub(crate) unwanted_since_ms: Option<i64>,
    /// Since when it has been handing over, in true time.
    pub(crate) handing_over_since_ms: Option<i64>,
    /// How often it was driven in the present millisecond.
    pub(crate) drives: u32,
    pub(crate) driven_at_ms: i64,
}

/// One process.
pub(crate) struct Node {
    pub(crate) incarnation: u32,
    pub(crate) is_up: bool,
    pub(crate) paused_until_ms: i64,
    /// Its clock minus true time.
    pub(crate) clock_offset_ms: i64,
    /// When its clock was last set back, and what it had shown until then, both in true time.
    pub(crate) set_back: Option<(i64, i64)>,
    /// When its clock was last set.
    pub(crate) clock_set_at_ms: i64,
    pub(crate) lease: u64,
    /// The coordinator has confirmed the present lease at least once.
    pub(crate) lease_is_granted: bool,
    /// By its own clock.
    pub(crate) confirmed_at: Timestamp,
    pub(crate) owners: Vec<Option<Owner>>,
    pub(crate) acquiring: BTreeSet<usize>,
    /// What it has read of partitions that it is to take over.
    pub(crate) prepared: BTreeMap<usize, Prepared>,
}

impl Node {
    pub(crate) fn new(partitions: usize, clock_offset_ms: i64) -> Node {
        Node {
            incarnation: 0,
            is_up: true,
            paused_until_ms: i64::MIN,
            clock_offset_ms,
            set_back: None,
            clock_set_at_ms: i64::MIN,
            lease: 1,
            lease_is_granted: false,
            confirmed_at: Timestamp::MIN,
            owners: (0..partitions).map(|_| None).collect(),
            acquiring: BTreeSet::new(),
            prepared: BTreeMap::new(),
        }
    }

    /// Its clock at a true time.
    pub(crate) fn clock(&self, now_ms: i64) -> Timestamp {
        Timestamp::from_millis(now_ms + self.clock_offset_ms)
    }

    /// Its clocks at a true time.
    pub(crate) fn moment(&self, now_ms: i64) -> Moment {
        Moment {
            wall: self.clock(now_ms),
            steady_ms: now_ms,
        }
    }

    /// The latest time that its clock has shown lately.
    pub(crate) fn latest_clock_ms(&self, now_ms: i64) -> i64 {
        let clock_ms = now_ms + self.clock_offset_ms;
        match self.set_back {
            Some((at_ms, shown_ms)) if now_ms - at_ms <= SET_BACK_REMEMBERED_MS => {
                clock_ms.max(shown_ms)
            }
            _ => clock_ms,
        }
    }

    /// Forgets everything it owns and asks for another lease.
    pub(crate) fn lose_lease(&mut self) {
        self.lease += 1;
        self.lease_is_granted = false;
        self.owners.iter_mut().for_each(|owner| *owner = None);
        self.acquiring.clear();
        self.prepared.clear();
    }
}
