//! The arguments of a cluster's roles and of its schema.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::dev::DevArgs;
use super::values::name_and_value;

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

/// Where the settings of a cluster come from.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArgs {
    /// The file of settings (TOML), one for all roles.
    #[arg(long, env = "MINUTEHAND_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// A preset of settings.
    #[arg(long, env = "MINUTEHAND_PROFILE", value_name = "NAME",
          value_parser = ["balanced", "high-performance", "cost-optimized"])]
    pub profile: Option<String>,

    /// Set one setting, by the name that `config show --cluster` prints; may be given more than once.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = name_and_value)]
    pub set: Vec<(String, String)>,
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
    /// Create what is missing: topics, keyspace, tables, the count of partitions. Changes and removes nothing.
    Apply(ClusterArgs),
    /// Say what is there and what is missing; exit code 3 when something is.
    Status(ClusterArgs),
}

/// Which settings to print.
#[derive(Clone, Debug, Args)]
pub struct ConfigShowArgs {
    /// The arguments of `dev`.
    #[command(flatten)]
    pub dev: DevArgs,

    /// Print the settings of a cluster's roles; understood by itself when the file has sections.
    #[arg(long)]
    pub cluster: bool,
}

impl ConfigShowArgs {
    /// Those among the arguments that a cluster's roles have too.
    #[must_use]
    pub fn as_cluster(&self) -> ClusterArgs {
        let DevArgs { config, profile, set, .. } = &self.dev;
        ClusterArgs { config: config.clone(), profile: profile.clone(), set: set.clone() }
    }
}
