//! Why the store closed itself for writes, and what an operator does about it.

use std::io;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// A disk with less room than this is called full: no new journal fits.
const ROOM_BYTES_MIN: u64 = 128 << 20;

/// What is told when writing has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) remedy: &'static str,
    /// There is no room left.
    pub(crate) is_full: bool,
    /// A damaged table may be the reason: the next start looks for it.
    pub(crate) doubts_tables: bool,
}

const MAKE_ROOM: &str = "check that its disk has free space and is in order, then restart";
const RAISE_LIMIT: &str = "raise the limit of open files (ulimit -n), then restart";
const LOOK: &str = "check the disk, then restart: the start looks for damaged tables, keeps what can be read and tells what is lost";

impl Failure {
    /// Something of ours, in its own words.
    pub(crate) fn new(what: impl Into<String>) -> Failure {
        Failure {
            what: what.into(),
            remedy: "restart",
            is_full: false,
            doubts_tables: false,
        }
    }

    /// A commit that failed, in a store in this folder.
    pub(crate) fn of(error: &fjall::Error, folder: &Path) -> Failure {
        match error {
            fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
                of_io(error)
            }
            // The database has told the log what it was; here only what is true now can be found
            // out.
            fjall::Error::Poisoned => of_background(folder),
            other => unexplained(format!("a commit failed: {other:?}")),
        }
    }
}

/// A failure of which nobody knows what would mend it.
fn unexplained(what: String) -> Failure {
    Failure {
        what,
        remedy: LOOK,
        is_full: false,
        doubts_tables: true,
    }
}

fn of_io(error: &io::Error) -> Failure {
    let remedy = if is_out_of_descriptors(error) {
        RAISE_LIMIT
    } else {
        MAKE_ROOM
    };
    Failure {
        what: format!("a commit failed: {error}"),
        remedy,
        is_full: is_out_of_room(error),
        doubts_tables: false,
    }
}

fn of_background(folder: &Path) -> Failure {
    const BEGIN: &str = "writing in the background failed";
    if let Some((open, limit)) = nearly_all_descriptors() {
        let what =
            format!("{BEGIN} with {open} of the {limit} files open that this process may open");
        return Failure {
            what,
            remedy: RAISE_LIMIT,
            is_full: false,
            doubts_tables: false,
        };
    }
    match room_bytes(folder) {
        Some(room) if room < ROOM_BYTES_MIN => {
            let what = format!("{BEGIN}: its disk has {} MiB free", room >> 20);
            Failure {
                what,
                remedy: MAKE_ROOM,
                is_full: true,
                doubts_tables: false,
            }
        }
        _ => unexplained(format!("{BEGIN}, for a reason that the log names")),
    }
}

/// Whether an error says that there is no room: on the disk, for this user, or in one file.
fn is_out_of_room(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Whether an error says that too many files are open, in this process or in the system.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE]
        .map(|errno| Some(errno.raw_os_error()))
        .contains(&error.raw_os_error())
}

/// Open descriptors and the limit, when fewer than one in sixteen is left.
fn nearly_all_descriptors() -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile).current?;
    // Where they cannot be listed, that is most likely because one more cannot be opened.
    let open = std::fs::read_dir("/proc/self/fd").map_or(limit, |entries| entries.count() as u64);
    (open >= limit - limit / 16).then_some((open, limit))
}

fn room_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_open_files_are_not_blamed_on_the_disk() {
        let error = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let failure = Failure::of(&fjall::Error::Io(error), Path::new("/"));
        assert_eq!(failure.remedy, RAISE_LIMIT);
        for errno in [
            rustix::io::Errno::NOSPC,
            rustix::io::Errno::DQUOT,
            rustix::io::Errno::FBIG,
        ] {
            let full = io::Error::from_raw_os_error(errno.raw_os_error());
            let failure = Failure::of(&fjall::Error::Io(full), Path::new("/"));
            assert_eq!(
                (failure.remedy, failure.is_full),
                (MAKE_ROOM, true),
                "{errno}"
            );
        }
    }
}
