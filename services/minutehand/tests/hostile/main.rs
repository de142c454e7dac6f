//! A hostile set of requests against `dev`: generated heads, bodies, names, sizes around every
//! limit, damaged and unfinished requests. None of them is answered with 5xx or never, none keeps
//! another caller waiting, and the process answers afterwards.

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod caller;
mod heads;
mod unfinished;
