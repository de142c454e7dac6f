//! What the scheduler asks of logs, sinks, timetables, coordinators and queues, and the contract
//! they are held to.
//!
//! A port is a trait; an adapter is a crate that implements some of them on one driver. Adapters do
//! not know each other, nor the node that drives them. What an operator does with a store (connect,
//! migrate, look, describe) stands beside its data ports: [`TimetableStore`]. Every adapter runs the same contract suite
//! (feature `contract`).

#[cfg(feature = "contract")]
pub mod contract;
mod coordinator;
mod error;
mod history;
mod ledger;
mod log;
mod output;
mod queue;
mod rules;
mod sink;
mod stops;
mod store;
mod timetable;

pub use coordinator::Coordinator;
pub use error::{ErrorClass, PortError, with_causes};
pub use minutehand_model::DeadLetter;

pub use history::{DeadLetterPage, EndedPage, EndedPlace, EndedQuery, History, HistoryEntry};
pub use ledger::{LEDGER_KEPT_MS, LEDGER_MINUTES_MAX, Ledger};
pub use log::{Appended, CommandLog, LogBatch, LogBounds, LogRecord};
pub use output::{Output, OutputError, OutputRecord};
pub use queue::{
    Claim, Delivery, DeliveryId, ExecutionQueue, QueueDepth, Report, Settlement, refuse_output,
};
pub use rules::{QueueRulebook, RulesChange, RulesOfQueues};
pub use sink::{Committed, ExecutionSink, Opened};
pub use stops::{RecentStops, Stop, StopListeners, StopReceiver};
pub use store::{Connected, StoreDescription, StoreError, StorePart, TimetableStore};
pub use timetable::Timetable;
