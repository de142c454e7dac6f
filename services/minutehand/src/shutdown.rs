//! Being told to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// SIGINT (Ctrl-C) or SIGTERM.
pub(crate) async fn asked_to_stop() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate => {}
    }
}

/// Waits for some work, unless it is told to stop before it is done: then `None`.
#[cfg(feature = "cluster")]
pub(crate) async fn unless<T>(stop: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
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
