//! The protobuf messages, as they lie on the wire.

use bytes::Bytes;
use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct QuestionMessage {
    #[prost(uint32, tag = "1")]
    pub(crate) partition: u32,
    #[prost(oneof = "QuestionKind", tags = "2, 3, 4, 5, 6")]
    pub(crate) kind: Option<QuestionKind>,
}

#[derive(Clone, PartialEq, Eq, Oneof)]
pub(crate) enum QuestionKind {
    #[prost(message, tag = "2")]
    Find(FindMessage),
    #[prost(message, tag = "3")]
    List(ListMessage),
    #[prost(message, tag = "4")]
    Loads(RangeMessage),
    #[prost(message, tag = "5")]
    Schedule(ScheduleNameMessage),
    #[prost(message, tag = "6")]
    Schedules(SchedulesMessage),
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct FindMessage {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) keys: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ListMessage {
    #[prost(message, optional, tag = "1")]
    pub(crate) after: Option<PlaceMessage>,
    #[prost(sint64, tag = "2")]
    pub(crate) until_ms: i64,
    #[prost(uint64, tag = "3")]
    pub(crate) count_max: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct RangeMessage {
    #[prost(sint64, tag = "1")]
    pub(crate) from_ms: i64,
    #[prost(sint64, tag = "2")]
    pub(crate) until_ms: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ScheduleNameMessage {
    #[prost(string, tag = "1")]
    pub(crate) namespace: String,
    #[prost(string, tag = "2")]
    pub(crate) id: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct SchedulesMessage {
    #[prost(string, tag = "1")]
    pub(crate) namespace: String,
    #[prost(string, optional, tag = "2")]
    pub(crate) after: Option<String>,
    #[prost(string, tag = "3")]
    pub(crate) prefix: String,
    #[prost(uint64, tag = "4")]
    pub(crate) count_max: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct PlaceMessage {
    #[prost(sint64, tag = "1")]
    pub(crate) due_ms: i64,
    #[prost(uint64, tag = "2")]
    pub(crate) offset: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct AnswerMessage {
    #[prost(oneof = "AnswerKind", tags = "1, 2, 3, 4, 5, 6")]
    pub(crate) kind: Option<AnswerKind>,
}

#[derive(Clone, PartialEq, Eq, Oneof)]
pub(crate) enum AnswerKind {
    /// The partition has no owner here, or it has just stopped.
    #[prost(message, tag = "1")]
    NotOwned(NothingMessage),
    #[prost(message, tag = "2")]
    Found(FoundMessage),
    #[prost(message, tag = "3")]
    Tasks(TasksMessage),
    #[prost(message, tag = "4")]
    Loads(LoadsMessage),
    /// Of one schedule: none or one of them.
    #[prost(message, tag = "5")]
    Schedule(SchedulesFoundMessage),
    #[prost(message, tag = "6")]
    Schedules(SchedulesFoundMessage),
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct NothingMessage {}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct FoundMessage {
    #[prost(message, repeated, tag = "1")]
    pub(crate) found: Vec<TasksMessage>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct TasksMessage {
    #[prost(message, repeated, tag = "1")]
    pub(crate) tasks: Vec<KnownTaskMessage>,
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
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct LoadsMessage {
    #[prost(message, repeated, tag = "1")]
    pub(crate) minutes: Vec<LoadMessage>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct LoadMessage {
    #[prost(sint64, tag = "1")]
    pub(crate) minute_ms: i64,
    #[prost(uint64, tag = "2")]
    pub(crate) tasks: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct SchedulesFoundMessage {
    #[prost(message, repeated, tag = "1")]
    pub(crate) schedules: Vec<KnownScheduleMessage>,
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
