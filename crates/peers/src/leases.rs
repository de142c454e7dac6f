//! Answers to leases that another gateway holds.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{StatusCode, header};
use tokio::time::timeout;

use crate::client_error::ClientError;
use crate::peer::Caller;
use crate::remote::{RemoteConfig, client};

/// Where a gateway takes answers to its leases from others; what stands in the place of the queue
/// is as in the API.
pub const LEASES_PATH: &str = "/internal/v1/queues/{queue}";
/// How long another gateway may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Longest answer, in bytes: of as many items as a call may have, each with its id.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why nothing is known of answers that were passed on.
#[derive(Debug, thiserror::Error)]
pub enum LeasePeerError {
    /// There is no gateway any more: it has taken nothing, and holds no lease.
    #[error("no gateway is there")]
    Gone(#[source] Option<reqwest::Error>),
    /// It may have taken them.
    #[error("the gateway did not answer")]
    Unknown(#[source] Option<reqwest::Error>),
    /// It does not want to.
    #[error("the gateway answered {0}")]
    Refused(StatusCode),
}

/// The other gateways, by their addresses.
pub struct LeasePeers(Caller);

impl LeasePeers {
    /// Reached as schedulers are.
    ///
    /// # Errors
    /// A certificate or key that cannot be used.
    pub fn new(config: &RemoteConfig) -> Result<LeasePeers, ClientError> {
        Ok(LeasePeers(Caller {
            client: client(config)?,
            token: config.token.clone(),
        }))
    }

    /// Passes answers on to the gateway at `address` (`http://10.0.0.7:8080`), in JSON; `target` is
    /// the queue and what is said, as they stand in the API's path.
    ///
    /// # Errors
    /// No answer, and whether it may have taken them nevertheless.
    pub async fn pass_on(
        &self,
        address: &str,
        target: &str,
        body: Bytes,
    ) -> Result<Bytes, LeasePeerError> {
        let url = format!("{address}{}", LEASES_PATH.replace("{queue}", target));
        let Caller { client, token } = &self.0;
        let request = token
            .show(client.post(url))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        let answered = async {
            let response = request
                .send()
                .await
                .map_err(|error| match error.is_connect() {
                    true => LeasePeerError::Gone(Some(error)),
                    false => LeasePeerError::Unknown(Some(error)),
                })?;
            match response.status() {
                StatusCode::OK
                    if response
                        .content_length()
                        .is_none_or(|length| length <= ANSWER_BYTES_MAX as u64) =>
                {
                    response
                        .bytes()
                        .await
                        .map_err(|error| LeasePeerError::Unknown(Some(error)))
                }
                // Something else listens there by now.
                StatusCode::NOT_FOUND => Err(LeasePeerError::Gone(None)),
                status => Err(LeasePeerError::Refused(status)),
            }
        };
        timeout(ANSWER_MAX, answered)
            .await
            .unwrap_or(Err(LeasePeerError::Unknown(None)))
    }
}
