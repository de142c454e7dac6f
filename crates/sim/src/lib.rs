//! Clusters in virtual time, with faults, from a seed.
//!
//! [`run`] simulates a whole cluster: nodes that drive engines, a log, a sink, a timetable and a
//! coordinator in memory, and a network, clocks and a nemesis between them. Everything is a
//! function of the seed and the options; the same seed twice is the same trace, byte for byte. When
//! faults and commands have ended everything is healed and drained, and the checkers, which know
//! nothing of the engine, look at what the log, the sink and the clocks recorded.
//!
//! [`hunt`] plants a bug, in the engine or in a store, and looks for a seed that finds it: the
//! proof that the checkers can see. The in-memory stores are offered as ports as well, in
//! [`ports`].
//!
//! The same checkers audit runs on real servers: fill a [`journal::Journal`] from what can be read
//! there, and ask [`audit`].

mod check;
mod cluster;
mod faults;
pub mod journal;
mod options;
mod parallel;
mod planted;
pub mod ports;
mod profile;
mod queue;
mod rng;
mod run;
mod setup;
mod store;
mod trace;
mod workload;

pub use check::{Violation, audit, checkers};
pub use faults::{FaultCounts, FaultModel};
pub use options::Options;
pub use planted::{Flaw, Planted, UnknownPlanted, planted_bugs};
pub use run::{Hunted, Report, Speed, Verdict, hunt, hunt_all, hunt_from, run, run_each, speed};
