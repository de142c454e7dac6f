//! The process group of a command: stopped as a whole, and never left behind.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// A group led by a child; killed when dropped.
///
/// The group's number is the child's, which the system does not give away again while the group has a member. Once it
/// has none, a signal finds nobody (all numbers would have to be used up before it could meet a stranger).
pub(super) struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// The group of a child that was spawned as its leader.
    pub(super) fn of(child: &Child) -> ProcessGroup {
        ProcessGroup(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// The number of the group.
    pub(super) fn leader(&self) -> Option<Pid> {
        self.0
    }

    /// Asks every member to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends every member.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Ends whoever is left, once the leader has ended.
    pub(super) fn end(mut self) {
        self.kill();
        // Nobody can join any more: nothing is left to do for the drop.
        self.0 = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0 {
            // The only failure that can happen is that nobody is left.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}
