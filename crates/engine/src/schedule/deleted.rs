//! Deleted schedules: their last revision is remembered for a while, so that what is created again
//! goes on counting revisions and a record that comes twice changes nothing. Then all their
//! revisions are forgotten, here and in the store.

use std::collections::{BTreeMap, BTreeSet};

use minutehand_model::limits::{DELETED_SCHEDULE_KEPT_MS, DELETED_SCHEDULES_MAX};
use minutehand_model::{LogOffset, RevisionEntry, Timestamp};

use super::Name;

/// A schedule that was deleted.
#[derive(Clone, Debug)]
pub(super) struct Deleted {
    pub(super) head: RevisionEntry,
    pub(super) created_offset: LogOffset,
    /// The offsets of all its revisions, over all its lives.
    pub(super) revisions: Vec<LogOffset>,
    /// It may have run up to then.
    pub(super) decided: Timestamp,
}

/// The deleted schedules of a partition.
#[derive(Debug, Default)]
pub(super) struct DeletedSchedules {
    by_name: BTreeMap<Name, Deleted>,
    /// In the order of their deletion.
    order: BTreeSet<(Timestamp, LogOffset, Name)>,
}

impl DeletedSchedules {
    pub(super) fn get(&self, name: &Name) -> Option<&Deleted> {
        self.by_name.get(name)
    }

    pub(super) fn add(&mut self, name: Name, deleted: Deleted) {
        self.order
            .insert((deleted.head.appended_at, deleted.head.offset, name.clone()));
        self.by_name.insert(name, deleted);
    }

    /// It is created again.
    pub(super) fn take(&mut self, name: &Name) -> Option<Deleted> {
        let deleted = self.by_name.remove(name)?;
        self.order
            .remove(&(deleted.head.appended_at, deleted.head.offset, name.clone()));
        Some(deleted)
    }

    /// Forgets what was deleted long ago, and the oldest beyond what is kept, of records below an
    /// offset; answers the offsets of its revisions.
    pub(super) fn forget(&mut self, now: Timestamp, below: LogOffset) -> Vec<LogOffset> {
        let mut forgotten = Vec::new();
        while let Some((at, offset, name)) = self.order.first() {
            let is_old = now.millis_since(*at) >= DELETED_SCHEDULE_KEPT_MS;
            if *offset >= below || (!is_old && self.order.len() <= DELETED_SCHEDULES_MAX) {
                break;
            }
            let name = name.clone();
            forgotten.extend(
                self.take(&name)
                    .into_iter()
                    .flat_map(|deleted| deleted.revisions),
            );
        }
        forgotten
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}
