//! The webhook executor: a run is a signed POST, after the Standard Webhooks specification.
//!
//! The request carries the payload as its body, `webhook-id` (the id of the message, the same over
//! all attempts and replays), `webhook-timestamp`, `webhook-signature` (one a secret), the task's
//! headers, and `minutehand-namespace`, `-task-id`, `-attempt`, `-execution-id` (of the attempt),
//! `-delivery-token` (rises with every delivery) and `-due-at`. Headers that steer the connection,
//! and those whose names begin with `webhook-` or `minutehand-`, are not taken from the task, but for
//! `minutehand-parent-…`: what a chained task is told of the one before it.
//!
//! | answer | verdict |
//! |---|---|
//! | 2xx | success, whatever the body says; a body of text is the result, when it is there within 2 s and no longer than 64 KiB |
//! | 408, 425, 429, 5xx, 3xx, no answer, time out | failure: tried again, no sooner than `Retry-After` says |
//! | 410 | discarded, and so is what comes for the same URL within [`WebhookConfig::gone_ms`]: it is not called |
//! | every other 4xx | discarded: a dead letter at once, since the same request will be refused again |
//!
//! Redirects are never followed and proxies of the environment are not used. Only public addresses
//! are reached (see `address`), on the allowed ports; a URL that breaks that is discarded. A file
//! says what holds for some hosts alone (`endpoints`).

mod address;
mod answer;
mod endpoints;
mod gone;
mod lookup;
mod networks;
mod request;
mod sign;
mod warm;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use minutehand_model::time::DAY_MS;
use minutehand_model::{Task, Timestamp};
use minutehand_settings as settings;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::warn;

use self::address::{BoundedResolver, NotPublic, Reach};
use self::endpoints::Endpoints;
use self::gone::Gone;
use self::lookup::{Lookup, SystemLookup};
use self::request::{Target, headers_for};
use self::sign::Secret;
use self::warm::{IDLE_PER_HOST_MAX, IDLE_TIME_MAX, Warm};
use crate::attempt::run_timeout_ms;
use crate::handler::{Handler, Verdict};
use crate::run::Run;
use crate::settings::{Clock, duration_ms, system_clock};

pub use self::endpoints::{EndpointsError, EntryError};
pub use self::networks::{Network, NetworkError};
pub use self::request::URL_HEADER;
pub use self::sign::SecretError;

/// How webhooks are sent.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where every execution is posted; where its header `minutehand-url` says unless given.
    pub url: Option<String>,
    /// What requests are signed with: `whsec_` and Base64. They are not signed unless given.
    pub secret: Option<settings::Secret>,
    /// A file that holds the secret.
    pub secret_file: Option<PathBuf>,
    /// The secret before it, which signs as well while receivers change.
    pub secret_previous: Option<settings::Secret>,
    /// A file that holds the secret before it.
    pub secret_previous_file: Option<PathBuf>,
    /// Longest time to connect, in milliseconds. Ten seconds by default.
    #[serde(skip)]
    pub connect_timeout_ms: u64,
    /// Longest time from the look-up of the name to the end of the answer, in milliseconds, unless
    /// the task's header `minutehand-timeout-ms` says otherwise.
    #[schemars(range(min = 1, max = 30 * DAY_MS))]
    pub timeout_ms: i64,
    /// The most that such a header is granted, in milliseconds.
    #[schemars(range(min = 1, max = 30 * DAY_MS))]
    pub timeout_ms_max: i64,
    /// Most bytes of an answer that are read before the connection is closed. 64 KiB by default.
    #[serde(skip)]
    pub response_bytes_max: usize,
    /// Most connections that are kept for the next request, over all hosts. 256 by default.
    #[serde(skip)]
    pub idle_connections_max: usize,
    /// The ports that may be reached.
    #[schemars(inner(range(min = 1, max = 65_535)))]
    pub ports: Vec<u16>,
    /// Networks that may be reached though they are not public, on the allowed ports:
    /// `10.2.0.0/16`.
    pub allow_cidrs: Vec<Network>,
    /// A file (TOML) with secrets, ports and networks of single hosts (`docs/EXECUTORS.md`); read
    /// again when it has changed.
    pub endpoints_file: Option<PathBuf>,
    /// For how long a URL is not called that has answered 410, in milliseconds; what is due for it
    /// meanwhile is a dead letter.
    #[schemars(range(min = 0, max = 30 * DAY_MS))]
    pub gone_ms: i64,
    /// Authorities (PEM) of servers' certificates, besides the machine's own.
    pub ca_file: Option<PathBuf>,
    /// Reach any address on any port, loopback and private ones too: for development, never where
    /// others may name URLs.
    pub private_networks: bool,
}

