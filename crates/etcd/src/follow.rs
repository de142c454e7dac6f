//! Keeps a view of the region's keys: a list, then a watch from its revision, and both anew when
//! the watch ends.
//!
//! A watch is a hint: a broken one may be silent for ever, and watches of some releases have lost
//! events. So a silent one is asked for a sign of life, and the list is read again from time to
//! time.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{GetOptions, WatchOptions};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::{CALL_TIMEOUT, Etcd, within};
use crate::error::CallError;
use crate::pause::Backoff;
use crate::view::View;

/// How long a watch may be silent before it is asked for a sign of life; it has as long again to
/// give one.
const SILENCE: Duration = Duration::from_secs(3);
/// How often everything is read again.
const LIST_INTERVAL: Duration = Duration::from_secs(60);

/// The region's keys, all of one revision.
pub(crate) async fn list(etcd: &Etcd) -> Result<View, CallError> {
    let found = etcd
        .get(
            etcd.keys().root().to_owned(),
            Some(GetOptions::new().with_prefix()),
        )
        .await?;
    let revision = found
        .header()
        .map_or(0, etcd_client::ResponseHeader::revision);
    Ok(View::listed(etcd.keys(), revision, found.kvs()))
}

/// Follows the region's keys for ever.
pub(crate) async fn follow(etcd: Etcd, view: watch::Sender<Arc<View>>) {
    let mut backoff = Backoff::default();
    loop {
        let from = view.borrow().revision + 1;
        let watched = watch(&etcd, from, &view, &mut backoff).await;
        if let Err(error) = watched {
            tracing::debug!(%error, "the watch of the region ended");
            tokio::time::sleep(backoff.next()).await;
        }
        relist(&etcd, &view, &mut backoff).await;
    }
}

/// Reads everything again, until it succeeds.
async fn relist(etcd: &Etcd, view: &watch::Sender<Arc<View>>, backoff: &mut Backoff) {
    loop {
        match list(etcd).await {
            Ok(listed) => {
                view.send_if_modified(|known| {
                    let is_news = **known != listed;
                    if is_news {
                        *known = Arc::new(listed);
                    }
                    is_news
                });
                return;
            }
            Err(error) => {
                tracing::debug!(%error, "could not list the region");
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}

/// Follows one watch to its end, or until it is time to read everything again.
async fn watch(
    etcd: &Etcd,
    from: i64,
    view: &watch::Sender<Arc<View>>,
    backoff: &mut Backoff,
) -> Result<(), CallError> {
    let options = WatchOptions::new().with_prefix().with_start_revision(from);
    let mut client = etcd.client();
    let mut stream = within(
        CALL_TIMEOUT,
        client.watch(etcd.keys().root(), Some(options)),
    )
    .await?;
    let ends = Instant::now() + LIST_INTERVAL;
    let mut is_asked = false;
    loop {
        let answer = tokio::select! {
            answer = stream.message() => answer?,
            () = tokio::time::sleep_until(ends) => return Ok(()),
            () = tokio::time::sleep(SILENCE) => {
                if is_asked {
                    return Err(CallError::Ended("the watch has been silent for too long".to_owned()));
                }
                is_asked = true;
                stream.request_progress().await?;
                continue;
            }
        };
        let answer = answer.ok_or_else(|| CallError::Ended("etcd ended the watch".to_owned()))?;
        if answer.canceled() {
            let why = format!("etcd cancelled the watch: {}", answer.cancel_reason());
            return Err(CallError::Ended(why));
        }
        is_asked = false;
        backoff.reset();
        if !answer.events().is_empty() {
            let mut next = View::clone(&view.borrow());
            answer
                .events()
                .iter()
                .for_each(|event| next.apply(etcd.keys(), event));
            view.send_replace(Arc::new(next));
        }
    }
}
