//! What processes and folders take while a load goes on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How often is looked whether the end has come.
const STEP: Duration = Duration::from_millis(100);
/// Ticks a second in which the kernel counts time of processors: fixed for programs on Linux.
const TICKS_PER_S: f64 = 100.0;
/// Deepest folder that is looked into.
const DEPTH_MAX: usize = 6;

/// A process or a folder to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// A process by its name in the report and its id.
    Process(String, u32),
    /// A folder by its name in the report and its path.
    Folder(String, PathBuf),
}

/// What a process took, over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// Seconds after the beginning, processors in use since the sample before, resident bytes.
    pub samples: Vec<(f64, f64, u64)>,
}

/// How large a folder was, over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Folder {
    /// Its name.
    pub name: String,
    /// Seconds after the beginning, and bytes.
    pub samples: Vec<(f64, u64)>,
}

impl Process {
    /// Processors in use over the whole time.
    pub fn processors(&self) -> f64 {
        let last = self.samples.last().map_or(0.0, |(at, ..)| *at);
        let mut before = 0.0;
        let used = self.samples.iter().map(|(at, processors, _)| {
            let used = (at - before) * processors;
            before = *at;
            used
        });
        let used: f64 = used.sum();
        if last > 0.0 { used / last } else { 0.0 }
    }

    /// The most that was resident, in bytes.
    pub fn bytes_max(&self) -> u64 {
        let bytes = self.samples.iter().map(|(.., bytes)| *bytes);
        bytes.max().unwrap_or(0)
    }
}

/// What was sampled.
pub(super) type Sampled = (Vec<Process>, Vec<Folder>);

/// Samples on a thread of its own.
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    sampled: Arc<Mutex<Sampled>>,
    thread: JoinHandle<()>,
}

impl Sampler {
    pub(crate) fn start(watched: Vec<Watched>, every: Duration) -> Sampler {
        let (stop, sampled) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (ends, into) = (Arc::clone(&stop), Arc::clone(&sampled));
        let thread = std::thread::spawn(move || sample(&watched, every, &ends, &into));
        Sampler {
            stop,
            sampled,
            thread,
        }
    }

    pub(crate) fn finish(self) -> Sampled {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok();
        std::mem::take(&mut *self.sampled.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn sample(watched: &[Watched], every: Duration, stop: &AtomicBool, into: &Mutex<Sampled>) {
    let since = Instant::now();
    let mut used: Vec<(f64, f64)> = Vec::new();
    let (mut processes, mut folders) = (Vec::new(), Vec::new());
    for one in watched {
        match one {
            Watched::Process(name, pid) => {
                used.push((0.0, processor_seconds(*pid).unwrap_or(0.0)));
                processes.push((
                    *pid,
                    Process {
                        name: name.clone(),
                        samples: Vec::new(),
                    },
                ));
            }
            Watched::Folder(name, path) => {
                folders.push((
                    path.clone(),
                    Folder {
                        name: name.clone(),
                        samples: Vec::new(),
                    },
                ));
            }
        }
    }
    let mut next = every;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(STEP);
        if since.elapsed() < next && !stop.load(Ordering::Relaxed) {
            continue;
        }
        next += every;
        let at = since.elapsed().as_secs_f64();
        for ((pid, process), (before_at, before)) in processes.iter_mut().zip(&mut used) {
            // One that has ended has no more samples.
            let Some((now, bytes)) = processor_seconds(*pid).zip(resident_bytes(*pid)) else {
                continue;
            };
            let processors = (now - *before) / (at - *before_at).max(1e-3);
            process.samples.push((at, processors.max(0.0), bytes));
            (*before_at, *before) = (at, now);
        }
        for (path, folder) in &mut folders {
            folder.samples.push((at, folder_bytes(path, 0)));
        }
    }
    let told = (
        processes.into_iter().map(|(_, process)| process).collect(),
        folders.into_iter().map(|(_, folder)| folder).collect(),
    );
    *into.lock().unwrap_or_else(PoisonError::into_inner) = told;
}

/// Seconds that a process has had a processor for.
fn processor_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets: fields are counted behind its last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_S)
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1_024)
}

/// Bytes of the files in a folder; files that go away meanwhile are not counted.
fn folder_bytes(path: &Path, depth: usize) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() && depth < DEPTH_MAX => folder_bytes(&entry.path(), depth + 1),
        Ok(meta) if meta.is_file() => meta.len(),
        _ => 0,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_a_missing_one_has_none() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).is_some_and(|bytes| bytes > 100_000));
        assert!(processor_seconds(pid).is_some());
        assert_eq!(resident_bytes(u32::MAX), None);
        assert_eq!(folder_bytes(Path::new("/no such folder"), 0), 0);
    }

    #[test]
    fn processors_are_weighted_by_time() {
        let samples = vec![(1.0, 2.0, 10), (4.0, 0.5, 30)];
        let process = Process {
            name: "a".to_owned(),
            samples,
        };
        assert_eq!(process.processors(), (2.0 + 3.0 * 0.5) / 4.0);
        assert_eq!(process.bytes_max(), 30);
    }
}
