//! The roles of a cluster (feature `cluster`).

pub(crate) mod configs;
mod failure;
mod gateway;
mod greeting;
mod process;
mod scheduler;
mod schema;
mod token;
mod worker;

use minutehand_cli::{Failure, Role, SchemaItem, SettingsArgs};

use crate::settings::{self, Mode, Settings};
use crate::telemetry;
use crate::traces::Traces;

/// Runs a role until it is told to stop.
pub(crate) async fn run(role: Role, args: &SettingsArgs) -> Result<(), Failure> {
    let loaded = settings::load(Mode::Cluster, args)?;
    telemetry::start_logs(&loaded)?;
    let settings = &loaded.settings;
    let _traces = Traces::start(&settings.telemetry, role.as_str())?;
    match role {
        Role::Scheduler => scheduler::run(settings).await,
        Role::Gateway => gateway::run(settings).await,
        Role::Worker => worker::run(settings).await,
    }
}

/// Creates what is missing.
pub(crate) async fn schema_apply(args: &SettingsArgs) -> Result<Vec<SchemaItem>, Failure> {
    schema::apply(&told(args)?).await
}

/// Says what is there.
pub(crate) async fn schema_status(args: &SettingsArgs) -> Result<Vec<SchemaItem>, Failure> {
    schema::status(&told(args)?).await
}

/// The settings of a verb that has no log.
fn told(args: &SettingsArgs) -> Result<Settings, Failure> {
    let loaded = settings::load(Mode::Cluster, args)?;
    loaded
        .warnings
        .iter()
        .for_each(|warning| crate::say::error(&format!("warning: {warning}")));
    Ok(loaded.settings)
}
