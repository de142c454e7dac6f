//! Running a router on a listener.

use std::io;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::tls::{Tls, TlsListener};

/// Serves until `shutdown` completes; then takes no more connections and lets the requests under way end.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = listener.tap_io(|stream| answer_at_once(stream));
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

/// The same over TLS. Connections that come after `tls` has changed are greeted with what it holds then.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve_tls(
    listener: TcpListener,
    tls: watch::Receiver<Tls>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(TlsListener::new(listener, tls), router).with_graceful_shutdown(shutdown).await
}

/// Small answers must not wait for company.
pub(crate) fn answer_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
}
