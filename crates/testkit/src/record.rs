//! A record of a process that was started to stay: its name, its number, and when it was started.

use std::fmt;
use std::fs;
use std::io;
use std::str::FromStr;

use rustix::process::{Pid, Signal, kill_process};

/// A process that was started to stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) pid: i32,
    /// When it was started, as the system counts: numbers of processes come again.
    pub(crate) started: u64,
}

impl Record {
    fn new(name: &str, pid: i32, started: u64) -> Record {
        Record {
            name: name.to_owned(),
            pid,
            started,
        }
    }

    /// Of a process that runs.
    pub(crate) fn of(name: &str, pid: u32) -> io::Result<Record> {
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        let started = started(pid)?.ok_or_else(|| io::Error::other(format!("{name} has ended")))?;
        Ok(Record::new(name, pid, started))
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        started(self.pid).is_ok_and(|started| started == Some(self.started))
    }

    /// Sends it a signal, if it still runs.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
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
        Ok(Record::new(name, pid, started))
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

#[cfg(test)]
mod tests {
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
}
