//! Ownership through etcd: one lease a process, membership, partition keys, and who owns what.
//!
//! [`EtcdCoordinator`] is the `Coordinator` port of a scheduler node; [`Directory`] tells gateways
//! where each partition is. The keys are described in `schema/etcd.md`.
//!
//! A lease is liveness, not safety: what a former owner still does is refused by the sink, under
//! the epoch that `acquire` gave to its successor. Whatever is read here may be a moment old, and
//! nothing relies on it being newer than the revision it bears.

mod acquire;
mod assign;
mod client;
mod config;
mod coordinator;
mod directory;
mod error;
mod follow;
mod keys;
mod lease;
mod own_thread;
mod pause;
mod pulse;
mod reap;
mod region;
mod succeed;
mod supervise;
mod version;
mod view;

pub use config::{ConfigError, EtcdConfig, MemberConfig};
pub use coordinator::EtcdCoordinator;
pub use directory::{Directory, PartitionOwner};
pub use error::StartError;
pub use region::{agree, partitions};
