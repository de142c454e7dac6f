//! Deletes partition keys of this process that it does not know to hold: what lost answers have
//! left behind.

use std::sync::Arc;

use minutehand_model::PartitionId;

use crate::acquire::Acquirer;
use crate::pause::Backoff;

/// Runs for ever.
pub(crate) async fn reap(acquirer: Arc<Acquirer>) {
    let mut view = acquirer.view.clone();
    let mut backoff = Backoff::default();
    loop {
        let seen = Arc::clone(&view.borrow_and_update());
        let pause = if reap_once(&acquirer, &seen).await {
            backoff.reset();
            None
        } else {
            Some(backoff.next())
        };
        tokio::select! {
            Ok(()) = view.changed() => {}
            () = acquirer.left_behind.notified() => {}
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            else => return,
        }
    }
}

/// Deletes what the view shows; whether nothing is left to be tried again.
async fn reap_once(acquirer: &Acquirer, view: &crate::view::View) -> bool {
    let mut is_clean = true;
    let ours = view
        .partitions
        .iter()
        .filter(|(_, owned)| owned.owner == acquirer.owner);
    for (partition, owned) in ours {
        is_clean &= reap_one(acquirer, *partition, owned.create_revision).await;
    }
    is_clean
}

async fn reap_one(acquirer: &Acquirer, partition: PartitionId, revision: i64) -> bool {
    let Some(hold) = acquirer.holds.get(partition.index()) else {
        return true;
    };
    // Whoever has the lock is about to know better.
    let Ok(hold) = hold.try_lock() else {
        return false;
    };
    if hold.held.is_some_and(|(held, _)| held == revision) {
        return true;
    }
    let key = acquirer.etcd.keys().partition(partition);
    match acquirer.etcd.delete_created_at(key, revision).await {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(%partition, %error, "could not delete a key that was left behind");
            false
        }
    }
}
