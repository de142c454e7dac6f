//! The process itself.

use metrics::{Counter, Gauge};

use crate::catalogue::{
    BUILD_INFO, CERTIFICATE_EXPIRY, LEASE_LEFT, PROCESS_CPU, PROCESS_FILES, PROCESS_FILES_MAX,
    PROCESS_RESIDENT, PROCESS_START, PROCESS_THREADS, READY, RUNTIME_TASKS, RUNTIME_WAITING,
};

/// Says which version of the program runs, on which release of the time zone database.
pub fn set_build_info(version: &str, tzdb: &str) {
    BUILD_INFO.gauge(&[version, tzdb]).set(1.0);
}

/// Says whether the process does all of its work.
pub fn set_ready(is_ready: bool) {
    READY.gauge(&[]).set(f64::from(u8::from(is_ready)));
}

/// Says how long the scheduler's lease lasts without news of it, in seconds.
pub fn set_lease_left(seconds: f64) {
    LEASE_LEFT.gauge(&[]).set(seconds.max(0.0));
}

/// Says when the certificate runs out that callers are shown, in seconds since 1970.
pub fn set_certificate_expiry(seconds: f64) {
    CERTIFICATE_EXPIRY.gauge(&[]).set(seconds);
}

/// What the kernel tells of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessStanding {
    /// When it started, in seconds since 1970.
    pub started_s: f64,
    /// Whole seconds that it has had a processor for.
    pub processor_s: u64,
    /// Memory that is not swapped out, in bytes.
    pub resident_bytes: u64,
    /// Its threads.
    pub threads: u64,
    /// Files and sockets that it holds open.
    pub files: u64,
    /// How many it may hold open.
    pub files_max: u64,
}

/// The handle of a process.
#[derive(Clone, Debug)]
pub struct ProcessMetrics {
    start: Gauge,
    cpu: Counter,
    resident: Gauge,
    threads: Gauge,
    files: Gauge,
    files_max: Gauge,
    tasks: Gauge,
    waiting: Gauge,
}

impl ProcessMetrics {
    /// Looks the series up.
    #[must_use]
    pub fn new() -> ProcessMetrics {
        ProcessMetrics {
            start: PROCESS_START.gauge(&[]),
            cpu: PROCESS_CPU.counter(&[]),
            resident: PROCESS_RESIDENT.gauge(&[]),
            threads: PROCESS_THREADS.gauge(&[]),
            files: PROCESS_FILES.gauge(&[]),
            files_max: PROCESS_FILES_MAX.gauge(&[]),
            tasks: RUNTIME_TASKS.gauge(&[]),
            waiting: RUNTIME_WAITING.gauge(&[]),
        }
    }

    /// The process stands like this.
    pub fn stands(&self, standing: &ProcessStanding) {
        self.start.set(standing.started_s);
        self.cpu.absolute(standing.processor_s);
        self.resident.set(standing.resident_bytes as f64);
        self.threads.set(standing.threads as f64);
        self.files.set(standing.files as f64);
        self.files_max.set(standing.files_max as f64);
    }

    /// So many tasks live in the asynchronous runtime, and so many wait for a thread.
    pub fn runs(&self, tasks: usize, waiting: usize) {
        self.tasks.set(tasks as f64);
        self.waiting.set(waiting as f64);
    }
}

impl Default for ProcessMetrics {
    fn default() -> ProcessMetrics {
        ProcessMetrics::new()
    }
}
