//! The protobuf messages of what is known of tasks, schedules and partitions, as they lie on the wire.

use bytes::Bytes;
use prost::Message;

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct PlaceMessage {
    #[prost(sint64, tag = "1")]
    pub(crate) due_ms: i64,
    #[prost(uint64, tag = "2")]
    pub(crate) offset: u64,
}

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

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct StatusFrameMessage {
    /// Statuses that changed since the frame before; all of them in the first.
    #[prost(message, repeated, tag = "1")]
    pub(crate) changed: Vec<StatusMessage>,
    /// Partitions that are no longer assigned there.
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) gone: Vec<u32>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct StatusMessage {
    #[prost(uint32, tag = "1")]
    pub(crate) partition: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) phase: u32,
    #[prost(uint64, tag = "3")]
    pub(crate) epoch: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) applied: u64,
    #[prost(message, optional, tag = "5")]
    pub(crate) head: Option<PlaceMessage>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) gaps: Vec<GapMessage>,
    #[prost(uint64, tag = "7")]
    pub(crate) replay_from: u64,
    #[prost(uint64, tag = "8")]
    pub(crate) tick: u64,
    #[prost(uint64, tag = "19")]
    pub(crate) set_aside: u64,
    #[prost(uint64, tag = "9")]
    pub(crate) log_end: u64,
    #[prost(sint64, tag = "10")]
    pub(crate) loaded_until_ms: i64,
    #[prost(uint64, tag = "11")]
    pub(crate) near_tasks: u64,
    #[prost(uint64, tag = "12")]
    pub(crate) near_bytes: u64,
    #[prost(uint64, tag = "13")]
    pub(crate) pending_entries: u64,
    #[prost(message, repeated, tag = "14")]
    pub(crate) backlog: Vec<StretchMessage>,
    #[prost(uint64, tag = "15")]
    pub(crate) backlog_tasks: u64,
    #[prost(sint64, optional, tag = "16")]
    pub(crate) backlog_oldest_ms: Option<i64>,
    #[prost(bool, tag = "17")]
    pub(crate) backlog_is_partly_unread: bool,
    #[prost(uint64, tag = "18")]
    pub(crate) memory_bytes: u64,
    #[prost(string, optional, tag = "20")]
    pub(crate) stop_reason: Option<String>,
    #[prost(sint64, optional, tag = "21")]
    pub(crate) closed_before_ms: Option<i64>,
    #[prost(uint64, tag = "22")]
    pub(crate) minutes_given_up: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct StretchMessage {
    #[prost(message, required, tag = "1")]
    pub(crate) after: PlaceMessage,
    #[prost(message, required, tag = "2")]
    pub(crate) through: PlaceMessage,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct GapMessage {
    #[prost(message, required, tag = "1")]
    pub(crate) after: PlaceMessage,
    #[prost(message, required, tag = "2")]
    pub(crate) through: PlaceMessage,
    #[prost(uint64, tag = "3")]
    pub(crate) from_offset: u64,
}
