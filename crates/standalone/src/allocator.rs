//! The allocator's one setting that matters for lateness.
//!
//! Giving memory back to the system takes the lock of the whole address space, and every thread that touches a new page
//! waits for it: at 50,000 tasks a second the p99 of start lateness is 28 to 39 ms where it is done at once and 19 to 24 ms where
//! it is not done (`minutehand-lab bench paced --rate 50000`, without and with `MIMALLOC_PURGE_DELAY=-1`). So memory that was
//! needed is kept for some minutes, in which it is most often needed again, and then given back (`minutehand-lab bench memory`).

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Read by the allocator when the process starts, which is before any code of ours.
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// How long what is free is kept, in milliseconds.
const KEPT_MS: &str = "600000";

/// Starts the program anew, as the same process, with memory kept for a while, when its verb is among these; unless the caller
/// has chosen otherwise. Where that is not possible the program goes on as it is.
pub fn delay_purge(verbs: &[&str]) {
    let runs_long = std::env::args().nth(1).is_some_and(|verb| verbs.contains(&verb.as_str()));
    if !runs_long || std::env::var_os(PURGE_DELAY).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Returns only when it failed.
        let _failed =
            Command::new(program).args(std::env::args_os().skip(1)).env(PURGE_DELAY, KEPT_MS).exec();
    }
}
