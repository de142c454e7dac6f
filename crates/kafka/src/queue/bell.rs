//! A bell that wakes the one thread that waits for it.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Rung from any thread, the driver's among them; whoever holds its lock waits for nothing else.
#[derive(Default)]
pub(crate) struct Bell {
    is_rung: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.is_rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_one();
    }

    /// Waits until it is rung, or was since the last wait, or the time is over.
    pub(crate) fn wait(&self, at_most: Duration) {
        let is_rung = self.is_rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .rung
            .wait_timeout_while(is_rung, at_most, |is_rung| !*is_rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}
