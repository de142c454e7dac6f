//! What producers may write, and what workers read.

mod documents;
mod egress;
mod events;
mod golden;
mod headers;
mod json;
mod native;
mod properties;
mod support;
