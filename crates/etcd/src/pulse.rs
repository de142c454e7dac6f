//! Whether the process that a lease stands for still does its work. The lease is kept on a thread
//! of its own; without this a process whose other threads hang for ever would keep partitions that
//! nobody serves.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often the process shows that it works.
const BEAT: Duration = Duration::from_millis(500);
/// How long it may stand still and keep its lease. A take-over under full load is seconds of work,
/// not half a minute.
const STANDS_STILL_MAX: Duration = Duration::from_secs(30);

/// Beats on the runtime on which it was begun, as long as that runs and somebody listens.
pub(crate) struct Pulse {
    _beating: JoinSet<()>,
}

/// When it beat last.
pub(crate) type Beats = watch::Receiver<Instant>;

impl Pulse {
    /// Begins to beat on the caller's runtime.
    pub(crate) fn begin() -> (Pulse, Beats) {
        let (sender, beats) = watch::channel(Instant::now());
        let mut beating = JoinSet::new();
        beating.spawn(async move {
            while sender.send(Instant::now()).is_ok() {
                tokio::time::sleep(BEAT).await;
            }
        });
        (Pulse { _beating: beating }, beats)
    }
}

/// Whether the process has stood still for too long to keep what it owns.
pub(crate) fn stands_still(last_beat: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last_beat) > STANDS_STILL_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_beats_as_long_as_the_runtime_runs() {
        let (_pulse, mut beats) = Pulse::begin();
        let begun = *beats.borrow_and_update();
        for _ in 0..4 {
            beats.changed().await.unwrap();
        }
        assert!(*beats.borrow() > begun);
        assert!(!stands_still(*beats.borrow(), Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_hangs_stands_still() {
        let last = Instant::now();
        assert!(!stands_still(last, last + STANDS_STILL_MAX));
        assert!(stands_still(
            last,
            last + STANDS_STILL_MAX + Duration::from_millis(1)
        ));
    }
}
