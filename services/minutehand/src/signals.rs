//! What the process is told from outside: to stop, to stop at once, to read its files again.

use std::io;

use minutehand_cli::{Exit, Failure};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::service_manager;

/// How a shell tells that a signal ended a process.
const EXIT_BY_SIGNAL: i32 = 128;

/// The signals that have come since the process began to listen.
///
/// The first SIGINT or SIGTERM asks for an orderly stop, the second ends the process at once: that
/// is safe at any moment, whatever was acknowledged is durable. SIGHUP never ends it.
#[derive(Clone)]
pub(crate) struct Signals {
    stop: watch::Receiver<bool>,
    hangups: watch::Receiver<u64>,
}

impl Signals {
    /// Begins to listen. To be called before anything that takes time.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(crate) fn listen() -> Result<Signals, Failure> {
        Signals::begin().map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("could not listen for signals: {error}"),
            )
        })
    }

    fn begin() -> io::Result<Signals> {
        let ends = [SignalKind::interrupt(), SignalKind::terminate()];
        let [interrupt, terminate] = [signal(ends[0])?, signal(ends[1])?];
        let hangup = signal(SignalKind::hangup())?;
        // A file that may grow no further is a failed write like a full disk, which is told; it
        // does not end the process.
        let too_large = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        tokio::spawn(pass_over(too_large));
        let (tell_stop, stop) = watch::channel(false);
        let (tell_hangup, hangups) = watch::channel(0);
        tokio::spawn(ask_to_stop([interrupt, terminate], ends, tell_stop));
        tokio::spawn(count(hangup, tell_hangup));
        Ok(Signals { stop, hangups })
    }

    /// Waits until the process is asked to stop.
    pub(crate) async fn asked_to_stop(&self) {
        until_true(self.stop.clone()).await;
    }

    /// Calls `read_again` at every SIGHUP from now on.
    pub(crate) fn at_hangup(&self, read_again: impl Fn() + Send + 'static) {
        let mut hangups = self.hangups.clone();
        hangups.mark_unchanged();
        tokio::spawn(async move {
            while hangups.changed().await.is_ok() {
                read_again();
            }
        });
    }
}

#[expect(
    clippy::exit,
    reason = "who asks twice does not want to wait for anything"
)]
async fn ask_to_stop(
    [mut interrupt, mut terminate]: [Signal; 2],
    ends: [SignalKind; 2],
    stop: watch::Sender<bool>,
) {
    loop {
        let came = tokio::select! {
            _ = interrupt.recv() => ends[0],
            _ = terminate.recv() => ends[1],
        };
        if stop.send_replace(true) {
            crate::say::error("stopped at once, by a second signal");
            std::process::exit(EXIT_BY_SIGNAL + came.as_raw_value());
        }
        service_manager::stopping();
        tracing::info!("stopping in order; a second signal stops at once");
    }
}

async fn pass_over(mut signal: Signal) {
    while signal.recv().await.is_some() {}
}

async fn count(mut hangup: Signal, hangups: watch::Sender<u64>) {
    while hangup.recv().await.is_some() {
        hangups.send_modify(|count| *count += 1);
    }
}

/// Waits for some work, unless it is told to stop before it is done: then `None`.
pub(crate) async fn unless<T>(
    stop: impl Future<Output = ()>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        () = stop => None,
        done = work => Some(done),
    }
}

/// Waits until a flag is true, or nobody can set it any more.
pub(crate) async fn until_true(mut flag: watch::Receiver<bool>) {
    flag.wait_for(|wanted| *wanted).await.ok();
}
