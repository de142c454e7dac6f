//! The roles of a cluster: their settings, and (feature `cluster`) the roles themselves.

#[cfg(feature = "cluster")]
mod configs;
#[cfg(feature = "cluster")]
mod failure;
#[cfg(feature = "cluster")]
mod gateway;
#[cfg(feature = "cluster")]
mod greeting;
#[cfg(feature = "cluster")]
mod health;
#[cfg(feature = "cluster")]
mod process;
#[cfg(feature = "cluster")]
mod scheduler;
#[cfg(feature = "cluster")]
mod schema;
#[cfg(feature = "cluster")]
mod servers;
pub(crate) mod settings;
#[cfg(feature = "cluster")]
mod token;
#[cfg(feature = "cluster")]
mod waiting;
#[cfg(feature = "cluster")]
mod worker;

#[cfg(feature = "cluster")]
pub(crate) use roles::{run, schema_apply, schema_status};

#[cfg(feature = "cluster")]
mod roles {
    use minutehand_cli::{ClusterArgs, Failure, Role, SchemaItem};

    use super::settings::ClusterSettings;
    use super::{gateway, scheduler, schema, worker};

    /// Runs a role until it is told to stop.
    pub(crate) async fn run(role: Role, args: &ClusterArgs) -> Result<(), Failure> {
        let settings = ClusterSettings::effective(args)?;
        match role {
            Role::Scheduler => scheduler::run(&settings).await,
            Role::Gateway => gateway::run(&settings).await,
            Role::Worker => worker::run(&settings).await,
        }
    }

    /// Creates what is missing.
    pub(crate) async fn schema_apply(args: &ClusterArgs) -> Result<Vec<SchemaItem>, Failure> {
        schema::apply(&ClusterSettings::effective(args)?).await
    }

    /// Says what is there.
    pub(crate) async fn schema_status(args: &ClusterArgs) -> Result<Vec<SchemaItem>, Failure> {
        schema::status(&ClusterSettings::effective(args)?).await
    }
}
