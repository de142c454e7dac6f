//! One scheduler as seen from a gateway: its statuses, and the way to ask it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use minutehand_model::PartitionId;
use minutehand_node::{OwnerReply, OwnerStatus};
use minutehand_record::DecodeError;
use reqwest::{Client, StatusCode, header};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::status::StatusFrame;
use crate::token::PeerToken;
use crate::wire::decode_reply;
use crate::{ASK_PATH, CONTENT_TYPE, HEARTBEAT_MS, STATUSES_PATH};

/// Silence after which a scheduler counts as gone.
const SILENCE_MAX: Duration = Duration::from_millis(3 * HEARTBEAT_MS);
/// Pause before a scheduler that does not answer is called again.
const CALL_AGAIN: Duration = Duration::from_millis(100);

type Statuses = Arc<Mutex<BTreeMap<PartitionId, watch::Sender<OwnerStatus>>>>;

/// Why a scheduler did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("the connection failed")]
    Connection(#[from] reqwest::Error),
    #[error("it answered {status}: {said}")]
    Refused { status: StatusCode, said: String },
    #[error("its answer could not be understood")]
    Decode(#[from] DecodeError),
    #[error("it was silent for {} ms", SILENCE_MAX.as_millis())]
    Silent,
    #[error("it ended the stream of statuses")]
    Ended,
}

/// How schedulers are called.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) client: Client,
    pub(crate) token: PeerToken,
}

/// One scheduler. Listens to it until dropped.
pub(crate) struct Peer {
    caller: Caller,
    address: String,
    statuses: Statuses,
    listener: AbortHandle,
}

impl Peer {
    pub(crate) fn new(caller: Caller, address: &str) -> Peer {
        let statuses = Statuses::default();
        let address = address.trim_end_matches('/').to_owned();
        let listener = tokio::spawn(listen(
            caller.clone(),
            address.clone(),
            Arc::clone(&statuses),
        ));
        Peer {
            caller,
            address,
            statuses,
            listener: listener.abort_handle(),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A partition's status there; `None` when it is not there or the scheduler is not heard.
    pub(crate) fn status(&self, partition: PartitionId) -> Option<watch::Receiver<OwnerStatus>> {
        locked(&self.statuses)
            .get(&partition)
            .map(watch::Sender::subscribe)
    }

    /// Puts the bytes of a query to it; `None`: it does not own the partition.
    pub(crate) async fn ask(&self, query: Bytes) -> Result<Option<OwnerReply>, PeerError> {
        let request = self.caller.token.show(
            self.caller
                .client
                .post(format!("{}{ASK_PATH}", self.address)),
        );
        let response = request
            .header(header::CONTENT_TYPE, CONTENT_TYPE)
            .body(query)
            .send()
            .await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        match status.is_success() {
            true => Ok(decode_reply(bytes)?),
            false => Err(PeerError::Refused {
                status,
                said: first_words(&bytes),
            }),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

fn first_words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(200).collect()
}

fn locked(
    statuses: &Statuses,
) -> MutexGuard<'_, BTreeMap<PartitionId, watch::Sender<OwnerStatus>>> {
    statuses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Follows the statuses of a scheduler, calling again whenever the line breaks.
async fn listen(caller: Caller, address: String, statuses: Statuses) {
    let mut is_told = false;
    loop {
        let Err(error) = follow(&caller, &address, &statuses, &mut is_told).await;
        // Whoever waits for a partition there learns that there is nobody.
        locked(&statuses).clear();
        if !is_told {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                address,
                error,
                "a scheduler is not heard; calling again until it is"
            );
            is_told = true;
        }
        sleep(CALL_AGAIN).await;
    }
}

async fn follow(
    caller: &Caller,
    address: &str,
    statuses: &Statuses,
    is_told: &mut bool,
) -> Result<std::convert::Infallible, PeerError> {
    let response = caller
        .token
        .show(caller.client.get(format!("{address}{STATUSES_PATH}")))
        .send();
    let response = timeout(SILENCE_MAX, response)
        .await
        .map_err(|_| PeerError::Silent)??;
    let status = response.status();
    if !status.is_success() {
        let said = timeout(SILENCE_MAX, response.bytes())
            .await
            .map_err(|_| PeerError::Silent)??;
        return Err(PeerError::Refused {
            status,
            said: first_words(&said),
        });
    }
    let mut stream = response.bytes_stream();
    let mut arrived = BytesMut::new();
    loop {
        let part = timeout(SILENCE_MAX, stream.next())
            .await
            .map_err(|_| PeerError::Silent)?;
        arrived.extend_from_slice(&part.ok_or(PeerError::Ended)??);
        while let Some(frame) = StatusFrame::take(&mut arrived)? {
            if std::mem::take(is_told) {
                tracing::info!(address, "the scheduler is heard again");
            }
            apply(frame, statuses);
        }
    }
}

fn apply(frame: StatusFrame, statuses: &Statuses) {
    let mut statuses = locked(statuses);
    for partition in frame.gone {
        statuses.remove(&partition);
    }
    for (partition, status) in frame.changed {
        match statuses.get(&partition) {
            Some(known) => drop(known.send_replace(status)),
            None => drop(statuses.insert(partition, watch::channel(status).0)),
        }
    }
}
