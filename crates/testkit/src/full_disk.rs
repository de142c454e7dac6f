//! A full disk, without a disk of its own and without root.
//!
//! Linux can forbid a running process to write to files beyond a size (`RLIMIT_FSIZE`), and that
//! size can be nothing. Then every `write` to a file fails at once, wherever the server keeps its
//! data, and so does making a file longer; sockets are untouched, what was written stays, and so
//! does what has been mapped into memory before. That is what a full disk does, but for two
//! differences: the error says that the file is too large (`EFBIG`, not `ENOSPC`), and what had
//! room already cannot be overwritten by `write` either. A program in Go (etcd) ends at the first
//! such write: it does not survive the signal that comes with it.

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use crate::server::{Server, ServerError};

impl Server {
    /// From now on its disk is full, until [`Server::free_disk`]. What it does about that is its
    /// own affair: some servers end, some stay and refuse.
    ///
    /// # Errors
    /// When it does not run, or belongs to somebody else.
    pub fn fill_disk(&self) -> Result<(), ServerError> {
        let nothing = Rlimit {
            current: Some(0),
            ..getrlimit(Resource::Fsize)
        };
        self.act_on("fill its disk", |pid| {
            prlimit(Some(pid), Resource::Fsize, nothing).map(drop)
        })
    }

    /// There is room again, and it is started again, as whoever runs it would: none goes on by
    /// itself. What is left of it is killed, for one without its commit log (Cassandra) never ends
    /// when asked to. Waits until it is ready.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub fn free_disk(&self) -> Result<(), ServerError> {
        self.kill()?;
        // A new process has our limits.
        self.start()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use crate::{Program, Server};

    #[test]
    fn a_full_disk_fails_writes_and_is_over_when_it_is_freed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data");
        let script =
            "trap '' XFSZ; while echo word >> data; do sleep 0.01; done; echo full > why; exit 7";
        let server = Server::of_program(Program {
            name: "shell".to_owned(),
            path: "sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: Vec::new(),
            folder: folder.path().to_owned(),
            log: folder.path().join("log"),
            address: "127.0.0.1:1".parse().unwrap(),
        });
        let length = || fs::metadata(&file).map_or(0, |file| file.len());
        server.start().unwrap();
        while length() == 0 {
            thread::yield_now();
        }
        server.fill_disk().unwrap();
        while server.is_running() {
            thread::yield_now();
        }
        let full = length();
        assert_eq!(
            fs::read_to_string(folder.path().join("why")).unwrap(),
            "",
            "no room for the reason either"
        );
        server.free_disk().unwrap();
        while length() == full {
            assert!(server.is_running(), "{}", server.log_tail());
            thread::yield_now();
        }
    }
}
