//! Serving with TLS where the settings say so, and reading the files again on SIGHUP.

use std::io;

use futures::FutureExt;
use futures::future::BoxFuture;
use minutehand_cli::{Exit, Failure};
use minutehand_http::{Router, Tls, TlsFiles};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Serves until `shutdown` completes, by HTTPS when there are files for it.
///
/// # Errors
/// Files that cannot be read or used.
pub(crate) fn serve(
    listener: TcpListener,
    files: Option<TlsFiles>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<BoxFuture<'static, io::Result<()>>, Failure> {
    let Some(files) = files else { return Ok(minutehand_http::serve(listener, router, shutdown).boxed()) };
    let tls = Tls::read(&files).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let (current, tls) = watch::channel(tls);
    tokio::spawn(read_again(files, current));
    Ok(minutehand_http::serve_tls(listener, tls, router, shutdown).boxed())
}

/// Shows new connections what the files hold at each SIGHUP; what cannot be used changes nothing.
async fn read_again(files: TlsFiles, current: watch::Sender<Tls>) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    loop {
        tokio::select! {
            Some(()) = hangups.recv() => {}
            () = current.closed() => return,
        }
        match Tls::read(&files) {
            Ok(tls) => {
                current.send_replace(tls);
                tracing::info!(cert = %files.cert.display(), "read the certificate again");
            }
            Err(error) => tracing::error!(%error, "the certificate stays as it was"),
        }
    }
}
