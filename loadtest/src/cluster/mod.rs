//! Benchmarks of the cluster: the scheduler on real servers, beside ceilings measured in the same
//! run.

pub mod ceiling;
mod failure;
pub mod generator;
mod member;
mod payload;
pub mod persisted;
pub mod prepared;
pub mod reader;
pub mod rig;
pub mod steady;
pub mod terms;
pub mod thin;
pub mod workers;

pub use failure::Failure;
pub use rig::Endpoints;
