//! What a sink does with executions that the queue behind it does not take: for good (too large, no
//! such topic to be had), or not yet. As on real servers, the rest of the tick goes on.

use minutehand_model::{
    Command, FreeDues, OutcomeKind, PUT_OFF_MS, Publication, Task, TaskKey, Timestamp,
};

use crate::journal::Unpublished;

/// How a sink receives executions. By itself it takes all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reception {
    /// Of a thousand tasks, by their keys: those whose queue never takes them.
    pub(crate) refused: u64,
    /// Of a thousand tasks: those whose queue is not there yet when they come for the first time.
    /// Occurrences of schedules are not among them: the checkers know these by their records.
    pub(crate) put_off: u64,
    /// Planted: what is broken.
    pub(crate) flaw: Option<Flaw>,
}

/// Planted: how a sink may go wrong with what is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It refuses the whole tick.
    Stubborn,
    /// What is refused is kept nowhere.
    Lost,
    /// The schedule that waits is not told.
    Untold,
    /// What is refused is a dead letter, and comes again.
    Doubled,
    /// What comes behind something refused in its tick goes with it.
    DropsNeighbours,
    /// What is put off does not come again.
    PutOffLost,
    /// What is put off comes again under its old due time, at which it counts as published.
    PutOffInPlace,
    /// What is put off comes again when another of its id does.
    PutOffTogether,
}

/// What became of a tick's executions.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Those that were not published, by their index in the tick.
    pub(crate) unpublished: Vec<(usize, Unpublished)>,
    /// Commands that the log gets in the same step.
    pub(crate) commands: Vec<Command>,
}

impl Reception {
    /// Whether the tick is refused as a whole. Planted.
    pub(crate) fn refuses_tick(&self, publications: &[Publication]) -> bool {
        let is_refused = |publication: &Publication| self.is_refused(publication.task.key);
        self.flaw == Some(Flaw::Stubborn) && publications.iter().any(is_refused)
    }

    fn draw(key: TaskKey) -> u64 {
        (key.low() >> 7) % 1_000
    }

    fn is_refused(&self, key: TaskKey) -> bool {
        Reception::draw(key) < self.refused
    }

    fn is_put_off(&self, task: &Task) -> bool {
        let draw = Reception::draw(task.key());
        let is_first = task.due == task.first_due && task.origin.is_none();
        is_first && (self.refused..self.refused + self.put_off).contains(&draw)
    }

    pub(crate) fn receive(
        &self,
        publications: &[Publication],
        at: Timestamp,
        dues: &mut FreeDues,
    ) -> Received {
        let mut received = Received::default();
        if self.refused + self.put_off == 0 {
            return received;
        }
        let mut drops = false;
        for (index, publication) in publications.iter().enumerate() {
            let Ok(task) = minutehand_record::task::decode(&publication.task.encoded) else {
                continue;
            };
            if self.is_refused(publication.task.key) {
                received.refuse(index, &task, self.flaw);
                if self.flaw == Some(Flaw::Doubled) {
                    received.put_off(index, &task, dues.put_off(&task, at), None);
                }
                drops |= self.flaw == Some(Flaw::DropsNeighbours);
            } else if drops {
                received.unpublished.push((index, Unpublished::default()));
            } else if self.is_put_off(&task) {
                let due = self.comes_again(&task, at, dues);
                received.put_off(index, &task, due, self.flaw);
            }
        }
        received
    }

    fn comes_again(&self, task: &Task, at: Timestamp, dues: &mut FreeDues) -> Timestamp {
        match self.flaw {
            Some(Flaw::PutOffInPlace) => task.due,
            Some(Flaw::PutOffTogether) => at.plus_millis(PUT_OFF_MS.0).max(task.due.plus_millis(1)),
            _ => dues.put_off(task, at),
        }
    }
}

impl Received {
    fn refuse(&mut self, index: usize, task: &Task, flaw: Option<Flaw>) {
        if flaw != Some(Flaw::Untold) {
            self.commands
                .extend(Command::completed(task, OutcomeKind::Dead));
        }
        let is_kept = flaw != Some(Flaw::Lost);
        self.unpublished.push((
            index,
            Unpublished {
                is_letter: is_kept,
                ..Unpublished::default()
            },
        ));
    }

    fn put_off(&mut self, index: usize, task: &Task, due: Timestamp, flaw: Option<Flaw>) {
        if flaw != Some(Flaw::PutOffLost) {
            let again = Task {
                due,
                ..task.clone()
            };
            self.commands
                .push(Command::Create(minutehand_record::task::record(&again)));
        }
        self.unpublished.push((
            index,
            Unpublished {
                again_at: Some(due),
                ..Unpublished::default()
            },
        ));
    }
}
