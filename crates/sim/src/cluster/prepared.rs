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
            .map_or(&self.stores.timetables[id.partition], |prepared| {
                &prepared.timetable
            })
    }

    /// What an owner has read of the log beforehand.
    pub(crate) fn log_of(&self, id: OwnerId) -> Option<&LogStore> {
        self.prepared_until(id, Phase::Replaying)
            .map(|prepared| &prepared.log)
    }

    /// From where in the log an owner must read that begins under a checkpoint and goes by what it
    /// has read beforehand. `None` when that is of no use: it belongs to another log, R has gone
    /// beyond what was read of the log, or the owner begins for the second time.
    pub(crate) fn prepared_from(
        &self,
        id: OwnerId,
        checkpoint: Option<&Checkpoint>,
    ) -> Option<LogOffset> {
        let replay_from = checkpoint?.replay_from;
        let owner = self.nodes[id.node].owners[id.partition].as_ref()?;
        let prepared = owner.prepared.as_ref()?;
        // Behind what was read of it the log itself is read, from R on at the latest.
        let goes_on = replay_from.generation() == prepared.replay_from.generation()
            && replay_from <= prepared.log.end();
        (owner.instance == id.instance && goes_on && !prepared.has_begun)
            .then_some(prepared.replay_from)
    }

    /// An owner has taken the sink's answer, and with it or without it what was read beforehand.
    pub(crate) fn begin_prepared(&mut self, id: OwnerId, prepared_from: Option<LogOffset>) {
        let Some(owner) = self.owner_mut(id) else {
            return;
        };
        owner.prepared.take_if(|_| prepared_from.is_none());
        if let Some(prepared) = &mut owner.prepared {
            prepared.has_begun = true;
        }
    }

    /// A node that waits for a partition reads what it will need, once.
    pub(crate) fn prepare(&mut self, node: usize, partition: usize) {
        let is_late = self.setup.flaw == Some(Flaw::PreparedLate);
        let prepares = is_late || self.now_ms % PREPARES_ONE_IN == 0;
        if !prepares || self.nodes[node].prepared.contains_key(&partition) {
            return;
        }
        let Some(checkpoint) = self.stores.sinks[partition].checkpoint() else {
            return;
        };
        let prepared = Prepared {
            replay_from: checkpoint.replay_from,
            has_begun: false,
            timetable: self.stores.timetables[partition].clone(),
            log: self.stores.logs[partition].readable(self.now_ms),
        };
        self.nodes[node].prepared.insert(partition, prepared);
    }
}
