//! What children of a pool are made of, and who is told of them.

use std::sync::Arc;
use std::time::Duration;

use minutehand_model::choice;
use tokio::process::Command;

use crate::process::confinement::Confined;
use crate::process::guard::Guard;

choice!(
    /// Why a child of a pool was ended.
    PoolEnd, "why" {
        /// It has had its runs.
        Retired = "retired",
        /// Its run was to stop, or the worker ended.
        Stopped = "stopped",
        /// It ended during a run, or while it waited for one.
        Died = "died",
        /// It said what is not in the protocol, or too much.
        Garbled = "garbled",
        /// It was not ready in time, or ended before it was.
        NotReady = "not-ready",
    }
);

/// Is told of the children of a pool. None may block.
pub trait PoolObserver: Send + Sync + 'static {
    /// A child was started.
    fn started(&self) {}

    /// A child has ended, or was ended.
    fn ended(&self, _why: PoolEnd) {}
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPoolObserver;

impl PoolObserver for NoPoolObserver {}

/// What children are made of.
pub(super) struct Shop {
    pub(super) command: Vec<String>,
    pub(super) folder: Option<String>,
    pub(super) start_timeout: Duration,
    pub(super) confined: Confined,
    pub(super) guard: Guard,
    pub(super) observer: Arc<dyn PoolObserver>,
}

impl Shop {
    /// The program that each of them is.
    pub(super) fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// How one is started.
    pub(super) fn command(&self) -> Command {
        let arguments = self.command.get(1..).unwrap_or_default();
        let mut command = self.confined.command(self.program(), arguments, &[]);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }
}
