//! What a container may use up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a container may use up, and whose rights it has.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ContainerLimits {
    /// The user that it runs as, by number.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub user: i64,
    /// Most memory, in bytes.
    #[schemars(range(min = 6_291_456, max = 1_125_899_906_842_624_u64))]
    pub memory_bytes_max: u64,
    /// Most processor time: thousandths of a processor.
    #[schemars(range(min = 10, max = 1_024_000))]
    pub cpu_millis_max: u64,
    /// Size of `/tmp`, the one folder that it can write to, in bytes.
    #[schemars(range(min = 0, max = 1_125_899_906_842_624_u64))]
    pub temp_bytes_max: u64,
    /// Most bytes of what it prints that are looked at: the last ones.
    #[schemars(range(min = 0, max = 1_048_576))]
    pub log_bytes_max: usize,
    /// Between SIGTERM and SIGKILL for one that should stop, in milliseconds.
    #[schemars(range(min = 0, max = 600_000))]
    pub kill_after_ms: u64,
}

impl Default for ContainerLimits {
    fn default() -> ContainerLimits {
        ContainerLimits {
            user: 65_534,
            memory_bytes_max: 512 << 20,
            cpu_millis_max: 1_000,
            temp_bytes_max: 64 << 20,
            log_bytes_max: 64 * 1024,
            kill_after_ms: 5_000,
        }
    }
}

impl ContainerLimits {
    /// The time between SIGTERM and SIGKILL in whole seconds, as both APIs count.
    pub(crate) fn kill_after_s(&self) -> u64 {
        self.kill_after_ms.div_ceil(1_000)
    }
}
