//! What the command line asks of the service.

use async_trait::async_trait;
use minutehand_cli::{BenchArgs, Commands, DevArgs, Failure, Setting, SimArgs};

use crate::settings::Settings;

/// The service behind the command line.
pub(crate) struct Service;

#[async_trait]
impl Commands for Service {
    async fn dev(&self, args: DevArgs) -> Result<(), Failure> {
        crate::dev::run(args).await
    }

    async fn bench(&self, args: BenchArgs) -> Result<(), Failure> {
        crate::bench::run(args).await
    }

    async fn sim(&self, args: SimArgs) -> Result<(), Failure> {
        crate::sim::run(args).await
    }

    fn settings(&self, args: &DevArgs) -> Result<Vec<Setting>, Failure> {
        Ok(Settings::effective(args)?.shown(args))
    }
}
