//! What systemd is told of this process (or whoever else started it with a `NOTIFY_SOCKET`): that
//! it is ready, that it works, that it stops. Where nobody asked for it all of this does nothing.

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};

/// The process serves. From now on a watchdog hears of it as long as its threads do their work.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
    if let Some(limit) = watchdog_enabled() {
        tokio::spawn(beat(limit));
    }
}

/// The process hands over what it has, and ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Twice within the limit, so that one that is late does no harm.
async fn beat(limit: Duration) {
    let mut ticks = tokio::time::interval(limit / 2);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::warn!(%error, "could not tell the service manager; look at NOTIFY_SOCKET");
    }
}
