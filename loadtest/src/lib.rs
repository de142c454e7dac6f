//! Workloads and measurements behind `minutehand-lab`.
//!
//! Each benchmark is a function that answers [`Figure`]s: what was measured, its value and unit,
//! and under which conditions. Nothing here judges; a figure is set beside a ceiling measured in
//! the same run where one exists.

#[cfg(feature = "cluster")]
pub mod cluster;
pub mod crash;
#[cfg(unix)]
pub mod crash_points;
mod dev;
pub mod end_to_end;
pub mod engine;
#[cfg(unix)]
pub mod executors;
pub mod fair;
mod figure;
mod lateness;
pub mod load;
pub mod memory;
mod numbers;
pub mod outage;
mod pace;
pub mod paced;
pub mod pull;
#[cfg(feature = "cluster")]
mod random;
#[cfg(feature = "cluster")]
pub mod rig;
#[cfg(feature = "cluster")]
mod servers;
pub mod startup;
#[cfg(feature = "cluster")]
pub mod torture;

pub use figure::Figure;
pub use lateness::Lateness;
