//! What happens next: events in order of virtual time, and of their arrival where times are equal.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

struct Entry<E> {
    at_ms: i64,
    sequence: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Entry<E>) -> bool {
        self.sequence == other.sequence
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Entry<E>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    /// The heap gives the greatest first: the earliest counts as greatest.
    fn cmp(&self, other: &Entry<E>) -> Ordering {
        (other.at_ms, other.sequence).cmp(&(self.at_ms, self.sequence))
    }
}

/// Events by time.
pub(crate) struct EventQueue<E> {
    heap: BinaryHeap<Entry<E>>,
    sequence: u64,
}

impl<E> EventQueue<E> {
    pub(crate) fn new() -> EventQueue<E> {
        EventQueue {
            heap: BinaryHeap::new(),
            sequence: 0,
        }
    }

    pub(crate) fn push(&mut self, at_ms: i64, event: E) {
        self.sequence += 1;
        self.heap.push(Entry {
            at_ms,
            sequence: self.sequence,
            event,
        });
    }

    /// The earliest event, if it comes at or before `until_ms`.
    pub(crate) fn pop_until(&mut self, until_ms: i64) -> Option<(i64, E)> {
        if self.heap.peek()?.at_ms > until_ms {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at_ms, entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_out_by_time_and_then_by_arrival() {
        let mut queue = EventQueue::new();
        for (at_ms, name) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b')] {
            queue.push(at_ms, name);
        }
        let mut order = Vec::new();
        while let Some((_, name)) = queue.pop_until(4) {
            order.push(name);
        }
        assert_eq!(order, ['a', 'b']);
        assert_eq!(queue.pop_until(5), Some((5, 'c')));
        assert_eq!(queue.pop_until(5), Some((5, 'd')));
        assert_eq!(queue.pop_until(i64::MAX), None);
    }
}