impl Default for WebhookConfig {
    fn default() -> WebhookConfig {
        WebhookConfig {
            url: None,
            secret: None,
            secret_file: None,
            secret_previous: None,
            secret_previous_file: None,
            connect_timeout_ms: 10_000,
            timeout_ms: 30_000,
            timeout_ms_max: 3_600_000,
            response_bytes_max: 64 * 1024,
            idle_connections_max: 256,
            ports: vec![80, 443],
            allow_cidrs: Vec::new(),
            endpoints_file: None,
            gone_ms: 3_600_000,
            ca_file: None,
            private_networks: false,
        }
    }
}

impl WebhookConfig {
    /// What requests are signed with, the newest first.
    fn secrets(&self) -> Result<Vec<Secret>, WebhookConfigError> {
        let given = [
            ("webhook.secret", &self.secret, &self.secret_file),
            (
                "webhook.secret_previous",
                &self.secret_previous,
                &self.secret_previous_file,
            ),
        ];
        let mut secrets = Vec::new();
        for (name, secret, file) in given {
            if let Some(secret) = settings::Secret::of(name, secret.as_ref(), file.as_deref())? {
                let parsed = Secret::parse(secret.reveal().trim());
                secrets.push(parsed.map_err(|reason| WebhookConfigError::Secret { name, reason })?);
            }
        }
        Ok(secrets)
    }
}

/// A webhook executor that was not made.
#[derive(Debug, thiserror::Error)]
pub enum WebhookConfigError {
    /// The fixed URL can never be posted to.
    #[error("webhook.url cannot be used: {reason}")]
    Url {
        /// Why.
        reason: String,
    },
    /// A secret that nothing can be signed with.
    #[error("{name}: {reason}")]
    Secret {
        /// Its setting.
        name: &'static str,
        /// Why not.
        reason: SecretError,
    },
    /// A secret's file cannot be read.
    #[error(transparent)]
    Settings(#[from] settings::SettingsError),
    /// The file of endpoints cannot be used.
    #[error(transparent)]
    Endpoints(#[from] EndpointsError),
    /// The file of authorities cannot be read.
    #[error("webhook.ca_file {} cannot be read", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS could not be set up.
    #[error(
        "TLS for webhooks could not be set up; are the machine's root certificates (ca-certificates) installed?"
    )]
    Tls(#[source] reqwest::Error),
}

/// Posts executions to URLs.
pub struct WebhookExecutor {
    client: Client,
    /// Keeps no connections.
    cold_client: Client,
    warm: Warm,
    config: WebhookConfig,
    secrets: Vec<Secret>,
    reach: Reach,
    endpoints: Arc<Endpoints>,
    gone: Gone,
    clock: Clock,
}

impl WebhookExecutor {
    /// An executor that uses the system's resolver and clock.
    pub fn new(config: WebhookConfig) -> Result<WebhookExecutor, WebhookConfigError> {
        let lookup = SystemLookup::new(Duration::from_millis(config.connect_timeout_ms));
        WebhookExecutor::with_lookup(config, lookup)
    }

