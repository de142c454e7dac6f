//! A page: the facts that arrived one after the other, and the encoded tasks they carry.
//!
//! Facts are filled in, passed by F and forgotten in about the order in which they arrived; so a
//! page is dropped as a whole, and walking over what arrived together is walking over memory that
//! lies together. A page is closed when it is full or has been open for a while.

use bytes::Bytes;
use minutehand_model::Timestamp;

use crate::fact::{StoredFact, flag};

/// Facts in a page, as a power of two: the lower bits of a fact's number.
pub(crate) const PAGE_BITS: u32 = 12;
/// Facts in a page.
pub(crate) const PAGE_FACTS: usize = 1 << PAGE_BITS;
/// The longest time that a page takes facts, in milliseconds: R waits for the last of them.
const OPEN_MS: i64 = 200;

/// Bytes of a segment. Allocators round: this is a size of which little is lost.
const SEGMENT_BYTES: usize = 224 * 1024;
/// The lower bits of a place in the segments say where in its segment it lies.
const SEGMENT_BITS: u32 = 18;
/// A longer encoded task is not copied: it keeps the buffer it came in.
const COPIED_BYTES_MAX: usize = 16 * 1024;

const _: () = assert!(
    SEGMENT_BYTES <= 1 << SEGMENT_BITS,
    "a place in a segment must fit its bits"
);
const _: () = assert!(
    PAGE_FACTS < 1 << (32 - SEGMENT_BITS),
    "each fact may need a segment of its own"
);

/// The encoded tasks of a page, copied together: a buffer of the log's reader would be kept whole
/// by a single task that waits.
#[derive(Debug, Default)]
struct Bodies {
    segments: Vec<Bytes>,
    /// The segment that is being filled, and its number.
    filling: Option<(usize, Vec<u8>)>,
    /// The memory they take.
    bytes: usize,
}

impl Bodies {
    /// Keeps a body; answers where it lies.
    fn push(&mut self, body: Bytes, spent: &mut Vec<Bytes>) -> u32 {
        if body.len() > COPIED_BYTES_MAX {
            self.bytes += body.len();
            self.segments.push(body);
            return place_at(self.segments.len() - 1, 0);
        }
        if self
            .filling
            .as_ref()
            .is_some_and(|(_, segment)| segment.len() + body.len() > SEGMENT_BYTES)
        {
            self.fill_no_more();
        }
        let (number, segment) = self.filling.get_or_insert_with(|| {
            // Whoever has filled a segment will fill another one.
            let capacity = if self.segments.is_empty() {
                body.len()
            } else {
                SEGMENT_BYTES
            };
            self.segments.push(Bytes::new());
            self.bytes += capacity;
            (self.segments.len() - 1, Vec::with_capacity(capacity))
        });
        let at = place_at(*number, segment.len());
        if segment.capacity() - segment.len() < body.len() {
            let twice = (2 * segment.capacity()).clamp(body.len(), SEGMENT_BYTES);
            self.bytes -= segment.capacity();
            segment.reserve_exact(twice.max(segment.len() + body.len()) - segment.len());
            self.bytes += segment.capacity();
        }
        segment.extend_from_slice(&body);
        spent.push(body);
        at
    }

    fn fill_no_more(&mut self) {
        if let Some((number, segment)) = self.filling.take() {
            self.segments[number] = Bytes::from(segment);
        }
    }

    fn get(&self, at: u32, bytes: u32) -> Bytes {
        let (number, start) = (
            (at >> SEGMENT_BITS) as usize,
            (at & ((1 << SEGMENT_BITS) - 1)) as usize,
        );
        let range = start..start + bytes as usize;
        match &self.filling {
            Some((filling, segment)) if *filling == number => {
                Bytes::copy_from_slice(&segment[range])
            }
            _ => self.segments[number].slice(range),
        }
    }
}

fn place_at(segment: usize, start: usize) -> u32 {
    (segment as u32) << SEGMENT_BITS | start as u32
}

