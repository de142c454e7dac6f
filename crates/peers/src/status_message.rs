//! The protobuf messages of the stream of statuses, as they lie on the wire.

use bytes::{Buf, BufMut};
use minutehand_record::frontier::{GapMessage, PlaceMessage, StretchMessage};
use prost::Message;
use prost::encoding::{DecodeContext, WireType};

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct StatusFrameMessage {
    /// Statuses that changed since the frame before; all of them in the first.
    #[prost(message, repeated, tag = "1")]
    pub(crate) changed: Vec<StatusMessage>,
    /// Partitions that are no longer assigned there.
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) gone: Vec<u32>,
}

/// How an owner stands. The fields of its parts lie side by side in one message, as they do in
/// every release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StatusMessage {
    pub(crate) owner: OwnerPart,
    pub(crate) progress: ProgressPart,
    pub(crate) memory: MemoryPart,
    pub(crate) backlog: BacklogPart,
    pub(crate) ledger: LedgerPart,
}

/// Who it is about, and whether it is at work.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct OwnerPart {
    #[prost(uint32, tag = "1")]
    pub(crate) partition: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) phase: u32,
    #[prost(uint64, tag = "3")]
    pub(crate) epoch: u64,
    #[prost(string, optional, tag = "20")]
    pub(crate) stop_reason: Option<String>,
}

/// How far it has come in its log and in time.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ProgressPart {
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
    #[prost(uint64, tag = "9")]
    pub(crate) log_end: u64,
    #[prost(sint64, tag = "10")]
    pub(crate) loaded_until_ms: i64,
    #[prost(uint64, tag = "19")]
    pub(crate) set_aside: u64,
}

/// What it holds in memory.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct MemoryPart {
    #[prost(uint64, tag = "11")]
    pub(crate) near_tasks: u64,
    #[prost(uint64, tag = "12")]
    pub(crate) near_bytes: u64,
    #[prost(uint64, tag = "13")]
    pub(crate) pending_entries: u64,
    #[prost(uint64, tag = "18")]
    pub(crate) memory_bytes: u64,
}

/// What it owes.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct BacklogPart {
    #[prost(message, repeated, tag = "14")]
    pub(crate) stretches: Vec<StretchMessage>,
    #[prost(uint64, tag = "15")]
    pub(crate) tasks: u64,
    #[prost(sint64, optional, tag = "16")]
    pub(crate) oldest_ms: Option<i64>,
    #[prost(bool, tag = "17")]
    pub(crate) is_partly_unread: bool,
    #[prost(message, optional, tag = "23")]
    pub(crate) owed_after: Option<PlaceMessage>,
    #[prost(uint64, tag = "24")]
    pub(crate) schedules: u64,
}

/// What it has written down of its minutes.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct LedgerPart {
    #[prost(sint64, optional, tag = "21")]
    pub(crate) closed_before_ms: Option<i64>,
    #[prost(uint64, tag = "22")]
    pub(crate) minutes_given_up: u64,
}

