//! The client of the HTTP API.

mod bodies;
mod http;
mod problem;
mod routes;

pub(crate) use bodies::{action, definition_body, delay_or_time, policies, recurrence};
pub(crate) use http::Client;
pub(crate) use routes::Routes;
