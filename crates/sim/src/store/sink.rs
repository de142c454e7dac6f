//! The execution sink of one partition, with its checkpoint and schedule states.

use std::collections::BTreeMap;

use minutehand_model::{
    Checkpoint, Command, Epoch, FreeDues, Namespace, ScheduleId, ScheduleState, SetAside,
    StopRequest, Tick,
};

use super::reception::Reception;
use crate::journal::{Published, TickEntry, Unpublished};

/// When and under which session a commit arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitAt {
    /// True time.
    pub(crate) now_ms: i64,
    /// The owner's clock when it built the tick.
    pub(crate) clock_ms: i64,
    /// The latest time that clock had shown lately.
    pub(crate) latest_clock_ms: i64,
    /// The session that the owner's last open gave it; `None` for callers that hold one session for
    /// ever.
    pub(crate) session: Option<u64>,
}

/// Somebody else owns the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fenced;

/// What a committed tick appends to the partition's log.
#[derive(Debug, Default)]
pub(crate) struct Appends {
    /// What it decided.
    pub(crate) derived: Vec<Command>,
    /// What takes the place of executions that were not published.
    pub(crate) others: Vec<Command>,
}

/// Where the ticks of one partition go.
#[derive(Debug, Default)]
pub(crate) struct SinkStore {
    opened: Epoch,
    session: u64,
    checkpoint: Option<Checkpoint>,
    /// The one before, for a planted bug.
    checkpoint_before: Option<Checkpoint>,
    states: BTreeMap<(Namespace, ScheduleId), ScheduleState>,
    /// Everything that was committed, for the checkers.
    pub(crate) ticks: Vec<TickEntry>,
    pub(crate) publications: Vec<Published>,
    pub(crate) stops: Vec<(usize, StopRequest)>,
    pub(crate) set_aside: Vec<SetAside>,
    /// Executions that were not published, by their index in `publications`.
    pub(crate) unpublished: Vec<(usize, Unpublished)>,
    /// How executions are received.
    pub(crate) reception: Reception,
    /// The due times that were given to executions that were put off.
    dues: FreeDues,
    /// Planted: stale epochs, sessions and tick numbers are accepted.
    pub(crate) unfenced: bool,
    /// Planted: a session that was opened again goes on being accepted, whatever its ticks' numbers
    /// are.
    pub(crate) sessions_reused: bool,
    /// Planted, with `unfenced`: an epoch still has to be the one that was opened.
    pub(crate) same_epoch_only: bool,
    /// Planted: schedule states are not part of the transaction.
    pub(crate) states_dropped: bool,
}

impl SinkStore {
    /// A sink that receives executions so.
    pub(crate) fn receiving(reception: Reception) -> SinkStore {
        SinkStore {
            reception,
            ..SinkStore::default()
        }
    }

    /// Fences lower epochs, and every commit of this epoch that is still on its way. Answers the
    /// new session.
    pub(crate) fn open(&mut self, epoch: Epoch) -> Result<u64, Fenced> {
        if epoch < self.opened {
            return Err(Fenced);
        }
        self.opened = epoch;
        self.session += 1;
        Ok(self.session)
    }

    /// The epoch of the newest owner.
    pub(crate) fn opened(&self) -> Epoch {
        self.opened
    }

    pub(crate) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    pub(crate) fn checkpoint_before(&self) -> Option<&Checkpoint> {
        self.checkpoint_before.as_ref()
    }

    pub(crate) fn states(&self) -> Vec<(Namespace, ScheduleId, ScheduleState)> {
        self.states
            .iter()
            .map(|((ns, id), state)| (ns.clone(), id.clone(), state.clone()))
            .collect()
    }

    fn admits(&self, tick: &Tick, at: CommitAt) -> bool {
        let is_current = tick.checkpoint.epoch == self.opened;
        if self.unfenced {
            return is_current || !self.same_epoch_only;
        }
        if self.sessions_reused {
            return is_current;
        }
        let follows =
            tick.checkpoint.tick == self.checkpoint.as_ref().map_or(0, |last| last.tick) + 1;
        is_current && follows && at.session.is_none_or(|session| session == self.session)
    }

