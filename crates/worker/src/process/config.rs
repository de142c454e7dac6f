//! How commands are run.

use std::sync::Arc;

use super::output::OutputStore;

/// How commands are run.
#[derive(Clone)]
pub struct ProcessConfig {
    /// Variables for every command, besides those that are always there.
    pub env: Vec<(String, String)>,
    /// Variables of the worker that are passed on, besides those that always are.
    pub env_passed: Vec<String>,
    /// Most bytes of output (standard output and error as they came) that are kept: the last ones.
    /// 64 KiB by default.
    pub output_bytes_max: usize,
    /// Between SIGTERM and SIGKILL for a command that should stop, in milliseconds. Should be less
    /// than the worker's own grace period, or the end of the output is lost. Five seconds by
    /// default.
    pub kill_after_ms: u64,
    /// Where the output of every run goes.
    pub output_store: Option<Arc<dyn OutputStore>>,
}

impl Default for ProcessConfig {
    fn default() -> ProcessConfig {
        ProcessConfig {
            env: Vec::new(),
            env_passed: Vec::new(),
            output_bytes_max: 64 * 1024,
            kill_after_ms: 5_000,
            output_store: None,
        }
    }
}
