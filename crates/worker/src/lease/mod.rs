//! Executions on lease to whoever asks over HTTP: handed out for a while, and answered by id.
//!
//! [`Leases`] is a member of worker groups as a worker is, and what follows from an answer is
//! decided and made durable as a worker does it. A lease that is not answered in its time has
//! ended: the execution is handed out again, with a greater delivery token, and the answer that
//! comes too late is told that it is lost.

mod answer;
mod id;
mod lane;
mod leases;
mod offer;
mod sweep;
mod table;
#[cfg(test)]
mod table_tests;

pub use answer::Answered;
pub use id::{LeaseHolder, LeaseId};
pub use leases::{Leased, Leases, LeasesConfig};
pub use offer::{LeaseError, LeaseRequest};
pub use table::{LeaseLimits, LeaseStanding};