    /// Commits a tick whole; answers the records to append to the partition's log in the same step.
    pub(crate) fn commit(&mut self, tick: Tick, at: CommitAt) -> Result<Appends, Fenced> {
        if !self.admits(&tick, at) {
            return Err(Fenced);
        }
        let declared = tick.publications.len();
        let received =
            self.reception
                .receive(&tick.publications, tick.published_at, &mut self.dues);
        let first = self.publications.len();
        self.unpublished.extend(
            received
                .unpublished
                .into_iter()
                .map(|(index, fate)| (first + index, fate)),
        );
        let Tick {
            checkpoint,
            published_at,
            publications,
            stops,
            derived,
            schedule_states,
            set_aside,
            ..
        } = tick;
        let number = self.ticks.len();
        self.publications.extend(
            publications
                .into_iter()
                .map(|publication| Published::of(number, publication)),
        );
        self.stops
            .extend(stops.into_iter().map(|stop| (number, stop)));
        self.set_aside.extend(set_aside);
        for change in schedule_states {
            if self.states_dropped {
                continue;
            }
            let key = (change.namespace, change.schedule);
            match change.state {
                Some(state) => self.states.insert(key, state),
                None => self.states.remove(&key),
            };
        }
        self.ticks.push(TickEntry {
            epoch: checkpoint.epoch.0,
            number: checkpoint.tick,
            applied: checkpoint.applied,
            replay_from: checkpoint.replay_from,
            head: checkpoint.frontier.head,
            backlog: checkpoint.frontier.backlog.clone(),
            owed_after: checkpoint.frontier.owed_after,
            published_at_ms: published_at.as_millis(),
            clock_ms: at.clock_ms,
            latest_clock_ms: at.latest_clock_ms,
            committed_at_ms: at.now_ms,
            declared,
            visible: declared,
        });
        self.checkpoint_before = self.checkpoint.replace(checkpoint);
        Ok(Appends {
            derived,
            others: received.commands,
        })
    }

    /// Planted: what a torn transaction leaves behind: some publications, and perhaps the
    /// checkpoint.
    pub(crate) fn commit_torn(&mut self, mut tick: Tick, at: CommitAt, with_checkpoint: bool) {
        let declared = tick.publications.len();
        let before = self.checkpoint.clone();
        let ticks_before = self.ticks.len();
        if with_checkpoint {
            tick.publications.truncate(declared / 2);
        }
        tick.derived.clear();
        tick.schedule_states.clear();
        let visible = tick.publications.len();
        if self.commit(tick, at).is_err() {
            return;
        }
        if with_checkpoint {
            let entry = self.ticks.last_mut().expect("the commit above added it");
            (entry.declared, entry.visible) = (declared, visible);
        } else {
            self.ticks.truncate(ticks_before);
            self.checkpoint = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minutehand_model::{PartitionId, Timestamp};

    fn tick(epoch: u64, number: u64) -> Tick {
        Tick {
            partition: PartitionId::own(0),
            checkpoint: Checkpoint {
                epoch: Epoch(epoch),
                tick: number,
                ..Checkpoint::START
            },
            published_at: Timestamp::from_millis(0),
            publications: Vec::new(),
            stops: Vec::new(),
            derived: Vec::new(),
            schedule_states: Vec::new(),
            set_aside: Vec::new(),
        }
    }

    fn at(session: u64) -> CommitAt {
        CommitAt {
            now_ms: 0,
            clock_ms: 0,
            latest_clock_ms: 0,
            session: Some(session),
        }
    }

    #[test]
    fn stale_epochs_stale_sessions_and_wrong_numbers_are_refused() {
        let mut sink = SinkStore::default();
        let first = sink.open(Epoch(3)).expect("nobody was there");
        assert_eq!(sink.open(Epoch(2)), Err(Fenced));
        assert!(sink.commit(tick(2, 1), at(first)).is_err());
        assert!(sink.commit(tick(3, 2), at(first)).is_err());
        assert!(sink.commit(tick(3, 1), at(first)).is_ok());
        let second = sink.open(Epoch(3)).expect("the same owner may open again");
        assert!(
            sink.commit(tick(3, 2), at(first)).is_err(),
            "what was on its way is fenced as well"
        );
        assert!(sink.commit(tick(3, 2), at(second)).is_ok());
        assert_eq!(sink.checkpoint().map(|checkpoint| checkpoint.tick), Some(2));
    }
}
