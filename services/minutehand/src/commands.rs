//! What the command line asks of the service.

use std::ffi::OsString;

use async_trait::async_trait;
use minutehand_cli::{Commands, ConfigShowArgs, DevArgs, Failure};
use minutehand_settings::Setting;

use crate::settings::{self, Mode};

/// The service behind the command line.
pub(crate) struct Service;

#[async_trait]
impl Commands for Service {
    async fn dev(&self, args: DevArgs) -> Result<(), Failure> {
        Box::pin(crate::dev::run(args)).await
    }

    fn lab(&self, words: Vec<OsString>) -> Failure {
        crate::lab::become_it(&words)
    }

    #[cfg(feature = "cluster")]
    async fn role(
        &self,
        role: minutehand_cli::Role,
        args: minutehand_cli::SettingsArgs,
    ) -> Result<(), Failure> {
        crate::cluster::run(role, &args).await
    }

    #[cfg(feature = "cluster")]
    async fn schema_apply(
        &self,
        args: minutehand_cli::SettingsArgs,
    ) -> Result<Vec<minutehand_cli::SchemaItem>, Failure> {
        Box::pin(crate::cluster::schema_apply(&args)).await
    }

    #[cfg(feature = "cluster")]
    async fn schema_status(
        &self,
        args: minutehand_cli::SettingsArgs,
    ) -> Result<Vec<minutehand_cli::SchemaItem>, Failure> {
        Box::pin(crate::cluster::schema_status(&args)).await
    }

    fn settings(&self, args: &ConfigShowArgs) -> Result<Vec<Setting>, Failure> {
        let sources = args.dev.sources();
        let of_file = sources.config.as_deref().map_or(Mode::Dev, Mode::of_file);
        let mode = if args.cluster { Mode::Cluster } else { of_file };
        let loaded = settings::load(mode, &sources)?;
        loaded
            .warnings
            .iter()
            .for_each(|warning| crate::say::error(&format!("warning: {warning}")));
        Ok(loaded.shown)
    }
}
