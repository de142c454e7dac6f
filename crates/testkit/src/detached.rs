//! The set that `cargo xtask up` leaves running, and `cargo xtask down` stops. There is one a
//! cache.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cache::{Cache, lock, remove_folder};
use crate::record::Record;
use crate::site::{Site, StartError};
use crate::{Endpoints, Servers, Size};

/// How long servers may take to end by themselves.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How often servers that stop are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why no set was left running.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// There is one, and it is not what was asked for.
    #[error("servers are up already ({what}); `cargo xtask down` stops them")]
    Already {
        /// What there is.
        what: String,
    },
    /// A server did not start; those that did were stopped.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file could not be used.
    #[error("could not keep a record of the servers")]
    Record(#[source] io::Error),
}

/// Starts a set that outlives this process and returns when all of it is ready. When the same is
/// running already, that is the answer.
///
/// # Errors
/// See [`UpError`].
pub fn up(size: Size) -> Result<Endpoints, UpError> {
    let cache = Cache::of_user();
    fs::create_dir_all(cache.root()).map_err(UpError::Record)?;
    let _lock = lock(&lock_file(&cache)).map_err(UpError::Record)?;
    let records = records(&cache).map_err(UpError::Record)?;
    let alive = records.iter().filter(|record| record.is_alive()).count();
    if alive > 0 {
        let known = known(&cache);
        return match known {
            Some((of, endpoints)) if alive == records.len() && of == size.to_string() => {
                Ok(endpoints)
            }
            Some((of, _)) if alive == records.len() => Err(UpError::Already { what: of }),
            _ => Err(UpError::Already {
                what: "not all of a set".to_owned(),
            }),
        };
    }
    remove_folder(&cache.up()).map_err(UpError::Record)?;
    fs::create_dir_all(cache.up()).map_err(UpError::Record)?;
    let started = Servers::start_at(size, |name| {
        Site::lasting(&cache, name, &record_file(&cache))
    });
    let written = started.map_err(UpError::Start).and_then(|servers| {
        let endpoints = servers.endpoints();
        fs::write(known_file(&cache), format!("{size}\n{endpoints}")).map_err(UpError::Record)?;
        Ok(endpoints)
    });
    if written.is_err() {
        // The first error is the one to tell.
        drop(stop_all(&cache));
    }
    written
}

/// Stops what [`up`] left running, and nothing else; answers the names of the servers that were
/// stopped.
///
/// # Errors
/// When the record of them cannot be read, or one cannot be stopped.
pub fn down() -> io::Result<Vec<String>> {
    let cache = Cache::of_user();
    fs::create_dir_all(cache.root())?;
    let _lock = lock(&lock_file(&cache))?;
    stop_all(&cache)
}

fn stop_all(cache: &Cache) -> io::Result<Vec<String>> {
    let mut alive = records(cache)?;
    alive.retain(Record::is_alive);
    let names = alive.iter().map(|record| record.name.clone()).collect();
    for signal in [Signal::TERM, Signal::KILL] {
        for record in &alive {
            record.signal(signal)?;
            // A paused one keeps the signal until it goes on.
            record.signal(Signal::CONT)?;
        }
        let asked = Instant::now();
        while !alive.is_empty() && asked.elapsed() < STOP_LIMIT {
            thread::sleep(LOOK_EVERY);
            alive.retain(Record::is_alive);
        }
    }
    match alive.first() {
        Some(record) => Err(io::Error::other(format!(
            "{} (process {}) does not end",
            record.name, record.pid
        ))),
        None => remove_folder(&cache.up()).map(|()| names),
    }
}

fn records(cache: &Cache) -> io::Result<Vec<Record>> {
    match fs::read_to_string(record_file(cache)) {
        Ok(text) => text.lines().map(str::parse).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The size and the endpoints of the set, when all of it became ready.
fn known(cache: &Cache) -> Option<(String, Endpoints)> {
    let text = fs::read_to_string(known_file(cache)).ok()?;
    let (size, endpoints) = text.split_once('\n')?;
    Some((size.to_owned(), endpoints.parse().ok()?))
}

fn lock_file(cache: &Cache) -> PathBuf {
    cache.root().join("up.lock")
}

fn record_file(cache: &Cache) -> PathBuf {
    cache.up().join("processes")
}

fn known_file(cache: &Cache) -> PathBuf {
    cache.up().join("endpoints")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_recorded_processes_are_stopped() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        fs::create_dir_all(cache.up()).unwrap();
        let mut ours = Command::new("sleep").arg("600").spawn().unwrap();
        let mut other = Command::new("sleep").arg("600").spawn().unwrap();
        let record = Record::of("ours", ours.id()).unwrap();
        // The number of a process that has ended, and came again.
        let stale = Record {
            started: 1,
            ..Record::of("stale", other.id()).unwrap()
        };
        fs::write(record_file(&cache), format!("{record}\n{stale}\n")).unwrap();
        assert_eq!(stop_all(&cache).unwrap(), ["ours"]);
        assert!(!ours.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        assert!(!cache.up().exists());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
