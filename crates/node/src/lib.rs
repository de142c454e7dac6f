//! The async shell around the engine: carries effects out through ports and answers callers.
//!
//! [`Node`] owns partitions: each has an [`Owner`] task that feeds its engine and carries out what
//! it wants. [`Gateway`] is the callers' face: it appends commands and asks owners and stores what
//! became of them.

mod clock;
mod gateway;
mod node;
mod owner;

pub use clock::{Clock, SystemClock};
pub use gateway::*;
/// The edition of the time zone database that schedules are computed by.
pub use minutehand_calendar::tzdb_version;
/// What owners are told, and what they say of themselves.
pub use minutehand_engine::{Config as EngineConfig, Phase, StopReason};
pub use node::Node;
pub use owner::{Ended, Owner, OwnerHandle, OwnerStatus, OwnerStores, Owners};