impl Message for StatusMessage {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        self.owner.encode_raw(buffer);
        self.progress.encode_raw(buffer);
        self.memory.encode_raw(buffer);
        self.backlog.encode_raw(buffer);
        self.ledger.encode_raw(buffer);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        match tag {
            4..=10 | 19 => self.progress.merge_field(tag, wire_type, buffer, context),
            11..=13 | 18 => self.memory.merge_field(tag, wire_type, buffer, context),
            14..=17 | 23 | 24 => self.backlog.merge_field(tag, wire_type, buffer, context),
            21 | 22 => self.ledger.merge_field(tag, wire_type, buffer, context),
            // What it does not know either is passed over there.
            _ => self.owner.merge_field(tag, wire_type, buffer, context),
        }
    }

    fn encoded_len(&self) -> usize {
        self.owner.encoded_len()
            + self.progress.encoded_len()
            + self.memory.encoded_len()
            + self.backlog.encoded_len()
            + self.ledger.encoded_len()
    }

    fn clear(&mut self) {
        *self = StatusMessage::default();
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::{LogOffset, Place, Stretch, Timestamp};

    use super::*;

    /// The message as it has been from its beginning: one list of fields.
    #[derive(Clone, PartialEq, Eq, Message)]
    struct Flat {
        #[prost(uint32, tag = "1")]
        partition: u32,
        #[prost(uint32, tag = "2")]
        phase: u32,
        #[prost(uint64, tag = "3")]
        epoch: u64,
        #[prost(uint64, tag = "4")]
        applied: u64,
        #[prost(message, optional, tag = "5")]
        head: Option<PlaceMessage>,
        #[prost(message, repeated, tag = "6")]
        gaps: Vec<GapMessage>,
        #[prost(uint64, tag = "7")]
        replay_from: u64,
        #[prost(uint64, tag = "8")]
        tick: u64,
        #[prost(uint64, tag = "9")]
        log_end: u64,
        #[prost(sint64, tag = "10")]
        loaded_until_ms: i64,
        #[prost(uint64, tag = "11")]
        near_tasks: u64,
        #[prost(uint64, tag = "12")]
        near_bytes: u64,
        #[prost(uint64, tag = "13")]
        pending_entries: u64,
        #[prost(message, repeated, tag = "14")]
        backlog: Vec<StretchMessage>,
        #[prost(uint64, tag = "15")]
        backlog_tasks: u64,
        #[prost(sint64, optional, tag = "16")]
        backlog_oldest_ms: Option<i64>,
        #[prost(bool, tag = "17")]
        backlog_is_partly_unread: bool,
        #[prost(uint64, tag = "18")]
        memory_bytes: u64,
        #[prost(uint64, tag = "19")]
        set_aside: u64,
        #[prost(string, optional, tag = "20")]
        stop_reason: Option<String>,
        #[prost(sint64, optional, tag = "21")]
        closed_before_ms: Option<i64>,
        #[prost(uint64, tag = "22")]
        minutes_given_up: u64,
        #[prost(message, optional, tag = "23")]
        owed_after: Option<PlaceMessage>,
        #[prost(uint64, tag = "24")]
        backlog_schedules: u64,
        #[prost(uint64, tag = "900")]
        of_a_later_release: u64,
    }

    fn flat() -> Flat {
        let place = |offset| Place {
            due: Timestamp::from_millis(5),
            offset: LogOffset::at(offset),
        };
        let stretch = Stretch {
            after: place(1),
            through: place(2),
        };
        Flat {
            partition: 1,
            phase: 2,
            epoch: 3,
            applied: 4,
            head: Some(place(6).into()),
            gaps: Vec::new(),
            replay_from: 7,
            tick: 8,
            log_end: 9,
            loaded_until_ms: 10,
            near_tasks: 11,
            near_bytes: 12,
            pending_entries: 13,
            backlog: vec![(&stretch).into()],
            backlog_tasks: 15,
            backlog_oldest_ms: Some(16),
            backlog_is_partly_unread: true,
            memory_bytes: 18,
            set_aside: 19,
            stop_reason: Some("20".to_owned()),
            closed_before_ms: Some(21),
            minutes_given_up: 22,
            owed_after: Some(place(7).into()),
            backlog_schedules: 24,
            of_a_later_release: 0,
        }
    }

    #[test]
    fn builds_with_and_without_parts_read_each_other() {
        let flat = flat();
        let parts = StatusMessage::decode(flat.encode_to_vec().as_slice()).unwrap();
        assert_eq!(parts.owner.stop_reason.as_deref(), Some("20"));
        assert_eq!(
            (parts.progress.set_aside, parts.memory.memory_bytes),
            (19, 18)
        );
        assert_eq!(parts.encoded_len(), flat.encoded_len());
        assert_eq!(Flat::decode(parts.encode_to_vec().as_slice()), Ok(flat));
    }

    #[test]
    fn fields_of_later_releases_are_passed_over() {
        let later = Flat {
            of_a_later_release: 7,
            ..flat()
        };
        let read = StatusMessage::decode(later.encode_to_vec().as_slice()).unwrap();
        assert_eq!(Flat::decode(read.encode_to_vec().as_slice()), Ok(flat()));
    }
}
