//! Where one connection stands: who waits for whom, since when, and how much it holds in memory.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::ServeLimits;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// For the end of its TLS handshake.
    Handshake,
    /// For a request.
    Request,
    /// For the rest of a request's head.
    Head,
    /// For more of a body, or for its peer to take an answer.
    Peer,
    /// For us.
    Us,
}

/// Where one connection stands.
pub(super) struct Standing {
    pub(super) peer: IpAddr,
    state: Mutex<State>,
    closed: Notify,
}

struct State {
    has_greeted: bool,
    /// Bytes of the next request have come.
    in_head: bool,
    /// When the handshake, the head or the silence began.
    since: Instant,
    /// Requests whose answer has not been handed over as a whole.
    open: u32,
    /// Of these, those whose peer is waited for.
    on_peer: u32,
    held_bytes: usize,
    is_closing: bool,
}

impl Standing {
    pub(super) fn new(peer: IpAddr, has_tls: bool) -> Standing {
        let state = State {
            has_greeted: !has_tls,
            in_head: false,
            since: Instant::now(),
            open: 0,
            on_peer: 0,
            held_bytes: 0,
            is_closing: false,
        };
        Standing {
            peer,
            state: Mutex::new(state),
            closed: Notify::new(),
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handshake is over.
    pub(super) fn greeted(&self) {
        let mut state = self.locked();
        state.has_greeted = true;
        state.since = Instant::now();
    }

    /// Bytes have come.
    pub(super) fn has_read(&self) {
        let mut state = self.locked();
        if state.has_greeted && state.open == 0 {
            if !state.in_head {
                state.in_head = true;
                state.since = Instant::now();
            }
        } else if state.has_greeted {
            state.since = Instant::now();
        }
    }

    /// Bytes have gone.
    pub(super) fn has_written(&self) {
        let mut state = self.locked();
        if state.has_greeted && !state.in_head {
            state.since = Instant::now();
        }
    }

    /// Whether a request is under way.
    pub(super) fn is_open(&self) -> bool {
        self.locked().open > 0
    }

    /// What it waits for, and since when.
    pub(super) fn waits(&self) -> (Waits, Instant) {
        self.locked().waits()
    }

    /// When its patience with its peer ends; `None` while the peer is not waited for.
    pub(super) fn deadline(&self, limits: &ServeLimits) -> Option<Instant> {
        let (waits, since) = self.waits();
        match waits {
            Waits::Handshake => Some(since + limits.handshake),
            Waits::Request => Some(since + limits.idle),
            Waits::Head => Some(since + limits.head),
            Waits::Peer => Some(since + limits.stalled),
            Waits::Us => None,
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        let state = self.locked();
        if state.is_closing {
            0
        } else {
            state.held_bytes
        }
    }

    /// Lets the connection go, unless it waits for us; whether it does now, and had not been told
    /// before.
    pub(super) fn let_go(&self) -> bool {
        let mut state = self.locked();
        if state.is_closing || state.waits().0 == Waits::Us {
            return false;
        }
        state.is_closing = true;
        self.closed.notify_one();
        true
    }

    pub(super) fn is_closing(&self) -> bool {
        self.locked().is_closing
    }

    /// Waits until it is let go.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }
}

impl State {
    fn waits(&self) -> (Waits, Instant) {
        let waits = match self {
            State {
                has_greeted: false, ..
            } => Waits::Handshake,
            State {
                open: 0,
                in_head: true,
                ..
            } => Waits::Head,
            State { open: 0, .. } => Waits::Request,
            State { open, on_peer, .. } if open > on_peer => Waits::Us,
            _ => Waits::Peer,
        };
        (waits, self.since)
    }
}

/// A request under way on a connection.
pub(super) struct Open {
    standing: Arc<Standing>,
}

impl Open {
    pub(super) fn begin(standing: &Arc<Standing>) -> Open {
        let mut state = standing.locked();
        state.open += 1;
        state.in_head = false;
        state.since = Instant::now();
        drop(state);
        Open {
            standing: Arc::clone(standing),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.standing.locked();
        state.open -= 1;
        state.since = Instant::now();
    }
}

/// What one body of a request under way holds, and whether its peer is waited for.
pub(super) struct Share {
    standing: Arc<Standing>,
    is_on_peer: bool,
    held_bytes: usize,
}

impl Share {
    pub(super) fn new(standing: &Arc<Standing>) -> Share {
        Share {
            standing: Arc::clone(standing),
            is_on_peer: false,
            held_bytes: 0,
        }
    }

    /// Takes note of whether the peer is waited for.
    pub(super) fn on_peer(&mut self, is_on_peer: bool) {
        if self.is_on_peer == is_on_peer {
            return;
        }
        self.is_on_peer = is_on_peer;
        let mut state = self.standing.locked();
        state.since = Instant::now();
        match is_on_peer {
            true => state.on_peer += 1,
            false => state.on_peer -= 1,
        }
    }

    /// Takes note of how many bytes it holds; answers by how many more than before.
    pub(super) fn hold(&mut self, bytes: usize) -> usize {
        let mut state = self.standing.locked();
        state.held_bytes = state.held_bytes + bytes - self.held_bytes;
        let more = bytes.saturating_sub(self.held_bytes);
        drop(state);
        self.held_bytes = bytes;
        more
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.on_peer(false);
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn standing(has_tls: bool) -> Arc<Standing> {
        Arc::new(Standing::new(Ipv4Addr::LOCALHOST.into(), has_tls))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_tells_whom_it_waits_for() {
        let standing = standing(true);
        assert_eq!(standing.waits().0, Waits::Handshake);
        standing.has_read();
        assert_eq!(standing.waits().0, Waits::Handshake);
        standing.greeted();
        assert_eq!(standing.waits().0, Waits::Request);
        standing.has_read();
        assert_eq!(standing.waits().0, Waits::Head);
        let open = Open::begin(&standing);
        assert_eq!(standing.waits().0, Waits::Us);
        let mut share = Share::new(&standing);
        share.on_peer(true);
        assert_eq!(standing.waits().0, Waits::Peer);
        let second = Open::begin(&standing);
        assert_eq!(
            standing.waits().0,
            Waits::Us,
            "one request of two waits for us"
        );
        drop((second, share));
        assert_eq!(standing.waits().0, Waits::Us);
        drop(open);
        assert_eq!(standing.waits().0, Waits::Request);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_drip_do_not_put_off_the_end_of_a_head() {
        let (standing, limits) = (standing(false), ServeLimits::default());
        standing.has_read();
        let deadline = standing.deadline(&limits);
        tokio::time::advance(limits.head / 2).await;
        standing.has_read();
        assert_eq!(standing.deadline(&limits), deadline);
        let _open = Open::begin(&standing);
        assert_eq!(
            standing.deadline(&limits),
            None,
            "who waits for us is waited for"
        );
    }

    #[test]
    fn whoever_waits_for_us_is_not_let_go() {
        let standing = standing(false);
        let open = Open::begin(&standing);
        assert!(!standing.let_go());
        drop(open);
        assert!(standing.let_go());
        assert!(!standing.let_go(), "once is enough");
    }
}
