//! Owners in other processes, found through the directory and asked over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use minutehand_model::PartitionId;
use minutehand_node::{OwnerQueries, OwnerQuery, OwnerReply, OwnerStatus};
use reqwest::{Client, redirect};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::client_error::ClientError;
use crate::peer::{Caller, Peer};
use crate::token::PeerToken;
use crate::wire::encode_query;

/// Who owns what: the base URL (`http://10.0.0.7:8081`) of each partition's owner, kept up to date.
pub type Directory = watch::Receiver<BTreeMap<PartitionId, String>>;

/// How schedulers are reached.
#[derive(Clone)]
pub struct RemoteConfig {
    /// The number of partitions.
    pub partitions: u32,
    /// The cluster's shared token.
    pub token: PeerToken,
    /// Certificate authorities (PEM) that a scheduler's certificate must come from; without one
    /// only plain HTTP is spoken.
    pub ca_pem: Option<Vec<u8>>,
    /// Certificate and key (PEM) to be shown to schedulers that ask for them.
    pub identity_pem: Option<Vec<u8>>,
    /// Longest time until a question is answered, changes of ownership included, in milliseconds.
    pub answer_wait_ms_max: u64,
}

impl RemoteConfig {
    /// Plain HTTP without a token.
    pub fn new(partitions: u32) -> RemoteConfig {
        RemoteConfig {
            partitions,
            token: PeerToken::none(),
            ca_pem: None,
            identity_pem: None,
            answer_wait_ms_max: 5_000,
        }
    }
}

impl std::fmt::Debug for RemoteConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteConfig")
            .field("partitions", &self.partitions)
            .field("token", &self.token)
            .field("answer_wait_ms_max", &self.answer_wait_ms_max)
            .finish_non_exhaustive()
    }
}

/// How long to wait before asking again, or looking again for an owner that is not there.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// Longest time to connect to a scheduler.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

type Peers = Arc<Mutex<BTreeMap<String, Arc<Peer>>>>;

/// Owners in other processes. Listens to the statuses of every scheduler that the directory names.
pub struct RemoteOwners {
    partitions: u32,
    answer_wait: Duration,
    directory: Directory,
    peers: Peers,
    follower: AbortHandle,
}

impl RemoteOwners {
    /// Begins to listen to the schedulers of the directory. To be called within a tokio runtime.
    ///
    /// # Errors
    /// A token, certificate or key that cannot be used.
    pub fn new(config: RemoteConfig, directory: Directory) -> Result<RemoteOwners, ClientError> {
        let client = client(&config)?;
        let peers = Peers::default();
        let caller = Caller {
            client,
            token: config.token,
        };
        let follower = tokio::spawn(follow(caller, directory.clone(), Arc::clone(&peers)));
        Ok(RemoteOwners {
            partitions: config.partitions,
            answer_wait: Duration::from_millis(config.answer_wait_ms_max),
            directory,
            peers,
            follower: follower.abort_handle(),
        })
    }

    /// The scheduler that owns a partition, as far as the directory knows.
    fn owner(&self, partition: PartitionId) -> Option<Arc<Peer>> {
        let address = self.directory.borrow().get(&partition)?.clone();
        locked(&self.peers).get(&address).cloned()
    }
}

impl Drop for RemoteOwners {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

async fn ask_once(owner: &Peer, query: Bytes, deadline: Instant) -> Option<OwnerReply> {
    let reply = timeout_at(deadline, owner.ask(query)).await.ok()?;
    reply.unwrap_or_else(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::debug!(
            address = owner.address(),
            error,
            "a scheduler did not answer"
        );
        None
    })
}

pub(crate) fn client(config: &RemoteConfig) -> Result<Client, ClientError> {
    let mut builder = minutehand_caller::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("minutehand/", env!("CARGO_PKG_VERSION")));
    let trusted = match &config.ca_pem {
        Some(pem) => {
            reqwest::Certificate::from_pem_bundle(pem).map_err(|source| ClientError::Pem {
                what: "the certificate authority of the cluster",
                source,
            })?
        }
        // The system's authorities say nothing about schedulers, and a machine may have none.
        None => Vec::new(),
    };
    builder = builder.tls_certs_only(trusted);
    if let Some(pem) = &config.identity_pem {
        let identity = reqwest::Identity::from_pem(pem).map_err(|source| ClientError::Pem {
            what: "the certificate and key of this gateway",
            source,
        })?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(ClientError::Setup)
}

/// Keeps one peer for every address of the directory.
async fn follow(caller: Caller, mut directory: Directory, peers: Peers) {
    loop {
        let addresses: BTreeSet<String> = directory.borrow_and_update().values().cloned().collect();
        {
            let mut peers = locked(&peers);
            peers.retain(|address, _| addresses.contains(address));
            for address in addresses {
                peers
                    .entry(address)
                    .or_insert_with_key(|address| Arc::new(Peer::new(caller.clone(), address)));
            }
        }
        if directory.changed().await.is_err() {
            // Nobody keeps the directory any more; what it last said stays.
            return;
        }
    }
}

fn locked(peers: &Peers) -> MutexGuard<'_, BTreeMap<String, Arc<Peer>>> {
    peers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl OwnerQueries for RemoteOwners {
    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn statuses(&self) -> Vec<(PartitionId, OwnerStatus)> {
        let every = (0..self.partitions).map(PartitionId::own);
        let status = |partition| Some((partition, self.status(partition)?.borrow().clone()));
        every.filter_map(status).collect()
    }

    fn status(&self, partition: PartitionId) -> Option<watch::Receiver<OwnerStatus>> {
        self.owner(partition)?.status(partition)
    }

    /// Asks until an owner answers, or for too long.
    async fn put(&self, partition: PartitionId, query: OwnerQuery) -> Option<OwnerReply> {
        let bytes = encode_query(partition, &query);
        let deadline = Instant::now() + self.answer_wait;
        loop {
            if let Some(owner) = self.owner(partition)
                && let Some(reply) = ask_once(&owner, bytes.clone(), deadline).await
            {
                return query.fits(&reply).then_some(reply);
            }
            let again_at = Instant::now() + ASK_AGAIN;
            if again_at >= deadline {
                return None;
            }
            sleep_until(again_at).await;
        }
    }
}
