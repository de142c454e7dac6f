//! The one thread that writes: many operations, one batch, one fsync, then all the answers.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use fjall::PersistMode;
use minutehand_model::Timestamp;
use tokio::sync::watch;

use crate::config::Clock;
use crate::failure::Failure;
use crate::quiet::Quiet;
use crate::state::State;
use crate::writes::{Finish, Writes};

/// What an operation does.
pub(crate) type Apply = Box<dyn FnOnce(&mut State, &mut Writes) -> Finish + Send>;

/// One caller's operation on its way to the committer.
pub(crate) struct Operation {
    /// Whether it looks at rows that an operation before it may be about to change.
    pub(crate) reads_rows: bool,
    /// About how much it writes.
    pub(crate) bytes: usize,
    /// Changes the state and adds to the writes. An operation that is refused does neither.
    pub(crate) apply: Apply,
}

/// How often the lease is confirmed while nothing is written.
const CONFIRM_EVERY: Duration = Duration::from_millis(500);
/// A commit takes no further operation beyond this many bytes,
const COMMIT_BYTES_MAX: usize = 16 << 20;
/// or this many rows: what waits behind it must not wait long.
const COMMIT_ROWS_MAX: usize = 8_192;

/// The thread's own things.
pub(crate) struct Committer {
    pub(crate) state: State,
    pub(crate) operations: Receiver<Operation>,
    pub(crate) confirmed_at: watch::Sender<Timestamp>,
    pub(crate) now: Clock,
    pub(crate) quiet: Quiet,
}

impl Committer {
    /// Serves operations until every caller is gone.
    pub(crate) fn run(mut self) {
        loop {
            let first = match self.operations.recv_timeout(CONFIRM_EVERY) {
                Ok(operation) => Some(operation),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.state.shared.check_open("write").is_err() {
                // Dropping the operation tells its caller.
                continue;
            }
            if let Some(first) = first {
                self.commit_from(first);
            }
            self.forget_spent();
            self.write_out_when_quiet();
            // A closed store confirms nothing, so its owners stop.
            if self.state.shared.check_open("write").is_ok() {
                self.confirmed_at.send_replace((self.now)());
            }
        }
    }

    /// Commits an operation with all that have arrived behind it.
    fn commit_from(&mut self, first: Operation) {
        let mut next = Some(first);
        let mut writes = self.state.spaces.database.batch();
        let mut finishes: Vec<Finish> = Vec::new();
        let mut bytes = 0;
        while let Some(operation) = next.take() {
            if operation.reads_rows && !finishes.is_empty() {
                let batch = std::mem::replace(&mut writes, self.state.spaces.database.batch());
                if !self.commit(batch, std::mem::take(&mut finishes)) {
                    return;
                }
                bytes = 0;
            }
            bytes += operation.bytes;
            finishes.push((operation.apply)(&mut self.state, &mut writes));
            if bytes < COMMIT_BYTES_MAX && writes.len() < COMMIT_ROWS_MAX {
                next = self.operations.try_recv().ok();
            }
        }
        self.commit(writes, finishes);
    }

    /// Forgets queues of which nothing is left, and groups that are gone.
    fn forget_spent(&mut self) {
        if self.state.spent.is_due((self.now)()) && self.state.shared.check_open("write").is_ok() {
            let mut writes = self.state.spaces.database.batch();
            self.state.forget_spent(&mut writes);
            self.commit(writes, Vec::new());
        }
    }

    fn write_out_when_quiet(&mut self) {
        let shared = &self.state.shared;
        if shared.check_open("write").is_ok()
            && let Err(error) = self.quiet.look(&self.state.spaces, (self.now)())
        {
            shared.close(Failure::of(&error, &shared.folder));
        }
    }

    /// Makes the writes durable and answers; `false` when the store has closed itself.
    fn commit(&mut self, mut writes: Writes, finishes: Vec<Finish>) -> bool {
        let then = self.state.write_changed(&mut writes);
        if !writes.is_empty()
            && let Err(error) = writes.durability(Some(PersistMode::SyncData)).commit()
        {
            let failure = Failure::of(&error, &self.state.shared.folder);
            self.state.shared.close(failure);
            return false;
        }
        then.into_iter().chain(finishes).for_each(|finish| finish());
        true
    }
}

impl Drop for Committer {
    /// A committer that ends in a panic closes the store, so that nobody waits for it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.state
                .shared
                .close(Failure::new("an internal error stopped its writer"));
        }
    }
}
