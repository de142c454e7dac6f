//! The connection: every call has a deadline, and its error says what the caller may do.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{
    Certificate, Client, Compare, CompareOp, ConnectOptions, GetOptions, GetResponse, Identity,
    TlsOptions, Txn, TxnOp, TxnOpResponse, TxnResponse,
};
use minutehand_model::{Epoch, Timestamp};

use crate::config::EtcdConfig;
use crate::error::{CallError, StartError, reason};
use crate::keys::{Keys, RegionFacts, encode};
use crate::pause::Backoff;
use crate::version;

/// How long a call waits for its answer.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a call of the start is tried.
const START_TRIES: u32 = 4;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often an open connection is probed; etcd cuts off clients that do so more often than every 5
/// s.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a probe may go unanswered.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to the region's etcd.
#[derive(Clone)]
pub(crate) struct Etcd {
    client: Client,
    keys: Arc<Keys>,
    region_epoch: u16,
    endpoints: Arc<str>,
}

impl Etcd {
    /// Connects, and makes sure that the region has so many partitions.
    pub(crate) async fn open(config: &EtcdConfig, partitions: u32) -> Result<Etcd, StartError> {
        let etcd = Etcd::connect(config).await?;
        etcd.agree(partitions).await?;
        etcd.check_version().await;
        Ok(etcd)
    }

    /// Connects, whatever the region is like.
    pub(crate) async fn connect(config: &EtcdConfig) -> Result<Etcd, StartError> {
        config.check()?;
        let endpoints = config.endpoints.join(", ");
        let options = options(config)?;
        let connected = persistently(|| {
            let connect = Client::connect(config.endpoints.clone(), Some(options.clone()));
            within(CALL_TIMEOUT + CONNECT_TIMEOUT, Box::pin(connect))
        })
        .await;
        let client = connected.map_err(|error| start_error("connect", &endpoints, error))?;
        Ok(Etcd {
            client,
            keys: Arc::new(Keys::new(&config.prefix, &config.region)),
            region_epoch: config.region_epoch,
            endpoints: endpoints.into(),
        })
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A driver to call; each clone shares the connection.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The epoch of a key that was created at a revision; `None` when the numbers do not fit.
    pub(crate) fn epoch(&self, create_revision: i64) -> Option<Epoch> {
        Epoch::of_region(self.region_epoch, u64::try_from(create_revision).ok()?)
    }

    /// The revision at which a key under this epoch was created; `None` when it is of another
    /// region epoch.
    pub(crate) fn revision_of(&self, epoch: Epoch) -> Option<i64> {
        let is_ours = epoch.region_epoch() == u64::from(self.region_epoch);
        is_ours
            .then(|| i64::try_from(epoch.sequence()).ok())
            .flatten()
    }

    pub(crate) async fn get(
        &self,
        key: String,
        options: Option<GetOptions>,
    ) -> Result<GetResponse, CallError> {
        let mut client = self.client();
        within(CALL_TIMEOUT, client.get(key, options)).await
    }

    pub(crate) async fn txn(&self, txn: Txn) -> Result<TxnResponse, CallError> {
        let mut client = self.client();
        within(CALL_TIMEOUT, client.txn(txn)).await
    }

    /// Deletes a key if it is still the one that was created at that revision.
    pub(crate) async fn delete_created_at(
        &self,
        key: String,
        revision: i64,
    ) -> Result<(), CallError> {
        let is_same = Compare::create_revision(key.clone(), CompareOp::Equal, revision);
        self.txn(
            Txn::new()
                .when([is_same])
                .and_then([TxnOp::delete(key, None)]),
        )
        .await?;
        Ok(())
    }

    /// A failure to begin, in an operator's words.
    pub(crate) fn start_error(&self, action: &'static str, error: CallError) -> StartError {
        start_error(action, &self.endpoints, error)
    }

    /// The first process of a region writes how many partitions it has; all others must be
    /// configured the same.
    async fn agree(&self, partitions: u32) -> Result<(), StartError> {
        let key = self.keys.config();
        let is_absent = Compare::create_revision(key.clone(), CompareOp::Equal, 0);
        let put = TxnOp::put(key.clone(), encode(&RegionFacts { partitions }), None);
        let txn = Txn::new()
            .when([is_absent])
            .and_then([put])
            .or_else([TxnOp::get(key.clone(), None)]);
        let answer = persistently(|| self.txn(txn.clone())).await;
        let answer =
            answer.map_err(|error| self.start_error("read the region's settings", error))?;
        if answer.succeeded() {
            return Ok(());
        }
        let Some(value) = only_value(&answer) else {
            return Ok(());
        };
        match serde_json::from_slice::<RegionFacts>(&value) {
            Ok(stored) if stored.partitions == partitions => Ok(()),
            Ok(stored) => Err(StartError::PartitionCount {
                key,
                stored: stored.partitions,
                wanted: partitions,
            }),
            Err(source) => Err(StartError::Damaged { key, source }),
        }
    }

    /// Warns of a release with known faults. A user who may not ask for it is not bothered.
    async fn check_version(&self) {
        let mut client = self.client();
        match within(CALL_TIMEOUT, client.status()).await {
            Ok(status) => {
                if let Some(warning) = version::warning(status.version()) {
                    tracing::warn!(version = status.version(), warning);
                }
            }
            Err(error) => tracing::debug!(%error, "the release of etcd is unknown"),
        }
    }
}

/// Tries a call a few times while that may help: of several members one may be down, and the next
/// is another.
pub(crate) async fn persistently<T, Call: Future<Output = Result<T, CallError>>>(
    mut call: impl FnMut() -> Call,
) -> Result<T, CallError> {
    let mut backoff = Backoff::default();
    for _ in 1..START_TRIES {
        match call().await {
            Err(error) if error.may_pass() => tokio::time::sleep(backoff.next()).await,
            settled => return settled,
        }
    }
    call().await
}

/// The present, in milliseconds of UTC.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The answer to a call, if it comes in time.
pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::TimedOut(limit)),
    }
}

