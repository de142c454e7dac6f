//! Every port on one embedded database in a data folder: durable, one process, no server.
//!
//! One thread, the committer, owns all writes. It takes whatever operations have arrived, turns
//! them into one atomic batch, commits it with one fsync, and only then answers all of them. So
//! every acknowledgement is durable, and under load many share one fsync. Appends to the log and
//! publications are stored as one row for all their records: a row for each task would cost more
//! than everything else together.
//!
//! Reads go past the committer. What was written lately is also kept in memory (the tail of each
//! log, the newest publications of each queue), so that who keeps up reads nothing from disk. What
//! is read from disk is read on threads of the store's own.
//!
//! When a commit fails the store closes itself for writes: what was acknowledged is on disk, what
//! was not is refused with the reason. Reading goes on.

mod committer;
mod config;
mod coordinator;
mod damage;
mod failure;
mod history;
mod keys;
mod ledger;
mod load;
mod log;
mod private;
mod queue;
mod quiet;
mod ranges;
mod repair;
mod row;
mod row_counts;
mod rulebook;
mod rules;
mod scan;
mod shared;
mod sink;
mod skips;
mod spaces;
mod state;
mod store;
mod successes;
mod survey;
mod tail;
mod threads;
mod timetable;
mod writes;

pub use config::{Clock, Config, OpenError};
pub use damage::Corruption;
pub use shared::Health;
pub use store::EmbeddedStore;
