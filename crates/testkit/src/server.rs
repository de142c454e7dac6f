//! One server process: starting it, breaking it, starting it again on the same ports and data.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::health;
use crate::supervisor::{Launch, Lifetime, Supervised, spawn};

/// How often a server that starts or stops is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// How many lines of its log an error shows.
const LOG_LINES: usize = 30;

/// How many lines about errors it shows besides.
const ERROR_LINES: usize = 10;

/// How long a server may take to end when asked to.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Why a server did not start, or could not be acted on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The operating system refused something.
    #[error("{server}: could not {what}")]
    System {
        /// The server's name.
        server: String,
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It ended while it was expected to become ready.
    #[error("{server} ended while it was starting ({status}); the end of {}:\n{tail}", log.display())]
    Ended {
        /// The server's name.
        server: String,
        /// How it ended.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// It runs and does not become ready.
    #[error("{server} is not ready after {} s; the end of {}:\n{tail}", limit.as_secs(), log.display())]
    Slow {
        /// The server's name.
        server: String,
        /// How long it was waited for.
        limit: Duration,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// It does not run, and what was asked for needs it to.
    #[error("{server} is not running")]
    NotRunning {
        /// The server's name.
        server: String,
    },
}

/// By what a server that is ready is known.
#[derive(Clone, Debug)]
pub(crate) enum Readiness {
    /// A line of its log, since it was started, contains a text, and then its port takes a
    /// connection.
    LogLine(&'static str),
    /// `GET /health` over plain HTTP is answered with a good health.
    Health(SocketAddr),
    /// It runs.
    Launched,
}

/// What a server is.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) launch: Launch,
    pub(crate) address: SocketAddr,
    pub(crate) readiness: Readiness,
    pub(crate) start_limit: Duration,
}

/// A server process of the testkit. Dropping it kills the process, unless it was started to stay.
///
/// All methods may be called from any thread.
#[derive(Debug)]
pub struct Server {
    plan: Plan,
    lifetime: Lifetime,
    process: Mutex<Option<Process>>,
}

#[derive(Debug)]
struct Process {
    supervised: Supervised,
    // Where in the log this run of it begins.
    log_start: u64,
}

impl Server {
    /// A server that is not started yet.
    pub(crate) fn new(plan: Plan, lifetime: Lifetime) -> Server {
        Server {
            plan,
            lifetime,
            process: Mutex::new(None),
        }
    }

    /// What it is called in messages: `kafka-1`, `cassandra-2`, `etcd`.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Where it listens for clients.
    pub fn address(&self) -> SocketAddr {
        self.plan.address
    }

    /// The file that everything it prints is appended to, over all its restarts.
    pub fn log(&self) -> &Path {
        &self.plan.launch.log
    }

    /// The folder with its configuration, data and log.
    pub fn folder(&self) -> &Path {
        &self.plan.launch.folder
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process()
            .as_ref()
            .map(|process| process.supervised.child.id())
    }

    /// Starts it, on the ports and data it had before, and waits until it is ready. Does nothing to
    /// a running one but wait.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub fn start(&self) -> Result<(), ServerError> {
        self.launch()?;
        self.wait_ready()
    }

    /// Starts it without waiting.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn launch(&self) -> Result<(), ServerError> {
        let mut process = self.process();
        if process.is_none() {
            let log_start = fs::metadata(self.log()).map_or(0, |log| log.len());
            let supervised = spawn(&self.plan.launch, self.lifetime)
                .map_err(|source| self.system("start it", source))?;
            *process = Some(Process {
                supervised,
                log_start,
            });
        }
        Ok(())
    }

    /// Waits until it takes requests.
    ///
    /// # Errors
    /// When it ends meanwhile, or is not ready in time; both with the end of its log.
    pub fn wait_ready(&self) -> Result<(), ServerError> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                let (server, log) = (self.plan.name.clone(), self.log().to_owned());
                return Err(ServerError::Ended {
                    server,
                    status: status.to_string(),
                    log,
                    tail: self.log_tail(),
                });
            }
            if self.is_ready() {
                return Ok(());
            }
            let limit = self.plan.start_limit;
            if started.elapsed() > limit {
                let (server, log) = (self.plan.name.clone(), self.log().to_owned());
                return Err(ServerError::Slow {
                    server,
                    limit,
                    log,
                    tail: self.log_tail(),
                });
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Kills it (SIGKILL), paused or not, and waits for its end. Does nothing when it does not run.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill(&self) -> Result<(), ServerError> {
        let Some(mut process) = self.process().take() else {
            return Ok(());
        };
        let child = &mut process.supervised.child;
        child
            .kill()
            .and_then(|()| child.wait())
            .map_err(|source| self.system("kill it", source))?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits; kills it when it takes more than a minute. Does nothing
    /// when it does not run.
    ///
    /// # Errors
    /// When a signal cannot be sent.
    pub fn stop(&self) -> Result<(), ServerError> {
        if self.process().is_none() {
            return Ok(());
        }
        self.signal(Signal::TERM, "stop it")?;
        // A paused process keeps the signal until it goes on.
        self.signal(Signal::CONT, "stop it")?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_LIMIT {
            if self.ended()?.is_some() {
                self.process().take();
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        self.kill()
    }

    /// Stops it where it is (SIGSTOP); its sockets stay open and nothing answers on them.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.signal(Signal::STOP, "pause it")
    }

    /// Lets it go on after [`Server::pause`] (SIGCONT).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.signal(Signal::CONT, "resume it")
    }

    /// Whether its process exists, paused or not.
    pub fn is_running(&self) -> bool {
        matches!(self.ended(), Ok(None))
    }

    /// The last lines of its log, and what it said of errors before.
    pub fn log_tail(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        tail(&String::from_utf8_lossy(&text), LOG_LINES)
    }

    fn is_ready(&self) -> bool {
        match self.plan.readiness {
            Readiness::LogLine(text) => {
                self.has_logged(text) && TcpStream::connect(self.plan.address).is_ok()
            }
            Readiness::Health(address) => health::is_healthy(address),
            Readiness::Launched => true,
        }
    }

    fn has_logged(&self, text: &str) -> bool {
        let Some(start) = self.process().as_ref().map(|process| process.log_start) else {
            return false;
        };
        let read = || {
            let mut file = File::open(self.log())?;
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            io::Result::Ok(String::from_utf8_lossy(&bytes).contains(text))
        };
        read().unwrap_or(false)
    }

    /// How it ended, if it has.
    fn ended(&self) -> Result<Option<ExitStatus>, ServerError> {
        let mut process = self.process();
        let Some(process) = process.as_mut() else {
            return Err(ServerError::NotRunning {
                server: self.plan.name.clone(),
            });
        };
        process
            .supervised
            .child
            .try_wait()
            .map_err(|source| self.system("look at it", source))
    }

    fn signal(&self, signal: Signal, what: &'static str) -> Result<(), ServerError> {
        self.act_on(what, |pid| kill_process(pid, signal))
    }

    /// Does something to its process.
    pub(crate) fn act_on(
        &self,
        what: &'static str,
        act: impl FnOnce(Pid) -> rustix::io::Result<()>,
    ) -> Result<(), ServerError> {
        let process = self.process();
        let pid = process
            .as_ref()
            .and_then(|process| Pid::from_raw(process.supervised.child.id().cast_signed()));
        let Some(pid) = pid else {
            return Err(ServerError::NotRunning {
                server: self.plan.name.clone(),
            });
        };
        // The child is not collected while the lock is held, so the number is still its own.
        act(pid).map_err(|error| self.system(what, error.into()))
    }

    fn system(&self, what: &'static str, source: io::Error) -> ServerError {
        ServerError::System {
            server: self.plan.name.clone(),
            what,
            source,
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::WithParent {
            // One that cannot be killed has ended already.
            drop(self.kill());
        }
    }
}

/// The last lines, and before them what earlier lines say of errors: a server that gives up often
/// says a lot more.
fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let (before, last) = all.split_at(all.len().saturating_sub(lines));
    let is_telling = |line: &&&str| {
        ["ERROR", "FATAL", "Exception", "Caused by"]
            .iter()
            .any(|word| line.contains(word))
            && !line.trim_start().starts_with("at ")
    };
    let telling: Vec<&str> = before.iter().filter(is_telling).copied().collect();
    let telling = &telling[telling.len().saturating_sub(ERROR_LINES)..];
    [telling, last].concat().join("\n")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn server(folder: &Path, script: &str) -> Server {
        let launch = Launch {
            program: "sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            folder: folder.to_owned(),
            log: folder.join("server.log"),
        };
        let plan = Plan {
            name: "shell".to_owned(),
            launch,
            address: (Ipv4Addr::LOCALHOST, 1).into(),
            readiness: Readiness::LogLine("ready"),
            start_limit: Duration::from_secs(20),
        };
        Server::new(plan, Lifetime::WithParent)
    }

    #[test]
    fn a_server_that_ends_while_starting_shows_the_end_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(
            folder.path(),
            "for i in $(seq 40); do echo line $i; done; exit 3",
        );
        let error = server.start().unwrap_err().to_string();
        assert!(
            error.starts_with("shell ended while it was starting (exit status: 3)"),
            "{error}"
        );
        assert!(
            error.ends_with("line 40")
                && error.contains("line 11\n")
                && !error.contains("line 10\n"),
            "{error}"
        );
    }

    #[test]
    fn a_paused_server_is_running_and_can_be_killed() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path(), "exec sleep 600");
        server.launch().unwrap();
        server.pause().unwrap();
        assert!(server.is_running());
        server.kill().unwrap();
        assert!(!server.is_running());
        assert!(matches!(
            server.resume(),
            Err(ServerError::NotRunning { .. })
        ));
    }

    #[test]
    fn a_server_is_asked_before_it_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(
            folder.path(),
            "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.01; done",
        );
        server.launch().unwrap();
        while !server.has_logged("up") {
            thread::sleep(LOOK_EVERY);
        }
        server.stop().unwrap();
        assert_eq!(server.log_tail(), "up\nasked");
    }

    #[test]
    fn the_tail_of_a_short_text_is_all_of_it() {
        assert_eq!(tail("a\nb\n", 30), "a\nb");
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
    }

    #[test]
    fn what_a_log_said_of_errors_before_its_end_is_shown_too() {
        let text = "start\nERROR no seeds\n\tat Exception.java\nflushed\nshut down\nend";
        assert_eq!(tail(text, 2), "ERROR no seeds\nshut down\nend");
    }
}
