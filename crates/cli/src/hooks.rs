//! What the program that links this crate must bring.

use async_trait::async_trait;
use serde::Serialize;

use crate::args::{BenchArgs, DevArgs, Origin, SimArgs};
use crate::exit::Failure;

/// The commands that need the scheduler itself.
#[async_trait]
pub trait Commands: Send + Sync {
    /// Runs everything in one process until it is told to stop.
    async fn dev(&self, args: DevArgs) -> Result<(), Failure>;

    /// Runs a benchmark and prints its figures, one object per line with `args.json`.
    async fn bench(&self, args: BenchArgs) -> Result<(), Failure>;

    /// Runs the simulator and prints what it found, one object per line with `args.json`.
    async fn sim(&self, args: SimArgs) -> Result<(), Failure>;

    /// Every setting that `dev` would run with, given the same arguments, in the order of the documentation.
    /// Secrets are left out or masked here.
    fn settings(&self, args: &DevArgs) -> Result<Vec<Setting>, Failure>;
}

/// One effective setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name, unit included: `look_ahead_ms`.
    pub name: String,
    /// Its value as it would be written in a file.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
    /// What it does, in one line.
    pub help: String,
}
