//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::bodies::{Inbound, Outbound};
use super::shared::Shared;
use super::socket::Watched;
use super::standing::{Open, Standing, Waits};

/// Longest head of a request, and most that waits in memory to be written, in bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Requests under way at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 64;
/// What a peer may send ahead of being read, on one connection of HTTP/2.
const WINDOW_BYTES: u32 = 256 * 1024;
/// How long a connection may take to say that it ends.
const FAREWELL: Duration = Duration::from_millis(250);

/// One connection. It is counted until dropped.
pub(super) struct Connection {
    shared: Arc<Shared>,
    standing: Arc<Standing>,
    number: u64,
    stopping: watch::Receiver<bool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.crowd.leave(self.number);
    }
}

impl Connection {
    pub(super) fn new(
        shared: Arc<Shared>,
        peer: IpAddr,
        stopping: watch::Receiver<bool>,
    ) -> Connection {
        let standing = Arc::new(Standing::new(peer, shared.tls.is_some()));
        let number = shared.crowd.enter(&standing);
        Connection {
            shared,
            standing,
            number,
            stopping,
        }
    }

    /// Serves it to its end.
    pub(super) async fn run(self, stream: TcpStream) {
        let tls = self.shared.tls.as_ref().map(|tls| tls.borrow().acceptor());
        match tls {
            None => self.talk(stream).await,
            Some(acceptor) => {
                if let Some(stream) = self.greet(acceptor, stream).await {
                    self.talk(stream).await;
                }
            }
        }
    }

    async fn greet(
        &self,
        acceptor: TlsAcceptor,
        stream: TcpStream,
    ) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
        let mut stopping = self.stopping.clone();
        let deadline = self
            .standing
            .deadline(&self.shared.limits)
            .unwrap_or_else(Instant::now);
        let greeted = tokio::select! {
            greeted = acceptor.accept(stream) => greeted,
            () = self.standing.closed() => return None,
            () = sleep_until(deadline) => return None,
            _ = stopping.wait_for(|stopping| *stopping) => return None,
        };
        self.standing.greeted();
        greeted
            .inspect_err(
                |error| tracing::debug!(peer = %self.standing.peer, %error, "a TLS handshake failed"),
            )
            .ok()
    }

    async fn talk(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let io = TokioIo::new(Watched {
            stream,
            standing: Arc::clone(&self.standing),
        });
        let (shared, standing) = (Arc::clone(&self.shared), Arc::clone(&self.standing));
        let service =
            service_fn(move |request| answer(Arc::clone(&shared), Arc::clone(&standing), request));
        let builder = builder();
        let mut talk = pin!(builder.serve_connection(io, service));
        let mut look_at = Instant::now() + self.shared.limits.head.min(self.shared.limits.idle);
        let (mut stopping, mut is_ending) = (self.stopping.clone(), false);
        loop {
            tokio::select! {
                ended = &mut talk => {
                    if let Err(error) = ended {
                        tracing::debug!(peer = %self.standing.peer, %error, "a connection broke");
                    }
                    return;
                }
                () = self.standing.closed() => return,
                _ = stopping.wait_for(|stopping| *stopping), if !is_ending => {
                    is_ending = true;
                    talk.as_mut().graceful_shutdown();
                    look_at = Instant::now() + FAREWELL;
                }
                () = sleep_until(look_at) => match self.patience(is_ending) {
                    Patience::Until(again) => look_at = again,
                    Patience::LastWords => {
                        is_ending = true;
                        talk.as_mut().graceful_shutdown();
                        look_at = Instant::now() + FAREWELL;
                    }
                    Patience::Gone => return,
                }
            }
        }
    }

    /// Whether to wait on.
    fn patience(&self, is_ending: bool) -> Patience {
        let (now, limits) = (Instant::now(), &self.shared.limits);
        if is_ending && !self.standing.is_open() {
            return Patience::Gone;
        }
        let shortest = limits.head.min(limits.stalled).min(limits.idle);
        match self.standing.deadline(limits) {
            // What begins to be waited for now may be waited for so long.
            None => Patience::Until(now + shortest),
            Some(deadline) if deadline > now => Patience::Until(deadline.min(now + shortest)),
            Some(_) if self.standing.waits().0 == Waits::Request => Patience::LastWords,
            Some(_) => Patience::Gone,
        }
    }
}

/// What to do with a connection that has been looked at.
enum Patience {
    /// Look again then.
    Until(Instant),
    /// It was idle for too long: say that it ends.
    LastWords,
    /// Its peer kept us waiting too long, or everything has been said.
    Gone,
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(BUFFER_BYTES_MAX);
    builder
        .http2()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buf_size(BUFFER_BYTES_MAX)
        .max_header_list_size(BUFFER_BYTES_MAX as u32);
    builder
}

async fn answer(
    shared: Arc<Shared>,
    standing: Arc<Standing>,
    request: Request<Incoming>,
) -> Result<Response<Outbound>, Infallible> {
    let open = Open::begin(&standing);
    let waits = request.headers().contains_key(header::EXPECT);
    let request = request.map(|body| Body::new(Inbound::new(body, &standing, &shared, waits)));
    let response = shared.router.clone().oneshot(request).await.into_response();
    Ok(response.map(|body| Outbound::new(body, open, &standing, &shared)))
}
