//! What records take in memory, about.

use minutehand_model::Command;

use crate::input::InputRecord;

/// What a record costs beside its payload while it waits to be applied.
pub(crate) const RECORD_BYTES: usize = 256;

impl InputRecord {
    /// The bytes it takes while it waits to be applied.
    pub(crate) fn bytes(&self) -> usize {
        RECORD_BYTES
            + match &self.command {
                Ok(command) => command_bytes(command),
                Err(set_aside) => set_aside.bytes.len(),
            }
    }
}

/// What a command carries beside its fixed part.
pub(crate) fn command_bytes(command: &Command) -> usize {
    match command {
        Command::Create(task)
        | Command::Move { task, .. }
        | Command::Moved { task, .. }
        | Command::Replace { task, .. } => task.encoded.len(),
        _ => 0,
    }
}
