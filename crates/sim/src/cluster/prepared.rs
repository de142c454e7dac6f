//! A successor that prepares itself: it reads what it will need while somebody else still owns the
//! partition, and goes back as far in the log as the checkpoint of that time says.

use minutehand_model::{Checkpoint, LogOffset, Phase};

use super::event::OwnerId;
use crate::planted::Flaw;
use crate::store::{LogStore, TimetableStore};

/// One in so many successors prepares itself.
const PREPARES_ONE_IN: i64 = 3;

/// The stores as they were when a successor prepared itself.
pub(crate) struct Prepared {
    /// R of that time; with a planted bug the owner leaves it out.
    replay_from: LogOffset,
    /// The sink has been opened, once.
    has_begun: bool,
    timetable: TimetableStore,
    log: LogStore,
}

impl super::World {
    /// What an owner has read before it owned its partition: it goes by that until a phase has
    /// ended.
    fn prepared_until(&self, id: OwnerId, last: Phase) -> Option<&Prepared> {
        let owner = self.nodes[id.node].owners[id.partition].as_ref();
        let owner = owner.filter(|owner| owner.instance == id.instance)?;
        let prepared = owner.prepared.as_ref()?;
        (prepared.has_begun && owner.engine.status().phase <= last).then_some(prepared)
    }

    /// The timetable that an owner goes by while it has written nothing itself.
    pub(crate) fn timetable_of(&self, id: OwnerId) -> &TimetableStore {
        self.prepared_until(id, Phase::Loading)
            .map_or(&self.timetables[id.partition], |prepared| {
                &prepared.timetable
            })
    }

    /// What an owner has read of the log beforehand.
    pub(crate) fn log_of(&self, id: OwnerId) -> Option<&LogStore> {
        self.prepared_until(id, Phase::Replaying)
            .map(|prepared| &prepared.log)
    }

    /// The sink has been opened: from where in the log the owner must read. One that opens it for
    /// the second time reads everything anew.
    pub(crate) fn begin_prepared(
        &mut self,
        id: OwnerId,
        checkpoint: Option<&Checkpoint>,
    ) -> Option<LogOffset> {
        let is_late = self.setup.flaw == Some(Flaw::PreparedLate);
        let owner = self.owner_mut(id)?;
        owner.prepared.take_if(|prepared| prepared.has_begun);
        let prepared = owner.prepared.as_mut()?;
        prepared.has_begun = true;
        // Behind what was read of it the log itself is read, from R on at the latest.
        let goes_on = |prepared: &Prepared| {
            checkpoint.is_some_and(|checkpoint| {
                checkpoint.replay_from.generation() == prepared.replay_from.generation()
                    && checkpoint.replay_from <= prepared.log.end()
            })
        };
        if !goes_on(prepared) {
            owner.prepared = None;
            return None;
        }
        (!is_late).then_some(prepared.replay_from)
    }

    /// A node that waits for a partition reads what it will need, once.
    pub(crate) fn prepare(&mut self, node: usize, partition: usize) {
        let is_late = self.setup.flaw == Some(Flaw::PreparedLate);
        let prepares = is_late || self.now_ms % PREPARES_ONE_IN == 0;
        if !prepares || self.nodes[node].prepared.contains_key(&partition) {
            return;
        }
        let Some(checkpoint) = self.sinks[partition].checkpoint() else {
            return;
        };
        let prepared = Prepared {
            replay_from: checkpoint.replay_from,
            has_begun: false,
            timetable: self.timetables[partition].clone(),
            log: self.logs[partition].readable(self.now_ms),
        };
        self.nodes[node].prepared.insert(partition, prepared);
    }
}
