//! What all connections of a server share.

use axum::Router;
use tokio::sync::watch;

use super::crowd::Crowd;
use super::limits::ServeLimits;
use crate::tls::Tls;

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) tls: Option<watch::Receiver<Tls>>,
    pub(super) router: Router,
    pub(super) limits: ServeLimits,
    pub(super) crowd: Crowd,
}
