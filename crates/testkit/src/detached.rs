//! The set that `cargo xtask up` leaves running, and `cargo xtask down` stops. There is one a
//! cache.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cache::{Cache, lock, remove_folder};
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

/// A process that was started to stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    name: String,
    pid: i32,
    /// When it was started, as the system counts: numbers of processes come again.
    started: u64,
}

impl Record {
    /// Of a process that runs.
    pub(crate) fn of(name: &str, pid: u32) -> io::Result<Record> {
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        let started = started(pid)?.ok_or_else(|| io::Error::other(format!("{name} has ended")))?;
        Ok(Record {
            name: name.to_owned(),
            pid,
            started,
        })
    }

    fn is_alive(&self) -> bool {
        started(self.pid).is_ok_and(|started| started == Some(self.started))
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match Pid::from_raw(self.pid) {
            Some(pid) if self.is_alive() => match kill_process(pid, signal) {
                Err(error) if error != rustix::io::Errno::SRCH => Err(error.into()),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.pid, self.started)
    }
}

impl FromStr for Record {
    type Err = io::Error;

    fn from_str(line: &str) -> Result<Record, io::Error> {
        let bad = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{line:?} is not a record of a server"),
            )
        };
        let mut words = line.split(' ');
        let (Some(name), Some(pid), Some(started), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        let (pid, started) = (
            pid.parse().map_err(|_| bad())?,
            started.parse().map_err(|_| bad())?,
        );
        Ok(Record {
            name: name.to_owned(),
            pid,
            started,
        })
    }
}

/// When a process was started, in ticks since the machine was; `None` when there is none, or only
/// its remains.
fn started(pid: i32) -> io::Result<Option<u64>> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => Ok(parse_stat(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // It ended between opening and reading.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The name of the program stands in brackets and may contain anything.
fn parse_stat(text: &str) -> Option<u64> {
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18)?.parse().ok())?
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
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            name: "kafka-1".to_owned(),
            pid: 42,
            started: 4711,
        };
        assert_eq!(record.to_string().parse::<Record>().unwrap(), record);
        for bad in ["", "kafka-1 42", "kafka-1 x 1", "kafka-1 42 1 2"] {
            assert!(bad.parse::<Record>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_start_of_a_process_is_found_whatever_it_is_called() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_stat(&format!("42 (java) {rest}")), Some(4711));
        assert_eq!(parse_stat(&format!("42 (a) Z 1) {rest}")), Some(4711));
        assert_eq!(
            parse_stat(&format!("42 (java) {}", rest.replacen('S', "Z", 1))),
            None
        );
    }

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
