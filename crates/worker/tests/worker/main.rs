//! The worker, from outside: decisions, the loop on a queue in memory, and the executors.

mod bulkheads;
mod decide;
mod guarantees;
mod leases;
mod output;
#[cfg(unix)]
mod pool;
#[cfg(unix)]
mod process;
mod runs;
mod shutdown;
mod support;
mod webhook;
