//! The stores of a simulated cluster: in memory, with the meaning that `minutehand-ports` gives
//! them.
//!
//! A store never fails by itself and takes no time; what happens on the way to it is the cluster's
//! business. Each store can be told to break one of its promises: those are planted bugs.

mod ledger;
mod log;
mod reception;
mod register;
mod sink;
mod timetable;

pub(crate) use ledger::LedgerStore;
pub(crate) use log::{LogStore, ReadRecords};
pub(crate) use reception::{Flaw as ReceptionFlaw, Reception};
pub use register::Closing;
pub(crate) use register::RegisterStore;
pub(crate) use sink::{Appends, CommitAt, SinkStore};
pub(crate) use timetable::{TimetableFlaws, TimetableStore};

/// What lasts, by partition.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    pub(crate) logs: Vec<LogStore>,
    pub(crate) sinks: Vec<SinkStore>,
    pub(crate) timetables: Vec<TimetableStore>,
    pub(crate) ledgers: Vec<LedgerStore>,
}

impl Stores {
    pub(crate) fn of(
        partitions: usize,
        log: impl Fn() -> LogStore,
        sink: impl Fn() -> SinkStore,
    ) -> Stores {
        Stores {
            logs: (0..partitions).map(|_| log()).collect(),
            sinks: (0..partitions).map(|_| sink()).collect(),
            timetables: (0..partitions).map(|_| TimetableStore::default()).collect(),
            ledgers: vec![LedgerStore::default(); partitions],
        }
    }
}
