//! The client of the HTTP API.

mod bodies;
mod http;
mod problem;
mod routes;

pub(crate) use bodies::{action, delay_or_time, line_body, policies, recurrence};
pub(crate) use http::Client;
pub(crate) use routes::Routes;
