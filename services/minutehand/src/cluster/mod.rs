//! The roles of a cluster: their settings, and (feature `cluster`) the roles themselves.

pub(crate) mod settings;
