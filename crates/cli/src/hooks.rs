//! What the program that links this crate must bring.

use std::ffi::OsString;

use async_trait::async_trait;
use minutehand_settings::Setting;
use serde::Serialize;

use crate::args::{ConfigShowArgs, DevArgs, Role, SettingsArgs};
use crate::exit::{Exit, Failure};

/// The commands that need the scheduler itself.
#[async_trait]
pub trait Commands: Send + Sync {
    /// Runs everything in one process until it is told to stop.
    async fn dev(&self, args: DevArgs) -> Result<(), Failure>;

    /// Becomes the laboratory's program, which `sim` and `bench` have moved to, given these words;
    /// returns only when that is not possible.
    fn lab(&self, words: Vec<OsString>) -> Failure;

    /// Runs a role of a cluster until it is told to stop.
    async fn role(&self, role: Role, args: SettingsArgs) -> Result<(), Failure> {
        drop(args);
        Err(without_cluster(role.as_str()))
    }

    /// Creates what a cluster needs and does not have, and answers what there is.
    async fn schema_apply(&self, args: SettingsArgs) -> Result<Vec<SchemaItem>, Failure> {
        drop(args);
        Err(without_cluster("schema apply"))
    }

    /// What a cluster needs, and whether it is there.
    async fn schema_status(&self, args: SettingsArgs) -> Result<Vec<SchemaItem>, Failure> {
        drop(args);
        Err(without_cluster("schema status"))
    }

    /// Every setting that `dev` (or, where the arguments say so, a cluster's role) would run with,
    /// given the same arguments, in the order of the documentation. Secrets are left out or masked
    /// here.
    fn settings(&self, args: &ConfigShowArgs) -> Result<Vec<Setting>, Failure>;
}

/// The program was built without the cluster's adapters.
fn without_cluster(verb: &str) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("this build has no cluster, so there is no `{verb}`"),
    )
    .with_hint("build it with `cargo build --release --package minutehand --features cluster`")
}

/// One thing that a cluster needs in Kafka, Cassandra or etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchemaItem {
    /// `kafka`, `cassandra` or `etcd`.
    pub store: String,
    /// What it is: `topic`, `keyspace`, `migration`, `partitions`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: SchemaState,
    /// What it is like, or what is missing; may be empty.
    pub detail: String,
}

/// How a part of the schema stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaState {
    /// It is there.
    Present,
    /// It was not there and has been created.
    Created,
    /// It is not there.
    Missing,
}

impl SchemaState {
    /// The word used in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SchemaState::Present => "present",
            SchemaState::Created => "created",
            SchemaState::Missing => "missing",
        }
    }
}
