//! The revisions of schedules between the log and the store that keeps them.

use std::collections::BTreeSet;

use minutehand_model::{LogOffset, Namespace, RevisionEntry, ScheduleId, ScheduleState};

use crate::retry::Single;

/// A schedule's name, and its state.
pub(crate) type RestoredState = (Namespace, ScheduleId, ScheduleState);

/// Which revisions are stored, and which are to be.
#[derive(Debug, Default)]
pub(crate) struct StoredRevisions {
    are_loaded: bool,
    reading: Single,
    /// States of the checkpoint, until the revisions they belong to are loaded.
    restored_states: Vec<RestoredState>,
    /// Where in the log those stand that are stored.
    offsets: BTreeSet<LogOffset>,
    unwritten: Vec<RevisionEntry>,
}

impl StoredRevisions {
    /// What schedules remember, until their revisions are loaded.
    pub(crate) fn keep(&mut self, states: Vec<RestoredState>) {
        debug_assert!(
            !self.are_loaded,
            "states come before the revisions they belong to"
        );
        self.restored_states = states;
    }

    pub(crate) fn are_loaded(&self) -> bool {
        self.are_loaded
    }

    /// All that are stored have been read; answers what schedules remember.
    pub(crate) fn loaded(&mut self) -> Vec<RestoredState> {
        self.are_loaded = true;
        std::mem::take(&mut self.restored_states)
    }

    /// A revision is stored.
    pub(crate) fn stored(&mut self, offset: LogOffset) {
        self.offsets.insert(offset);
    }

    pub(crate) fn is_stored(&self, offset: LogOffset) -> bool {
        self.offsets.contains(&offset)
    }

    /// A revision is to be stored.
    pub(crate) fn write(&mut self, entry: RevisionEntry) {
        debug_assert!(
            !self.is_stored(entry.offset),
            "{} is stored already",
            entry.offset
        );
        self.unwritten.push(entry);
    }

    /// Those that are to be stored and have not been sent.
    pub(crate) fn take_unwritten(&mut self) -> Vec<RevisionEntry> {
        std::mem::take(&mut self.unwritten)
    }

    /// The read of what is stored, as an operation.
    pub(crate) fn reading(&self) -> &Single {
        &self.reading
    }

    pub(crate) fn reading_mut(&mut self) -> &mut Single {
        &mut self.reading
    }
}
