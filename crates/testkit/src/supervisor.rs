//! Starting servers so that none outlives what it was started for, without `unsafe`.
//!
//! Linux can send a process a signal when its parent ends, and the program `setpriv` can ask for
//! it. The parent is the *thread* that started the process, so all servers are started by one
//! thread that lives as long as this process does. Where there is no such `setpriv`, a shell holds
//! the other end of a pipe and kills the server when the pipe closes.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;

/// How long a server lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// At most as long as this process, however that ends.
    WithParent,
    /// Until somebody stops it.
    Detached,
}

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The folder it is started in.
    pub(crate) folder: PathBuf,
    /// The file that what it prints is appended to.
    pub(crate) log: PathBuf,
}

impl Launch {
    fn command(&self, wrapper: &[&str]) -> io::Result<Command> {
        let mut words = wrapper
            .iter()
            .map(Into::into)
            .chain([self.program.clone().into_os_string()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        command
            .args(words)
            .args(&self.arguments)
            .current_dir(&self.folder);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }
}

/// A running child, and what watches over it where the system does not.
#[derive(Debug)]
pub(crate) struct Supervised {
    pub(crate) child: Child,
    watchdog: Option<Child>,
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            // The server has ended, or is to go on: nothing is left to watch.
            drop(watchdog.kill());
            drop(watchdog.wait());
        }
    }
}

/// Starts a server.
pub(crate) fn spawn(launch: &Launch, lifetime: Lifetime) -> io::Result<Supervised> {
    match lifetime {
        Lifetime::Detached => {
            // In a process group of its own the end of a terminal does not reach it. A session of
            // its own would do that as well, but Linux shares the processor among sessions
            // (autogroup), and a kernel has been seen that let the servers of one session wait five
            // seconds for it beside a busy client of another.
            let mut command = launch.command(&[])?;
            command.process_group(0);
            unwatched(command)
        }
        Lifetime::WithParent if *HAS_SETPRIV => {
            let own = std::process::id().to_string();
            // The parent may have ended before the signal was asked for.
            let script = r#"test "$PPID" = "$1" || exit 1; shift; exec "$@""#;
            unwatched(launch.command(&[
                "setpriv",
                "--pdeathsig",
                "KILL",
                "sh",
                "-c",
                script,
                "sh",
                &own,
            ])?)
        }
        Lifetime::WithParent => watched(launch.command(&[])?),
    }
}

fn unwatched(command: Command) -> io::Result<Supervised> {
    Ok(Supervised {
        child: spawn_in_thread(command)?,
        watchdog: None,
    })
}

fn watched(command: Command) -> io::Result<Supervised> {
    let child = spawn_in_thread(command)?;
    let script = r#"trap '' INT TERM HUP; read -r _; kill -KILL "$1""#;
    let mut watchdog = Command::new("sh");
    watchdog.args(["-c", script, "sh", &child.id().to_string()]);
    watchdog
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let watchdog = watchdog.spawn()?;
    Ok(Supervised {
        child,
        watchdog: Some(watchdog),
    })
}

static HAS_SETPRIV: LazyLock<bool> =
    LazyLock::new(|| succeeds("setpriv", &["--pdeathsig", "KILL", "true"]));

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let quiet = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

type Request = (Command, Sender<io::Result<Child>>);

/// The thread whose end is the end of the servers.
static SPAWNER: LazyLock<Mutex<Sender<Request>>> = LazyLock::new(|| {
    let (sender, receiver) = channel::<Request>();
    thread::spawn(move || {
        for (mut command, answer) in receiver {
            // Who asked has gone away when nobody takes the answer.
            drop(answer.send(command.spawn()));
        }
    });
    Mutex::new(sender)
});

fn spawn_in_thread(command: Command) -> io::Result<Child> {
    let (answer, answered) = channel();
    let gone = || io::Error::other("the thread that starts servers has ended");
    SPAWNER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn launch(folder: &std::path::Path, program: &str, arguments: &[&str]) -> Launch {
        Launch {
            program: program.into(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            folder: folder.to_owned(),
            log: folder.join("log"),
        }
    }

    #[test]
    fn what_a_server_prints_is_appended_to_its_log() {
        let folder = tempfile::tempdir().unwrap();
        for lifetime in [Lifetime::WithParent, Lifetime::Detached] {
            let mut server = spawn(&launch(folder.path(), "echo", &["a  b"]), lifetime).unwrap();
            assert!(server.child.wait().unwrap().success());
        }
        assert_eq!(
            fs::read_to_string(folder.path().join("log")).unwrap(),
            "a  b\na  b\n"
        );
    }

    #[test]
    fn a_server_outlives_the_thread_that_asked_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let launch = launch(folder.path(), "sleep", &["60"]);
        let mut server = thread::spawn(move || spawn(&launch, Lifetime::WithParent).unwrap())
            .join()
            .unwrap();
        assert!(server.child.try_wait().unwrap().is_none());
        server.child.kill().unwrap();
        server.child.wait().unwrap();
    }

    #[test]
    fn without_setpriv_a_closed_pipe_ends_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = watched(
            launch(folder.path(), "sleep", &["600"])
                .command(&[])
                .unwrap(),
        )
        .unwrap();
        // What the end of this process would do.
        drop(server.watchdog.as_mut().unwrap().stdin.take());
        assert!(!server.child.wait().unwrap().success());
    }
}
