//! How commands are run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::confinement::Confinement;

/// How commands are run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessConfig {
    /// Most bytes of what a command prints (standard output and error as they came) that are kept:
    /// the last ones.
    #[schemars(range(min = 0, max = 67_108_864))]
    pub output_bytes_max: usize,
    /// Between SIGTERM and SIGKILL for a command that should stop, in milliseconds.
    #[schemars(range(min = 0, max = 600_000))]
    pub kill_after_ms: u64,
    /// Rights, environment and limits.
    #[serde(flatten)]
    pub confinement: Confinement,
}

impl Default for ProcessConfig {
    fn default() -> ProcessConfig {
        ProcessConfig {
            output_bytes_max: 64 * 1024,
            kill_after_ms: 5_000,
            confinement: Confinement::default(),
        }
    }
}
