//! What connections may take.

use std::time::Duration;

use minutehand_model::limits::{
    CONNECTION_IDLE_MS_MAX, CONNECTIONS_MAX, HANDSHAKE_MS_MAX, HELD_BYTES_MAX, REQUEST_HEAD_MS_MAX,
    REQUEST_STALLED_MS_MAX,
};

/// What connections may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// Connections open at once.
    pub connections_max: usize,
    /// Bytes of bodies and answers in memory, of all connections, while their peers are waited for.
    pub held_bytes_max: usize,
    /// Longest TLS handshake.
    pub handshake: Duration,
    /// Longest time from the first byte of a request to the end of its head.
    pub head: Duration,
    /// How long a peer may say nothing within a request, and take nothing of an answer.
    pub stalled: Duration,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How long requests under way may take to end once the server is to stop.
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> ServeLimits {
        ServeLimits {
            connections_max: CONNECTIONS_MAX,
            held_bytes_max: HELD_BYTES_MAX,
            handshake: Duration::from_millis(HANDSHAKE_MS_MAX),
            head: Duration::from_millis(REQUEST_HEAD_MS_MAX),
            stalled: Duration::from_millis(REQUEST_STALLED_MS_MAX),
            idle: Duration::from_millis(CONNECTION_IDLE_MS_MAX),
            drain: Duration::from_secs(10),
        }
    }
}

impl ServeLimits {
    /// The same, with no more connections than there are descriptors for.
    #[must_use]
    pub fn within(self, connections_max: usize) -> ServeLimits {
        ServeLimits {
            connections_max: self.connections_max.min(connections_max),
            ..self
        }
    }
}
