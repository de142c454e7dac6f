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
pub use node::Node;
pub use owner::{Ended, Owner, OwnerHandle, OwnerStatus, OwnerStores, Owners};
