//! The allocator's settings: one that matters for lateness, and one for memory.
//!
//! Giving memory back to the system takes the lock of the whole address space, and every thread
//! that touches a new page waits for it: at 50,000 tasks a second the p99 of start lateness is 28
//! to 39 ms where it is done at once and 19 to 24 ms where it is not done (`minutehand-lab bench
//! paced --rate 50000`, without and with `MIMALLOC_PURGE_DELAY=-1`). So memory that was needed is
//! kept for some time, in which it is most often needed again, and then given back
//! (`minutehand-lab bench memory`).
//!
//! With huge pages the system gives two megabytes where some bytes are asked for, and fills up
//! again what was given back: a process that does little then takes a third more. It saves 6 % of
//! the engine's time of its own and costs more than that of the system's (`minutehand-lab bench
//! engine`, without and with `MIMALLOC_ALLOW_THP=0`); so whoever is to be small does without.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Read by the allocator when the process starts, which is before any code of ours.
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// How long what is free is kept, in milliseconds. The allocator looks when something is freed, so
/// a process in which little happens gives it back later than that, or not at all when it is long.
const KEPT_MS: &str = "600000";

/// The same for whoever is to be small.
const KEPT_WHEN_SMALL_MS: &str = "60000";

/// Whether huge pages are taken.
const HUGE_PAGES: &str = "MIMALLOC_ALLOW_THP";

/// Starts the program anew, as the same process, with memory kept for a while, when its verb is
/// among these, and without huge pages when it is among those that are to be small; unless the
/// caller has chosen otherwise. Where that is not possible the program goes on as it is.
pub fn delay_purge(verbs: &[&str], small: &[&str]) {
    let verb = std::env::args().nth(1).unwrap_or_default();
    if !verbs.contains(&verb.as_str()) || std::env::var_os(PURGE_DELAY).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let is_small = small.contains(&verb.as_str());
        let kept_ms = if is_small {
            KEPT_WHEN_SMALL_MS
        } else {
            KEPT_MS
        };
        let mut anew = Command::new(program);
        anew.args(std::env::args_os().skip(1))
            .env(PURGE_DELAY, kept_ms);
        if is_small && std::env::var_os(HUGE_PAGES).is_none() {
            anew.env(HUGE_PAGES, "0");
        }
        // Returns only when it failed.
        let _failed = anew.exec();
    }
}
