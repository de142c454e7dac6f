//! What a run has made on the other side, and is to be removed: also when the run is dropped.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use minutehand_backoff::{Backoff, Pauses};
use tracing::warn;

use crate::http::CallError;

/// Pauses between questions that were not answered.
pub(crate) const PAUSES: Pauses =
    Pauses::between(Duration::from_millis(200), Duration::from_secs(10));
/// How often a removal is asked for.
const REMOVALS_MAX: u32 = 5;

/// Where things are made and removed by their names.
#[async_trait]
pub(crate) trait Remover: Send + Sync + 'static {
    /// What is removed, with its article.
    const WHAT: &'static str;

    /// Removes a thing; one that is not there is removed.
    async fn remove(&self, name: &str) -> Result<(), CallError>;
}

/// A thing that is removed when its run is over or dropped.
pub(crate) struct Leftover<R: Remover> {
    remover: Arc<R>,
    name: String,
    stays: bool,
}

impl<R: Remover> Leftover<R> {
    pub(crate) fn of(remover: &Arc<R>, name: &str) -> Leftover<R> {
        Leftover {
            remover: Arc::clone(remover),
            name: name.to_owned(),
            stays: false,
        }
    }

    pub(crate) async fn remove(&mut self) {
        remove(&*self.remover, &self.name).await;
        self.stays = true;
    }

    /// There is nothing of this run's to remove, or somebody else goes on with it.
    pub(crate) fn leave(&mut self) {
        self.stays = true;
    }
}

impl<R: Remover> Drop for Leftover<R> {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (remover, name) = (Arc::clone(&self.remover), std::mem::take(&mut self.name));
            runtime.spawn(async move { remove(&*remover, &name).await });
        }
    }
}

async fn remove<R: Remover>(remover: &R, name: &str) {
    let mut backoff = Backoff::new(PAUSES);
    for _ in 0..REMOVALS_MAX {
        match remover.remove(name).await {
            Ok(()) => return,
            Err(error) => told(R::WHAT, name, &error),
        }
        tokio::time::sleep(backoff.next_pause()).await;
    }
}

fn told(what: &str, name: &str, error: &dyn Display) {
    warn!(name, %error, "{what} was not removed");
}
