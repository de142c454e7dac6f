//! The store's own threads. Reads must not wait behind what others do where blocking is allowed:
//! the names of strangers are looked up there, files are written there, and a pool that is full of
//! such work answers nobody.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

/// Reads at once. A read is a look at one table, or a page of bounded size; more at once would only
/// share the disk.
const READERS: usize = 4;
/// The longest that a read waits for its turn.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// Threads that read.
pub(crate) struct Readers {
    jobs: Sender<Job>,
    turns: Semaphore,
}

/// Why a read has no answer.
pub(crate) enum Unread {
    /// Others were being read for as long as it may wait.
    Busy,
    /// The reading stopped half way: a defect of the code that read, or of what it read.
    Stopped,
}

impl Readers {
    /// Starts the threads; they end with this value.
    pub(crate) fn start() -> io::Result<Readers> {
        let (jobs, incoming) = channel::<Job>();
        let incoming = Arc::new(Mutex::new(incoming));
        for number in 0..READERS {
            let incoming = Arc::clone(&incoming);
            std::thread::Builder::new()
                .name(format!("store-reader-{number}"))
                .spawn(move || serve(&incoming))?;
        }
        Ok(Readers {
            jobs,
            turns: Semaphore::new(READERS),
        })
    }

    /// Runs a read on one of the threads, in the order of asking.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unread> {
        let turn = tokio::time::timeout(TURN_WAIT_MAX, self.turns.acquire()).await;
        let _turn = turn
            .map_err(|_| Unread::Busy)?
            .map_err(|_| Unread::Stopped)?;
        let (sender, receiver) = oneshot::channel();
        let job = move || drop(sender.send(read()));
        self.jobs.send(Box::new(job)).map_err(|_| Unread::Stopped)?;
        receiver.await.map_err(|_| Unread::Stopped)
    }
}

fn serve(incoming: &Mutex<Receiver<Job>>) {
    loop {
        let job = incoming
            .lock()
            .expect("nothing panics while it holds this lock")
            .recv();
        let Ok(job) = job else { return };
        // A read that panics has left its caller without an answer, who says so; the thread goes
        // on.
        drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)));
    }
}

/// Runs blocking work on a thread made for it; nothing is heard when that could not be started, or
/// the work panicked.
pub(crate) fn apart<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    let work = move || drop(sender.send(work()));
    drop(
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work),
    );
    receiver
}
