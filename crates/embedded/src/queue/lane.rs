//! A group's place in one partition of a queue.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use minutehand_model::Timestamp;

use crate::ranges::Ranges;

/// Longest name of a group, in bytes.
pub(crate) const GROUP_BYTES_MAX: usize = 200;

/// What a group has been given and has settled of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupLane {
    /// Everything below is settled.
    cursor: u64,
    /// What is settled beyond.
    settled: Ranges,
    /// Settled in all.
    total: u64,
    /// Handed out up to here, in this process.
    handed: u64,
    /// Below that: what was let go, and is to be handed out again.
    let_go: BTreeSet<u64>,
}

const VERSION: u8 = 2;

impl GroupLane {
    /// A group that begins at a sequence.
    pub(crate) fn starting_at(cursor: u64) -> GroupLane {
        GroupLane {
            cursor,
            handed: cursor,
            ..GroupLane::default()
        }
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The next sequence to hand out: one that was let go, or at or behind what is settled already.
    pub(crate) fn next(&self) -> u64 {
        let first = self.let_go.first().copied();
        first.unwrap_or_else(|| self.settled.end_of(self.handed).unwrap_or(self.handed))
    }

    /// Hands a sequence out; `false` when it is settled or in somebody's hands.
    pub(crate) fn hand_out(&mut self, sequence: u64) -> bool {
        if sequence < self.handed {
            return self.let_go.remove(&sequence);
        }
        self.handed = sequence + 1;
        !self.is_settled(sequence)
    }

    /// Nobody works on a delivery any more: it is handed out again, unless it is settled or was
    /// never handed out.
    pub(crate) fn let_go(&mut self, sequence: u64) {
        if sequence < self.handed && !self.is_settled(sequence) {
            self.let_go.insert(sequence);
        }
    }

    pub(crate) fn is_settled(&self, sequence: u64) -> bool {
        sequence < self.cursor || self.settled.contains(sequence)
    }

    /// Settles a delivery; `false` when it was settled before.
    pub(crate) fn settle(&mut self, sequence: u64) -> bool {
        if self.is_settled(sequence) {
            return false;
        }
        self.pass_over(sequence, sequence + 1);
        self.total += 1;
        true
    }

    /// Settles what is not delivered, without counting it.
    pub(crate) fn pass_over(&mut self, first: u64, end: u64) {
        self.settled.insert(first.max(self.cursor), end);
        self.cursor = self.settled.advance(self.cursor);
        self.handed = self.handed.max(self.cursor);
        if !self.let_go.is_empty() {
            self.let_go
                .retain(|sequence| !(first..end).contains(sequence));
        }
    }

    /// Handed out and not settled.
    pub(crate) fn in_progress(&self) -> u64 {
        let handed =
            self.handed.saturating_sub(self.cursor) - self.settled.count_below(self.handed);
        handed - self.let_go.len() as u64
    }

    /// Published up to `next` and not settled.
    pub(crate) fn waiting(&self, next: u64) -> u64 {
        next.saturating_sub(self.cursor)
            .saturating_sub(self.settled.count())
    }

    /// The row: version, when the group was last seen, cursor, total, what is settled beyond.
    pub(crate) fn encode(&self, seen_at: Timestamp) -> Bytes {
        let mut buffer = BytesMut::with_capacity(32);
        buffer.put_u8(VERSION);
        buffer.put_i64(seen_at.as_millis());
        buffer.put_u64(self.cursor);
        buffer.put_u64(self.total);
        self.settled.encode(self.cursor, &mut buffer);
        buffer.freeze()
    }

    /// The place a row says, and when the group was last seen; nothing is handed out.
    pub(crate) fn decode(mut row: &[u8]) -> Option<(GroupLane, Timestamp)> {
        if row.len() < 25 || row.get_u8() != VERSION {
            return None;
        }
        let seen_at = Timestamp::from_millis(row.get_i64());
        let (cursor, total) = (row.get_u64(), row.get_u64());
        let settled = Ranges::decode(cursor, &mut row)?;
        let lane = GroupLane {
            cursor,
            settled,
            total,
            handed: cursor,
            let_go: BTreeSet::new(),
        };
        row.is_empty().then_some((lane, seen_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_restart_only_what_was_not_settled_is_handed_out() {
        let mut lane = GroupLane::starting_at(10);
        assert!((10..20).all(|sequence| lane.hand_out(sequence)));
        for sequence in [10, 12, 13, 15] {
            assert!(lane.settle(sequence));
            assert!(!lane.settle(sequence), "once and for all");
        }
        assert_eq!(
            (
                lane.cursor(),
                lane.total(),
                lane.in_progress(),
                lane.waiting(30)
            ),
            (11, 4, 6, 16)
        );
        let at = Timestamp::from_millis(-7);
        let (mut again, seen_at) = GroupLane::decode(&lane.encode(at)).unwrap();
        assert_eq!(seen_at, at);
        let mut handed = Vec::new();
        while again.next() < 20 {
            handed.push(again.next());
            assert!(again.hand_out(again.next()));
        }
        assert_eq!(handed, [11, 14, 16, 17, 18, 19]);
        assert_eq!(GroupLane::decode(&lane.encode(at)[..28]), None);
    }

    #[test]
    fn what_was_let_go_is_handed_out_again_unless_it_is_settled() {
        let mut lane = GroupLane::starting_at(10);
        assert!((10..16).all(|sequence| lane.hand_out(sequence)));
        assert!(lane.settle(12));
        [10, 12, 14, 15, 16, 99]
            .into_iter()
            .for_each(|sequence| lane.let_go(sequence));
        assert!(lane.settle(14), "who let it go may settle it all the same");
        assert_eq!(lane.in_progress(), 2, "11 and 13 are in somebody's hands");
        let handed: Vec<u64> = (0..4)
            .map(|_| {
                let next = lane.next();
                assert!(lane.hand_out(next));
                next
            })
            .collect();
        assert_eq!(handed, [10, 15, 16, 17]);
        assert!(!lane.hand_out(13));
    }
}
