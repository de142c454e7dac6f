//! Versioned codecs for what is stored and sent.
//!
//! A record is a version byte and a protobuf message, but for three shapes that are read very often
//! and are therefore laid out by hand: the task (a protobuf message read without copying), the
//! block of the timetable and the batch of publications (both checksummed). `schema/records.proto`
//! describes all of them for other languages.
//!
//! Decoding parses: a value that comes out is valid by the rules of the model. Bytes that are
//! truncated, damaged or from a later version give a [`DecodeError`], never a panic. Fields that
//! are not known are passed over.

pub mod block;
mod chain;
pub mod checkpoint;
pub mod command;
pub mod dead_letter;
mod envelope;
mod error;
pub mod frontier;
pub mod last_word;
pub mod ledger;
mod names;
pub mod outcome;
mod policy;
pub mod publication;
pub mod queue_rules;
pub mod revision;
mod schedule;
pub mod schedule_state;
pub mod set_aside;
pub mod task;
mod wire;

pub use error::DecodeError;
pub use names::QueueNames;
pub use wire::put_varint;

/// The newest version of every record that this build writes and knows.
pub const VERSION: u8 = 1;
