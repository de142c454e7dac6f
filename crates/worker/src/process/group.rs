//! The process group of a command: stopped as a whole, and never left behind.
//!
//! The group is there before the command is, and is watched before the command is started into it:
//! so there is no moment at which a worker that is killed leaves a command behind that nobody knows
//! of. Who holds the group until then is a shell that waits for a word, and ends when it hears no
//! more: when the command is in its place, or the worker is dead.

use std::io;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdin, Command};

use super::guard::{Guard, Watched};

/// Holds a group until its standard input ends.
const HOLD: &str = "read -r word";

/// A group; killed when dropped.
///
/// Its number is that of its holder, which is collected last: the system does not give it away
/// before.
pub(super) struct ProcessGroup {
    leader: Pid,
    // Dropped in this order: the guard forgets the group when it has been killed.
    _watched: Watched,
    /// The group is held by a process that waits for more from here.
    word: Option<ChildStdin>,
    _holder: Child,
    has_ended: bool,
}

impl ProcessGroup {
    /// A group without a command, watched from now on.
    ///
    /// # Errors
    /// When the system gives no process.
    pub(super) fn begin(guard: &Guard) -> io::Result<ProcessGroup> {
        let mut holder = Command::new("/bin/sh");
        holder
            .args(["-c", HOLD])
            .env_clear()
            .process_group(0)
            .kill_on_drop(true);
        let mut holder = holder
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let leader = holder
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let leader = leader.ok_or(io::ErrorKind::NotFound)?;
        assert!(
            leader.as_raw_nonzero().get() > 1,
            "what is killed is a group of its own"
        );
        let word = holder.stdin.take();
        Ok(ProcessGroup {
            leader,
            _watched: guard.watch(leader),
            word,
            _holder: holder,
            has_ended: false,
        })
    }

    /// Its number, for a command that is to be started into it.
    pub(super) fn number(&self) -> i32 {
        self.leader.as_raw_nonzero().get()
    }

    /// A command is in the group: nobody else need hold it.
    pub(super) fn has_command(&mut self) {
        self.word = None;
    }

    /// Asks every member to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends every member.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Ends whoever is left, once the command has ended.
    pub(super) fn end(mut self) {
        self.kill();
        // Nobody can join any more: nothing is left to do for the drop.
        self.has_ended = true;
    }

    fn signal(&self, signal: Signal) {
        // The only failure that can happen is that nobody is left.
        let _ = kill_process_group(self.leader, signal);
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if !self.has_ended {
            self.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where this test, started anew as a worker, kills itself.
    const STEP: &str = "MINUTEHAND_TEST_DIES";
    const STEPS: [&str; 3] = [
        "before-the-command",
        "with-the-command",
        "behind-the-command",
    ];

    fn die() -> ! {
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, Signal::KILL).unwrap();
        unreachable!("it was killed");
    }

    /// A worker up to a step; what it starts writes where it writes itself.
    fn work_until(step: &str) -> ! {
        let guard = Guard::default();
        guard.stand_by();
        let mut group = ProcessGroup::begin(&guard).unwrap();
        if step == STEPS[0] {
            die();
        }
        let mut command = Command::new("/bin/sh");
        let _child = command
            .args(["-c", "sleep 20; echo outlived"])
            .process_group(group.number())
            .spawn();
        if step == STEPS[1] {
            die();
        }
        group.has_command();
        die();
    }

    #[tokio::test]
    async fn a_command_dies_with_a_worker_killed_at_any_step() {
        if let Ok(step) = std::env::var(STEP) {
            work_until(&step);
        }
        for step in STEPS {
            let mut worker = Command::new(std::env::current_exe().unwrap());
            let name = "process::group::tests::a_command_dies_with_a_worker_killed_at_any_step";
            worker
                .args(["--exact", name, "--nocapture"])
                .env(STEP, step);
            // The output ends when the last of them is gone.
            let output = worker.output().await.unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(
                said.contains("running 1 test") && !said.contains("outlived"),
                "{step}: {said}"
            );
            assert_eq!(
                std::os::unix::process::ExitStatusExt::signal(&output.status),
                Some(9),
                "{step}"
            );
        }
    }
}
