//! Running a router on a listener, so that no caller costs another one time or memory.
//!
//! Every connection tells its [`standing`](standing::Standing): whether we wait for its peer, or it
//! for us. Who keeps us waiting too long is let go; when there are more connections, or more bytes
//! in memory, than there is room for, those go first that have kept us waiting longest, of the peer
//! that has most. So a newcomer is served whatever strangers hold open, and requests under way are
//! left alone.

mod bodies;
mod connection;
mod crowd;
mod limits;
mod shared;
mod socket;
mod standing;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::tls::Tls;
use connection::Connection;
use crowd::Crowd;
pub use limits::ServeLimits;
use shared::Shared;

/// Connections that may wait in the kernel to be accepted; it has a limit of its own
/// (`net.core.somaxconn`).
const BACKLOG: u32 = 4_096;
/// Pause after a connection could not be accepted (most often for want of descriptors).
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

/// Listens at an address, with room for many callers at once.
///
/// # Errors
/// An address that cannot be had.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // So that a process that follows another at once finds the address free.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop` completes, by HTTPS where there is `tls`: connections that come after it has
/// changed are greeted with what it holds then. After that it takes no more connections, lets go
/// those without a request, and gives requests under way the time of [`ServeLimits::drain`] to end.
pub async fn serve(
    listener: TcpListener,
    tls: Option<watch::Receiver<Tls>>,
    router: Router,
    limits: ServeLimits,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let (tell, stopping) = watch::channel(false);
    let shared = Arc::new(Shared {
        tls,
        router,
        limits,
        crowd: Crowd::new(limits.held_bytes_max),
    });
    let mut connections = JoinSet::new();
    tokio::select! {
        () = stop => {}
        () = accept(&listener, &shared, &stopping, &mut connections) => {}
    }
    drop(listener);
    tell.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain, ended).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            drain_ms = limits.drain.as_millis(),
            "requests under way were cut off: they did not end in time"
        );
        connections.shutdown().await;
    }
}

/// Accepts for ever.
async fn accept(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    stopping: &watch::Receiver<bool>,
    connections: &mut JoinSet<()>,
) {
    loop {
        let accepted = tokio::select! {
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                make_room(shared, connections).await;
                answer_at_once(&stream);
                let connection = Connection::new(Arc::clone(shared), peer.ip(), stopping.clone());
                connections.spawn(connection.run(stream));
            }
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                shared.crowd.let_one_go();
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Waits until there is room for one more connection.
async fn make_room(shared: &Shared, connections: &mut JoinSet<()>) {
    while connections.len() >= shared.limits.connections_max {
        shared.crowd.let_one_go();
        // Where every connection is being served, the next request to end makes room.
        if timeout(ACCEPT_AGAIN, connections.join_next())
            .await
            .is_ok_and(|ended| ended.is_none())
        {
            return;
        }
    }
}

/// Small answers must not wait for company.
fn answer_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
}
