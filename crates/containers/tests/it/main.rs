//! The container executors against scripted API servers.

mod docker;
mod kubernetes;
mod server;
mod support;
