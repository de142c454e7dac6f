//! The timetable on Cassandra or ScyllaDB: blocks by minute bucket, revisions, and the schema's
//! migrations.
//!
//! [`CassandraTimetable`] is the port `Timetable`; [`Migrations`] creates and checks the tables it
//! needs (`schema/cql`); [`CassandraStore`] is both for an operator. Everything is appended and expires; nothing is updated or deleted, so a
//! late or repeated write does no harm.

mod checkpoints;
mod clock;
mod config;
mod connect;
mod error;
mod expiry;
mod find;
mod index_tiers;
mod keys;
mod ledger;
mod listing;
mod merge_index;
mod pages;
pub mod raw;
mod read;
mod refile;
mod retry;
mod revisions;
mod schema;
mod statements;
mod store;
mod task_index;
mod timetable;
mod tls;
mod write;
mod written;

pub use checkpoints::CheckpointCopy;
pub use config::{CassandraConfig, ConfigError};
pub use schema::{
    Applied, MIGRATIONS, Migration, Migrations, Replication, ReplicationError, SchemaError,
    SchemaStatus,
};
pub use store::CassandraStore;
pub use timetable::CassandraTimetable;
