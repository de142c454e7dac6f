//! What every role begins and ends with: logs, metrics, a listener.

use std::net::SocketAddr;
use std::sync::Arc;

use minutehand_cli::{Exit, Failure};
use minutehand_http::{RenderMetrics, Router, TlsFiles, Tokens, refuse_open_bind};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::configs::tls_files;
use super::failure::usage;
use super::settings::ClusterSettings;
use crate::shutdown::until_true;
use crate::telemetry::{self, LogFormat};
use crate::tls;

/// A role's process: where it listens, what it measures, and whether it is to end.
pub(super) struct Process {
    listener: TcpListener,
    tls: Option<TlsFiles>,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// What `/metrics` answers.
    pub(super) metrics: RenderMetrics,
    /// True once everything that serves is to end.
    pub(super) ending: watch::Sender<bool>,
}

impl Process {
    /// Starts logs and metrics, and listens at the setting of this name. Callers bear one of `tokens`.
    pub(super) async fn start(
        settings: &ClusterSettings,
        listen: &str,
        tokens: &Tokens,
        missing_tokens: &str,
    ) -> Result<Process, Failure> {
        let format = match settings.text("telemetry.log_format") {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        };
        telemetry::start_logs(settings.text("telemetry.log"), format)?;
        let metrics = telemetry::start_metrics()?;
        let tls = tls_files(settings)?;
        let wanted = settings.address(listen);
        refuse_open_bind(wanted, tokens)
            .map_err(|error| usage(error.to_string()).with_hint(missing_tokens))?;
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Failed, format!("could not listen on {wanted}: {error}"))
                .with_hint(format!("choose another address with --set {listen}=IP:PORT"))
        };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Process {
            listener,
            tls,
            address,
            metrics: Arc::new(move || metrics.render()),
            ending: watch::channel(false).0,
        })
    }

    /// `http://127.0.0.1:8080`
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Serves until it is to end.
    pub(super) fn serve(self, router: Router) -> Result<Serving, Failure> {
        let served = tls::serve(self.listener, self.tls, router, until_true(self.ending.subscribe()))?;
        Ok(Serving { ending: self.ending, served: tokio::spawn(served) })
    }
}

/// A router that is served.
pub(super) struct Serving {
    ending: watch::Sender<bool>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Serving {
    /// Takes no more requests, and waits for those under way.
    pub(super) async fn end(self) {
        self.ending.send_replace(true);
        self.served.await.ok();
    }
}
