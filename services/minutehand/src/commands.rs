//! What the command line asks of the service.

use std::ffi::OsString;

use async_trait::async_trait;
use minutehand_cli::{Commands, ConfigShowArgs, DevArgs, Failure, Setting};

use crate::cluster::settings::{ClusterSettings, has_sections};
use crate::settings::Settings;

/// The service behind the command line.
pub(crate) struct Service;

#[async_trait]
impl Commands for Service {
    async fn dev(&self, args: DevArgs) -> Result<(), Failure> {
        crate::dev::run(args).await
    }

    fn lab(&self, words: Vec<OsString>) -> Failure {
        crate::lab::become_it(&words)
    }

    #[cfg(feature = "cluster")]
    async fn role(
        &self,
        role: minutehand_cli::Role,
        args: minutehand_cli::ClusterArgs,
    ) -> Result<(), Failure> {
        crate::cluster::run(role, &args).await
    }

    #[cfg(feature = "cluster")]
    async fn schema_apply(
        &self,
        args: minutehand_cli::ClusterArgs,
    ) -> Result<Vec<minutehand_cli::SchemaItem>, Failure> {
        crate::cluster::schema_apply(&args).await
    }

    #[cfg(feature = "cluster")]
    async fn schema_status(
        &self,
        args: minutehand_cli::ClusterArgs,
    ) -> Result<Vec<minutehand_cli::SchemaItem>, Failure> {
        crate::cluster::schema_status(&args).await
    }

    fn settings(&self, args: &ConfigShowArgs) -> Result<Vec<Setting>, Failure> {
        let is_cluster = args.cluster || args.dev.config.as_deref().map(has_sections) == Some(Ok(true));
        match is_cluster {
            true => Ok(ClusterSettings::effective(&args.as_cluster())?.shown()),
            false => Ok(Settings::effective(&args.dev)?.shown(&args.dev)),
        }
    }
}