    /// The same with another clock, for `webhook-timestamp` and for dates in `Retry-After`.
    #[must_use]
    pub fn clock(
        mut self,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> WebhookExecutor {
        self.clock = Arc::new(clock);
        self
    }

    fn with_lookup(
        config: WebhookConfig,
        lookup: impl Lookup,
    ) -> Result<WebhookExecutor, WebhookConfigError> {
        let reach = Reach {
            is_everywhere: config.private_networks,
            networks: config.allow_cidrs.clone(),
        };
        let endpoints = Arc::new(Endpoints::new(config.endpoints_file.clone())?);
        if let Some(url) = &config.url {
            Target::parse(url, &reach, &config.ports, &endpoints)
                .map_err(|reason| WebhookConfigError::Url { reason })?;
        }
        let resolver = Arc::new(BoundedResolver::new(
            lookup,
            reach.clone(),
            Arc::clone(&endpoints),
        ));
        let authorities = authorities(config.ca_file.as_deref())?;
        let client = |idle_per_host_max| {
            minutehand_caller::builder()
                .no_proxy()
                .redirect(Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
                .pool_max_idle_per_host(idle_per_host_max)
                .pool_idle_timeout(IDLE_TIME_MAX)
                .user_agent(concat!("minutehand/", env!("CARGO_PKG_VERSION")))
                .tls_certs_merge(authorities.clone())
                .dns_resolver(Arc::clone(&resolver))
                .build()
                .map_err(WebhookConfigError::Tls)
        };
        Ok(WebhookExecutor {
            client: client(IDLE_PER_HOST_MAX)?,
            cold_client: client(0)?,
            warm: Warm::new(config.idle_connections_max),
            secrets: config.secrets()?,
            config,
            reach,
            endpoints,
            gone: Gone::default(),
            clock: system_clock(),
        })
    }

    async fn post(&self, run: &Run) -> Verdict {
        let url = self
            .config
            .url
            .as_deref()
            .or_else(|| run.header(URL_HEADER));
        let Some(url) = url else {
            return Verdict::discard(format!(
                "the task says no URL: it has no header {URL_HEADER}"
            ));
        };
        let target = Target::parse(url, &self.reach, &self.config.ports, &self.endpoints);
        let target = match target {
            Ok(target) => target,
            Err(reason) => return Verdict::discard(reason),
        };
        let now = (self.clock)();
        if let Some(until) = self.gone.until(target.url.as_str(), now) {
            return Verdict::discard(format!(
                "the endpoint has answered HTTP 410 Gone; it is not called before {until}"
            ));
        }
        let secrets = target.secrets(&self.secrets);
        let headers = match headers_for(run.execution(), secrets, now) {
            Ok(headers) => headers,
            Err(reason) => return Verdict::discard(reason),
        };
        let timeout_ms = match run_timeout_ms(run.task(), self.config.timeout_ms) {
            Ok(timeout_ms) => timeout_ms.min(self.config.timeout_ms_max),
            Err(reason) => return Verdict::discard(reason),
        };
        let host = target.url.origin().ascii_serialization();
        let warm = self.warm.begin(&host);
        let client = match warm {
            Some(_) => &self.client,
            None => &self.cold_client,
        };
        let request = client
            .post(target.url.clone())
            .headers(headers)
            .timeout(duration_ms(timeout_ms));
        let response = match request.body(run.task().payload.clone()).send().await {
            Ok(response) => response,
            Err(error) => return unanswered(&error, timeout_ms),
        };
        if response.status() == StatusCode::GONE {
            self.is_gone(&target);
        }
        answer::judge(response, self.config.response_bytes_max, &*self.clock).await
    }

    /// A target has answered that it is gone.
    fn is_gone(&self, target: &Target) {
        let now = (self.clock)();
        let until = now.plus_millis(self.config.gone_ms);
        // The path may hold a secret.
        let host = target.url.host_str().unwrap_or_default();
        warn!(host, %until, "a webhook's endpoint has answered 410 Gone: it is not called before then");
        self.gone.note(target.url.as_str(), until, now);
    }
}

#[async_trait]
impl Handler for WebhookExecutor {
    /// Host and port. A fixed URL is everybody's target: there is nobody to be held up.
    fn target(&self, task: &Task) -> Option<String> {
        if self.config.url.is_some() {
            return None;
        }
        let (_, url) = task
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(URL_HEADER))?;
        let url = reqwest::Url::parse(url).ok()?;
        Some(format!(
            "{}:{}",
            url.host_str()?,
            url.port_or_known_default()?
        ))
    }

    async fn run(&self, run: Run) -> Verdict {
        tokio::select! {
            verdict = self.post(&run) => verdict,
            _ = run.stopped() => Verdict::Cancelled,
        }
    }
}

/// The authorities of a file, if one is named.
fn authorities(file: Option<&Path>) -> Result<Vec<Certificate>, WebhookConfigError> {
    let Some(path) = file else {
        return Ok(Vec::new());
    };
    let pem = std::fs::read(path).map_err(|source| WebhookConfigError::CaFile {
        path: path.to_owned(),
        source,
    })?;
    Certificate::from_pem_bundle(&pem).map_err(WebhookConfigError::Tls)
}

/// No answer came: the other side may or may not have taken the request.
fn unanswered(error: &reqwest::Error, timeout_ms: i64) -> Verdict {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut innermost = String::new();
    while let Some(inner) = cause {
        if let Some(not_public) = inner.downcast_ref::<NotPublic>() {
            return Verdict::discard(not_public.to_string());
        }
        innermost = inner.to_string();
        cause = inner.source();
    }
    let what = if error.is_connect() {
        "could not connect"
    } else if error.is_timeout() {
        return Verdict::failure(format!("no answer within {timeout_ms} ms"));
    } else {
        "no answer"
    };
    // The innermost cause names no URL, which may hold a secret.
    Verdict::failure(format!("{what}: {innermost}"))
}

#[cfg(test)]
mod tests;
