//! The HTTP API.
//!
//! [`router`] makes an axum router over a [`minutehand_node::Gateway`]; [`serve`] runs it on a
//! listener. Requests and answers are JSON, described by `/openapi.json` (committed as
//! `schema/openapi.json`); what goes wrong is answered as problem details (RFC 9457) that name the
//! field, the limit and what was given.
//!
//! Times are RFC 3339, written in UTC with milliseconds. A namespace comes to be by its first use
//! unless [`NamespacePolicy::Listed`] says otherwise. Tokens are described at [`Tokens::parse`].

mod accepted;
mod access;
mod api;
mod bearer;
mod content;
mod cursor;
mod idempotency;
mod ids;
mod known_parameters;
mod lease_places;
mod namespaces;
mod node_router;
mod openapi;
mod openmetrics;
mod origin;
mod outcomes;
mod page;
mod parameters;
mod problem;
mod router;
mod routes;
mod server;
mod switch;
mod tls;
mod tokens;
mod trace;
mod views;

pub use axum::Router;

pub use api::{ApiConfig, RenderMetrics};
pub use ids::IdSource;
pub use lease_places::LeasePlaces;
pub use namespaces::NamespacePolicy;
pub use node_router::{NodeConfig, node_router, waiting_router};
pub use openapi::openapi_json;
pub use problem::Problem;
pub use router::router;
pub use server::{ServeLimits, listen, serve};
pub use switch::switched;
pub use tls::{Tls, TlsError, TlsFiles};
pub use tokens::{Grant, TokenError, Tokens, refuse_open_bind};
