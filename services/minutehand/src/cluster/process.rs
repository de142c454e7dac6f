//! What every role begins and ends with: logs, metrics, a listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use minutehand_cli::{Exit, Failure};
use minutehand_cluster::Waiting;
use minutehand_http::{
    NodeConfig, RenderMetrics, Router, ServeLimits, Tokens, refuse_open_bind, switched,
    waiting_router,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::failure::usage;
use crate::descriptors::Descriptors;
use crate::settings::Settings;
use crate::signals::{Signals, until_true};
use crate::telemetry;
use crate::tls;

/// A role's process: where it listens, what it measures, and whether it is to end.
pub(super) struct Process {
    scheme: &'static str,
    router: watch::Sender<Router>,
    served: JoinHandle<()>,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// What `/metrics` answers.
    pub(super) metrics: RenderMetrics,
    /// True once everything that serves is to end.
    pub(super) ending: watch::Sender<bool>,
    /// Which servers it still waits for.
    pub(super) waiting: Waiting,
}

impl Process {
    /// Starts metrics, listens at the address of a setting, and serves its health from then on.
    /// Callers bear one of `tokens`.
    pub(super) async fn start(
        settings: &Settings,
        (listen, wanted): (&str, SocketAddr),
        tokens: &Tokens,
        missing_tokens: &str,
        signals: &Signals,
    ) -> Result<Process, Failure> {
        let metrics = telemetry::start_metrics(None)?;
        let descriptors =
            Descriptors::raised().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let tls = settings.http.tls_files()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        refuse_open_bind(wanted, tokens)
            .map_err(|error| usage(error.to_string()).with_hint(missing_tokens))?;
        let failed = |error: std::io::Error| {
            Failure::new(
                Exit::Failed,
                format!("could not listen on {wanted}: {error}"),
            )
            .with_hint(format!(
                "choose another address with --set {listen}=IP:PORT"
            ))
        };
        let listener = minutehand_http::listen(wanted).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;

        let (waiting, ending) = (Waiting::default(), watch::channel(false).0);
        let drain = Duration::from_millis(settings.http.drain_ms);
        let limits = ServeLimits {
            drain,
            ..ServeLimits::default()
        }
        .within(descriptors.for_connections());
        let standing = waiting.clone();
        let (router, current) = watch::channel(waiting_router(NodeConfig {
            owners: None,
            tokens: tokens.clone(),
            readiness: Arc::new(move || standing.readiness()),
            metrics: Arc::clone(&metrics),
            stopping: ending.subscribe(),
        }));
        let served = tls::serve(
            listener,
            tls,
            switched(current),
            limits,
            signals,
            until_true(ending.subscribe()),
        )?;
        let process = Process {
            scheme,
            router,
            served: tokio::spawn(served),
            address,
            metrics,
            ending,
            waiting,
        };
        tracing::info!(at = process.url(), "listening");
        Ok(process)
    }

    /// `http://127.0.0.1:8080`
    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Serves this from now on.
    pub(super) fn open(&self, router: Router) {
        drop(self.router.send_replace(router));
    }

    /// Takes no more requests, and waits for those under way, for as long as the settings say.
    pub(super) async fn end(self) {
        self.ending.send_replace(true);
        self.served.await.ok();
    }
}
