//! The protobuf messages of what is known of tasks and schedules, as they lie on the wire.

use bytes::Bytes;
use prost::Message;

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct KnownTaskMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(sint64, tag = "2")]
    pub(crate) due_ms: i64,
    #[prost(uint64, tag = "3")]
    pub(crate) offset: u64,
    #[prost(uint32, tag = "4")]
    pub(crate) state: u32,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub(crate) encoded: Option<Bytes>,
    /// Absent from earlier releases too.
    #[prost(string, optional, tag = "6")]
    pub(crate) queue: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct KnownScheduleMessage {
    /// A revision in the encoding of the record crate.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) head: Bytes,
    #[prost(uint64, tag = "2")]
    pub(crate) created_offset: u64,
    /// A schedule state in the encoding of the record crate.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) state: Bytes,
    #[prost(message, optional, tag = "4")]
    pub(crate) next: Option<NextMessage>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct NextMessage {
    #[prost(sint64, tag = "1")]
    pub(crate) nominal_ms: i64,
    #[prost(sint64, tag = "2")]
    pub(crate) due_ms: i64,
}
