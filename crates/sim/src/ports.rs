//! The stores as ports.