/// What is known about a page, apart from its facts.
#[derive(Debug)]
pub(crate) struct Page {
    bodies: Bodies,
    opened_at: Timestamp,
    is_open: bool,
    /// Facts that are not yet resting or removed.
    pub(crate) busy: u32,
    /// When the last of the facts that rest may be forgotten.
    pub(crate) forget_at: Timestamp,
    /// The first and the last due time of those.
    dues: (Timestamp, Timestamp),
}

impl Page {
    pub(crate) fn open(now: Timestamp) -> Page {
        let forget_at = Timestamp::MIN;
        let dues = (Timestamp::MAX, Timestamp::MIN);
        Page {
            bodies: Bodies::default(),
            opened_at: now,
            is_open: true,
            busy: 0,
            forget_at,
            dues,
        }
    }

    /// Whether it has been open for as long as it may.
    pub(crate) fn is_ripe(&self, now: Timestamp) -> bool {
        // A clock that went back makes its age unknown.
        now < self.opened_at || now.millis_since(self.opened_at) >= OPEN_MS
    }

    /// Takes no more facts; answers how many bytes became free.
    pub(crate) fn close(&mut self) -> usize {
        self.is_open = false;
        self.bodies.fill_no_more();
        self.let_bodies_go()
    }

    /// The memory that its encoded tasks take.
    pub(crate) fn body_bytes(&self) -> usize {
        self.bodies.bytes
    }

    /// Whether a fact that rests in it may be due in a stretch of time, both ends included.
    pub(crate) fn touches(&self, (from, until): (Timestamp, Timestamp)) -> bool {
        from <= self.dues.1 && self.dues.0 <= until
    }

    /// Whether it only waits for its time to be forgotten.
    pub(crate) fn is_complete(&self) -> bool {
        !self.is_open && self.busy == 0
    }

    /// One fact fewer needs more than to be remembered; `None`: it needs nothing at all. Answers
    /// how many bytes became free.
    pub(crate) fn rests_one_more(&mut self, remembered: Option<(Timestamp, Timestamp)>) -> usize {
        self.busy -= 1;
        if let Some((due, forget_at)) = remembered {
            self.forget_at = self.forget_at.max(forget_at);
            self.dues = (self.dues.0.min(due), self.dues.1.max(due));
        }
        self.let_bodies_go()
    }

    fn let_bodies_go(&mut self) -> usize {
        match self.is_complete() {
            true => std::mem::take(&mut self.bodies).bytes,
            false => 0,
        }
    }

    /// Keeps the encoded task of a fact. What was copied is put on the heap of what is spent:
    /// counting a shared buffer down waits for all stores before it, so it is done for many at a
    /// time.
    pub(crate) fn keep_body(&mut self, fact: &mut StoredFact, body: Bytes, spent: &mut Vec<Bytes>) {
        fact.body_bytes = body.len() as u32;
        fact.body_at = self.bodies.push(body, spent);
        fact.flags |= flag::BODY;
    }

    /// The encoded task of a fact that has one.
    pub(crate) fn body(&self, fact: &StoredFact) -> Option<Bytes> {
        fact.is(flag::BODY)
            .then(|| self.bodies.get(fact.body_at, fact.body_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_every_size_are_found_in_open_and_closed_pages() {
        let sizes = [
            0,
            1,
            300,
            COPIED_BYTES_MAX,
            COPIED_BYTES_MAX + 1,
            256 * 1024 + 2_000,
        ];
        let bodies: Vec<Bytes> = (0..200_usize)
            .map(|i| Bytes::from(vec![i as u8; sizes[i % sizes.len()]]))
            .collect();
        let mut kept = Bodies::default();
        let mut spent = Vec::new();
        let places: Vec<u32> = bodies
            .iter()
            .map(|body| kept.push(body.clone(), &mut spent))
            .collect();
        let find = |kept: &Bodies| -> Vec<Bytes> {
            places
                .iter()
                .zip(&bodies)
                .map(|(at, body)| kept.get(*at, body.len() as u32))
                .collect()
        };
        assert_eq!(find(&kept), bodies);
        kept.fill_no_more();
        assert_eq!(find(&kept), bodies);
        assert!(
            kept.segments
                .iter()
                .any(|segment| segment.len() > SEGMENT_BYTES / 2)
        );
    }
}
