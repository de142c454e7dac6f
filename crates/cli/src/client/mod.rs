//! The client of the HTTP API.

mod http;
mod problem;
mod requests;
mod routes;

pub(crate) use http::{Answered, Client};
pub(crate) use requests::{Action, OfALine, length};
pub(crate) use routes::Routes;