/// The value that the single `get` of a transaction found.
fn only_value(answer: &TxnResponse) -> Option<Vec<u8>> {
    answer
        .op_responses()
        .into_iter()
        .find_map(|response| match response {
            TxnOpResponse::Get(found) => found.kvs().first().map(|entry| entry.value().to_vec()),
            _ => None,
        })
}

fn start_error(action: &'static str, endpoints: &str, error: CallError) -> StartError {
    let reason = match &error {
        CallError::Etcd(error) => reason(error),
        other => other.to_string(),
    };
    let (endpoints, may_pass) = (endpoints.to_owned(), error.may_pass());
    StartError::Etcd {
        action,
        endpoints,
        reason,
        may_pass,
        source: error.into(),
    }
}

fn options(config: &EtcdConfig) -> Result<ConnectOptions, StartError> {
    let mut options = ConnectOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_keep_alive(PROBE_INTERVAL, PROBE_TIMEOUT)
        .with_keep_alive_while_idle(true)
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    if let Some((user, password)) = config.login.credentials() {
        options = options.with_user(user, password);
    }
    if config.tls.enabled {
        options = options.with_tls(tls_options(config)?);
    }
    Ok(options)
}

fn tls_options(config: &EtcdConfig) -> Result<TlsOptions, StartError> {
    let mut options = TlsOptions::new();
    if let Some(authority) = &config.tls.ca_file {
        options = options.ca_certificate(Certificate::from_pem(read(authority)?));
    }
    if let (Some(certificate), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) {
        options = options.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    if let Some(domain) = &config.tls_domain {
        options = options.domain_name(domain);
    }
    Ok(options)
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    fs::read(path).map_err(|source| StartError::File {
        path: path.to_owned(),
        source,
    })
}
