//! The arguments of a cluster's roles and of its schema.

use clap::{Args, Subcommand};

use super::dev::{DevArgs, SettingsArgs};

/// Which part of a cluster a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Owns partitions: takes commands in and publishes executions.
    Scheduler,
    /// Serves the HTTP API.
    Gateway,
    /// Runs executions.
    Worker,
}

impl Role {
    /// The verb that starts it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Scheduler => "scheduler",
            Role::Gateway => "gateway",
            Role::Worker => "worker",
        }
    }
}

/// Create or look at what a cluster needs in Kafka, Cassandra and etcd.
#[derive(Debug, Args)]
pub struct SchemaCommand {
    /// What to do.
    #[command(subcommand)]
    pub verb: SchemaVerb,
}

/// What to do with the schema.
#[derive(Clone, Debug, Subcommand)]
pub enum SchemaVerb {
    /// Create what is missing: topics, keyspace, tables, the count of partitions. Changes and
    /// removes nothing.
    Apply(SettingsArgs),
    /// Say what is there and what is missing; exit code 3 when something is.
    Status(SettingsArgs),
}

/// Which settings to print.
#[derive(Clone, Debug, Args)]
pub struct ConfigShowArgs {
    /// The arguments of `dev`.
    #[command(flatten)]
    pub dev: DevArgs,

    /// Print what a cluster's roles would run with; understood by itself when the file says where
    /// their servers are.
    #[arg(long)]
    pub cluster: bool,
}
