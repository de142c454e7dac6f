//! What the kernel tells of this process and of the disk under its data, looked at when somebody
//! asks for metrics.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use minutehand_metrics::{ProcessMetrics, ProcessStanding, StoreMetrics};
use rustix::process::{Resource, getrlimit};
use tokio::runtime::Handle;

/// Ticks a second in which the kernel counts time of processors: fixed for programs on Linux.
const TICKS_PER_S: u64 = 100;
/// A data folder is looked through no more often than this.
const FOLDER_INTERVAL: Duration = Duration::from_secs(10);
/// Deepest folder that is looked into.
const DEPTH_MAX: usize = 6;

/// Brings what the kernel tells to the metrics.
pub(crate) struct Standing {
    metrics: ProcessMetrics,
    runtime: Handle,
    /// When this process started, in seconds since 1970; the kernel tells it once and for all.
    started_s: f64,
    folder: Option<Folder>,
}

struct Folder {
    path: PathBuf,
    metrics: StoreMetrics,
    looked_at: Mutex<Option<Instant>>,
}

impl Standing {
    /// That of this process, and of its data folder where it has one.
    pub(crate) fn new(data_dir: Option<PathBuf>) -> Standing {
        Standing {
            metrics: ProcessMetrics::new(),
            runtime: Handle::current(),
            started_s: started_s().unwrap_or(0.0),
            folder: data_dir.map(|path| Folder {
                path,
                metrics: StoreMetrics::new(),
                looked_at: Mutex::new(None),
            }),
        }
    }

    /// Looks again.
    pub(crate) fn observe(&self) {
        if let Some(standing) = self.read() {
            self.metrics.stands(&standing);
        }
        let runtime = self.runtime.metrics();
        let waiting = runtime.global_queue_depth();
        self.metrics.runs(runtime.num_alive_tasks(), waiting);
        if let Some(folder) = &self.folder {
            folder.observe();
        }
    }

    /// `None` where there is no `/proc`.
    fn read(&self) -> Option<ProcessStanding> {
        let fields = stat_fields()?;
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let limit = getrlimit(Resource::Nofile).current;
        Some(ProcessStanding {
            started_s: self.started_s,
            processor_s: (number(11)? + number(12)?) / TICKS_PER_S,
            resident_bytes: resident_bytes()?,
            threads: number(17)?,
            files: std::fs::read_dir("/proc/self/fd").ok()?.count() as u64,
            files_max: limit.unwrap_or(u64::MAX),
        })
    }
}

/// The fields of `/proc/self/stat` behind the name, which may hold spaces and brackets.
fn stat_fields() -> Option<Vec<String>> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let behind = stat.rsplit_once(')')?.1;
    Some(behind.split_whitespace().map(str::to_owned).collect())
}

fn started_s() -> Option<f64> {
    let after_boot: u64 = stat_fields()?.get(19)?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    let boot: f64 = boot.trim().parse().ok()?;
    Some(boot + after_boot as f64 / TICKS_PER_S as f64)
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1_024)
}

impl Folder {
    fn observe(&self) {
        let Ok(mut looked_at) = self.looked_at.lock() else {
            return;
        };
        if looked_at.is_some_and(|at| at.elapsed() < FOLDER_INTERVAL) {
            return;
        }
        *looked_at = Some(Instant::now());
        if let Ok(space) = rustix::fs::statvfs(&self.path) {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            self.metrics.takes(bytes_in(&self.path, 0), free);
        }
    }
}

/// Bytes of the files in a folder; files that go away meanwhile are not counted.
fn bytes_in(path: &Path, depth: usize) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() && depth < DEPTH_MAX => bytes_in(&entry.path(), depth + 1),
        Ok(meta) if meta.is_file() => meta.len(),
        _ => 0,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_process_is_young_and_has_memory_and_files() {
        let standing = Standing::new(None).read().expect("a process on Linux");
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        let age = now.as_secs_f64() - standing.started_s;
        assert!((-2.0..86_400.0).contains(&age), "{age} s old");
        assert!(standing.resident_bytes > 100_000);
        assert!(standing.threads >= 1);
        assert!((1..=standing.files_max).contains(&standing.files));
    }

    #[test]
    fn a_folder_is_as_large_as_its_files() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("inner")).expect("made");
        std::fs::write(folder.path().join("a"), [0; 100]).expect("written");
        std::fs::write(folder.path().join("inner/b"), [0; 50]).expect("written");
        assert_eq!(bytes_in(folder.path(), 0), 150);
        assert_eq!(bytes_in(&folder.path().join("gone"), 0), 0);
    }
}
