//! Sees to it that no command outlives its worker, however the worker ends.
//!
//! A process that is killed cannot end what it has started, and the next one would run the same
//! execution beside it. So a shell of a few lines is told of every group; when it hears no more,
//! because the worker's end of the pipe is closed by its death, it kills those that are left.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::Pid;
use tracing::warn;

/// Reads `+ GROUP` and `- GROUP`, and kills what is left of them in the end.
const SCRIPT: &str = r#"
groups=
while read -r sign group; do
  case $sign in
    +) groups="$groups $group" ;;
    -) left=
       for known in $groups; do [ "$known" = "$group" ] || left="$left $known"; done
       groups=$left ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
"#;

/// Watches over groups. Clones are the same guard.
#[derive(Clone, Default)]
pub(super) struct Guard(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    shell: Option<Shell>,
    groups: BTreeSet<i32>,
}

/// A group that is watched until this is dropped.
pub(super) struct Watched {
    guard: Guard,
    group: i32,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut state = self.guard.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.groups.remove(&self.group);
        state.tell('-', self.group);
    }
}

impl Guard {
    /// Starts what watches, before there is something to watch: a worker that is killed right after
    /// it has started a command must not have been busy with starting this.
    pub(super) fn stand_by(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.shell.is_none() {
            state.replace_shell();
        }
    }

    /// Watches a group from now on.
    pub(super) fn watch(&self, group: Pid) -> Watched {
        let group = group.as_raw_nonzero().get();
        assert!(group > 1, "1 would be everybody, and less this process");
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.groups.insert(group);
        state.tell('+', group);
        Watched {
            guard: self.clone(),
            group,
        }
    }
}

impl State {
    /// Tells the shell of a change. One that is gone, or does not listen, is replaced, and told of
    /// every group there is.
    fn tell(&mut self, sign: char, group: i32) {
        if self
            .shell
            .as_mut()
            .is_none_or(|shell| shell.say(sign, group).is_err())
        {
            self.replace_shell();
        }
    }

    fn replace_shell(&mut self) {
        let replaced = Shell::start().and_then(|mut shell| {
            self.groups
                .iter()
                .try_for_each(|group| shell.say('+', *group))?;
            Ok(shell)
        });
        self.shell = match replaced {
            Ok(shell) => Some(shell),
            Err(error) => {
                warn!(%error, "commands would outlive this process if it were killed: nothing could be started to watch them");
                None
            }
        };
    }
}

struct Shell {
    child: Child,
    words: Option<ChildStdin>,
}

impl Shell {
    fn start() -> io::Result<Shell> {
        // In a group of its own: what a terminal sends to ours must not end it first.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT]).env_clear().process_group(0);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let words = child.stdin.take();
        if let Some(words) = &words {
            // It reads as fast as we write; should it hang, we must not hang with it.
            fcntl_setfl(words, OFlags::NONBLOCK)?;
        }
        Ok(Shell { child, words })
    }

    fn say(&mut self, sign: char, group: i32) -> io::Result<()> {
        // A process that is being started elsewhere in ours may hold its end of the pipe for a
        // moment longer than it lives.
        if self.child.try_wait()?.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let words = self.words.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        // Shorter than what a pipe takes at once or not at all.
        words.write_all(format!("{sign} {group}\n").as_bytes())
    }
}

impl Drop for Shell {
    /// Whoever drops it has ended the groups, or starts another one.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn sleeper() -> Child {
        Command::new("/bin/sh")
            .args(["-c", "sleep 600 & wait"])
            .process_group(0)
            .spawn()
            .unwrap()
    }

    fn pid(child: &Child) -> Pid {
        Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
    }

    /// What the death of the worker does: nobody holds the other end of the pipe any more.
    fn die(guard: &Guard) -> ExitStatus {
        let mut state = guard.0.lock().unwrap();
        let shell = state.shell.as_mut().unwrap();
        shell.words = None;
        shell.child.wait().unwrap()
    }

    #[test]
    fn groups_that_are_left_die_with_the_worker() {
        let guard = Guard::default();
        let (mut ended, mut left, mut another) = (sleeper(), sleeper(), sleeper());
        let over = guard.watch(pid(&ended));
        let _left = [guard.watch(pid(&left)), guard.watch(pid(&another))];
        drop(over);
        assert!(die(&guard).success());
        assert_eq!(
            [&mut left, &mut another].map(|child| child.wait().unwrap().signal()),
            [Some(9), Some(9)]
        );
        assert_eq!(
            ended.try_wait().unwrap(),
            None,
            "what had ended for us is left alone"
        );
        rustix::process::kill_process_group(pid(&ended), rustix::process::Signal::KILL).unwrap();
        ended.wait().unwrap();
    }

    #[test]
    fn a_watcher_that_was_killed_is_replaced_and_told_of_all() {
        let guard = Guard::default();
        let (mut first, mut second) = (sleeper(), sleeper());
        let _first = guard.watch(pid(&first));
        {
            let mut state = guard.0.lock().unwrap();
            let shell = state.shell.as_mut().unwrap();
            shell.child.kill().unwrap();
            shell.child.wait().unwrap();
        }
        let _second = guard.watch(pid(&second));
        assert!(die(&guard).success());
        assert_eq!(
            [&mut first, &mut second].map(|child| child.wait().unwrap().signal()),
            [Some(9), Some(9)]
        );
    }
}
