//! Asking the owners of partitions that run in other processes.
//!
//! A gateway owns nothing: what a partition knows, the scheduler that owns it is asked.
//! [`RemoteOwners`] puts that question over HTTP, to whoever the directory names; [`answer`] and
//! [`StatusFeed`] are the scheduler's side of it, served by the HTTP crate at [`ASK_PATH`] and
//! [`STATUSES_PATH`], to callers that bear the cluster's shared token.
//!
//! Messages are protobuf. A scheduler that does not own the partition it is asked about answers so;
//! the caller looks in the directory again.

mod answer;
mod client_error;
mod codec;
mod feed;
mod leases;
mod message;
mod peer;
mod remote;
mod status;
mod status_message;
mod token;
mod wire;

pub use answer::answer;
pub use client_error::ClientError;
pub use feed::StatusFeed;
pub use leases::{LEASES_PATH, LeasePeerError, LeasePeers};
pub use remote::{Directory, RemoteConfig, RemoteOwners};
pub use status::StatusFrame;
pub use token::PeerToken;
pub use wire::{decode_query, decode_reply, encode_query, encode_reply};

/// Where questions are posted.
pub const ASK_PATH: &str = "/internal/v1/ask";
/// What questions, answers and statuses are written in.
pub const CONTENT_TYPE: &str = "application/x-protobuf";
/// Where statuses are streamed from.
pub const STATUSES_PATH: &str = "/internal/v1/statuses";

/// Longest frame of the stream of statuses, in bytes; a longer one is not from a scheduler.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A scheduler is heard from at least this often, in milliseconds; three times as long without a
/// word, and it is gone.
const HEARTBEAT_MS: u64 = 1_000;
